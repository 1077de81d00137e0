import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from jito import shared_pb2 as _shared_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Heartbeat(_message.Message):
    __slots__ = ("socket", "regions")
    SOCKET_FIELD_NUMBER: _ClassVar[int]
    REGIONS_FIELD_NUMBER: _ClassVar[int]
    socket: _shared_pb2.Socket
    regions: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, socket: _Optional[_Union[_shared_pb2.Socket, _Mapping]] = ..., regions: _Optional[_Iterable[str]] = ...) -> None: ...

class HeartbeatResponse(_message.Message):
    __slots__ = ("ttl_ms",)
    TTL_MS_FIELD_NUMBER: _ClassVar[int]
    ttl_ms: int
    def __init__(self, ttl_ms: _Optional[int] = ...) -> None: ...

class TraceShred(_message.Message):
    __slots__ = ("region", "created_at", "seq_num")
    REGION_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    SEQ_NUM_FIELD_NUMBER: _ClassVar[int]
    region: str
    created_at: _timestamp_pb2.Timestamp
    seq_num: int
    def __init__(self, region: _Optional[str] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., seq_num: _Optional[int] = ...) -> None: ...

class Entry(_message.Message):
    __slots__ = ("slot", "entries")
    SLOT_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    slot: int
    entries: bytes
    def __init__(self, slot: _Optional[int] = ..., entries: _Optional[bytes] = ...) -> None: ...

class SubscribeEntriesRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
