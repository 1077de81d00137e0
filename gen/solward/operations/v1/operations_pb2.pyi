import datetime

from google.api import annotations_pb2 as _annotations_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.rpc import status_pb2 as _status_pb2
from solward.hosts.v1 import link_pb2 as _link_pb2
from solward.policy.v1 import policy_pb2 as _policy_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class OperationState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OPERATION_STATE_UNSPECIFIED: _ClassVar[OperationState]
    OPERATION_STATE_PLANNED: _ClassVar[OperationState]
    OPERATION_STATE_RUNNING: _ClassVar[OperationState]
    OPERATION_STATE_PAUSED: _ClassVar[OperationState]
    OPERATION_STATE_SUCCEEDED: _ClassVar[OperationState]
    OPERATION_STATE_FAILED: _ClassVar[OperationState]
    OPERATION_STATE_AWAITING_APPROVAL: _ClassVar[OperationState]
    OPERATION_STATE_ABORTED: _ClassVar[OperationState]

class Verdict(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    VERDICT_UNSPECIFIED: _ClassVar[Verdict]
    VERDICT_PASS: _ClassVar[Verdict]
    VERDICT_FAIL: _ClassVar[Verdict]
    VERDICT_INCONCLUSIVE: _ClassVar[Verdict]
    VERDICT_ERROR: _ClassVar[Verdict]

class Wish(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    WISH_UNSPECIFIED: _ClassVar[Wish]
    WISH_PAUSE: _ClassVar[Wish]
    WISH_ABORT: _ClassVar[Wish]

class FailurePolicy(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FAILURE_POLICY_UNSPECIFIED: _ClassVar[FailurePolicy]
    FAILURE_POLICY_STOP: _ClassVar[FailurePolicy]
    FAILURE_POLICY_PAUSE: _ClassVar[FailurePolicy]
    FAILURE_POLICY_CONTINUE: _ClassVar[FailurePolicy]

class TargetState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TARGET_STATE_UNSPECIFIED: _ClassVar[TargetState]
    TARGET_STATE_WAITING: _ClassVar[TargetState]
    TARGET_STATE_RUNNING: _ClassVar[TargetState]
    TARGET_STATE_SUCCEEDED: _ClassVar[TargetState]
    TARGET_STATE_FAILED: _ClassVar[TargetState]
    TARGET_STATE_PAUSED: _ClassVar[TargetState]
    TARGET_STATE_SKIPPED: _ClassVar[TargetState]
OPERATION_STATE_UNSPECIFIED: OperationState
OPERATION_STATE_PLANNED: OperationState
OPERATION_STATE_RUNNING: OperationState
OPERATION_STATE_PAUSED: OperationState
OPERATION_STATE_SUCCEEDED: OperationState
OPERATION_STATE_FAILED: OperationState
OPERATION_STATE_AWAITING_APPROVAL: OperationState
OPERATION_STATE_ABORTED: OperationState
VERDICT_UNSPECIFIED: Verdict
VERDICT_PASS: Verdict
VERDICT_FAIL: Verdict
VERDICT_INCONCLUSIVE: Verdict
VERDICT_ERROR: Verdict
WISH_UNSPECIFIED: Wish
WISH_PAUSE: Wish
WISH_ABORT: Wish
FAILURE_POLICY_UNSPECIFIED: FailurePolicy
FAILURE_POLICY_STOP: FailurePolicy
FAILURE_POLICY_PAUSE: FailurePolicy
FAILURE_POLICY_CONTINUE: FailurePolicy
TARGET_STATE_UNSPECIFIED: TargetState
TARGET_STATE_WAITING: TargetState
TARGET_STATE_RUNNING: TargetState
TARGET_STATE_SUCCEEDED: TargetState
TARGET_STATE_FAILED: TargetState
TARGET_STATE_PAUSED: TargetState
TARGET_STATE_SKIPPED: TargetState

class Operation(_message.Message):
    __slots__ = ("name", "kind", "host", "requester", "state", "steps", "plan_hash", "error", "create_time", "end_time", "reason", "approvals_required", "approvals", "approve_before", "targets", "rollout", "parent", "wish", "retries", "traceparent")
    NAME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    HOST_FIELD_NUMBER: _ClassVar[int]
    REQUESTER_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    PLAN_HASH_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    APPROVALS_REQUIRED_FIELD_NUMBER: _ClassVar[int]
    APPROVALS_FIELD_NUMBER: _ClassVar[int]
    APPROVE_BEFORE_FIELD_NUMBER: _ClassVar[int]
    TARGETS_FIELD_NUMBER: _ClassVar[int]
    ROLLOUT_FIELD_NUMBER: _ClassVar[int]
    PARENT_FIELD_NUMBER: _ClassVar[int]
    WISH_FIELD_NUMBER: _ClassVar[int]
    RETRIES_FIELD_NUMBER: _ClassVar[int]
    TRACEPARENT_FIELD_NUMBER: _ClassVar[int]
    name: str
    kind: str
    host: str
    requester: str
    state: OperationState
    steps: _containers.RepeatedCompositeFieldContainer[Step]
    plan_hash: str
    error: _status_pb2.Status
    create_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    reason: str
    approvals_required: int
    approvals: _containers.RepeatedCompositeFieldContainer[Approval]
    approve_before: _timestamp_pb2.Timestamp
    targets: _containers.RepeatedCompositeFieldContainer[Target]
    rollout: Rollout
    parent: str
    wish: Wish
    retries: int
    traceparent: str
    def __init__(self, name: _Optional[str] = ..., kind: _Optional[str] = ..., host: _Optional[str] = ..., requester: _Optional[str] = ..., state: _Optional[_Union[OperationState, str]] = ..., steps: _Optional[_Iterable[_Union[Step, _Mapping]]] = ..., plan_hash: _Optional[str] = ..., error: _Optional[_Union[_status_pb2.Status, _Mapping]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., reason: _Optional[str] = ..., approvals_required: _Optional[int] = ..., approvals: _Optional[_Iterable[_Union[Approval, _Mapping]]] = ..., approve_before: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., targets: _Optional[_Iterable[_Union[Target, _Mapping]]] = ..., rollout: _Optional[_Union[Rollout, _Mapping]] = ..., parent: _Optional[str] = ..., wish: _Optional[_Union[Wish, str]] = ..., retries: _Optional[int] = ..., traceparent: _Optional[str] = ...) -> None: ...

class Rollout(_message.Message):
    __slots__ = ("canaries", "max_unavailable", "max_stake_percent", "soak_seconds", "wait_seconds", "on_failure", "max_failures", "timeout_seconds")
    CANARIES_FIELD_NUMBER: _ClassVar[int]
    MAX_UNAVAILABLE_FIELD_NUMBER: _ClassVar[int]
    MAX_STAKE_PERCENT_FIELD_NUMBER: _ClassVar[int]
    SOAK_SECONDS_FIELD_NUMBER: _ClassVar[int]
    WAIT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    ON_FAILURE_FIELD_NUMBER: _ClassVar[int]
    MAX_FAILURES_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    canaries: int
    max_unavailable: int
    max_stake_percent: float
    soak_seconds: int
    wait_seconds: int
    on_failure: FailurePolicy
    max_failures: int
    timeout_seconds: int
    def __init__(self, canaries: _Optional[int] = ..., max_unavailable: _Optional[int] = ..., max_stake_percent: _Optional[float] = ..., soak_seconds: _Optional[int] = ..., wait_seconds: _Optional[int] = ..., on_failure: _Optional[_Union[FailurePolicy, str]] = ..., max_failures: _Optional[int] = ..., timeout_seconds: _Optional[int] = ...) -> None: ...

class Target(_message.Message):
    __slots__ = ("host", "state", "message", "operation", "attempts", "canary", "group", "stake_percent", "diff", "steps_passed", "steps", "start_time", "end_time", "accepted")
    HOST_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    CANARY_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    STAKE_PERCENT_FIELD_NUMBER: _ClassVar[int]
    DIFF_FIELD_NUMBER: _ClassVar[int]
    STEPS_PASSED_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    host: str
    state: TargetState
    message: str
    operation: str
    attempts: int
    canary: bool
    group: str
    stake_percent: float
    diff: _containers.RepeatedScalarFieldContainer[str]
    steps_passed: int
    steps: int
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    accepted: bool
    def __init__(self, host: _Optional[str] = ..., state: _Optional[_Union[TargetState, str]] = ..., message: _Optional[str] = ..., operation: _Optional[str] = ..., attempts: _Optional[int] = ..., canary: _Optional[bool] = ..., group: _Optional[str] = ..., stake_percent: _Optional[float] = ..., diff: _Optional[_Iterable[str]] = ..., steps_passed: _Optional[int] = ..., steps: _Optional[int] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., accepted: _Optional[bool] = ...) -> None: ...

class Approval(_message.Message):
    __slots__ = ("approver", "time")
    APPROVER_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    approver: str
    time: _timestamp_pb2.Timestamp
    def __init__(self, approver: _Optional[str] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Step(_message.Message):
    __slots__ = ("id", "title", "verdict", "message", "figures", "start_time", "end_time", "signed_receipt", "receipt")
    class FiguresEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ID_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    FIGURES_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    SIGNED_RECEIPT_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    id: str
    title: str
    verdict: Verdict
    message: str
    figures: _containers.ScalarMap[str, str]
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    signed_receipt: _link_pb2.SignedReceipt
    receipt: _link_pb2.Receipt
    def __init__(self, id: _Optional[str] = ..., title: _Optional[str] = ..., verdict: _Optional[_Union[Verdict, str]] = ..., message: _Optional[str] = ..., figures: _Optional[_Mapping[str, str]] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., signed_receipt: _Optional[_Union[_link_pb2.SignedReceipt, _Mapping]] = ..., receipt: _Optional[_Union[_link_pb2.Receipt, _Mapping]] = ...) -> None: ...

class ListOperationsRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "host")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    HOST_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    host: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., host: _Optional[str] = ...) -> None: ...

class ListOperationsResponse(_message.Message):
    __slots__ = ("operations", "next_page_token")
    OPERATIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    operations: _containers.RepeatedCompositeFieldContainer[Operation]
    next_page_token: str
    def __init__(self, operations: _Optional[_Iterable[_Union[Operation, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class GetOperationRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class WatchOperationRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class ApproveOperationRequest(_message.Message):
    __slots__ = ("name", "plan_hash")
    NAME_FIELD_NUMBER: _ClassVar[int]
    PLAN_HASH_FIELD_NUMBER: _ClassVar[int]
    name: str
    plan_hash: str
    def __init__(self, name: _Optional[str] = ..., plan_hash: _Optional[str] = ...) -> None: ...

class PauseOperationRequest(_message.Message):
    __slots__ = ("name", "reason")
    NAME_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    name: str
    reason: str
    def __init__(self, name: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class ResumeOperationRequest(_message.Message):
    __slots__ = ("name", "reason")
    NAME_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    name: str
    reason: str
    def __init__(self, name: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class AbortOperationRequest(_message.Message):
    __slots__ = ("name", "reason")
    NAME_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    name: str
    reason: str
    def __init__(self, name: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class RetryOperationRequest(_message.Message):
    __slots__ = ("name", "host", "reason")
    NAME_FIELD_NUMBER: _ClassVar[int]
    HOST_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    name: str
    host: str
    reason: str
    def __init__(self, name: _Optional[str] = ..., host: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...
