import datetime

from google.api import annotations_pb2 as _annotations_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from solward.policy.v1 import policy_pb2 as _policy_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetMetricsRequest(_message.Message):
    __slots__ = ("host", "window_seconds")
    HOST_FIELD_NUMBER: _ClassVar[int]
    WINDOW_SECONDS_FIELD_NUMBER: _ClassVar[int]
    host: str
    window_seconds: int
    def __init__(self, host: _Optional[str] = ..., window_seconds: _Optional[int] = ...) -> None: ...

class GetLatencyRequest(_message.Message):
    __slots__ = ("method", "host", "window_seconds")
    METHOD_FIELD_NUMBER: _ClassVar[int]
    HOST_FIELD_NUMBER: _ClassVar[int]
    WINDOW_SECONDS_FIELD_NUMBER: _ClassVar[int]
    method: str
    host: str
    window_seconds: int
    def __init__(self, method: _Optional[str] = ..., host: _Optional[str] = ..., window_seconds: _Optional[int] = ...) -> None: ...

class GetConnectionsRequest(_message.Message):
    __slots__ = ("host", "window_seconds")
    HOST_FIELD_NUMBER: _ClassVar[int]
    WINDOW_SECONDS_FIELD_NUMBER: _ClassVar[int]
    host: str
    window_seconds: int
    def __init__(self, host: _Optional[str] = ..., window_seconds: _Optional[int] = ...) -> None: ...

class GetHealthRequest(_message.Message):
    __slots__ = ("host",)
    HOST_FIELD_NUMBER: _ClassVar[int]
    host: str
    def __init__(self, host: _Optional[str] = ...) -> None: ...

class AcknowledgeAnomalyRequest(_message.Message):
    __slots__ = ("host",)
    HOST_FIELD_NUMBER: _ClassVar[int]
    host: str
    def __init__(self, host: _Optional[str] = ...) -> None: ...

class GetExplanationsRequest(_message.Message):
    __slots__ = ("host",)
    HOST_FIELD_NUMBER: _ClassVar[int]
    host: str
    def __init__(self, host: _Optional[str] = ...) -> None: ...

class WatchMetricsRequest(_message.Message):
    __slots__ = ("host", "window_seconds")
    HOST_FIELD_NUMBER: _ClassVar[int]
    WINDOW_SECONDS_FIELD_NUMBER: _ClassVar[int]
    host: str
    window_seconds: int
    def __init__(self, host: _Optional[str] = ..., window_seconds: _Optional[int] = ...) -> None: ...

class Metrics(_message.Message):
    __slots__ = ("time", "window_seconds", "methods", "connects")
    TIME_FIELD_NUMBER: _ClassVar[int]
    WINDOW_SECONDS_FIELD_NUMBER: _ClassVar[int]
    METHODS_FIELD_NUMBER: _ClassVar[int]
    CONNECTS_FIELD_NUMBER: _ClassVar[int]
    time: _timestamp_pb2.Timestamp
    window_seconds: int
    methods: _containers.RepeatedCompositeFieldContainer[MethodMetrics]
    connects: _containers.RepeatedCompositeFieldContainer[ConnectMetrics]
    def __init__(self, time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., window_seconds: _Optional[int] = ..., methods: _Optional[_Iterable[_Union[MethodMetrics, _Mapping]]] = ..., connects: _Optional[_Iterable[_Union[ConnectMetrics, _Mapping]]] = ...) -> None: ...

class MethodMetrics(_message.Message):
    __slots__ = ("host", "method", "last_ms", "p50_ms", "p95_ms", "p99_ms", "requests", "error_rate", "errors", "recent_ms")
    class ErrorsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    HOST_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    LAST_MS_FIELD_NUMBER: _ClassVar[int]
    P50_MS_FIELD_NUMBER: _ClassVar[int]
    P95_MS_FIELD_NUMBER: _ClassVar[int]
    P99_MS_FIELD_NUMBER: _ClassVar[int]
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    ERROR_RATE_FIELD_NUMBER: _ClassVar[int]
    ERRORS_FIELD_NUMBER: _ClassVar[int]
    RECENT_MS_FIELD_NUMBER: _ClassVar[int]
    host: str
    method: str
    last_ms: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    requests: int
    error_rate: float
    errors: _containers.ScalarMap[str, int]
    recent_ms: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, host: _Optional[str] = ..., method: _Optional[str] = ..., last_ms: _Optional[float] = ..., p50_ms: _Optional[float] = ..., p95_ms: _Optional[float] = ..., p99_ms: _Optional[float] = ..., requests: _Optional[int] = ..., error_rate: _Optional[float] = ..., errors: _Optional[_Mapping[str, int]] = ..., recent_ms: _Optional[_Iterable[float]] = ...) -> None: ...

class ConnectMetrics(_message.Message):
    __slots__ = ("host", "p50_ms", "p99_ms", "age_seconds")
    HOST_FIELD_NUMBER: _ClassVar[int]
    P50_MS_FIELD_NUMBER: _ClassVar[int]
    P99_MS_FIELD_NUMBER: _ClassVar[int]
    AGE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    host: str
    p50_ms: float
    p99_ms: float
    age_seconds: float
    def __init__(self, host: _Optional[str] = ..., p50_ms: _Optional[float] = ..., p99_ms: _Optional[float] = ..., age_seconds: _Optional[float] = ...) -> None: ...

class Connections(_message.Message):
    __slots__ = ("time", "window_seconds", "nodes")
    TIME_FIELD_NUMBER: _ClassVar[int]
    WINDOW_SECONDS_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    time: _timestamp_pb2.Timestamp
    window_seconds: int
    nodes: _containers.RepeatedCompositeFieldContainer[NodeConnections]
    def __init__(self, time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., window_seconds: _Optional[int] = ..., nodes: _Optional[_Iterable[_Union[NodeConnections, _Mapping]]] = ...) -> None: ...

class NodeConnections(_message.Message):
    __slots__ = ("host", "age_seconds", "pool", "subscription", "reference", "not_offered")
    HOST_FIELD_NUMBER: _ClassVar[int]
    AGE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    POOL_FIELD_NUMBER: _ClassVar[int]
    SUBSCRIPTION_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    NOT_OFFERED_FIELD_NUMBER: _ClassVar[int]
    host: str
    age_seconds: float
    pool: ConnectionPool
    subscription: SlotSubscription
    reference: ReferenceLag
    not_offered: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, host: _Optional[str] = ..., age_seconds: _Optional[float] = ..., pool: _Optional[_Union[ConnectionPool, _Mapping]] = ..., subscription: _Optional[_Union[SlotSubscription, _Mapping]] = ..., reference: _Optional[_Union[ReferenceLag, _Mapping]] = ..., not_offered: _Optional[_Iterable[str]] = ...) -> None: ...

class ConnectionPool(_message.Message):
    __slots__ = ("idle", "busy", "opened", "dropped", "connect_p50_ms", "connect_p99_ms", "errors")
    class ErrorsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    IDLE_FIELD_NUMBER: _ClassVar[int]
    BUSY_FIELD_NUMBER: _ClassVar[int]
    OPENED_FIELD_NUMBER: _ClassVar[int]
    DROPPED_FIELD_NUMBER: _ClassVar[int]
    CONNECT_P50_MS_FIELD_NUMBER: _ClassVar[int]
    CONNECT_P99_MS_FIELD_NUMBER: _ClassVar[int]
    ERRORS_FIELD_NUMBER: _ClassVar[int]
    idle: int
    busy: int
    opened: int
    dropped: int
    connect_p50_ms: float
    connect_p99_ms: float
    errors: _containers.ScalarMap[str, int]
    def __init__(self, idle: _Optional[int] = ..., busy: _Optional[int] = ..., opened: _Optional[int] = ..., dropped: _Optional[int] = ..., connect_p50_ms: _Optional[float] = ..., connect_p99_ms: _Optional[float] = ..., errors: _Optional[_Mapping[str, int]] = ...) -> None: ...

class SlotSubscription(_message.Message):
    __slots__ = ("up", "slots", "missed", "gap_p50_ms", "gap_max_ms", "delay_p50_ms", "delay_p99_ms", "errors")
    class ErrorsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    UP_FIELD_NUMBER: _ClassVar[int]
    SLOTS_FIELD_NUMBER: _ClassVar[int]
    MISSED_FIELD_NUMBER: _ClassVar[int]
    GAP_P50_MS_FIELD_NUMBER: _ClassVar[int]
    GAP_MAX_MS_FIELD_NUMBER: _ClassVar[int]
    DELAY_P50_MS_FIELD_NUMBER: _ClassVar[int]
    DELAY_P99_MS_FIELD_NUMBER: _ClassVar[int]
    ERRORS_FIELD_NUMBER: _ClassVar[int]
    up: bool
    slots: int
    missed: int
    gap_p50_ms: float
    gap_max_ms: float
    delay_p50_ms: float
    delay_p99_ms: float
    errors: _containers.ScalarMap[str, int]
    def __init__(self, up: _Optional[bool] = ..., slots: _Optional[int] = ..., missed: _Optional[int] = ..., gap_p50_ms: _Optional[float] = ..., gap_max_ms: _Optional[float] = ..., delay_p50_ms: _Optional[float] = ..., delay_p99_ms: _Optional[float] = ..., errors: _Optional[_Mapping[str, int]] = ...) -> None: ...

class ReferenceLag(_message.Message):
    __slots__ = ("reliable", "slot", "reference_slot", "lag_slots", "errors")
    class ErrorsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    RELIABLE_FIELD_NUMBER: _ClassVar[int]
    SLOT_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_SLOT_FIELD_NUMBER: _ClassVar[int]
    LAG_SLOTS_FIELD_NUMBER: _ClassVar[int]
    ERRORS_FIELD_NUMBER: _ClassVar[int]
    reliable: bool
    slot: int
    reference_slot: int
    lag_slots: int
    errors: _containers.ScalarMap[str, int]
    def __init__(self, reliable: _Optional[bool] = ..., slot: _Optional[int] = ..., reference_slot: _Optional[int] = ..., lag_slots: _Optional[int] = ..., errors: _Optional[_Mapping[str, int]] = ...) -> None: ...

class Health(_message.Message):
    __slots__ = ("time", "fleet", "hosts")
    TIME_FIELD_NUMBER: _ClassVar[int]
    FLEET_FIELD_NUMBER: _ClassVar[int]
    HOSTS_FIELD_NUMBER: _ClassVar[int]
    time: _timestamp_pb2.Timestamp
    fleet: HealthSummary
    hosts: _containers.RepeatedCompositeFieldContainer[HostHealth]
    def __init__(self, time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., fleet: _Optional[_Union[HealthSummary, _Mapping]] = ..., hosts: _Optional[_Iterable[_Union[HostHealth, _Mapping]]] = ...) -> None: ...

class HealthSummary(_message.Message):
    __slots__ = ("score", "worst", "known")
    SCORE_FIELD_NUMBER: _ClassVar[int]
    WORST_FIELD_NUMBER: _ClassVar[int]
    KNOWN_FIELD_NUMBER: _ClassVar[int]
    score: float
    worst: float
    known: float
    def __init__(self, score: _Optional[float] = ..., worst: _Optional[float] = ..., known: _Optional[float] = ...) -> None: ...

class HostHealth(_message.Message):
    __slots__ = ("host", "summary", "worst_method", "methods", "anomaly")
    HOST_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    WORST_METHOD_FIELD_NUMBER: _ClassVar[int]
    METHODS_FIELD_NUMBER: _ClassVar[int]
    ANOMALY_FIELD_NUMBER: _ClassVar[int]
    host: str
    summary: HealthSummary
    worst_method: str
    methods: _containers.RepeatedCompositeFieldContainer[MethodHealth]
    anomaly: Anomaly
    def __init__(self, host: _Optional[str] = ..., summary: _Optional[_Union[HealthSummary, _Mapping]] = ..., worst_method: _Optional[str] = ..., methods: _Optional[_Iterable[_Union[MethodHealth, _Mapping]]] = ..., anomaly: _Optional[_Union[Anomaly, _Mapping]] = ...) -> None: ...

class MethodHealth(_message.Message):
    __slots__ = ("method", "score", "latency", "success", "consistency", "availability")
    METHOD_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    LATENCY_FIELD_NUMBER: _ClassVar[int]
    SUCCESS_FIELD_NUMBER: _ClassVar[int]
    CONSISTENCY_FIELD_NUMBER: _ClassVar[int]
    AVAILABILITY_FIELD_NUMBER: _ClassVar[int]
    method: str
    score: float
    latency: float
    success: float
    consistency: float
    availability: float
    def __init__(self, method: _Optional[str] = ..., score: _Optional[float] = ..., latency: _Optional[float] = ..., success: _Optional[float] = ..., consistency: _Optional[float] = ..., availability: _Optional[float] = ...) -> None: ...

class Anomaly(_message.Message):
    __slots__ = ("host", "start_time", "surprise", "suspects")
    HOST_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    SURPRISE_FIELD_NUMBER: _ClassVar[int]
    SUSPECTS_FIELD_NUMBER: _ClassVar[int]
    host: str
    start_time: _timestamp_pb2.Timestamp
    surprise: float
    suspects: _containers.RepeatedCompositeFieldContainer[Suspect]
    def __init__(self, host: _Optional[str] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., surprise: _Optional[float] = ..., suspects: _Optional[_Iterable[_Union[Suspect, _Mapping]]] = ...) -> None: ...

class Suspect(_message.Message):
    __slots__ = ("series", "labels", "start_time", "looks", "value", "usual", "surprise")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    SERIES_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    LOOKS_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    USUAL_FIELD_NUMBER: _ClassVar[int]
    SURPRISE_FIELD_NUMBER: _ClassVar[int]
    series: str
    labels: _containers.ScalarMap[str, str]
    start_time: _timestamp_pb2.Timestamp
    looks: _containers.RepeatedScalarFieldContainer[str]
    value: float
    usual: float
    surprise: float
    def __init__(self, series: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., looks: _Optional[_Iterable[str]] = ..., value: _Optional[float] = ..., usual: _Optional[float] = ..., surprise: _Optional[float] = ...) -> None: ...

class Explanations(_message.Message):
    __slots__ = ("time", "hosts")
    TIME_FIELD_NUMBER: _ClassVar[int]
    HOSTS_FIELD_NUMBER: _ClassVar[int]
    time: _timestamp_pb2.Timestamp
    hosts: _containers.RepeatedCompositeFieldContainer[HostExplanations]
    def __init__(self, time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., hosts: _Optional[_Iterable[_Union[HostExplanations, _Mapping]]] = ...) -> None: ...

class HostExplanations(_message.Message):
    __slots__ = ("host", "looks", "seconds", "explanations")
    HOST_FIELD_NUMBER: _ClassVar[int]
    LOOKS_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    EXPLANATIONS_FIELD_NUMBER: _ClassVar[int]
    host: str
    looks: int
    seconds: int
    explanations: _containers.RepeatedCompositeFieldContainer[Explanation]
    def __init__(self, host: _Optional[str] = ..., looks: _Optional[int] = ..., seconds: _Optional[int] = ..., explanations: _Optional[_Iterable[_Union[Explanation, _Mapping]]] = ...) -> None: ...

class Explanation(_message.Message):
    __slots__ = ("method", "error_class", "counter", "labels", "lag_seconds", "rho", "chance", "first_time", "last_time", "looks")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    METHOD_FIELD_NUMBER: _ClassVar[int]
    ERROR_CLASS_FIELD_NUMBER: _ClassVar[int]
    COUNTER_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    LAG_SECONDS_FIELD_NUMBER: _ClassVar[int]
    RHO_FIELD_NUMBER: _ClassVar[int]
    CHANCE_FIELD_NUMBER: _ClassVar[int]
    FIRST_TIME_FIELD_NUMBER: _ClassVar[int]
    LAST_TIME_FIELD_NUMBER: _ClassVar[int]
    LOOKS_FIELD_NUMBER: _ClassVar[int]
    method: str
    error_class: str
    counter: str
    labels: _containers.ScalarMap[str, str]
    lag_seconds: int
    rho: float
    chance: float
    first_time: _timestamp_pb2.Timestamp
    last_time: _timestamp_pb2.Timestamp
    looks: int
    def __init__(self, method: _Optional[str] = ..., error_class: _Optional[str] = ..., counter: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ..., lag_seconds: _Optional[int] = ..., rho: _Optional[float] = ..., chance: _Optional[float] = ..., first_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., last_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., looks: _Optional[int] = ...) -> None: ...
