import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from solward.policy.v1 import policy_pb2 as _policy_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class EnrollRequest(_message.Message):
    __slots__ = ("host", "join_token", "csr_pem", "exchange_token")
    HOST_FIELD_NUMBER: _ClassVar[int]
    JOIN_TOKEN_FIELD_NUMBER: _ClassVar[int]
    CSR_PEM_FIELD_NUMBER: _ClassVar[int]
    EXCHANGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    host: str
    join_token: str
    csr_pem: str
    exchange_token: str
    def __init__(self, host: _Optional[str] = ..., join_token: _Optional[str] = ..., csr_pem: _Optional[str] = ..., exchange_token: _Optional[str] = ...) -> None: ...

class RenewRequest(_message.Message):
    __slots__ = ("csr_pem",)
    CSR_PEM_FIELD_NUMBER: _ClassVar[int]
    csr_pem: str
    def __init__(self, csr_pem: _Optional[str] = ...) -> None: ...

class Identity(_message.Message):
    __slots__ = ("host", "uid", "certificate_pem", "ca_pem", "permit_keys", "expire_time", "audit_key", "trust")
    HOST_FIELD_NUMBER: _ClassVar[int]
    UID_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATE_PEM_FIELD_NUMBER: _ClassVar[int]
    CA_PEM_FIELD_NUMBER: _ClassVar[int]
    PERMIT_KEYS_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    AUDIT_KEY_FIELD_NUMBER: _ClassVar[int]
    TRUST_FIELD_NUMBER: _ClassVar[int]
    host: str
    uid: str
    certificate_pem: str
    ca_pem: str
    permit_keys: _containers.RepeatedScalarFieldContainer[bytes]
    expire_time: _timestamp_pb2.Timestamp
    audit_key: bytes
    trust: SignedTrust
    def __init__(self, host: _Optional[str] = ..., uid: _Optional[str] = ..., certificate_pem: _Optional[str] = ..., ca_pem: _Optional[str] = ..., permit_keys: _Optional[_Iterable[bytes]] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., audit_key: _Optional[bytes] = ..., trust: _Optional[_Union[SignedTrust, _Mapping]] = ...) -> None: ...

class SignedTrust(_message.Message):
    __slots__ = ("trust", "signature")
    TRUST_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    trust: bytes
    signature: bytes
    def __init__(self, trust: _Optional[bytes] = ..., signature: _Optional[bytes] = ...) -> None: ...

class Trust(_message.Message):
    __slots__ = ("version", "roots_pem", "issuer_key_id")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    ROOTS_PEM_FIELD_NUMBER: _ClassVar[int]
    ISSUER_KEY_ID_FIELD_NUMBER: _ClassVar[int]
    version: int
    roots_pem: str
    issuer_key_id: bytes
    def __init__(self, version: _Optional[int] = ..., roots_pem: _Optional[str] = ..., issuer_key_id: _Optional[bytes] = ...) -> None: ...
