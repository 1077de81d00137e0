import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from solward.alerts.v1 import alerts_pb2 as _alerts_pb2
from solward.geyser.v1 import geyser_pb2 as _geyser_pb2
from solward.jito.v1 import jito_pb2 as _jito_pb2
from solward.operations.v1 import operations_pb2 as _operations_pb2
from solward.policy.v1 import policy_pb2 as _policy_pb2
from solward.rpc.v1 import rpc_pb2 as _rpc_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CheckTopicsRequest(_message.Message):
    __slots__ = ("topics",)
    TOPICS_FIELD_NUMBER: _ClassVar[int]
    topics: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, topics: _Optional[_Iterable[str]] = ...) -> None: ...

class CheckTopicsResponse(_message.Message):
    __slots__ = ("caller", "view", "refusals", "live_token")
    CALLER_FIELD_NUMBER: _ClassVar[int]
    VIEW_FIELD_NUMBER: _ClassVar[int]
    REFUSALS_FIELD_NUMBER: _ClassVar[int]
    LIVE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    caller: str
    view: str
    refusals: _containers.RepeatedCompositeFieldContainer[TopicRefusal]
    live_token: str
    def __init__(self, caller: _Optional[str] = ..., view: _Optional[str] = ..., refusals: _Optional[_Iterable[_Union[TopicRefusal, _Mapping]]] = ..., live_token: _Optional[str] = ...) -> None: ...

class CreateTicketRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Ticket(_message.Message):
    __slots__ = ("ticket", "expire_time")
    TICKET_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    ticket: str
    expire_time: _timestamp_pb2.Timestamp
    def __init__(self, ticket: _Optional[str] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class TopicRefusal(_message.Message):
    __slots__ = ("topic", "reason", "message")
    TOPIC_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    topic: str
    reason: str
    message: str
    def __init__(self, topic: _Optional[str] = ..., reason: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...

class WatchTopicsRequest(_message.Message):
    __slots__ = ("topics",)
    TOPICS_FIELD_NUMBER: _ClassVar[int]
    topics: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, topics: _Optional[_Iterable[str]] = ...) -> None: ...

class WatchTopicsResponse(_message.Message):
    __slots__ = ("topic", "view", "frame")
    TOPIC_FIELD_NUMBER: _ClassVar[int]
    VIEW_FIELD_NUMBER: _ClassVar[int]
    FRAME_FIELD_NUMBER: _ClassVar[int]
    topic: str
    view: str
    frame: str
    def __init__(self, topic: _Optional[str] = ..., view: _Optional[str] = ..., frame: _Optional[str] = ...) -> None: ...

class TopicFrame(_message.Message):
    __slots__ = ("topic", "time", "fleet", "rpc", "score", "alerts", "bundles", "pipelines", "operations")
    TOPIC_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    FLEET_FIELD_NUMBER: _ClassVar[int]
    RPC_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    ALERTS_FIELD_NUMBER: _ClassVar[int]
    BUNDLES_FIELD_NUMBER: _ClassVar[int]
    PIPELINES_FIELD_NUMBER: _ClassVar[int]
    OPERATIONS_FIELD_NUMBER: _ClassVar[int]
    topic: str
    time: _timestamp_pb2.Timestamp
    fleet: FleetNow
    rpc: RpcNow
    score: _rpc_pb2.HostHealth
    alerts: AlertsNow
    bundles: BundlesNow
    pipelines: PipelinesNow
    operations: OperationsNow
    def __init__(self, topic: _Optional[str] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., fleet: _Optional[_Union[FleetNow, _Mapping]] = ..., rpc: _Optional[_Union[RpcNow, _Mapping]] = ..., score: _Optional[_Union[_rpc_pb2.HostHealth, _Mapping]] = ..., alerts: _Optional[_Union[AlertsNow, _Mapping]] = ..., bundles: _Optional[_Union[BundlesNow, _Mapping]] = ..., pipelines: _Optional[_Union[PipelinesNow, _Mapping]] = ..., operations: _Optional[_Union[OperationsNow, _Mapping]] = ...) -> None: ...

class PipelinesNow(_message.Message):
    __slots__ = ("pipelines",)
    PIPELINES_FIELD_NUMBER: _ClassVar[int]
    pipelines: _containers.RepeatedCompositeFieldContainer[_geyser_pb2.Pipeline]
    def __init__(self, pipelines: _Optional[_Iterable[_Union[_geyser_pb2.Pipeline, _Mapping]]] = ...) -> None: ...

class OperationsNow(_message.Message):
    __slots__ = ("open_count", "operations")
    OPEN_COUNT_FIELD_NUMBER: _ClassVar[int]
    OPERATIONS_FIELD_NUMBER: _ClassVar[int]
    open_count: int
    operations: _containers.RepeatedCompositeFieldContainer[OperationNow]
    def __init__(self, open_count: _Optional[int] = ..., operations: _Optional[_Iterable[_Union[OperationNow, _Mapping]]] = ...) -> None: ...

class OperationNow(_message.Message):
    __slots__ = ("name", "kind", "host", "requester", "state", "step", "message", "reason", "target_count", "done_count", "failed_count", "approvals", "approvals_required", "parent", "create_time", "end_time")
    NAME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    HOST_FIELD_NUMBER: _ClassVar[int]
    REQUESTER_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    TARGET_COUNT_FIELD_NUMBER: _ClassVar[int]
    DONE_COUNT_FIELD_NUMBER: _ClassVar[int]
    FAILED_COUNT_FIELD_NUMBER: _ClassVar[int]
    APPROVALS_FIELD_NUMBER: _ClassVar[int]
    APPROVALS_REQUIRED_FIELD_NUMBER: _ClassVar[int]
    PARENT_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    name: str
    kind: str
    host: str
    requester: str
    state: _operations_pb2.OperationState
    step: str
    message: str
    reason: str
    target_count: int
    done_count: int
    failed_count: int
    approvals: int
    approvals_required: int
    parent: str
    create_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    def __init__(self, name: _Optional[str] = ..., kind: _Optional[str] = ..., host: _Optional[str] = ..., requester: _Optional[str] = ..., state: _Optional[_Union[_operations_pb2.OperationState, str]] = ..., step: _Optional[str] = ..., message: _Optional[str] = ..., reason: _Optional[str] = ..., target_count: _Optional[int] = ..., done_count: _Optional[int] = ..., failed_count: _Optional[int] = ..., approvals: _Optional[int] = ..., approvals_required: _Optional[int] = ..., parent: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class BundlesNow(_message.Message):
    __slots__ = ("before", "newest", "bundles")
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    NEWEST_FIELD_NUMBER: _ClassVar[int]
    BUNDLES_FIELD_NUMBER: _ClassVar[int]
    before: int
    newest: int
    bundles: _containers.RepeatedCompositeFieldContainer[_jito_pb2.Bundle]
    def __init__(self, before: _Optional[int] = ..., newest: _Optional[int] = ..., bundles: _Optional[_Iterable[_Union[_jito_pb2.Bundle, _Mapping]]] = ...) -> None: ...

class FleetNow(_message.Message):
    __slots__ = ("host_count", "requests_per_second", "error_rate", "score", "hosts")
    HOST_COUNT_FIELD_NUMBER: _ClassVar[int]
    REQUESTS_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    ERROR_RATE_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    HOSTS_FIELD_NUMBER: _ClassVar[int]
    host_count: int
    requests_per_second: float
    error_rate: float
    score: float
    hosts: _containers.RepeatedCompositeFieldContainer[HostNow]
    def __init__(self, host_count: _Optional[int] = ..., requests_per_second: _Optional[float] = ..., error_rate: _Optional[float] = ..., score: _Optional[float] = ..., hosts: _Optional[_Iterable[_Union[HostNow, _Mapping]]] = ...) -> None: ...

class HostNow(_message.Message):
    __slots__ = ("host", "score", "p50_ms", "p99_ms", "requests_per_second", "error_rate", "age_seconds")
    HOST_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    P50_MS_FIELD_NUMBER: _ClassVar[int]
    P99_MS_FIELD_NUMBER: _ClassVar[int]
    REQUESTS_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    ERROR_RATE_FIELD_NUMBER: _ClassVar[int]
    AGE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    host: str
    score: float
    p50_ms: float
    p99_ms: float
    requests_per_second: float
    error_rate: float
    age_seconds: float
    def __init__(self, host: _Optional[str] = ..., score: _Optional[float] = ..., p50_ms: _Optional[float] = ..., p99_ms: _Optional[float] = ..., requests_per_second: _Optional[float] = ..., error_rate: _Optional[float] = ..., age_seconds: _Optional[float] = ...) -> None: ...

class RpcNow(_message.Message):
    __slots__ = ("host", "window_seconds", "sample_time", "age_seconds", "methods")
    HOST_FIELD_NUMBER: _ClassVar[int]
    WINDOW_SECONDS_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_TIME_FIELD_NUMBER: _ClassVar[int]
    AGE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    METHODS_FIELD_NUMBER: _ClassVar[int]
    host: str
    window_seconds: int
    sample_time: _timestamp_pb2.Timestamp
    age_seconds: float
    methods: _containers.RepeatedCompositeFieldContainer[MethodNow]
    def __init__(self, host: _Optional[str] = ..., window_seconds: _Optional[int] = ..., sample_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., age_seconds: _Optional[float] = ..., methods: _Optional[_Iterable[_Union[MethodNow, _Mapping]]] = ...) -> None: ...

class MethodNow(_message.Message):
    __slots__ = ("method", "last_ms", "p50_ms", "p90_ms", "p99_ms", "requests_per_second", "error_rate", "errors_per_second")
    class ErrorsPerSecondEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    METHOD_FIELD_NUMBER: _ClassVar[int]
    LAST_MS_FIELD_NUMBER: _ClassVar[int]
    P50_MS_FIELD_NUMBER: _ClassVar[int]
    P90_MS_FIELD_NUMBER: _ClassVar[int]
    P99_MS_FIELD_NUMBER: _ClassVar[int]
    REQUESTS_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    ERROR_RATE_FIELD_NUMBER: _ClassVar[int]
    ERRORS_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    method: str
    last_ms: float
    p50_ms: float
    p90_ms: float
    p99_ms: float
    requests_per_second: float
    error_rate: float
    errors_per_second: _containers.ScalarMap[str, float]
    def __init__(self, method: _Optional[str] = ..., last_ms: _Optional[float] = ..., p50_ms: _Optional[float] = ..., p90_ms: _Optional[float] = ..., p99_ms: _Optional[float] = ..., requests_per_second: _Optional[float] = ..., error_rate: _Optional[float] = ..., errors_per_second: _Optional[_Mapping[str, float]] = ...) -> None: ...

class AlertsNow(_message.Message):
    __slots__ = ("firing_count", "alerts")
    FIRING_COUNT_FIELD_NUMBER: _ClassVar[int]
    ALERTS_FIELD_NUMBER: _ClassVar[int]
    firing_count: int
    alerts: _containers.RepeatedCompositeFieldContainer[_alerts_pb2.Alert]
    def __init__(self, firing_count: _Optional[int] = ..., alerts: _Optional[_Iterable[_Union[_alerts_pb2.Alert, _Mapping]]] = ...) -> None: ...
