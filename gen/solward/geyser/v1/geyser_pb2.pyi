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

class HopKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    HOP_KIND_UNSPECIFIED: _ClassVar[HopKind]
    HOP_KIND_NODE: _ClassVar[HopKind]
    HOP_KIND_PLUGIN: _ClassVar[HopKind]
    HOP_KIND_STREAM: _ClassVar[HopKind]
    HOP_KIND_TOPIC: _ClassVar[HopKind]
    HOP_KIND_CONSUMER: _ClassVar[HopKind]
    HOP_KIND_SINK: _ClassVar[HopKind]

class Flow(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FLOW_UNSPECIFIED: _ClassVar[Flow]
    FLOW_OK: _ClassVar[Flow]
    FLOW_SLOW: _ClassVar[Flow]
    FLOW_LOSING: _ClassVar[Flow]
    FLOW_STALLED: _ClassVar[Flow]
    FLOW_DOWN: _ClassVar[Flow]
    FLOW_UNKNOWN: _ClassVar[Flow]
    FLOW_STARVED: _ClassVar[Flow]
HOP_KIND_UNSPECIFIED: HopKind
HOP_KIND_NODE: HopKind
HOP_KIND_PLUGIN: HopKind
HOP_KIND_STREAM: HopKind
HOP_KIND_TOPIC: HopKind
HOP_KIND_CONSUMER: HopKind
HOP_KIND_SINK: HopKind
FLOW_UNSPECIFIED: Flow
FLOW_OK: Flow
FLOW_SLOW: Flow
FLOW_LOSING: Flow
FLOW_STALLED: Flow
FLOW_DOWN: Flow
FLOW_UNKNOWN: Flow
FLOW_STARVED: Flow

class Hop(_message.Message):
    __slots__ = ("name", "kind", "host", "source", "part", "after", "flow", "message", "delay_seconds", "behind_seconds", "rate", "newest_slot", "figures")
    class FiguresEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    HOST_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    PART_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    FLOW_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    DELAY_SECONDS_FIELD_NUMBER: _ClassVar[int]
    BEHIND_SECONDS_FIELD_NUMBER: _ClassVar[int]
    RATE_FIELD_NUMBER: _ClassVar[int]
    NEWEST_SLOT_FIELD_NUMBER: _ClassVar[int]
    FIGURES_FIELD_NUMBER: _ClassVar[int]
    name: str
    kind: HopKind
    host: str
    source: str
    part: str
    after: str
    flow: Flow
    message: str
    delay_seconds: float
    behind_seconds: float
    rate: float
    newest_slot: int
    figures: _containers.ScalarMap[str, float]
    def __init__(self, name: _Optional[str] = ..., kind: _Optional[_Union[HopKind, str]] = ..., host: _Optional[str] = ..., source: _Optional[str] = ..., part: _Optional[str] = ..., after: _Optional[str] = ..., flow: _Optional[_Union[Flow, str]] = ..., message: _Optional[str] = ..., delay_seconds: _Optional[float] = ..., behind_seconds: _Optional[float] = ..., rate: _Optional[float] = ..., newest_slot: _Optional[int] = ..., figures: _Optional[_Mapping[str, float]] = ...) -> None: ...

class Recovery(_message.Message):
    __slots__ = ("enabled", "rules", "budget_per_hour", "attempts_last_hour", "operation", "message", "set_by", "set_time")
    ENABLED_FIELD_NUMBER: _ClassVar[int]
    RULES_FIELD_NUMBER: _ClassVar[int]
    BUDGET_PER_HOUR_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_LAST_HOUR_FIELD_NUMBER: _ClassVar[int]
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    SET_BY_FIELD_NUMBER: _ClassVar[int]
    SET_TIME_FIELD_NUMBER: _ClassVar[int]
    enabled: bool
    rules: _containers.RepeatedScalarFieldContainer[str]
    budget_per_hour: int
    attempts_last_hour: int
    operation: str
    message: str
    set_by: str
    set_time: _timestamp_pb2.Timestamp
    def __init__(self, enabled: _Optional[bool] = ..., rules: _Optional[_Iterable[str]] = ..., budget_per_hour: _Optional[int] = ..., attempts_last_hour: _Optional[int] = ..., operation: _Optional[str] = ..., message: _Optional[str] = ..., set_by: _Optional[str] = ..., set_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Pipeline(_message.Message):
    __slots__ = ("name", "hops", "flow", "slow_hop", "message", "behind_seconds", "recovery", "time")
    NAME_FIELD_NUMBER: _ClassVar[int]
    HOPS_FIELD_NUMBER: _ClassVar[int]
    FLOW_FIELD_NUMBER: _ClassVar[int]
    SLOW_HOP_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    BEHIND_SECONDS_FIELD_NUMBER: _ClassVar[int]
    RECOVERY_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    name: str
    hops: _containers.RepeatedCompositeFieldContainer[Hop]
    flow: Flow
    slow_hop: str
    message: str
    behind_seconds: float
    recovery: Recovery
    time: _timestamp_pb2.Timestamp
    def __init__(self, name: _Optional[str] = ..., hops: _Optional[_Iterable[_Union[Hop, _Mapping]]] = ..., flow: _Optional[_Union[Flow, str]] = ..., slow_hop: _Optional[str] = ..., message: _Optional[str] = ..., behind_seconds: _Optional[float] = ..., recovery: _Optional[_Union[Recovery, _Mapping]] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ListPipelinesRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListPipelinesResponse(_message.Message):
    __slots__ = ("pipelines",)
    PIPELINES_FIELD_NUMBER: _ClassVar[int]
    pipelines: _containers.RepeatedCompositeFieldContainer[Pipeline]
    def __init__(self, pipelines: _Optional[_Iterable[_Union[Pipeline, _Mapping]]] = ...) -> None: ...

class GetPipelineRequest(_message.Message):
    __slots__ = ("pipeline",)
    PIPELINE_FIELD_NUMBER: _ClassVar[int]
    pipeline: str
    def __init__(self, pipeline: _Optional[str] = ...) -> None: ...

class SetRecoveryRequest(_message.Message):
    __slots__ = ("pipeline", "enabled")
    PIPELINE_FIELD_NUMBER: _ClassVar[int]
    ENABLED_FIELD_NUMBER: _ClassVar[int]
    pipeline: str
    enabled: bool
    def __init__(self, pipeline: _Optional[str] = ..., enabled: _Optional[bool] = ...) -> None: ...

class ListConsumerGroupsRequest(_message.Message):
    __slots__ = ("host", "group")
    HOST_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    host: str
    group: str
    def __init__(self, host: _Optional[str] = ..., group: _Optional[str] = ...) -> None: ...

class ConsumerGroup(_message.Message):
    __slots__ = ("host", "source", "group", "topic", "lag_messages", "max_lag_messages", "lag_seconds", "consume_rate", "produce_rate", "members", "stalled_partitions", "uncommitted_partitions", "lost_messages", "state")
    HOST_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    TOPIC_FIELD_NUMBER: _ClassVar[int]
    LAG_MESSAGES_FIELD_NUMBER: _ClassVar[int]
    MAX_LAG_MESSAGES_FIELD_NUMBER: _ClassVar[int]
    LAG_SECONDS_FIELD_NUMBER: _ClassVar[int]
    CONSUME_RATE_FIELD_NUMBER: _ClassVar[int]
    PRODUCE_RATE_FIELD_NUMBER: _ClassVar[int]
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    STALLED_PARTITIONS_FIELD_NUMBER: _ClassVar[int]
    UNCOMMITTED_PARTITIONS_FIELD_NUMBER: _ClassVar[int]
    LOST_MESSAGES_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    host: str
    source: str
    group: str
    topic: str
    lag_messages: float
    max_lag_messages: float
    lag_seconds: float
    consume_rate: float
    produce_rate: float
    members: int
    stalled_partitions: int
    uncommitted_partitions: int
    lost_messages: float
    state: str
    def __init__(self, host: _Optional[str] = ..., source: _Optional[str] = ..., group: _Optional[str] = ..., topic: _Optional[str] = ..., lag_messages: _Optional[float] = ..., max_lag_messages: _Optional[float] = ..., lag_seconds: _Optional[float] = ..., consume_rate: _Optional[float] = ..., produce_rate: _Optional[float] = ..., members: _Optional[int] = ..., stalled_partitions: _Optional[int] = ..., uncommitted_partitions: _Optional[int] = ..., lost_messages: _Optional[float] = ..., state: _Optional[str] = ...) -> None: ...

class ListConsumerGroupsResponse(_message.Message):
    __slots__ = ("groups",)
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    groups: _containers.RepeatedCompositeFieldContainer[ConsumerGroup]
    def __init__(self, groups: _Optional[_Iterable[_Union[ConsumerGroup, _Mapping]]] = ...) -> None: ...

class ListPartitionLagsRequest(_message.Message):
    __slots__ = ("host", "source", "group", "topic", "limit")
    HOST_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    TOPIC_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    host: str
    source: str
    group: str
    topic: str
    limit: int
    def __init__(self, host: _Optional[str] = ..., source: _Optional[str] = ..., group: _Optional[str] = ..., topic: _Optional[str] = ..., limit: _Optional[int] = ...) -> None: ...

class PartitionLag(_message.Message):
    __slots__ = ("partition", "lag_messages", "lag_seconds", "committed", "end", "lost_messages", "flags")
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    LAG_MESSAGES_FIELD_NUMBER: _ClassVar[int]
    LAG_SECONDS_FIELD_NUMBER: _ClassVar[int]
    COMMITTED_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    LOST_MESSAGES_FIELD_NUMBER: _ClassVar[int]
    FLAGS_FIELD_NUMBER: _ClassVar[int]
    partition: int
    lag_messages: float
    lag_seconds: float
    committed: int
    end: int
    lost_messages: float
    flags: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, partition: _Optional[int] = ..., lag_messages: _Optional[float] = ..., lag_seconds: _Optional[float] = ..., committed: _Optional[int] = ..., end: _Optional[int] = ..., lost_messages: _Optional[float] = ..., flags: _Optional[_Iterable[str]] = ...) -> None: ...

class PartitionLags(_message.Message):
    __slots__ = ("partitions", "left_out", "lag_messages", "time", "host", "source")
    PARTITIONS_FIELD_NUMBER: _ClassVar[int]
    LEFT_OUT_FIELD_NUMBER: _ClassVar[int]
    LAG_MESSAGES_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    HOST_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    partitions: _containers.RepeatedCompositeFieldContainer[PartitionLag]
    left_out: int
    lag_messages: float
    time: _timestamp_pb2.Timestamp
    host: str
    source: str
    def __init__(self, partitions: _Optional[_Iterable[_Union[PartitionLag, _Mapping]]] = ..., left_out: _Optional[int] = ..., lag_messages: _Optional[float] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., host: _Optional[str] = ..., source: _Optional[str] = ...) -> None: ...

class ListSourcesRequest(_message.Message):
    __slots__ = ("host",)
    HOST_FIELD_NUMBER: _ClassVar[int]
    host: str
    def __init__(self, host: _Optional[str] = ...) -> None: ...

class Source(_message.Message):
    __slots__ = ("host", "source", "kind", "up", "newest_slot", "rates", "errors", "figures")
    class RatesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    class ErrorsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    class FiguresEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    HOST_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    UP_FIELD_NUMBER: _ClassVar[int]
    NEWEST_SLOT_FIELD_NUMBER: _ClassVar[int]
    RATES_FIELD_NUMBER: _ClassVar[int]
    ERRORS_FIELD_NUMBER: _ClassVar[int]
    FIGURES_FIELD_NUMBER: _ClassVar[int]
    host: str
    source: str
    kind: str
    up: bool
    newest_slot: int
    rates: _containers.ScalarMap[str, float]
    errors: _containers.ScalarMap[str, float]
    figures: _containers.ScalarMap[str, float]
    def __init__(self, host: _Optional[str] = ..., source: _Optional[str] = ..., kind: _Optional[str] = ..., up: _Optional[bool] = ..., newest_slot: _Optional[int] = ..., rates: _Optional[_Mapping[str, float]] = ..., errors: _Optional[_Mapping[str, float]] = ..., figures: _Optional[_Mapping[str, float]] = ...) -> None: ...

class ListSourcesResponse(_message.Message):
    __slots__ = ("sources",)
    SOURCES_FIELD_NUMBER: _ClassVar[int]
    sources: _containers.RepeatedCompositeFieldContainer[Source]
    def __init__(self, sources: _Optional[_Iterable[_Union[Source, _Mapping]]] = ...) -> None: ...
