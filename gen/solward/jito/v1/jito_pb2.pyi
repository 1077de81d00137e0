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

class BundleState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    BUNDLE_STATE_UNSPECIFIED: _ClassVar[BundleState]
    BUNDLE_STATE_CHECKED: _ClassVar[BundleState]
    BUNDLE_STATE_SENDING: _ClassVar[BundleState]
    BUNDLE_STATE_SENT: _ClassVar[BundleState]
    BUNDLE_STATE_ACCEPTED: _ClassVar[BundleState]
    BUNDLE_STATE_REJECTED: _ClassVar[BundleState]
    BUNDLE_STATE_LANDED: _ClassVar[BundleState]
    BUNDLE_STATE_FINALIZED: _ClassVar[BundleState]
    BUNDLE_STATE_EXPIRED: _ClassVar[BundleState]
    BUNDLE_STATE_FAILED: _ClassVar[BundleState]
    BUNDLE_STATE_PARTIAL: _ClassVar[BundleState]
    BUNDLE_STATE_UNKNOWN: _ClassVar[BundleState]
BUNDLE_STATE_UNSPECIFIED: BundleState
BUNDLE_STATE_CHECKED: BundleState
BUNDLE_STATE_SENDING: BundleState
BUNDLE_STATE_SENT: BundleState
BUNDLE_STATE_ACCEPTED: BundleState
BUNDLE_STATE_REJECTED: BundleState
BUNDLE_STATE_LANDED: BundleState
BUNDLE_STATE_FINALIZED: BundleState
BUNDLE_STATE_EXPIRED: BundleState
BUNDLE_STATE_FAILED: BundleState
BUNDLE_STATE_PARTIAL: BundleState
BUNDLE_STATE_UNKNOWN: BundleState

class SubmitBundleRequest(_message.Message):
    __slots__ = ("host", "transactions", "strategy", "profit_lamports", "region", "validate_only", "request_id", "max_sends")
    HOST_FIELD_NUMBER: _ClassVar[int]
    TRANSACTIONS_FIELD_NUMBER: _ClassVar[int]
    STRATEGY_FIELD_NUMBER: _ClassVar[int]
    PROFIT_LAMPORTS_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    MAX_SENDS_FIELD_NUMBER: _ClassVar[int]
    host: str
    transactions: _containers.RepeatedScalarFieldContainer[bytes]
    strategy: str
    profit_lamports: int
    region: str
    validate_only: bool
    request_id: str
    max_sends: int
    def __init__(self, host: _Optional[str] = ..., transactions: _Optional[_Iterable[bytes]] = ..., strategy: _Optional[str] = ..., profit_lamports: _Optional[int] = ..., region: _Optional[str] = ..., validate_only: _Optional[bool] = ..., request_id: _Optional[str] = ..., max_sends: _Optional[int] = ...) -> None: ...

class GetBundleRequest(_message.Message):
    __slots__ = ("bundle",)
    BUNDLE_FIELD_NUMBER: _ClassVar[int]
    bundle: str
    def __init__(self, bundle: _Optional[str] = ...) -> None: ...

class ListBundlesRequest(_message.Message):
    __slots__ = ("host", "strategy", "page_size", "page_token", "canaries")
    HOST_FIELD_NUMBER: _ClassVar[int]
    STRATEGY_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    CANARIES_FIELD_NUMBER: _ClassVar[int]
    host: str
    strategy: str
    page_size: int
    page_token: str
    canaries: bool
    def __init__(self, host: _Optional[str] = ..., strategy: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., canaries: _Optional[bool] = ...) -> None: ...

class ListBundlesResponse(_message.Message):
    __slots__ = ("bundles", "next_page_token")
    BUNDLES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    bundles: _containers.RepeatedCompositeFieldContainer[Bundle]
    next_page_token: str
    def __init__(self, bundles: _Optional[_Iterable[_Union[Bundle, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class WatchBundlesRequest(_message.Message):
    __slots__ = ("host", "canaries", "newest", "strategy")
    HOST_FIELD_NUMBER: _ClassVar[int]
    CANARIES_FIELD_NUMBER: _ClassVar[int]
    NEWEST_FIELD_NUMBER: _ClassVar[int]
    STRATEGY_FIELD_NUMBER: _ClassVar[int]
    host: str
    canaries: bool
    newest: int
    strategy: str
    def __init__(self, host: _Optional[str] = ..., canaries: _Optional[bool] = ..., newest: _Optional[int] = ..., strategy: _Optional[str] = ...) -> None: ...

class Bundle(_message.Message):
    __slots__ = ("name", "host", "requester", "strategy", "state", "signatures", "tip_lamports", "profit_lamports", "fee_lamports", "compute_units", "region", "tries", "last_valid_block_height", "slot", "reason", "message", "simulated_bid_lamports", "events", "create_time", "ack_time", "end_time", "observed", "expected_landing", "canary", "region_order", "region_reasons", "sends", "max_sends", "own_transactions", "wished_region")
    NAME_FIELD_NUMBER: _ClassVar[int]
    HOST_FIELD_NUMBER: _ClassVar[int]
    REQUESTER_FIELD_NUMBER: _ClassVar[int]
    STRATEGY_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    SIGNATURES_FIELD_NUMBER: _ClassVar[int]
    TIP_LAMPORTS_FIELD_NUMBER: _ClassVar[int]
    PROFIT_LAMPORTS_FIELD_NUMBER: _ClassVar[int]
    FEE_LAMPORTS_FIELD_NUMBER: _ClassVar[int]
    COMPUTE_UNITS_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    TRIES_FIELD_NUMBER: _ClassVar[int]
    LAST_VALID_BLOCK_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    SLOT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    SIMULATED_BID_LAMPORTS_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    ACK_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    OBSERVED_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_LANDING_FIELD_NUMBER: _ClassVar[int]
    CANARY_FIELD_NUMBER: _ClassVar[int]
    REGION_ORDER_FIELD_NUMBER: _ClassVar[int]
    REGION_REASONS_FIELD_NUMBER: _ClassVar[int]
    SENDS_FIELD_NUMBER: _ClassVar[int]
    MAX_SENDS_FIELD_NUMBER: _ClassVar[int]
    OWN_TRANSACTIONS_FIELD_NUMBER: _ClassVar[int]
    WISHED_REGION_FIELD_NUMBER: _ClassVar[int]
    name: str
    host: str
    requester: str
    strategy: str
    state: BundleState
    signatures: _containers.RepeatedScalarFieldContainer[str]
    tip_lamports: int
    profit_lamports: int
    fee_lamports: int
    compute_units: int
    region: str
    tries: int
    last_valid_block_height: int
    slot: int
    reason: str
    message: str
    simulated_bid_lamports: int
    events: _containers.RepeatedCompositeFieldContainer[BundleEvent]
    create_time: _timestamp_pb2.Timestamp
    ack_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    observed: bool
    expected_landing: float
    canary: bool
    region_order: _containers.RepeatedScalarFieldContainer[str]
    region_reasons: _containers.RepeatedScalarFieldContainer[str]
    sends: int
    max_sends: int
    own_transactions: _containers.RepeatedScalarFieldContainer[int]
    wished_region: str
    def __init__(self, name: _Optional[str] = ..., host: _Optional[str] = ..., requester: _Optional[str] = ..., strategy: _Optional[str] = ..., state: _Optional[_Union[BundleState, str]] = ..., signatures: _Optional[_Iterable[str]] = ..., tip_lamports: _Optional[int] = ..., profit_lamports: _Optional[int] = ..., fee_lamports: _Optional[int] = ..., compute_units: _Optional[int] = ..., region: _Optional[str] = ..., tries: _Optional[int] = ..., last_valid_block_height: _Optional[int] = ..., slot: _Optional[int] = ..., reason: _Optional[str] = ..., message: _Optional[str] = ..., simulated_bid_lamports: _Optional[int] = ..., events: _Optional[_Iterable[_Union[BundleEvent, _Mapping]]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., ack_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., observed: _Optional[bool] = ..., expected_landing: _Optional[float] = ..., canary: _Optional[bool] = ..., region_order: _Optional[_Iterable[str]] = ..., region_reasons: _Optional[_Iterable[str]] = ..., sends: _Optional[int] = ..., max_sends: _Optional[int] = ..., own_transactions: _Optional[_Iterable[int]] = ..., wished_region: _Optional[str] = ...) -> None: ...

class BundleEvent(_message.Message):
    __slots__ = ("time", "kind", "region", "slot", "validator", "bid_lamports", "message")
    TIME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    SLOT_FIELD_NUMBER: _ClassVar[int]
    VALIDATOR_FIELD_NUMBER: _ClassVar[int]
    BID_LAMPORTS_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    time: _timestamp_pb2.Timestamp
    kind: str
    region: str
    slot: int
    validator: str
    bid_lamports: int
    message: str
    def __init__(self, time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., kind: _Optional[str] = ..., region: _Optional[str] = ..., slot: _Optional[int] = ..., validator: _Optional[str] = ..., bid_lamports: _Optional[int] = ..., message: _Optional[str] = ...) -> None: ...

class ListRegionsRequest(_message.Message):
    __slots__ = ("host",)
    HOST_FIELD_NUMBER: _ClassVar[int]
    host: str
    def __init__(self, host: _Optional[str] = ...) -> None: ...

class ListRegionsResponse(_message.Message):
    __slots__ = ("regions",)
    REGIONS_FIELD_NUMBER: _ClassVar[int]
    regions: _containers.RepeatedCompositeFieldContainer[Region]
    def __init__(self, regions: _Optional[_Iterable[_Union[Region, _Mapping]]] = ...) -> None: ...

class Region(_message.Message):
    __slots__ = ("host", "region", "rtt_ms", "rtt_p99_ms", "uplink_ms", "stream_up", "wait_seconds", "errors", "rank", "reasons", "worth", "left_alone", "leader_here", "listed", "unknown")
    class ErrorsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    HOST_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    RTT_MS_FIELD_NUMBER: _ClassVar[int]
    RTT_P99_MS_FIELD_NUMBER: _ClassVar[int]
    UPLINK_MS_FIELD_NUMBER: _ClassVar[int]
    STREAM_UP_FIELD_NUMBER: _ClassVar[int]
    WAIT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    ERRORS_FIELD_NUMBER: _ClassVar[int]
    RANK_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    WORTH_FIELD_NUMBER: _ClassVar[int]
    LEFT_ALONE_FIELD_NUMBER: _ClassVar[int]
    LEADER_HERE_FIELD_NUMBER: _ClassVar[int]
    LISTED_FIELD_NUMBER: _ClassVar[int]
    UNKNOWN_FIELD_NUMBER: _ClassVar[int]
    host: str
    region: str
    rtt_ms: float
    rtt_p99_ms: float
    uplink_ms: float
    stream_up: bool
    wait_seconds: float
    errors: _containers.ScalarMap[str, int]
    rank: int
    reasons: _containers.RepeatedScalarFieldContainer[str]
    worth: float
    left_alone: bool
    leader_here: bool
    listed: bool
    unknown: bool
    def __init__(self, host: _Optional[str] = ..., region: _Optional[str] = ..., rtt_ms: _Optional[float] = ..., rtt_p99_ms: _Optional[float] = ..., uplink_ms: _Optional[float] = ..., stream_up: _Optional[bool] = ..., wait_seconds: _Optional[float] = ..., errors: _Optional[_Mapping[str, int]] = ..., rank: _Optional[int] = ..., reasons: _Optional[_Iterable[str]] = ..., worth: _Optional[float] = ..., left_alone: _Optional[bool] = ..., leader_here: _Optional[bool] = ..., listed: _Optional[bool] = ..., unknown: _Optional[bool] = ...) -> None: ...

class GetTipsRequest(_message.Message):
    __slots__ = ("history_seconds",)
    HISTORY_SECONDS_FIELD_NUMBER: _ClassVar[int]
    history_seconds: int
    def __init__(self, history_seconds: _Optional[int] = ...) -> None: ...

class Tips(_message.Message):
    __slots__ = ("time", "floor", "congestion", "age_seconds", "history", "source")
    TIME_FIELD_NUMBER: _ClassVar[int]
    FLOOR_FIELD_NUMBER: _ClassVar[int]
    CONGESTION_FIELD_NUMBER: _ClassVar[int]
    AGE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    HISTORY_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    time: _timestamp_pb2.Timestamp
    floor: TipFloor
    congestion: float
    age_seconds: float
    history: _containers.RepeatedCompositeFieldContainer[TipFloor]
    source: str
    def __init__(self, time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., floor: _Optional[_Union[TipFloor, _Mapping]] = ..., congestion: _Optional[float] = ..., age_seconds: _Optional[float] = ..., history: _Optional[_Iterable[_Union[TipFloor, _Mapping]]] = ..., source: _Optional[str] = ...) -> None: ...

class TipFloor(_message.Message):
    __slots__ = ("time", "p25_lamports", "p50_lamports", "p75_lamports", "p95_lamports", "p99_lamports", "ema_p50_lamports")
    TIME_FIELD_NUMBER: _ClassVar[int]
    P25_LAMPORTS_FIELD_NUMBER: _ClassVar[int]
    P50_LAMPORTS_FIELD_NUMBER: _ClassVar[int]
    P75_LAMPORTS_FIELD_NUMBER: _ClassVar[int]
    P95_LAMPORTS_FIELD_NUMBER: _ClassVar[int]
    P99_LAMPORTS_FIELD_NUMBER: _ClassVar[int]
    EMA_P50_LAMPORTS_FIELD_NUMBER: _ClassVar[int]
    time: _timestamp_pb2.Timestamp
    p25_lamports: int
    p50_lamports: int
    p75_lamports: int
    p95_lamports: int
    p99_lamports: int
    ema_p50_lamports: int
    def __init__(self, time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., p25_lamports: _Optional[int] = ..., p50_lamports: _Optional[int] = ..., p75_lamports: _Optional[int] = ..., p95_lamports: _Optional[int] = ..., p99_lamports: _Optional[int] = ..., ema_p50_lamports: _Optional[int] = ...) -> None: ...

class GetPriorityFeesRequest(_message.Message):
    __slots__ = ("accounts", "compute_units")
    ACCOUNTS_FIELD_NUMBER: _ClassVar[int]
    COMPUTE_UNITS_FIELD_NUMBER: _ClassVar[int]
    accounts: _containers.RepeatedScalarFieldContainer[str]
    compute_units: int
    def __init__(self, accounts: _Optional[_Iterable[str]] = ..., compute_units: _Optional[int] = ...) -> None: ...

class PriorityFees(_message.Message):
    __slots__ = ("levels", "slots", "free_share", "caveat")
    LEVELS_FIELD_NUMBER: _ClassVar[int]
    SLOTS_FIELD_NUMBER: _ClassVar[int]
    FREE_SHARE_FIELD_NUMBER: _ClassVar[int]
    CAVEAT_FIELD_NUMBER: _ClassVar[int]
    levels: _containers.RepeatedCompositeFieldContainer[PriorityFee]
    slots: int
    free_share: float
    caveat: str
    def __init__(self, levels: _Optional[_Iterable[_Union[PriorityFee, _Mapping]]] = ..., slots: _Optional[int] = ..., free_share: _Optional[float] = ..., caveat: _Optional[str] = ...) -> None: ...

class PriorityFee(_message.Message):
    __slots__ = ("level", "percentile", "micro_lamports", "lamports")
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    PERCENTILE_FIELD_NUMBER: _ClassVar[int]
    MICRO_LAMPORTS_FIELD_NUMBER: _ClassVar[int]
    LAMPORTS_FIELD_NUMBER: _ClassVar[int]
    level: str
    percentile: float
    micro_lamports: int
    lamports: int
    def __init__(self, level: _Optional[str] = ..., percentile: _Optional[float] = ..., micro_lamports: _Optional[int] = ..., lamports: _Optional[int] = ...) -> None: ...

class GetExpectedValueRequest(_message.Message):
    __slots__ = ("profit_lamports", "strategy", "tip_lamports", "fee_lamports", "compute_units", "transactions", "cap_lamports", "host", "region")
    PROFIT_LAMPORTS_FIELD_NUMBER: _ClassVar[int]
    STRATEGY_FIELD_NUMBER: _ClassVar[int]
    TIP_LAMPORTS_FIELD_NUMBER: _ClassVar[int]
    FEE_LAMPORTS_FIELD_NUMBER: _ClassVar[int]
    COMPUTE_UNITS_FIELD_NUMBER: _ClassVar[int]
    TRANSACTIONS_FIELD_NUMBER: _ClassVar[int]
    CAP_LAMPORTS_FIELD_NUMBER: _ClassVar[int]
    HOST_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    profit_lamports: int
    strategy: str
    tip_lamports: int
    fee_lamports: int
    compute_units: int
    transactions: int
    cap_lamports: int
    host: str
    region: str
    def __init__(self, profit_lamports: _Optional[int] = ..., strategy: _Optional[str] = ..., tip_lamports: _Optional[int] = ..., fee_lamports: _Optional[int] = ..., compute_units: _Optional[int] = ..., transactions: _Optional[int] = ..., cap_lamports: _Optional[int] = ..., host: _Optional[str] = ..., region: _Optional[str] = ...) -> None: ...

class ExpectedValue(_message.Message):
    __slots__ = ("best", "asked", "break_even_lamports", "reasons", "learnt")
    BEST_FIELD_NUMBER: _ClassVar[int]
    ASKED_FIELD_NUMBER: _ClassVar[int]
    BREAK_EVEN_LAMPORTS_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    LEARNT_FIELD_NUMBER: _ClassVar[int]
    best: TipValue
    asked: TipValue
    break_even_lamports: int
    reasons: _containers.RepeatedScalarFieldContainer[str]
    learnt: int
    def __init__(self, best: _Optional[_Union[TipValue, _Mapping]] = ..., asked: _Optional[_Union[TipValue, _Mapping]] = ..., break_even_lamports: _Optional[int] = ..., reasons: _Optional[_Iterable[str]] = ..., learnt: _Optional[int] = ...) -> None: ...

class TipValue(_message.Message):
    __slots__ = ("tip_lamports", "landing", "landing_low", "landing_high", "value_lamports", "value_low_lamports", "value_high_lamports")
    TIP_LAMPORTS_FIELD_NUMBER: _ClassVar[int]
    LANDING_FIELD_NUMBER: _ClassVar[int]
    LANDING_LOW_FIELD_NUMBER: _ClassVar[int]
    LANDING_HIGH_FIELD_NUMBER: _ClassVar[int]
    VALUE_LAMPORTS_FIELD_NUMBER: _ClassVar[int]
    VALUE_LOW_LAMPORTS_FIELD_NUMBER: _ClassVar[int]
    VALUE_HIGH_LAMPORTS_FIELD_NUMBER: _ClassVar[int]
    tip_lamports: int
    landing: float
    landing_low: float
    landing_high: float
    value_lamports: int
    value_low_lamports: int
    value_high_lamports: int
    def __init__(self, tip_lamports: _Optional[int] = ..., landing: _Optional[float] = ..., landing_low: _Optional[float] = ..., landing_high: _Optional[float] = ..., value_lamports: _Optional[int] = ..., value_low_lamports: _Optional[int] = ..., value_high_lamports: _Optional[int] = ...) -> None: ...

class GetSpendRequest(_message.Message):
    __slots__ = ("days",)
    DAYS_FIELD_NUMBER: _ClassVar[int]
    days: int
    def __init__(self, days: _Optional[int] = ...) -> None: ...

class Spend(_message.Message):
    __slots__ = ("strategies",)
    STRATEGIES_FIELD_NUMBER: _ClassVar[int]
    strategies: _containers.RepeatedCompositeFieldContainer[StrategySpend]
    def __init__(self, strategies: _Optional[_Iterable[_Union[StrategySpend, _Mapping]]] = ...) -> None: ...

class StrategySpend(_message.Message):
    __slots__ = ("strategy", "sent", "landed", "unknown", "landing_rate", "landing_low", "landing_high", "tipped_lamports", "profit_lamports", "fee_lamports", "overpaid_lamports", "return_per_lamport", "unknown_lamports")
    STRATEGY_FIELD_NUMBER: _ClassVar[int]
    SENT_FIELD_NUMBER: _ClassVar[int]
    LANDED_FIELD_NUMBER: _ClassVar[int]
    UNKNOWN_FIELD_NUMBER: _ClassVar[int]
    LANDING_RATE_FIELD_NUMBER: _ClassVar[int]
    LANDING_LOW_FIELD_NUMBER: _ClassVar[int]
    LANDING_HIGH_FIELD_NUMBER: _ClassVar[int]
    TIPPED_LAMPORTS_FIELD_NUMBER: _ClassVar[int]
    PROFIT_LAMPORTS_FIELD_NUMBER: _ClassVar[int]
    FEE_LAMPORTS_FIELD_NUMBER: _ClassVar[int]
    OVERPAID_LAMPORTS_FIELD_NUMBER: _ClassVar[int]
    RETURN_PER_LAMPORT_FIELD_NUMBER: _ClassVar[int]
    UNKNOWN_LAMPORTS_FIELD_NUMBER: _ClassVar[int]
    strategy: str
    sent: int
    landed: int
    unknown: int
    landing_rate: float
    landing_low: float
    landing_high: float
    tipped_lamports: int
    profit_lamports: int
    fee_lamports: int
    overpaid_lamports: int
    return_per_lamport: float
    unknown_lamports: int
    def __init__(self, strategy: _Optional[str] = ..., sent: _Optional[int] = ..., landed: _Optional[int] = ..., unknown: _Optional[int] = ..., landing_rate: _Optional[float] = ..., landing_low: _Optional[float] = ..., landing_high: _Optional[float] = ..., tipped_lamports: _Optional[int] = ..., profit_lamports: _Optional[int] = ..., fee_lamports: _Optional[int] = ..., overpaid_lamports: _Optional[int] = ..., return_per_lamport: _Optional[float] = ..., unknown_lamports: _Optional[int] = ...) -> None: ...

class GetBudgetRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class UpdateBudgetRequest(_message.Message):
    __slots__ = ("daily_lamports", "bundle_lamports")
    DAILY_LAMPORTS_FIELD_NUMBER: _ClassVar[int]
    BUNDLE_LAMPORTS_FIELD_NUMBER: _ClassVar[int]
    daily_lamports: int
    bundle_lamports: int
    def __init__(self, daily_lamports: _Optional[int] = ..., bundle_lamports: _Optional[int] = ...) -> None: ...

class Budget(_message.Message):
    __slots__ = ("daily_lamports", "bundle_lamports", "spent_lamports", "reserved_lamports", "update_time", "updater")
    DAILY_LAMPORTS_FIELD_NUMBER: _ClassVar[int]
    BUNDLE_LAMPORTS_FIELD_NUMBER: _ClassVar[int]
    SPENT_LAMPORTS_FIELD_NUMBER: _ClassVar[int]
    RESERVED_LAMPORTS_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    UPDATER_FIELD_NUMBER: _ClassVar[int]
    daily_lamports: int
    bundle_lamports: int
    spent_lamports: int
    reserved_lamports: int
    update_time: _timestamp_pb2.Timestamp
    updater: str
    def __init__(self, daily_lamports: _Optional[int] = ..., bundle_lamports: _Optional[int] = ..., spent_lamports: _Optional[int] = ..., reserved_lamports: _Optional[int] = ..., update_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., updater: _Optional[str] = ...) -> None: ...
