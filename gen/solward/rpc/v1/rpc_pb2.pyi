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
