from jito import packet_pb2 as _packet_pb2
from jito import shared_pb2 as _shared_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetTpuConfigsResponse(_message.Message):
    __slots__ = ("tpu", "tpu_forward")
    TPU_FIELD_NUMBER: _ClassVar[int]
    TPU_FORWARD_FIELD_NUMBER: _ClassVar[int]
    tpu: _shared_pb2.Socket
    tpu_forward: _shared_pb2.Socket
    def __init__(self, tpu: _Optional[_Union[_shared_pb2.Socket, _Mapping]] = ..., tpu_forward: _Optional[_Union[_shared_pb2.Socket, _Mapping]] = ...) -> None: ...

class SubscribePacketsResponse(_message.Message):
    __slots__ = ("header", "heartbeat", "batch")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    BATCH_FIELD_NUMBER: _ClassVar[int]
    header: _shared_pb2.Header
    heartbeat: _shared_pb2.Heartbeat
    batch: _packet_pb2.PacketBatch
    def __init__(self, header: _Optional[_Union[_shared_pb2.Header, _Mapping]] = ..., heartbeat: _Optional[_Union[_shared_pb2.Heartbeat, _Mapping]] = ..., batch: _Optional[_Union[_packet_pb2.PacketBatch, _Mapping]] = ...) -> None: ...

class GetTpuConfigsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class SubscribePacketsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
