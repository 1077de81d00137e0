import datetime

from google.api import annotations_pb2 as _annotations_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from solward.policy.v1 import policy_pb2 as _policy_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Verdict(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    VERDICT_UNSPECIFIED: _ClassVar[Verdict]
    VERDICT_UNKNOWN: _ClassVar[Verdict]
    VERDICT_AGREES: _ClassVar[Verdict]
    VERDICT_BEHIND: _ClassVar[Verdict]
    VERDICT_FORKED: _ClassVar[Verdict]
    VERDICT_LONGER_THAN_OURS: _ClassVar[Verdict]
    VERDICT_FOREIGN_KEY: _ClassVar[Verdict]

class ReportFormat(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REPORT_FORMAT_UNSPECIFIED: _ClassVar[ReportFormat]
    REPORT_FORMAT_HTML: _ClassVar[ReportFormat]
    REPORT_FORMAT_PDF: _ClassVar[ReportFormat]
    REPORT_FORMAT_JSON: _ClassVar[ReportFormat]
VERDICT_UNSPECIFIED: Verdict
VERDICT_UNKNOWN: Verdict
VERDICT_AGREES: Verdict
VERDICT_BEHIND: Verdict
VERDICT_FORKED: Verdict
VERDICT_LONGER_THAN_OURS: Verdict
VERDICT_FOREIGN_KEY: Verdict
REPORT_FORMAT_UNSPECIFIED: ReportFormat
REPORT_FORMAT_HTML: ReportFormat
REPORT_FORMAT_PDF: ReportFormat
REPORT_FORMAT_JSON: ReportFormat

class Entry(_message.Message):
    __slots__ = ("sequence", "body", "hash", "mac")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    HASH_FIELD_NUMBER: _ClassVar[int]
    MAC_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    body: str
    hash: bytes
    mac: bytes
    def __init__(self, sequence: _Optional[int] = ..., body: _Optional[str] = ..., hash: _Optional[bytes] = ..., mac: _Optional[bytes] = ...) -> None: ...

class Checkpoint(_message.Message):
    __slots__ = ("origin", "size", "root", "time", "signature", "public_key", "consistency_proof")
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    ROOT_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    PUBLIC_KEY_FIELD_NUMBER: _ClassVar[int]
    CONSISTENCY_PROOF_FIELD_NUMBER: _ClassVar[int]
    origin: str
    size: int
    root: bytes
    time: _timestamp_pb2.Timestamp
    signature: bytes
    public_key: bytes
    consistency_proof: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, origin: _Optional[str] = ..., size: _Optional[int] = ..., root: _Optional[bytes] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., signature: _Optional[bytes] = ..., public_key: _Optional[bytes] = ..., consistency_proof: _Optional[_Iterable[bytes]] = ...) -> None: ...

class Prune(_message.Message):
    __slots__ = ("origin", "first", "size", "root", "chain", "peaks", "by", "time", "signature", "public_key")
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    FIRST_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    ROOT_FIELD_NUMBER: _ClassVar[int]
    CHAIN_FIELD_NUMBER: _ClassVar[int]
    PEAKS_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    PUBLIC_KEY_FIELD_NUMBER: _ClassVar[int]
    origin: str
    first: int
    size: int
    root: bytes
    chain: bytes
    peaks: _containers.RepeatedScalarFieldContainer[bytes]
    by: str
    time: _timestamp_pb2.Timestamp
    signature: bytes
    public_key: bytes
    def __init__(self, origin: _Optional[str] = ..., first: _Optional[int] = ..., size: _Optional[int] = ..., root: _Optional[bytes] = ..., chain: _Optional[bytes] = ..., peaks: _Optional[_Iterable[bytes]] = ..., by: _Optional[str] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., signature: _Optional[bytes] = ..., public_key: _Optional[bytes] = ...) -> None: ...

class ListEntriesRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "principal", "method")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    PRINCIPAL_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    principal: str
    method: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., principal: _Optional[str] = ..., method: _Optional[str] = ...) -> None: ...

class ListEntriesResponse(_message.Message):
    __slots__ = ("entries", "next_page_token")
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[Entry]
    next_page_token: str
    def __init__(self, entries: _Optional[_Iterable[_Union[Entry, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class GetCheckpointRequest(_message.Message):
    __slots__ = ("held_size",)
    HELD_SIZE_FIELD_NUMBER: _ClassVar[int]
    held_size: int
    def __init__(self, held_size: _Optional[int] = ...) -> None: ...

class ExportEntriesRequest(_message.Message):
    __slots__ = ("from_sequence", "held_size")
    FROM_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    HELD_SIZE_FIELD_NUMBER: _ClassVar[int]
    from_sequence: int
    held_size: int
    def __init__(self, from_sequence: _Optional[int] = ..., held_size: _Optional[int] = ...) -> None: ...

class ExportRecord(_message.Message):
    __slots__ = ("entry", "checkpoint", "prune")
    ENTRY_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    PRUNE_FIELD_NUMBER: _ClassVar[int]
    entry: Entry
    checkpoint: Checkpoint
    prune: Prune
    def __init__(self, entry: _Optional[_Union[Entry, _Mapping]] = ..., checkpoint: _Optional[_Union[Checkpoint, _Mapping]] = ..., prune: _Optional[_Union[Prune, _Mapping]] = ...) -> None: ...

class TailEntriesRequest(_message.Message):
    __slots__ = ("after_sequence",)
    AFTER_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    after_sequence: int
    def __init__(self, after_sequence: _Optional[int] = ...) -> None: ...

class PruneEntriesRequest(_message.Message):
    __slots__ = ("before", "validate_only")
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    before: _timestamp_pb2.Timestamp
    validate_only: bool
    def __init__(self, before: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., validate_only: _Optional[bool] = ...) -> None: ...

class PruneEntriesResponse(_message.Message):
    __slots__ = ("first", "last", "prunes")
    FIRST_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    PRUNES_FIELD_NUMBER: _ClassVar[int]
    first: int
    last: int
    prunes: _containers.RepeatedCompositeFieldContainer[Prune]
    def __init__(self, first: _Optional[int] = ..., last: _Optional[int] = ..., prunes: _Optional[_Iterable[_Union[Prune, _Mapping]]] = ...) -> None: ...

class ListWitnessesRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListWitnessesResponse(_message.Message):
    __slots__ = ("witnesses",)
    WITNESSES_FIELD_NUMBER: _ClassVar[int]
    witnesses: _containers.RepeatedCompositeFieldContainer[Witness]
    def __init__(self, witnesses: _Optional[_Iterable[_Union[Witness, _Mapping]]] = ...) -> None: ...

class Witness(_message.Message):
    __slots__ = ("host", "held", "seen_time", "verdict", "detail")
    HOST_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    SEEN_TIME_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    host: str
    held: Checkpoint
    seen_time: _timestamp_pb2.Timestamp
    verdict: Verdict
    detail: str
    def __init__(self, host: _Optional[str] = ..., held: _Optional[_Union[Checkpoint, _Mapping]] = ..., seen_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., verdict: _Optional[_Union[Verdict, str]] = ..., detail: _Optional[str] = ...) -> None: ...

class CreateReportRequest(_message.Message):
    __slots__ = ("to", "format")
    FROM_FIELD_NUMBER: _ClassVar[int]
    TO_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    to: _timestamp_pb2.Timestamp
    format: ReportFormat
    def __init__(self, to: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., format: _Optional[_Union[ReportFormat, str]] = ..., **kwargs) -> None: ...

class Report(_message.Message):
    __slots__ = ("filename", "content_type", "content", "intact")
    FILENAME_FIELD_NUMBER: _ClassVar[int]
    CONTENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    INTACT_FIELD_NUMBER: _ClassVar[int]
    filename: str
    content_type: str
    content: bytes
    intact: bool
    def __init__(self, filename: _Optional[str] = ..., content_type: _Optional[str] = ..., content: _Optional[bytes] = ..., intact: _Optional[bool] = ...) -> None: ...
