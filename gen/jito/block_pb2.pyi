from jito import shared_pb2 as _shared_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CondensedBlock(_message.Message):
    __slots__ = ("header", "previous_blockhash", "blockhash", "parent_slot", "versioned_transactions", "slot", "commitment")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_BLOCKHASH_FIELD_NUMBER: _ClassVar[int]
    BLOCKHASH_FIELD_NUMBER: _ClassVar[int]
    PARENT_SLOT_FIELD_NUMBER: _ClassVar[int]
    VERSIONED_TRANSACTIONS_FIELD_NUMBER: _ClassVar[int]
    SLOT_FIELD_NUMBER: _ClassVar[int]
    COMMITMENT_FIELD_NUMBER: _ClassVar[int]
    header: _shared_pb2.Header
    previous_blockhash: str
    blockhash: str
    parent_slot: int
    versioned_transactions: _containers.RepeatedScalarFieldContainer[bytes]
    slot: int
    commitment: str
    def __init__(self, header: _Optional[_Union[_shared_pb2.Header, _Mapping]] = ..., previous_blockhash: _Optional[str] = ..., blockhash: _Optional[str] = ..., parent_slot: _Optional[int] = ..., versioned_transactions: _Optional[_Iterable[bytes]] = ..., slot: _Optional[int] = ..., commitment: _Optional[str] = ...) -> None: ...
