from google.api import annotations_pb2 as _annotations_pb2
from solward.hosts.v1 import link_pb2 as _link_pb2
from solward.operations.v1 import operations_pb2 as _operations_pb2
from solward.policy.v1 import policy_pb2 as _policy_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Selector(_message.Message):
    __slots__ = ("hosts", "group", "labels", "all")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    HOSTS_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    ALL_FIELD_NUMBER: _ClassVar[int]
    hosts: _containers.RepeatedScalarFieldContainer[str]
    group: str
    labels: _containers.ScalarMap[str, str]
    all: bool
    def __init__(self, hosts: _Optional[_Iterable[str]] = ..., group: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ..., all: _Optional[bool] = ...) -> None: ...

class RollingRestartRequest(_message.Message):
    __slots__ = ("selector", "rollout", "validate_only", "request_id", "plan_hash", "reason", "force")
    SELECTOR_FIELD_NUMBER: _ClassVar[int]
    ROLLOUT_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    PLAN_HASH_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    FORCE_FIELD_NUMBER: _ClassVar[int]
    selector: Selector
    rollout: _operations_pb2.Rollout
    validate_only: bool
    request_id: str
    plan_hash: str
    reason: str
    force: bool
    def __init__(self, selector: _Optional[_Union[Selector, _Mapping]] = ..., rollout: _Optional[_Union[_operations_pb2.Rollout, _Mapping]] = ..., validate_only: _Optional[bool] = ..., request_id: _Optional[str] = ..., plan_hash: _Optional[str] = ..., reason: _Optional[str] = ..., force: _Optional[bool] = ...) -> None: ...

class ApplyConfigRequest(_message.Message):
    __slots__ = ("selector", "changes", "rollout", "no_restart", "no_rollback", "validate_only", "request_id", "plan_hash", "reason")
    SELECTOR_FIELD_NUMBER: _ClassVar[int]
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    ROLLOUT_FIELD_NUMBER: _ClassVar[int]
    NO_RESTART_FIELD_NUMBER: _ClassVar[int]
    NO_ROLLBACK_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    PLAN_HASH_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    selector: Selector
    changes: _containers.RepeatedCompositeFieldContainer[_link_pb2.FlagChange]
    rollout: _operations_pb2.Rollout
    no_restart: bool
    no_rollback: bool
    validate_only: bool
    request_id: str
    plan_hash: str
    reason: str
    def __init__(self, selector: _Optional[_Union[Selector, _Mapping]] = ..., changes: _Optional[_Iterable[_Union[_link_pb2.FlagChange, _Mapping]]] = ..., rollout: _Optional[_Union[_operations_pb2.Rollout, _Mapping]] = ..., no_restart: _Optional[bool] = ..., no_rollback: _Optional[bool] = ..., validate_only: _Optional[bool] = ..., request_id: _Optional[str] = ..., plan_hash: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class RollBackConfigRequest(_message.Message):
    __slots__ = ("operation", "rollout", "validate_only", "request_id", "plan_hash", "reason")
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    ROLLOUT_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    PLAN_HASH_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    operation: str
    rollout: _operations_pb2.Rollout
    validate_only: bool
    request_id: str
    plan_hash: str
    reason: str
    def __init__(self, operation: _Optional[str] = ..., rollout: _Optional[_Union[_operations_pb2.Rollout, _Mapping]] = ..., validate_only: _Optional[bool] = ..., request_id: _Optional[str] = ..., plan_hash: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class ListSnapshotsRequest(_message.Message):
    __slots__ = ("host",)
    HOST_FIELD_NUMBER: _ClassVar[int]
    host: str
    def __init__(self, host: _Optional[str] = ...) -> None: ...

class CreateSnapshotRequest(_message.Message):
    __slots__ = ("host", "validate_only", "request_id", "plan_hash", "reason", "archive", "wait_seconds", "from_ledger", "slot", "incremental")
    HOST_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    PLAN_HASH_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    ARCHIVE_FIELD_NUMBER: _ClassVar[int]
    WAIT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    FROM_LEDGER_FIELD_NUMBER: _ClassVar[int]
    SLOT_FIELD_NUMBER: _ClassVar[int]
    INCREMENTAL_FIELD_NUMBER: _ClassVar[int]
    host: str
    validate_only: bool
    request_id: str
    plan_hash: str
    reason: str
    archive: str
    wait_seconds: int
    from_ledger: bool
    slot: int
    incremental: bool
    def __init__(self, host: _Optional[str] = ..., validate_only: _Optional[bool] = ..., request_id: _Optional[str] = ..., plan_hash: _Optional[str] = ..., reason: _Optional[str] = ..., archive: _Optional[str] = ..., wait_seconds: _Optional[int] = ..., from_ledger: _Optional[bool] = ..., slot: _Optional[int] = ..., incremental: _Optional[bool] = ...) -> None: ...

class VerifySnapshotRequest(_message.Message):
    __slots__ = ("host", "validate_only", "request_id", "plan_hash", "reason", "archive", "bytes_per_second", "timeout_seconds", "deep")
    HOST_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    PLAN_HASH_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    ARCHIVE_FIELD_NUMBER: _ClassVar[int]
    BYTES_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    DEEP_FIELD_NUMBER: _ClassVar[int]
    host: str
    validate_only: bool
    request_id: str
    plan_hash: str
    reason: str
    archive: str
    bytes_per_second: int
    timeout_seconds: int
    deep: bool
    def __init__(self, host: _Optional[str] = ..., validate_only: _Optional[bool] = ..., request_id: _Optional[str] = ..., plan_hash: _Optional[str] = ..., reason: _Optional[str] = ..., archive: _Optional[str] = ..., bytes_per_second: _Optional[int] = ..., timeout_seconds: _Optional[int] = ..., deep: _Optional[bool] = ...) -> None: ...

class PruneSnapshotsRequest(_message.Message):
    __slots__ = ("host", "validate_only", "request_id", "plan_hash", "reason", "policy")
    HOST_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    PLAN_HASH_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    host: str
    validate_only: bool
    request_id: str
    plan_hash: str
    reason: str
    policy: _link_pb2.PrunePolicy
    def __init__(self, host: _Optional[str] = ..., validate_only: _Optional[bool] = ..., request_id: _Optional[str] = ..., plan_hash: _Optional[str] = ..., reason: _Optional[str] = ..., policy: _Optional[_Union[_link_pb2.PrunePolicy, _Mapping]] = ...) -> None: ...

class UnpinSnapshotRequest(_message.Message):
    __slots__ = ("host", "validate_only", "request_id", "plan_hash", "reason", "slot")
    HOST_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    PLAN_HASH_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    SLOT_FIELD_NUMBER: _ClassVar[int]
    host: str
    validate_only: bool
    request_id: str
    plan_hash: str
    reason: str
    slot: int
    def __init__(self, host: _Optional[str] = ..., validate_only: _Optional[bool] = ..., request_id: _Optional[str] = ..., plan_hash: _Optional[str] = ..., reason: _Optional[str] = ..., slot: _Optional[int] = ...) -> None: ...

class SurveyLedgerRequest(_message.Message):
    __slots__ = ("host", "validate_only", "request_id", "plan_hash", "reason", "first_slot", "last_slot", "timeout_seconds", "purge_from")
    HOST_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    PLAN_HASH_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    FIRST_SLOT_FIELD_NUMBER: _ClassVar[int]
    LAST_SLOT_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    PURGE_FROM_FIELD_NUMBER: _ClassVar[int]
    host: str
    validate_only: bool
    request_id: str
    plan_hash: str
    reason: str
    first_slot: int
    last_slot: int
    timeout_seconds: int
    purge_from: int
    def __init__(self, host: _Optional[str] = ..., validate_only: _Optional[bool] = ..., request_id: _Optional[str] = ..., plan_hash: _Optional[str] = ..., reason: _Optional[str] = ..., first_slot: _Optional[int] = ..., last_slot: _Optional[int] = ..., timeout_seconds: _Optional[int] = ..., purge_from: _Optional[int] = ...) -> None: ...

class RepairLedgerRequest(_message.Message):
    __slots__ = ("host", "validate_only", "request_id", "plan_hash", "reason", "first_slot", "last_slot", "timeout_seconds", "survey_digest", "wait_seconds")
    HOST_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    PLAN_HASH_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    FIRST_SLOT_FIELD_NUMBER: _ClassVar[int]
    LAST_SLOT_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    SURVEY_DIGEST_FIELD_NUMBER: _ClassVar[int]
    WAIT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    host: str
    validate_only: bool
    request_id: str
    plan_hash: str
    reason: str
    first_slot: int
    last_slot: int
    timeout_seconds: int
    survey_digest: str
    wait_seconds: int
    def __init__(self, host: _Optional[str] = ..., validate_only: _Optional[bool] = ..., request_id: _Optional[str] = ..., plan_hash: _Optional[str] = ..., reason: _Optional[str] = ..., first_slot: _Optional[int] = ..., last_slot: _Optional[int] = ..., timeout_seconds: _Optional[int] = ..., survey_digest: _Optional[str] = ..., wait_seconds: _Optional[int] = ...) -> None: ...

class NudgeRepairRequest(_message.Message):
    __slots__ = ("host", "validate_only", "request_id", "plan_hash", "reason", "first_slot", "last_slot", "shreds", "watch_seconds")
    HOST_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    PLAN_HASH_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    FIRST_SLOT_FIELD_NUMBER: _ClassVar[int]
    LAST_SLOT_FIELD_NUMBER: _ClassVar[int]
    SHREDS_FIELD_NUMBER: _ClassVar[int]
    WATCH_SECONDS_FIELD_NUMBER: _ClassVar[int]
    host: str
    validate_only: bool
    request_id: str
    plan_hash: str
    reason: str
    first_slot: int
    last_slot: int
    shreds: _containers.RepeatedScalarFieldContainer[int]
    watch_seconds: int
    def __init__(self, host: _Optional[str] = ..., validate_only: _Optional[bool] = ..., request_id: _Optional[str] = ..., plan_hash: _Optional[str] = ..., reason: _Optional[str] = ..., first_slot: _Optional[int] = ..., last_slot: _Optional[int] = ..., shreds: _Optional[_Iterable[int]] = ..., watch_seconds: _Optional[int] = ...) -> None: ...
