from solward.audit.v1 import audit_pb2 as _audit_pb2
from solward.geyser.v1 import geyser_pb2 as _geyser_pb2
from solward.hosts.v1 import enrollment_pb2 as _enrollment_pb2
from solward.policy.v1 import policy_pb2 as _policy_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Severity(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SEVERITY_UNSPECIFIED: _ClassVar[Severity]
    SEVERITY_INFO: _ClassVar[Severity]
    SEVERITY_WARNING: _ClassVar[Severity]
    SEVERITY_ERROR: _ClassVar[Severity]
    SEVERITY_CRITICAL: _ClassVar[Severity]

class SnapshotVerb(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SNAPSHOT_VERB_UNSPECIFIED: _ClassVar[SnapshotVerb]
    SNAPSHOT_VERB_VERIFY: _ClassVar[SnapshotVerb]
    SNAPSHOT_VERB_PIN: _ClassVar[SnapshotVerb]
    SNAPSHOT_VERB_PRUNE: _ClassVar[SnapshotVerb]
    SNAPSHOT_VERB_UNPIN: _ClassVar[SnapshotVerb]
    SNAPSHOT_VERB_MAKE: _ClassVar[SnapshotVerb]
    SNAPSHOT_VERB_DEEP: _ClassVar[SnapshotVerb]

class LedgerVerb(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LEDGER_VERB_UNSPECIFIED: _ClassVar[LedgerVerb]
    LEDGER_VERB_SURVEY: _ClassVar[LedgerVerb]
    LEDGER_VERB_REPAIR: _ClassVar[LedgerVerb]

class UnitVerb(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    UNIT_VERB_UNSPECIFIED: _ClassVar[UnitVerb]
    UNIT_VERB_START: _ClassVar[UnitVerb]
    UNIT_VERB_STOP: _ClassVar[UnitVerb]
    UNIT_VERB_RESTART: _ClassVar[UnitVerb]

class PluginVerb(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PLUGIN_VERB_UNSPECIFIED: _ClassVar[PluginVerb]
    PLUGIN_VERB_RELOAD: _ClassVar[PluginVerb]
    PLUGIN_VERB_LOAD: _ClassVar[PluginVerb]
    PLUGIN_VERB_UNLOAD: _ClassVar[PluginVerb]

class ReceiptResult(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RECEIPT_RESULT_UNSPECIFIED: _ClassVar[ReceiptResult]
    RECEIPT_RESULT_DONE: _ClassVar[ReceiptResult]
    RECEIPT_RESULT_REFUSED: _ClassVar[ReceiptResult]
    RECEIPT_RESULT_FAILED: _ClassVar[ReceiptResult]
SEVERITY_UNSPECIFIED: Severity
SEVERITY_INFO: Severity
SEVERITY_WARNING: Severity
SEVERITY_ERROR: Severity
SEVERITY_CRITICAL: Severity
SNAPSHOT_VERB_UNSPECIFIED: SnapshotVerb
SNAPSHOT_VERB_VERIFY: SnapshotVerb
SNAPSHOT_VERB_PIN: SnapshotVerb
SNAPSHOT_VERB_PRUNE: SnapshotVerb
SNAPSHOT_VERB_UNPIN: SnapshotVerb
SNAPSHOT_VERB_MAKE: SnapshotVerb
SNAPSHOT_VERB_DEEP: SnapshotVerb
LEDGER_VERB_UNSPECIFIED: LedgerVerb
LEDGER_VERB_SURVEY: LedgerVerb
LEDGER_VERB_REPAIR: LedgerVerb
UNIT_VERB_UNSPECIFIED: UnitVerb
UNIT_VERB_START: UnitVerb
UNIT_VERB_STOP: UnitVerb
UNIT_VERB_RESTART: UnitVerb
PLUGIN_VERB_UNSPECIFIED: PluginVerb
PLUGIN_VERB_RELOAD: PluginVerb
PLUGIN_VERB_LOAD: PluginVerb
PLUGIN_VERB_UNLOAD: PluginVerb
RECEIPT_RESULT_UNSPECIFIED: ReceiptResult
RECEIPT_RESULT_DONE: ReceiptResult
RECEIPT_RESULT_REFUSED: ReceiptResult
RECEIPT_RESULT_FAILED: ReceiptResult

class ConnectRequest(_message.Message):
    __slots__ = ("hello", "samples", "events", "receipt", "progress", "unit", "witness", "trust_kept", "spans")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    SAMPLES_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    WITNESS_FIELD_NUMBER: _ClassVar[int]
    TRUST_KEPT_FIELD_NUMBER: _ClassVar[int]
    SPANS_FIELD_NUMBER: _ClassVar[int]
    hello: Hello
    samples: SampleBatch
    events: EventBatch
    receipt: SignedReceipt
    progress: CommandProgress
    unit: UnitReport
    witness: WitnessReport
    trust_kept: TrustKept
    spans: SpanReport
    def __init__(self, hello: _Optional[_Union[Hello, _Mapping]] = ..., samples: _Optional[_Union[SampleBatch, _Mapping]] = ..., events: _Optional[_Union[EventBatch, _Mapping]] = ..., receipt: _Optional[_Union[SignedReceipt, _Mapping]] = ..., progress: _Optional[_Union[CommandProgress, _Mapping]] = ..., unit: _Optional[_Union[UnitReport, _Mapping]] = ..., witness: _Optional[_Union[WitnessReport, _Mapping]] = ..., trust_kept: _Optional[_Union[TrustKept, _Mapping]] = ..., spans: _Optional[_Union[SpanReport, _Mapping]] = ...) -> None: ...

class ConnectResponse(_message.Message):
    __slots__ = ("welcome", "ack", "command", "checkpoint", "trust")
    WELCOME_FIELD_NUMBER: _ClassVar[int]
    ACK_FIELD_NUMBER: _ClassVar[int]
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    TRUST_FIELD_NUMBER: _ClassVar[int]
    welcome: Welcome
    ack: Ack
    command: Command
    checkpoint: _audit_pb2.Checkpoint
    trust: _enrollment_pb2.SignedTrust
    def __init__(self, welcome: _Optional[_Union[Welcome, _Mapping]] = ..., ack: _Optional[_Union[Ack, _Mapping]] = ..., command: _Optional[_Union[Command, _Mapping]] = ..., checkpoint: _Optional[_Union[_audit_pb2.Checkpoint, _Mapping]] = ..., trust: _Optional[_Union[_enrollment_pb2.SignedTrust, _Mapping]] = ...) -> None: ...

class WitnessReport(_message.Message):
    __slots__ = ("held", "refused", "reason")
    HELD_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    held: _audit_pb2.Checkpoint
    refused: _audit_pb2.Checkpoint
    reason: str
    def __init__(self, held: _Optional[_Union[_audit_pb2.Checkpoint, _Mapping]] = ..., refused: _Optional[_Union[_audit_pb2.Checkpoint, _Mapping]] = ..., reason: _Optional[str] = ...) -> None: ...

class TrustKept(_message.Message):
    __slots__ = ("version",)
    VERSION_FIELD_NUMBER: _ClassVar[int]
    version: int
    def __init__(self, version: _Optional[int] = ...) -> None: ...

class Hello(_message.Message):
    __slots__ = ("agent_version", "protocol", "spool_id", "first_sequence", "exchange_token", "unix_ms", "dropped_samples", "allowed_units", "knows_validator", "group", "labels", "has_ledger_tool", "held_checkpoint", "trust_version", "bundles")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    AGENT_VERSION_FIELD_NUMBER: _ClassVar[int]
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    SPOOL_ID_FIELD_NUMBER: _ClassVar[int]
    FIRST_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    EXCHANGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    DROPPED_SAMPLES_FIELD_NUMBER: _ClassVar[int]
    ALLOWED_UNITS_FIELD_NUMBER: _ClassVar[int]
    KNOWS_VALIDATOR_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    HAS_LEDGER_TOOL_FIELD_NUMBER: _ClassVar[int]
    HELD_CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    TRUST_VERSION_FIELD_NUMBER: _ClassVar[int]
    BUNDLES_FIELD_NUMBER: _ClassVar[int]
    agent_version: str
    protocol: int
    spool_id: str
    first_sequence: int
    exchange_token: str
    unix_ms: int
    dropped_samples: int
    allowed_units: _containers.RepeatedCompositeFieldContainer[AllowedUnit]
    knows_validator: bool
    group: str
    labels: _containers.ScalarMap[str, str]
    has_ledger_tool: bool
    held_checkpoint: _audit_pb2.Checkpoint
    trust_version: int
    bundles: BundleLimits
    def __init__(self, agent_version: _Optional[str] = ..., protocol: _Optional[int] = ..., spool_id: _Optional[str] = ..., first_sequence: _Optional[int] = ..., exchange_token: _Optional[str] = ..., unix_ms: _Optional[int] = ..., dropped_samples: _Optional[int] = ..., allowed_units: _Optional[_Iterable[_Union[AllowedUnit, _Mapping]]] = ..., knows_validator: _Optional[bool] = ..., group: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ..., has_ledger_tool: _Optional[bool] = ..., held_checkpoint: _Optional[_Union[_audit_pb2.Checkpoint, _Mapping]] = ..., trust_version: _Optional[int] = ..., bundles: _Optional[_Union[BundleLimits, _Mapping]] = ...) -> None: ...

class BundleLimits(_message.Message):
    __slots__ = ("allowed", "max_tip_lamports", "regions", "known_regions")
    ALLOWED_FIELD_NUMBER: _ClassVar[int]
    MAX_TIP_LAMPORTS_FIELD_NUMBER: _ClassVar[int]
    REGIONS_FIELD_NUMBER: _ClassVar[int]
    KNOWN_REGIONS_FIELD_NUMBER: _ClassVar[int]
    allowed: bool
    max_tip_lamports: int
    regions: _containers.RepeatedScalarFieldContainer[str]
    known_regions: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, allowed: _Optional[bool] = ..., max_tip_lamports: _Optional[int] = ..., regions: _Optional[_Iterable[str]] = ..., known_regions: _Optional[_Iterable[str]] = ...) -> None: ...

class AllowedUnit(_message.Message):
    __slots__ = ("unit", "actions")
    UNIT_FIELD_NUMBER: _ClassVar[int]
    ACTIONS_FIELD_NUMBER: _ClassVar[int]
    unit: str
    actions: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, unit: _Optional[str] = ..., actions: _Optional[_Iterable[str]] = ...) -> None: ...

class Welcome(_message.Message):
    __slots__ = ("acked_sequence", "exchange_token", "unix_ms", "term")
    ACKED_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    EXCHANGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    TERM_FIELD_NUMBER: _ClassVar[int]
    acked_sequence: int
    exchange_token: str
    unix_ms: int
    term: int
    def __init__(self, acked_sequence: _Optional[int] = ..., exchange_token: _Optional[str] = ..., unix_ms: _Optional[int] = ..., term: _Optional[int] = ...) -> None: ...

class Ack(_message.Message):
    __slots__ = ("sequence",)
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    def __init__(self, sequence: _Optional[int] = ...) -> None: ...

class SeriesDefinition(_message.Message):
    __slots__ = ("id", "name", "labels", "counts")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    id: int
    name: str
    labels: _containers.ScalarMap[str, str]
    counts: bool
    def __init__(self, id: _Optional[int] = ..., name: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ..., counts: _Optional[bool] = ...) -> None: ...

class SampleBatch(_message.Message):
    __slots__ = ("sequence", "unix_ms", "definitions", "series", "values")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    DEFINITIONS_FIELD_NUMBER: _ClassVar[int]
    SERIES_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    unix_ms: int
    definitions: _containers.RepeatedCompositeFieldContainer[SeriesDefinition]
    series: _containers.RepeatedScalarFieldContainer[int]
    values: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, sequence: _Optional[int] = ..., unix_ms: _Optional[int] = ..., definitions: _Optional[_Iterable[_Union[SeriesDefinition, _Mapping]]] = ..., series: _Optional[_Iterable[int]] = ..., values: _Optional[_Iterable[float]] = ...) -> None: ...

class EventBatch(_message.Message):
    __slots__ = ("sequence", "unix_ms", "events")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    unix_ms: int
    events: _containers.RepeatedCompositeFieldContainer[Event]
    def __init__(self, sequence: _Optional[int] = ..., unix_ms: _Optional[int] = ..., events: _Optional[_Iterable[_Union[Event, _Mapping]]] = ...) -> None: ...

class Event(_message.Message):
    __slots__ = ("kind", "unix_ms", "message", "attributes", "severity", "area", "meaning", "advice", "times")
    class AttributesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    KIND_FIELD_NUMBER: _ClassVar[int]
    UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    SEVERITY_FIELD_NUMBER: _ClassVar[int]
    AREA_FIELD_NUMBER: _ClassVar[int]
    MEANING_FIELD_NUMBER: _ClassVar[int]
    ADVICE_FIELD_NUMBER: _ClassVar[int]
    TIMES_FIELD_NUMBER: _ClassVar[int]
    kind: str
    unix_ms: int
    message: str
    attributes: _containers.ScalarMap[str, str]
    severity: Severity
    area: str
    meaning: str
    advice: str
    times: int
    def __init__(self, kind: _Optional[str] = ..., unix_ms: _Optional[int] = ..., message: _Optional[str] = ..., attributes: _Optional[_Mapping[str, str]] = ..., severity: _Optional[_Union[Severity, str]] = ..., area: _Optional[str] = ..., meaning: _Optional[str] = ..., advice: _Optional[str] = ..., times: _Optional[int] = ...) -> None: ...

class Command(_message.Message):
    __slots__ = ("permit", "request", "traceparent")
    PERMIT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    TRACEPARENT_FIELD_NUMBER: _ClassVar[int]
    permit: SignedPermit
    request: bytes
    traceparent: str
    def __init__(self, permit: _Optional[_Union[SignedPermit, _Mapping]] = ..., request: _Optional[bytes] = ..., traceparent: _Optional[str] = ...) -> None: ...

class SpanReport(_message.Message):
    __slots__ = ("operation", "step", "traceparent", "spans")
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    TRACEPARENT_FIELD_NUMBER: _ClassVar[int]
    SPANS_FIELD_NUMBER: _ClassVar[int]
    operation: str
    step: str
    traceparent: str
    spans: _containers.RepeatedCompositeFieldContainer[AgentSpan]
    def __init__(self, operation: _Optional[str] = ..., step: _Optional[str] = ..., traceparent: _Optional[str] = ..., spans: _Optional[_Iterable[_Union[AgentSpan, _Mapping]]] = ...) -> None: ...

class AgentSpan(_message.Message):
    __slots__ = ("span_id", "parent_id", "name", "start_unix_ns", "end_unix_ns", "reason", "attributes")
    class AttributesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    SPAN_ID_FIELD_NUMBER: _ClassVar[int]
    PARENT_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    START_UNIX_NS_FIELD_NUMBER: _ClassVar[int]
    END_UNIX_NS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    span_id: str
    parent_id: str
    name: str
    start_unix_ns: int
    end_unix_ns: int
    reason: str
    attributes: _containers.ScalarMap[str, str]
    def __init__(self, span_id: _Optional[str] = ..., parent_id: _Optional[str] = ..., name: _Optional[str] = ..., start_unix_ns: _Optional[int] = ..., end_unix_ns: _Optional[int] = ..., reason: _Optional[str] = ..., attributes: _Optional[_Mapping[str, str]] = ...) -> None: ...

class SignedPermit(_message.Message):
    __slots__ = ("permit", "signature")
    PERMIT_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    permit: bytes
    signature: bytes
    def __init__(self, permit: _Optional[bytes] = ..., signature: _Optional[bytes] = ...) -> None: ...

class Permit(_message.Message):
    __slots__ = ("id", "host_uid", "action", "request_sha256", "operation", "step", "not_before_unix_ms", "expire_unix_ms", "term")
    ID_FIELD_NUMBER: _ClassVar[int]
    HOST_UID_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    REQUEST_SHA256_FIELD_NUMBER: _ClassVar[int]
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    NOT_BEFORE_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    TERM_FIELD_NUMBER: _ClassVar[int]
    id: str
    host_uid: str
    action: str
    request_sha256: bytes
    operation: str
    step: str
    not_before_unix_ms: int
    expire_unix_ms: int
    term: int
    def __init__(self, id: _Optional[str] = ..., host_uid: _Optional[str] = ..., action: _Optional[str] = ..., request_sha256: _Optional[bytes] = ..., operation: _Optional[str] = ..., step: _Optional[str] = ..., not_before_unix_ms: _Optional[int] = ..., expire_unix_ms: _Optional[int] = ..., term: _Optional[int] = ...) -> None: ...

class ActionRequest(_message.Message):
    __slots__ = ("unit", "inspect", "vote", "config", "snapshot", "ledger", "stop_job", "nudge", "bundle", "plugin", "service")
    UNIT_FIELD_NUMBER: _ClassVar[int]
    INSPECT_FIELD_NUMBER: _ClassVar[int]
    VOTE_FIELD_NUMBER: _ClassVar[int]
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    LEDGER_FIELD_NUMBER: _ClassVar[int]
    STOP_JOB_FIELD_NUMBER: _ClassVar[int]
    NUDGE_FIELD_NUMBER: _ClassVar[int]
    BUNDLE_FIELD_NUMBER: _ClassVar[int]
    PLUGIN_FIELD_NUMBER: _ClassVar[int]
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    unit: UnitAction
    inspect: InspectAction
    vote: VoteAction
    config: ConfigAction
    snapshot: SnapshotAction
    ledger: LedgerAction
    stop_job: StopJobAction
    nudge: NudgeAction
    bundle: BundleAction
    plugin: PluginAction
    service: UnitAction
    def __init__(self, unit: _Optional[_Union[UnitAction, _Mapping]] = ..., inspect: _Optional[_Union[InspectAction, _Mapping]] = ..., vote: _Optional[_Union[VoteAction, _Mapping]] = ..., config: _Optional[_Union[ConfigAction, _Mapping]] = ..., snapshot: _Optional[_Union[SnapshotAction, _Mapping]] = ..., ledger: _Optional[_Union[LedgerAction, _Mapping]] = ..., stop_job: _Optional[_Union[StopJobAction, _Mapping]] = ..., nudge: _Optional[_Union[NudgeAction, _Mapping]] = ..., bundle: _Optional[_Union[BundleAction, _Mapping]] = ..., plugin: _Optional[_Union[PluginAction, _Mapping]] = ..., service: _Optional[_Union[UnitAction, _Mapping]] = ...) -> None: ...

class BundleAction(_message.Message):
    __slots__ = ("bundle", "transactions", "region", "tip_lamports", "deadline_unix_ms", "region_order", "again")
    BUNDLE_FIELD_NUMBER: _ClassVar[int]
    TRANSACTIONS_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    TIP_LAMPORTS_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    REGION_ORDER_FIELD_NUMBER: _ClassVar[int]
    AGAIN_FIELD_NUMBER: _ClassVar[int]
    bundle: str
    transactions: _containers.RepeatedScalarFieldContainer[bytes]
    region: str
    tip_lamports: int
    deadline_unix_ms: int
    region_order: _containers.RepeatedScalarFieldContainer[str]
    again: bool
    def __init__(self, bundle: _Optional[str] = ..., transactions: _Optional[_Iterable[bytes]] = ..., region: _Optional[str] = ..., tip_lamports: _Optional[int] = ..., deadline_unix_ms: _Optional[int] = ..., region_order: _Optional[_Iterable[str]] = ..., again: _Optional[bool] = ...) -> None: ...

class ConfigAction(_message.Message):
    __slots__ = ("unit", "etag", "changes", "to_version", "apply_now")
    UNIT_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    TO_VERSION_FIELD_NUMBER: _ClassVar[int]
    APPLY_NOW_FIELD_NUMBER: _ClassVar[int]
    unit: str
    etag: str
    changes: _containers.RepeatedCompositeFieldContainer[FlagChange]
    to_version: int
    apply_now: bool
    def __init__(self, unit: _Optional[str] = ..., etag: _Optional[str] = ..., changes: _Optional[_Iterable[_Union[FlagChange, _Mapping]]] = ..., to_version: _Optional[int] = ..., apply_now: _Optional[bool] = ...) -> None: ...

class SnapshotAction(_message.Message):
    __slots__ = ("unit", "verb", "archive", "policy", "plan_digest", "bytes_per_second", "timeout_ms", "next", "pin_slot", "logged_hash", "make_slot", "incremental")
    UNIT_FIELD_NUMBER: _ClassVar[int]
    VERB_FIELD_NUMBER: _ClassVar[int]
    ARCHIVE_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    PLAN_DIGEST_FIELD_NUMBER: _ClassVar[int]
    BYTES_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_MS_FIELD_NUMBER: _ClassVar[int]
    NEXT_FIELD_NUMBER: _ClassVar[int]
    PIN_SLOT_FIELD_NUMBER: _ClassVar[int]
    LOGGED_HASH_FIELD_NUMBER: _ClassVar[int]
    MAKE_SLOT_FIELD_NUMBER: _ClassVar[int]
    INCREMENTAL_FIELD_NUMBER: _ClassVar[int]
    unit: str
    verb: SnapshotVerb
    archive: str
    policy: PrunePolicy
    plan_digest: str
    bytes_per_second: int
    timeout_ms: int
    next: bool
    pin_slot: int
    logged_hash: str
    make_slot: int
    incremental: bool
    def __init__(self, unit: _Optional[str] = ..., verb: _Optional[_Union[SnapshotVerb, str]] = ..., archive: _Optional[str] = ..., policy: _Optional[_Union[PrunePolicy, _Mapping]] = ..., plan_digest: _Optional[str] = ..., bytes_per_second: _Optional[int] = ..., timeout_ms: _Optional[int] = ..., next: _Optional[bool] = ..., pin_slot: _Optional[int] = ..., logged_hash: _Optional[str] = ..., make_slot: _Optional[int] = ..., incremental: _Optional[bool] = ...) -> None: ...

class StopJobAction(_message.Message):
    __slots__ = ("unit", "step", "action")
    UNIT_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    unit: str
    step: str
    action: str
    def __init__(self, unit: _Optional[str] = ..., step: _Optional[str] = ..., action: _Optional[str] = ...) -> None: ...

class LedgerAction(_message.Message):
    __slots__ = ("unit", "verb", "first_slot", "last_slot", "plan_digest", "timeout_ms", "purge_from")
    UNIT_FIELD_NUMBER: _ClassVar[int]
    VERB_FIELD_NUMBER: _ClassVar[int]
    FIRST_SLOT_FIELD_NUMBER: _ClassVar[int]
    LAST_SLOT_FIELD_NUMBER: _ClassVar[int]
    PLAN_DIGEST_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_MS_FIELD_NUMBER: _ClassVar[int]
    PURGE_FROM_FIELD_NUMBER: _ClassVar[int]
    unit: str
    verb: LedgerVerb
    first_slot: int
    last_slot: int
    plan_digest: str
    timeout_ms: int
    purge_from: int
    def __init__(self, unit: _Optional[str] = ..., verb: _Optional[_Union[LedgerVerb, str]] = ..., first_slot: _Optional[int] = ..., last_slot: _Optional[int] = ..., plan_digest: _Optional[str] = ..., timeout_ms: _Optional[int] = ..., purge_from: _Optional[int] = ...) -> None: ...

class NudgeAction(_message.Message):
    __slots__ = ("unit", "expected_invocation", "first_slot", "last_slot", "shreds", "watch_ms")
    UNIT_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_INVOCATION_FIELD_NUMBER: _ClassVar[int]
    FIRST_SLOT_FIELD_NUMBER: _ClassVar[int]
    LAST_SLOT_FIELD_NUMBER: _ClassVar[int]
    SHREDS_FIELD_NUMBER: _ClassVar[int]
    WATCH_MS_FIELD_NUMBER: _ClassVar[int]
    unit: str
    expected_invocation: str
    first_slot: int
    last_slot: int
    shreds: _containers.RepeatedScalarFieldContainer[int]
    watch_ms: int
    def __init__(self, unit: _Optional[str] = ..., expected_invocation: _Optional[str] = ..., first_slot: _Optional[int] = ..., last_slot: _Optional[int] = ..., shreds: _Optional[_Iterable[int]] = ..., watch_ms: _Optional[int] = ...) -> None: ...

class LedgerReport(_message.Message):
    __slots__ = ("runs", "runs_left_out", "steps", "left", "left_left_out", "digest", "snapshot_slot", "newest_root")
    RUNS_FIELD_NUMBER: _ClassVar[int]
    RUNS_LEFT_OUT_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    LEFT_FIELD_NUMBER: _ClassVar[int]
    LEFT_LEFT_OUT_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_SLOT_FIELD_NUMBER: _ClassVar[int]
    NEWEST_ROOT_FIELD_NUMBER: _ClassVar[int]
    runs: _containers.RepeatedCompositeFieldContainer[SlotRun]
    runs_left_out: int
    steps: _containers.RepeatedCompositeFieldContainer[LedgerStep]
    left: _containers.RepeatedCompositeFieldContainer[LedgerLeft]
    left_left_out: int
    digest: str
    snapshot_slot: int
    newest_root: int
    def __init__(self, runs: _Optional[_Iterable[_Union[SlotRun, _Mapping]]] = ..., runs_left_out: _Optional[int] = ..., steps: _Optional[_Iterable[_Union[LedgerStep, _Mapping]]] = ..., left: _Optional[_Iterable[_Union[LedgerLeft, _Mapping]]] = ..., left_left_out: _Optional[int] = ..., digest: _Optional[str] = ..., snapshot_slot: _Optional[int] = ..., newest_root: _Optional[int] = ...) -> None: ...

class SlotRun(_message.Message):
    __slots__ = ("first", "last", "state", "after")
    FIRST_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    first: int
    last: int
    state: str
    after: str
    def __init__(self, first: _Optional[int] = ..., last: _Optional[int] = ..., state: _Optional[str] = ..., after: _Optional[str] = ...) -> None: ...

class LedgerStep(_message.Message):
    __slots__ = ("verb", "first", "last", "slots", "why", "done", "words")
    VERB_FIELD_NUMBER: _ClassVar[int]
    FIRST_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    SLOTS_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    WORDS_FIELD_NUMBER: _ClassVar[int]
    verb: str
    first: int
    last: int
    slots: int
    why: str
    done: bool
    words: str
    def __init__(self, verb: _Optional[str] = ..., first: _Optional[int] = ..., last: _Optional[int] = ..., slots: _Optional[int] = ..., why: _Optional[str] = ..., done: _Optional[bool] = ..., words: _Optional[str] = ...) -> None: ...

class LedgerLeft(_message.Message):
    __slots__ = ("first", "last", "state", "verdict", "why")
    FIRST_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    first: int
    last: int
    state: str
    verdict: str
    why: str
    def __init__(self, first: _Optional[int] = ..., last: _Optional[int] = ..., state: _Optional[str] = ..., verdict: _Optional[str] = ..., why: _Optional[str] = ...) -> None: ...

class PrunePolicy(_message.Message):
    __slots__ = ("keep_full", "keep_incremental", "keep_younger_seconds", "max_bytes")
    KEEP_FULL_FIELD_NUMBER: _ClassVar[int]
    KEEP_INCREMENTAL_FIELD_NUMBER: _ClassVar[int]
    KEEP_YOUNGER_SECONDS_FIELD_NUMBER: _ClassVar[int]
    MAX_BYTES_FIELD_NUMBER: _ClassVar[int]
    keep_full: int
    keep_incremental: int
    keep_younger_seconds: int
    max_bytes: int
    def __init__(self, keep_full: _Optional[int] = ..., keep_incremental: _Optional[int] = ..., keep_younger_seconds: _Optional[int] = ..., max_bytes: _Optional[int] = ...) -> None: ...

class SnapshotsReport(_message.Message):
    __slots__ = ("archives", "oddities", "work_files", "pins", "prune", "prune_digest", "free_bytes")
    class OdditiesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ARCHIVES_FIELD_NUMBER: _ClassVar[int]
    ODDITIES_FIELD_NUMBER: _ClassVar[int]
    WORK_FILES_FIELD_NUMBER: _ClassVar[int]
    PINS_FIELD_NUMBER: _ClassVar[int]
    PRUNE_FIELD_NUMBER: _ClassVar[int]
    PRUNE_DIGEST_FIELD_NUMBER: _ClassVar[int]
    FREE_BYTES_FIELD_NUMBER: _ClassVar[int]
    archives: _containers.RepeatedCompositeFieldContainer[SnapshotArchive]
    oddities: _containers.ScalarMap[str, str]
    work_files: int
    pins: _containers.RepeatedCompositeFieldContainer[SnapshotPin]
    prune: _containers.RepeatedCompositeFieldContainer[PruneEntry]
    prune_digest: str
    free_bytes: int
    def __init__(self, archives: _Optional[_Iterable[_Union[SnapshotArchive, _Mapping]]] = ..., oddities: _Optional[_Mapping[str, str]] = ..., work_files: _Optional[int] = ..., pins: _Optional[_Iterable[_Union[SnapshotPin, _Mapping]]] = ..., prune: _Optional[_Iterable[_Union[PruneEntry, _Mapping]]] = ..., prune_digest: _Optional[str] = ..., free_bytes: _Optional[int] = ...) -> None: ...

class SnapshotArchive(_message.Message):
    __slots__ = ("name", "slot", "base", "size", "unix_ms", "remote", "base_present", "sha256", "bad")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SLOT_FIELD_NUMBER: _ClassVar[int]
    BASE_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    REMOTE_FIELD_NUMBER: _ClassVar[int]
    BASE_PRESENT_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    BAD_FIELD_NUMBER: _ClassVar[int]
    name: str
    slot: int
    base: int
    size: int
    unix_ms: int
    remote: bool
    base_present: bool
    sha256: str
    bad: bool
    def __init__(self, name: _Optional[str] = ..., slot: _Optional[int] = ..., base: _Optional[int] = ..., size: _Optional[int] = ..., unix_ms: _Optional[int] = ..., remote: _Optional[bool] = ..., base_present: _Optional[bool] = ..., sha256: _Optional[str] = ..., bad: _Optional[bool] = ...) -> None: ...

class SnapshotPin(_message.Message):
    __slots__ = ("slot", "archives", "unix_ms", "size")
    SLOT_FIELD_NUMBER: _ClassVar[int]
    ARCHIVES_FIELD_NUMBER: _ClassVar[int]
    UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    slot: int
    archives: _containers.RepeatedScalarFieldContainer[str]
    unix_ms: int
    size: int
    def __init__(self, slot: _Optional[int] = ..., archives: _Optional[_Iterable[str]] = ..., unix_ms: _Optional[int] = ..., size: _Optional[int] = ...) -> None: ...

class PruneEntry(_message.Message):
    __slots__ = ("name", "why", "size")
    NAME_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    name: str
    why: str
    size: int
    def __init__(self, name: _Optional[str] = ..., why: _Optional[str] = ..., size: _Optional[int] = ...) -> None: ...

class ArchiveCheck(_message.Message):
    __slots__ = ("id", "verdict", "reason", "message")
    ID_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    id: str
    verdict: str
    reason: str
    message: str
    def __init__(self, id: _Optional[str] = ..., verdict: _Optional[str] = ..., reason: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...

class FlagChange(_message.Message):
    __slots__ = ("name", "values", "remove")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    REMOVE_FIELD_NUMBER: _ClassVar[int]
    name: str
    values: _containers.RepeatedScalarFieldContainer[str]
    remove: bool
    def __init__(self, name: _Optional[str] = ..., values: _Optional[_Iterable[str]] = ..., remove: _Optional[bool] = ...) -> None: ...

class FlagsReport(_message.Message):
    __slots__ = ("unit", "source", "program", "etag", "arguments", "versions", "changeable", "node_version", "diff", "at_next_start")
    UNIT_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    PROGRAM_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    ARGUMENTS_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    CHANGEABLE_FIELD_NUMBER: _ClassVar[int]
    NODE_VERSION_FIELD_NUMBER: _ClassVar[int]
    DIFF_FIELD_NUMBER: _ClassVar[int]
    AT_NEXT_START_FIELD_NUMBER: _ClassVar[int]
    unit: str
    source: str
    program: str
    etag: str
    arguments: _containers.RepeatedCompositeFieldContainer[FlagArgument]
    versions: _containers.RepeatedCompositeFieldContainer[FlagsVersion]
    changeable: _containers.RepeatedScalarFieldContainer[str]
    node_version: str
    diff: _containers.RepeatedScalarFieldContainer[str]
    at_next_start: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, unit: _Optional[str] = ..., source: _Optional[str] = ..., program: _Optional[str] = ..., etag: _Optional[str] = ..., arguments: _Optional[_Iterable[_Union[FlagArgument, _Mapping]]] = ..., versions: _Optional[_Iterable[_Union[FlagsVersion, _Mapping]]] = ..., changeable: _Optional[_Iterable[str]] = ..., node_version: _Optional[str] = ..., diff: _Optional[_Iterable[str]] = ..., at_next_start: _Optional[_Iterable[str]] = ...) -> None: ...

class FlagArgument(_message.Message):
    __slots__ = ("name", "value", "fixed")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    FIXED_FIELD_NUMBER: _ClassVar[int]
    name: str
    value: str
    fixed: bool
    def __init__(self, name: _Optional[str] = ..., value: _Optional[str] = ..., fixed: _Optional[bool] = ...) -> None: ...

class FlagsVersion(_message.Message):
    __slots__ = ("version", "unix_ms", "etag")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    version: int
    unix_ms: int
    etag: str
    def __init__(self, version: _Optional[int] = ..., unix_ms: _Optional[int] = ..., etag: _Optional[str] = ...) -> None: ...

class InspectAction(_message.Message):
    __slots__ = ("unit", "flags", "change", "snapshots", "prune", "partition_lags")
    UNIT_FIELD_NUMBER: _ClassVar[int]
    FLAGS_FIELD_NUMBER: _ClassVar[int]
    CHANGE_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOTS_FIELD_NUMBER: _ClassVar[int]
    PRUNE_FIELD_NUMBER: _ClassVar[int]
    PARTITION_LAGS_FIELD_NUMBER: _ClassVar[int]
    unit: str
    flags: bool
    change: ConfigAction
    snapshots: bool
    prune: PrunePolicy
    partition_lags: PartitionLagsAsk
    def __init__(self, unit: _Optional[str] = ..., flags: _Optional[bool] = ..., change: _Optional[_Union[ConfigAction, _Mapping]] = ..., snapshots: _Optional[bool] = ..., prune: _Optional[_Union[PrunePolicy, _Mapping]] = ..., partition_lags: _Optional[_Union[PartitionLagsAsk, _Mapping]] = ...) -> None: ...

class PartitionLagsAsk(_message.Message):
    __slots__ = ("source", "group", "topic", "limit")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    TOPIC_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    source: str
    group: str
    topic: str
    limit: int
    def __init__(self, source: _Optional[str] = ..., group: _Optional[str] = ..., topic: _Optional[str] = ..., limit: _Optional[int] = ...) -> None: ...

class VoteAction(_message.Message):
    __slots__ = ("unit", "enable", "expected_invocation", "proof_ms")
    UNIT_FIELD_NUMBER: _ClassVar[int]
    ENABLE_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_INVOCATION_FIELD_NUMBER: _ClassVar[int]
    PROOF_MS_FIELD_NUMBER: _ClassVar[int]
    unit: str
    enable: bool
    expected_invocation: str
    proof_ms: int
    def __init__(self, unit: _Optional[str] = ..., enable: _Optional[bool] = ..., expected_invocation: _Optional[str] = ..., proof_ms: _Optional[int] = ...) -> None: ...

class NodeReport(_message.Message):
    __slots__ = ("unix_ms", "version", "identity", "vote_account", "start_progress", "pid", "health", "slot", "epoch", "slot_index", "slots_in_epoch", "next_leader_slot", "slot_ms", "delinquent_percent", "full_snapshot_slot", "incremental_snapshot_slot", "fastboot", "makes_snapshots", "disks", "tower", "voting_enabled", "last_vote", "vote_account_node", "troubles")
    UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    IDENTITY_FIELD_NUMBER: _ClassVar[int]
    VOTE_ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    START_PROGRESS_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    HEALTH_FIELD_NUMBER: _ClassVar[int]
    SLOT_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    SLOT_INDEX_FIELD_NUMBER: _ClassVar[int]
    SLOTS_IN_EPOCH_FIELD_NUMBER: _ClassVar[int]
    NEXT_LEADER_SLOT_FIELD_NUMBER: _ClassVar[int]
    SLOT_MS_FIELD_NUMBER: _ClassVar[int]
    DELINQUENT_PERCENT_FIELD_NUMBER: _ClassVar[int]
    FULL_SNAPSHOT_SLOT_FIELD_NUMBER: _ClassVar[int]
    INCREMENTAL_SNAPSHOT_SLOT_FIELD_NUMBER: _ClassVar[int]
    FASTBOOT_FIELD_NUMBER: _ClassVar[int]
    MAKES_SNAPSHOTS_FIELD_NUMBER: _ClassVar[int]
    DISKS_FIELD_NUMBER: _ClassVar[int]
    TOWER_FIELD_NUMBER: _ClassVar[int]
    VOTING_ENABLED_FIELD_NUMBER: _ClassVar[int]
    LAST_VOTE_FIELD_NUMBER: _ClassVar[int]
    VOTE_ACCOUNT_NODE_FIELD_NUMBER: _ClassVar[int]
    TROUBLES_FIELD_NUMBER: _ClassVar[int]
    unix_ms: int
    version: str
    identity: str
    vote_account: str
    start_progress: str
    pid: int
    health: str
    slot: int
    epoch: int
    slot_index: int
    slots_in_epoch: int
    next_leader_slot: int
    slot_ms: float
    delinquent_percent: float
    full_snapshot_slot: int
    incremental_snapshot_slot: int
    fastboot: bool
    makes_snapshots: bool
    disks: _containers.RepeatedCompositeFieldContainer[Disk]
    tower: Tower
    voting_enabled: bool
    last_vote: int
    vote_account_node: str
    troubles: _containers.RepeatedCompositeFieldContainer[Trouble]
    def __init__(self, unix_ms: _Optional[int] = ..., version: _Optional[str] = ..., identity: _Optional[str] = ..., vote_account: _Optional[str] = ..., start_progress: _Optional[str] = ..., pid: _Optional[int] = ..., health: _Optional[str] = ..., slot: _Optional[int] = ..., epoch: _Optional[int] = ..., slot_index: _Optional[int] = ..., slots_in_epoch: _Optional[int] = ..., next_leader_slot: _Optional[int] = ..., slot_ms: _Optional[float] = ..., delinquent_percent: _Optional[float] = ..., full_snapshot_slot: _Optional[int] = ..., incremental_snapshot_slot: _Optional[int] = ..., fastboot: _Optional[bool] = ..., makes_snapshots: _Optional[bool] = ..., disks: _Optional[_Iterable[_Union[Disk, _Mapping]]] = ..., tower: _Optional[_Union[Tower, _Mapping]] = ..., voting_enabled: _Optional[bool] = ..., last_vote: _Optional[int] = ..., vote_account_node: _Optional[str] = ..., troubles: _Optional[_Iterable[_Union[Trouble, _Mapping]]] = ...) -> None: ...

class Disk(_message.Message):
    __slots__ = ("path", "free_bytes", "total_bytes")
    PATH_FIELD_NUMBER: _ClassVar[int]
    FREE_BYTES_FIELD_NUMBER: _ClassVar[int]
    TOTAL_BYTES_FIELD_NUMBER: _ClassVar[int]
    path: str
    free_bytes: int
    total_bytes: int
    def __init__(self, path: _Optional[str] = ..., free_bytes: _Optional[int] = ..., total_bytes: _Optional[int] = ...) -> None: ...

class Tower(_message.Message):
    __slots__ = ("path", "age_ms", "signed")
    PATH_FIELD_NUMBER: _ClassVar[int]
    AGE_MS_FIELD_NUMBER: _ClassVar[int]
    SIGNED_FIELD_NUMBER: _ClassVar[int]
    path: str
    age_ms: int
    signed: bool
    def __init__(self, path: _Optional[str] = ..., age_ms: _Optional[int] = ..., signed: _Optional[bool] = ...) -> None: ...

class Trouble(_message.Message):
    __slots__ = ("source", "reason", "message")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    source: str
    reason: str
    message: str
    def __init__(self, source: _Optional[str] = ..., reason: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...

class PluginAction(_message.Message):
    __slots__ = ("unit", "verb", "source", "timeout_ms", "expected_invocation")
    UNIT_FIELD_NUMBER: _ClassVar[int]
    VERB_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_MS_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_INVOCATION_FIELD_NUMBER: _ClassVar[int]
    unit: str
    verb: PluginVerb
    source: str
    timeout_ms: int
    expected_invocation: str
    def __init__(self, unit: _Optional[str] = ..., verb: _Optional[_Union[PluginVerb, str]] = ..., source: _Optional[str] = ..., timeout_ms: _Optional[int] = ..., expected_invocation: _Optional[str] = ...) -> None: ...

class UnitAction(_message.Message):
    __slots__ = ("unit", "verb", "timeout_ms", "settle_ms", "expected_invocation", "expected_active_state", "graceful", "force", "before_slot", "expected_identity")
    UNIT_FIELD_NUMBER: _ClassVar[int]
    VERB_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_MS_FIELD_NUMBER: _ClassVar[int]
    SETTLE_MS_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_INVOCATION_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_ACTIVE_STATE_FIELD_NUMBER: _ClassVar[int]
    GRACEFUL_FIELD_NUMBER: _ClassVar[int]
    FORCE_FIELD_NUMBER: _ClassVar[int]
    BEFORE_SLOT_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_IDENTITY_FIELD_NUMBER: _ClassVar[int]
    unit: str
    verb: UnitVerb
    timeout_ms: int
    settle_ms: int
    expected_invocation: str
    expected_active_state: str
    graceful: bool
    force: bool
    before_slot: int
    expected_identity: str
    def __init__(self, unit: _Optional[str] = ..., verb: _Optional[_Union[UnitVerb, str]] = ..., timeout_ms: _Optional[int] = ..., settle_ms: _Optional[int] = ..., expected_invocation: _Optional[str] = ..., expected_active_state: _Optional[str] = ..., graceful: _Optional[bool] = ..., force: _Optional[bool] = ..., before_slot: _Optional[int] = ..., expected_identity: _Optional[str] = ...) -> None: ...

class UnitState(_message.Message):
    __slots__ = ("unit", "load_state", "active_state", "sub_state", "invocation_id", "main_pid", "restarts", "exit_status", "result")
    UNIT_FIELD_NUMBER: _ClassVar[int]
    LOAD_STATE_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_STATE_FIELD_NUMBER: _ClassVar[int]
    SUB_STATE_FIELD_NUMBER: _ClassVar[int]
    INVOCATION_ID_FIELD_NUMBER: _ClassVar[int]
    MAIN_PID_FIELD_NUMBER: _ClassVar[int]
    RESTARTS_FIELD_NUMBER: _ClassVar[int]
    EXIT_STATUS_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    unit: str
    load_state: str
    active_state: str
    sub_state: str
    invocation_id: str
    main_pid: int
    restarts: int
    exit_status: int
    result: str
    def __init__(self, unit: _Optional[str] = ..., load_state: _Optional[str] = ..., active_state: _Optional[str] = ..., sub_state: _Optional[str] = ..., invocation_id: _Optional[str] = ..., main_pid: _Optional[int] = ..., restarts: _Optional[int] = ..., exit_status: _Optional[int] = ..., result: _Optional[str] = ...) -> None: ...

class UnitReport(_message.Message):
    __slots__ = ("state", "unix_ms")
    STATE_FIELD_NUMBER: _ClassVar[int]
    UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    state: UnitState
    unix_ms: int
    def __init__(self, state: _Optional[_Union[UnitState, _Mapping]] = ..., unix_ms: _Optional[int] = ...) -> None: ...

class Receipt(_message.Message):
    __slots__ = ("permit_id", "operation", "step", "host_uid", "action", "request_sha256", "result", "reason", "message", "before", "after", "start_unix_ms", "end_unix_ms", "job_ms", "agent_version", "node", "figures", "flags", "snapshots", "checks", "ledger", "partition_lags")
    class FiguresEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    PERMIT_ID_FIELD_NUMBER: _ClassVar[int]
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    HOST_UID_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    REQUEST_SHA256_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    START_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    END_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    JOB_MS_FIELD_NUMBER: _ClassVar[int]
    AGENT_VERSION_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    FIGURES_FIELD_NUMBER: _ClassVar[int]
    FLAGS_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOTS_FIELD_NUMBER: _ClassVar[int]
    CHECKS_FIELD_NUMBER: _ClassVar[int]
    LEDGER_FIELD_NUMBER: _ClassVar[int]
    PARTITION_LAGS_FIELD_NUMBER: _ClassVar[int]
    permit_id: str
    operation: str
    step: str
    host_uid: str
    action: str
    request_sha256: bytes
    result: ReceiptResult
    reason: str
    message: str
    before: UnitState
    after: UnitState
    start_unix_ms: int
    end_unix_ms: int
    job_ms: float
    agent_version: str
    node: NodeReport
    figures: _containers.ScalarMap[str, str]
    flags: FlagsReport
    snapshots: SnapshotsReport
    checks: _containers.RepeatedCompositeFieldContainer[ArchiveCheck]
    ledger: LedgerReport
    partition_lags: _geyser_pb2.PartitionLags
    def __init__(self, permit_id: _Optional[str] = ..., operation: _Optional[str] = ..., step: _Optional[str] = ..., host_uid: _Optional[str] = ..., action: _Optional[str] = ..., request_sha256: _Optional[bytes] = ..., result: _Optional[_Union[ReceiptResult, str]] = ..., reason: _Optional[str] = ..., message: _Optional[str] = ..., before: _Optional[_Union[UnitState, _Mapping]] = ..., after: _Optional[_Union[UnitState, _Mapping]] = ..., start_unix_ms: _Optional[int] = ..., end_unix_ms: _Optional[int] = ..., job_ms: _Optional[float] = ..., agent_version: _Optional[str] = ..., node: _Optional[_Union[NodeReport, _Mapping]] = ..., figures: _Optional[_Mapping[str, str]] = ..., flags: _Optional[_Union[FlagsReport, _Mapping]] = ..., snapshots: _Optional[_Union[SnapshotsReport, _Mapping]] = ..., checks: _Optional[_Iterable[_Union[ArchiveCheck, _Mapping]]] = ..., ledger: _Optional[_Union[LedgerReport, _Mapping]] = ..., partition_lags: _Optional[_Union[_geyser_pb2.PartitionLags, _Mapping]] = ...) -> None: ...

class SignedReceipt(_message.Message):
    __slots__ = ("receipt", "signature", "certificate_serial")
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATE_SERIAL_FIELD_NUMBER: _ClassVar[int]
    receipt: bytes
    signature: bytes
    certificate_serial: str
    def __init__(self, receipt: _Optional[bytes] = ..., signature: _Optional[bytes] = ..., certificate_serial: _Optional[str] = ...) -> None: ...

class CommandProgress(_message.Message):
    __slots__ = ("operation", "step", "message")
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    operation: str
    step: str
    message: str
    def __init__(self, operation: _Optional[str] = ..., step: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...
