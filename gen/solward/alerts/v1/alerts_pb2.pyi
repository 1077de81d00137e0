import datetime

from google.api import annotations_pb2 as _annotations_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from solward.hosts.v1 import link_pb2 as _link_pb2
from solward.policy.v1 import policy_pb2 as _policy_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AlertState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ALERT_STATE_UNSPECIFIED: _ClassVar[AlertState]
    ALERT_STATE_FIRING: _ClassVar[AlertState]
    ALERT_STATE_RESOLVED: _ClassVar[AlertState]

class AlertSubject(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ALERT_SUBJECT_UNSPECIFIED: _ClassVar[AlertSubject]
    ALERT_SUBJECT_VALIDATOR: _ClassVar[AlertSubject]
    ALERT_SUBJECT_MONITOR: _ClassVar[AlertSubject]
    ALERT_SUBJECT_CONTROL_PLANE: _ClassVar[AlertSubject]
    ALERT_SUBJECT_PIPELINE: _ClassVar[AlertSubject]
    ALERT_SUBJECT_BUNDLES: _ClassVar[AlertSubject]
ALERT_STATE_UNSPECIFIED: AlertState
ALERT_STATE_FIRING: AlertState
ALERT_STATE_RESOLVED: AlertState
ALERT_SUBJECT_UNSPECIFIED: AlertSubject
ALERT_SUBJECT_VALIDATOR: AlertSubject
ALERT_SUBJECT_MONITOR: AlertSubject
ALERT_SUBJECT_CONTROL_PLANE: AlertSubject
ALERT_SUBJECT_PIPELINE: AlertSubject
ALERT_SUBJECT_BUNDLES: AlertSubject

class Alert(_message.Message):
    __slots__ = ("name", "rule", "host", "group", "detail", "subject", "severity", "state", "summary", "advice", "evidence", "start_time", "fire_time", "last_time", "resolve_time", "times", "unsure", "acknowledged_by", "acknowledge_time", "comment", "silence")
    NAME_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    HOST_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    SEVERITY_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    ADVICE_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    FIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    LAST_TIME_FIELD_NUMBER: _ClassVar[int]
    RESOLVE_TIME_FIELD_NUMBER: _ClassVar[int]
    TIMES_FIELD_NUMBER: _ClassVar[int]
    UNSURE_FIELD_NUMBER: _ClassVar[int]
    ACKNOWLEDGED_BY_FIELD_NUMBER: _ClassVar[int]
    ACKNOWLEDGE_TIME_FIELD_NUMBER: _ClassVar[int]
    COMMENT_FIELD_NUMBER: _ClassVar[int]
    SILENCE_FIELD_NUMBER: _ClassVar[int]
    name: str
    rule: str
    host: str
    group: str
    detail: str
    subject: AlertSubject
    severity: _link_pb2.Severity
    state: AlertState
    summary: str
    advice: str
    evidence: str
    start_time: _timestamp_pb2.Timestamp
    fire_time: _timestamp_pb2.Timestamp
    last_time: _timestamp_pb2.Timestamp
    resolve_time: _timestamp_pb2.Timestamp
    times: int
    unsure: bool
    acknowledged_by: str
    acknowledge_time: _timestamp_pb2.Timestamp
    comment: str
    silence: str
    def __init__(self, name: _Optional[str] = ..., rule: _Optional[str] = ..., host: _Optional[str] = ..., group: _Optional[str] = ..., detail: _Optional[str] = ..., subject: _Optional[_Union[AlertSubject, str]] = ..., severity: _Optional[_Union[_link_pb2.Severity, str]] = ..., state: _Optional[_Union[AlertState, str]] = ..., summary: _Optional[str] = ..., advice: _Optional[str] = ..., evidence: _Optional[str] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., fire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., last_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., resolve_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., times: _Optional[int] = ..., unsure: _Optional[bool] = ..., acknowledged_by: _Optional[str] = ..., acknowledge_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., comment: _Optional[str] = ..., silence: _Optional[str] = ...) -> None: ...

class Silence(_message.Message):
    __slots__ = ("name", "rule", "host", "reason", "creator", "create_time", "end_time")
    NAME_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    HOST_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    CREATOR_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    name: str
    rule: str
    host: str
    reason: str
    creator: str
    create_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    def __init__(self, name: _Optional[str] = ..., rule: _Optional[str] = ..., host: _Optional[str] = ..., reason: _Optional[str] = ..., creator: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class AlertRule(_message.Message):
    __slots__ = ("name", "severity", "subject", "summary", "advice", "condition", "for_seconds", "resolve_seconds", "cooldown_seconds")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SEVERITY_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    ADVICE_FIELD_NUMBER: _ClassVar[int]
    CONDITION_FIELD_NUMBER: _ClassVar[int]
    FOR_SECONDS_FIELD_NUMBER: _ClassVar[int]
    RESOLVE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    COOLDOWN_SECONDS_FIELD_NUMBER: _ClassVar[int]
    name: str
    severity: _link_pb2.Severity
    subject: AlertSubject
    summary: str
    advice: str
    condition: str
    for_seconds: int
    resolve_seconds: int
    cooldown_seconds: int
    def __init__(self, name: _Optional[str] = ..., severity: _Optional[_Union[_link_pb2.Severity, str]] = ..., subject: _Optional[_Union[AlertSubject, str]] = ..., summary: _Optional[str] = ..., advice: _Optional[str] = ..., condition: _Optional[str] = ..., for_seconds: _Optional[int] = ..., resolve_seconds: _Optional[int] = ..., cooldown_seconds: _Optional[int] = ...) -> None: ...

class HostEvent(_message.Message):
    __slots__ = ("host", "event")
    HOST_FIELD_NUMBER: _ClassVar[int]
    EVENT_FIELD_NUMBER: _ClassVar[int]
    host: str
    event: _link_pb2.Event
    def __init__(self, host: _Optional[str] = ..., event: _Optional[_Union[_link_pb2.Event, _Mapping]] = ...) -> None: ...

class ListEventsRequest(_message.Message):
    __slots__ = ("host", "min_severity", "page_size", "page_token")
    HOST_FIELD_NUMBER: _ClassVar[int]
    MIN_SEVERITY_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    host: str
    min_severity: _link_pb2.Severity
    page_size: int
    page_token: str
    def __init__(self, host: _Optional[str] = ..., min_severity: _Optional[_Union[_link_pb2.Severity, str]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListEventsResponse(_message.Message):
    __slots__ = ("events", "next_page_token")
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[HostEvent]
    next_page_token: str
    def __init__(self, events: _Optional[_Iterable[_Union[HostEvent, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ListAlertsRequest(_message.Message):
    __slots__ = ("host", "resolved", "page_size", "page_token")
    HOST_FIELD_NUMBER: _ClassVar[int]
    RESOLVED_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    host: str
    resolved: bool
    page_size: int
    page_token: str
    def __init__(self, host: _Optional[str] = ..., resolved: _Optional[bool] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListAlertsResponse(_message.Message):
    __slots__ = ("alerts", "next_page_token")
    ALERTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    alerts: _containers.RepeatedCompositeFieldContainer[Alert]
    next_page_token: str
    def __init__(self, alerts: _Optional[_Iterable[_Union[Alert, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class WatchAlertsRequest(_message.Message):
    __slots__ = ("host", "silenced")
    HOST_FIELD_NUMBER: _ClassVar[int]
    SILENCED_FIELD_NUMBER: _ClassVar[int]
    host: str
    silenced: bool
    def __init__(self, host: _Optional[str] = ..., silenced: _Optional[bool] = ...) -> None: ...

class WatchAlertsResponse(_message.Message):
    __slots__ = ("alerts",)
    ALERTS_FIELD_NUMBER: _ClassVar[int]
    alerts: _containers.RepeatedCompositeFieldContainer[Alert]
    def __init__(self, alerts: _Optional[_Iterable[_Union[Alert, _Mapping]]] = ...) -> None: ...

class AcknowledgeAlertRequest(_message.Message):
    __slots__ = ("name", "comment")
    NAME_FIELD_NUMBER: _ClassVar[int]
    COMMENT_FIELD_NUMBER: _ClassVar[int]
    name: str
    comment: str
    def __init__(self, name: _Optional[str] = ..., comment: _Optional[str] = ...) -> None: ...

class ListAlertRulesRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListAlertRulesResponse(_message.Message):
    __slots__ = ("rules",)
    RULES_FIELD_NUMBER: _ClassVar[int]
    rules: _containers.RepeatedCompositeFieldContainer[AlertRule]
    def __init__(self, rules: _Optional[_Iterable[_Union[AlertRule, _Mapping]]] = ...) -> None: ...

class CreateSilenceRequest(_message.Message):
    __slots__ = ("rule", "host", "reason", "seconds")
    RULE_FIELD_NUMBER: _ClassVar[int]
    HOST_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    rule: str
    host: str
    reason: str
    seconds: int
    def __init__(self, rule: _Optional[str] = ..., host: _Optional[str] = ..., reason: _Optional[str] = ..., seconds: _Optional[int] = ...) -> None: ...

class ListSilencesRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListSilencesResponse(_message.Message):
    __slots__ = ("silences",)
    SILENCES_FIELD_NUMBER: _ClassVar[int]
    silences: _containers.RepeatedCompositeFieldContainer[Silence]
    def __init__(self, silences: _Optional[_Iterable[_Union[Silence, _Mapping]]] = ...) -> None: ...

class EndSilenceRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...
