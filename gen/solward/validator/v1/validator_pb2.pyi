import datetime

from google.api import annotations_pb2 as _annotations_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from solward.hosts.v1 import link_pb2 as _link_pb2
from solward.operations.v1 import operations_pb2 as _operations_pb2
from solward.policy.v1 import policy_pb2 as _policy_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetStatusRequest(_message.Message):
    __slots__ = ("host",)
    HOST_FIELD_NUMBER: _ClassVar[int]
    host: str
    def __init__(self, host: _Optional[str] = ...) -> None: ...

class ValidatorStatus(_message.Message):
    __slots__ = ("host", "unit", "observe_time", "connected")
    HOST_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    OBSERVE_TIME_FIELD_NUMBER: _ClassVar[int]
    CONNECTED_FIELD_NUMBER: _ClassVar[int]
    host: str
    unit: _link_pb2.UnitState
    observe_time: _timestamp_pb2.Timestamp
    connected: bool
    def __init__(self, host: _Optional[str] = ..., unit: _Optional[_Union[_link_pb2.UnitState, _Mapping]] = ..., observe_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., connected: _Optional[bool] = ...) -> None: ...

class GetNodeRequest(_message.Message):
    __slots__ = ("host",)
    HOST_FIELD_NUMBER: _ClassVar[int]
    host: str
    def __init__(self, host: _Optional[str] = ...) -> None: ...

class SetVotingRequest(_message.Message):
    __slots__ = ("host", "action", "validate_only", "request_id", "plan_hash", "reason")
    HOST_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    PLAN_HASH_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    host: str
    action: str
    validate_only: bool
    request_id: str
    plan_hash: str
    reason: str
    def __init__(self, host: _Optional[str] = ..., action: _Optional[str] = ..., validate_only: _Optional[bool] = ..., request_id: _Optional[str] = ..., plan_hash: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class RestartRequest(_message.Message):
    __slots__ = ("host", "validate_only", "request_id", "plan_hash", "timeout_seconds", "reason", "force", "wait_seconds")
    HOST_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    PLAN_HASH_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    FORCE_FIELD_NUMBER: _ClassVar[int]
    WAIT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    host: str
    validate_only: bool
    request_id: str
    plan_hash: str
    timeout_seconds: int
    reason: str
    force: bool
    wait_seconds: int
    def __init__(self, host: _Optional[str] = ..., validate_only: _Optional[bool] = ..., request_id: _Optional[str] = ..., plan_hash: _Optional[str] = ..., timeout_seconds: _Optional[int] = ..., reason: _Optional[str] = ..., force: _Optional[bool] = ..., wait_seconds: _Optional[int] = ...) -> None: ...

class StartRequest(_message.Message):
    __slots__ = ("host", "validate_only", "request_id", "plan_hash", "timeout_seconds", "reason", "force", "wait_seconds")
    HOST_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    PLAN_HASH_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    FORCE_FIELD_NUMBER: _ClassVar[int]
    WAIT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    host: str
    validate_only: bool
    request_id: str
    plan_hash: str
    timeout_seconds: int
    reason: str
    force: bool
    wait_seconds: int
    def __init__(self, host: _Optional[str] = ..., validate_only: _Optional[bool] = ..., request_id: _Optional[str] = ..., plan_hash: _Optional[str] = ..., timeout_seconds: _Optional[int] = ..., reason: _Optional[str] = ..., force: _Optional[bool] = ..., wait_seconds: _Optional[int] = ...) -> None: ...

class StopRequest(_message.Message):
    __slots__ = ("host", "validate_only", "request_id", "plan_hash", "timeout_seconds", "reason", "force", "wait_seconds")
    HOST_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    PLAN_HASH_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    FORCE_FIELD_NUMBER: _ClassVar[int]
    WAIT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    host: str
    validate_only: bool
    request_id: str
    plan_hash: str
    timeout_seconds: int
    reason: str
    force: bool
    wait_seconds: int
    def __init__(self, host: _Optional[str] = ..., validate_only: _Optional[bool] = ..., request_id: _Optional[str] = ..., plan_hash: _Optional[str] = ..., timeout_seconds: _Optional[int] = ..., reason: _Optional[str] = ..., force: _Optional[bool] = ..., wait_seconds: _Optional[int] = ...) -> None: ...

class GetFlagsRequest(_message.Message):
    __slots__ = ("host",)
    HOST_FIELD_NUMBER: _ClassVar[int]
    host: str
    def __init__(self, host: _Optional[str] = ...) -> None: ...

class UpdateFlagsRequest(_message.Message):
    __slots__ = ("host", "changes", "to_version", "validate_only", "etag", "no_restart", "no_rollback", "timeout_seconds", "wait_seconds", "request_id", "plan_hash", "reason")
    HOST_FIELD_NUMBER: _ClassVar[int]
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    TO_VERSION_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    NO_RESTART_FIELD_NUMBER: _ClassVar[int]
    NO_ROLLBACK_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    WAIT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    PLAN_HASH_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    host: str
    changes: _containers.RepeatedCompositeFieldContainer[_link_pb2.FlagChange]
    to_version: int
    validate_only: bool
    etag: str
    no_restart: bool
    no_rollback: bool
    timeout_seconds: int
    wait_seconds: int
    request_id: str
    plan_hash: str
    reason: str
    def __init__(self, host: _Optional[str] = ..., changes: _Optional[_Iterable[_Union[_link_pb2.FlagChange, _Mapping]]] = ..., to_version: _Optional[int] = ..., validate_only: _Optional[bool] = ..., etag: _Optional[str] = ..., no_restart: _Optional[bool] = ..., no_rollback: _Optional[bool] = ..., timeout_seconds: _Optional[int] = ..., wait_seconds: _Optional[int] = ..., request_id: _Optional[str] = ..., plan_hash: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class ListKnownFlagsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListKnownFlagsResponse(_message.Message):
    __slots__ = ("flags",)
    FLAGS_FIELD_NUMBER: _ClassVar[int]
    flags: _containers.RepeatedCompositeFieldContainer[KnownFlag]
    def __init__(self, flags: _Optional[_Iterable[_Union[KnownFlag, _Mapping]]] = ...) -> None: ...

class KnownFlag(_message.Message):
    __slots__ = ("name", "kind", "many", "since", "until", "choices", "guarded", "at_run_time")
    NAME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    MANY_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    CHOICES_FIELD_NUMBER: _ClassVar[int]
    GUARDED_FIELD_NUMBER: _ClassVar[int]
    AT_RUN_TIME_FIELD_NUMBER: _ClassVar[int]
    name: str
    kind: str
    many: bool
    since: str
    until: str
    choices: _containers.RepeatedScalarFieldContainer[str]
    guarded: bool
    at_run_time: bool
    def __init__(self, name: _Optional[str] = ..., kind: _Optional[str] = ..., many: _Optional[bool] = ..., since: _Optional[str] = ..., until: _Optional[str] = ..., choices: _Optional[_Iterable[str]] = ..., guarded: _Optional[bool] = ..., at_run_time: _Optional[bool] = ...) -> None: ...
