from jito import bundle_pb2 as _bundle_pb2
from jito import packet_pb2 as _packet_pb2
from jito import shared_pb2 as _shared_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SubscribePacketsResponse(_message.Message):
    __slots__ = ("header", "batch")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    BATCH_FIELD_NUMBER: _ClassVar[int]
    header: _shared_pb2.Header
    batch: _packet_pb2.PacketBatch
    def __init__(self, header: _Optional[_Union[_shared_pb2.Header, _Mapping]] = ..., batch: _Optional[_Union[_packet_pb2.PacketBatch, _Mapping]] = ...) -> None: ...

class SubscribeBundlesResponse(_message.Message):
    __slots__ = ("bundles",)
    BUNDLES_FIELD_NUMBER: _ClassVar[int]
    bundles: _containers.RepeatedCompositeFieldContainer[_bundle_pb2.BundleUuid]
    def __init__(self, bundles: _Optional[_Iterable[_Union[_bundle_pb2.BundleUuid, _Mapping]]] = ...) -> None: ...

class BlockBuilderFeeInfoResponse(_message.Message):
    __slots__ = ("pubkey", "commission")
    PUBKEY_FIELD_NUMBER: _ClassVar[int]
    COMMISSION_FIELD_NUMBER: _ClassVar[int]
    pubkey: str
    commission: int
    def __init__(self, pubkey: _Optional[str] = ..., commission: _Optional[int] = ...) -> None: ...

class AccountsOfInterest(_message.Message):
    __slots__ = ("accounts",)
    ACCOUNTS_FIELD_NUMBER: _ClassVar[int]
    accounts: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, accounts: _Optional[_Iterable[str]] = ...) -> None: ...

class AccountsOfInterestUpdate(_message.Message):
    __slots__ = ("accounts",)
    ACCOUNTS_FIELD_NUMBER: _ClassVar[int]
    accounts: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, accounts: _Optional[_Iterable[str]] = ...) -> None: ...

class ProgramsOfInterestUpdate(_message.Message):
    __slots__ = ("programs",)
    PROGRAMS_FIELD_NUMBER: _ClassVar[int]
    programs: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, programs: _Optional[_Iterable[str]] = ...) -> None: ...

class ExpiringPacketBatch(_message.Message):
    __slots__ = ("header", "batch", "expiry_ms")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    BATCH_FIELD_NUMBER: _ClassVar[int]
    EXPIRY_MS_FIELD_NUMBER: _ClassVar[int]
    header: _shared_pb2.Header
    batch: _packet_pb2.PacketBatch
    expiry_ms: int
    def __init__(self, header: _Optional[_Union[_shared_pb2.Header, _Mapping]] = ..., batch: _Optional[_Union[_packet_pb2.PacketBatch, _Mapping]] = ..., expiry_ms: _Optional[int] = ...) -> None: ...

class PacketBatchUpdate(_message.Message):
    __slots__ = ("batches", "heartbeat")
    BATCHES_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    batches: ExpiringPacketBatch
    heartbeat: _shared_pb2.Heartbeat
    def __init__(self, batches: _Optional[_Union[ExpiringPacketBatch, _Mapping]] = ..., heartbeat: _Optional[_Union[_shared_pb2.Heartbeat, _Mapping]] = ...) -> None: ...

class StartExpiringPacketStreamResponse(_message.Message):
    __slots__ = ("heartbeat",)
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    heartbeat: _shared_pb2.Heartbeat
    def __init__(self, heartbeat: _Optional[_Union[_shared_pb2.Heartbeat, _Mapping]] = ...) -> None: ...

class BlockEngineEndpoint(_message.Message):
    __slots__ = ("block_engine_url", "shredstream_receiver_address")
    BLOCK_ENGINE_URL_FIELD_NUMBER: _ClassVar[int]
    SHREDSTREAM_RECEIVER_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    block_engine_url: str
    shredstream_receiver_address: str
    def __init__(self, block_engine_url: _Optional[str] = ..., shredstream_receiver_address: _Optional[str] = ...) -> None: ...

class GetBlockEngineEndpointResponse(_message.Message):
    __slots__ = ("global_endpoint", "regioned_endpoints")
    GLOBAL_ENDPOINT_FIELD_NUMBER: _ClassVar[int]
    REGIONED_ENDPOINTS_FIELD_NUMBER: _ClassVar[int]
    global_endpoint: BlockEngineEndpoint
    regioned_endpoints: _containers.RepeatedCompositeFieldContainer[BlockEngineEndpoint]
    def __init__(self, global_endpoint: _Optional[_Union[BlockEngineEndpoint, _Mapping]] = ..., regioned_endpoints: _Optional[_Iterable[_Union[BlockEngineEndpoint, _Mapping]]] = ...) -> None: ...

class SubscribePacketsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class SubscribeBundlesRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class BlockBuilderFeeInfoRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class AccountsOfInterestRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ProgramsOfInterestRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetBlockEngineEndpointRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
