from google.protobuf import descriptor_pb2 as _descriptor_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Risk(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RISK_UNSPECIFIED: _ClassVar[Risk]
    RISK_READ: _ClassVar[Risk]
    RISK_OPERATE: _ClassVar[Risk]
    RISK_DESTRUCTIVE: _ClassVar[Risk]
    RISK_ADMIN: _ClassVar[Risk]

class SecondFactor(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SECOND_FACTOR_UNSPECIFIED: _ClassVar[SecondFactor]
    SECOND_FACTOR_NONE: _ClassVar[SecondFactor]
    SECOND_FACTOR_RECENT: _ClassVar[SecondFactor]
    SECOND_FACTOR_PER_CALL: _ClassVar[SecondFactor]

class PrincipalKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PRINCIPAL_KIND_UNSPECIFIED: _ClassVar[PrincipalKind]
    PRINCIPAL_KIND_ANONYMOUS: _ClassVar[PrincipalKind]
    PRINCIPAL_KIND_USER: _ClassVar[PrincipalKind]
    PRINCIPAL_KIND_SERVICE: _ClassVar[PrincipalKind]
    PRINCIPAL_KIND_AGENT: _ClassVar[PrincipalKind]

class AuditLevel(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    AUDIT_LEVEL_UNSPECIFIED: _ClassVar[AuditLevel]
    AUDIT_LEVEL_NONE: _ClassVar[AuditLevel]
    AUDIT_LEVEL_REFUSED: _ClassVar[AuditLevel]
    AUDIT_LEVEL_ALWAYS: _ClassVar[AuditLevel]

class RateClass(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RATE_CLASS_UNSPECIFIED: _ClassVar[RateClass]
    RATE_CLASS_CREDENTIAL: _ClassVar[RateClass]
    RATE_CLASS_READ: _ClassVar[RateClass]
    RATE_CLASS_WRITE: _ClassVar[RateClass]
    RATE_CLASS_STREAM: _ClassVar[RateClass]
RISK_UNSPECIFIED: Risk
RISK_READ: Risk
RISK_OPERATE: Risk
RISK_DESTRUCTIVE: Risk
RISK_ADMIN: Risk
SECOND_FACTOR_UNSPECIFIED: SecondFactor
SECOND_FACTOR_NONE: SecondFactor
SECOND_FACTOR_RECENT: SecondFactor
SECOND_FACTOR_PER_CALL: SecondFactor
PRINCIPAL_KIND_UNSPECIFIED: PrincipalKind
PRINCIPAL_KIND_ANONYMOUS: PrincipalKind
PRINCIPAL_KIND_USER: PrincipalKind
PRINCIPAL_KIND_SERVICE: PrincipalKind
PRINCIPAL_KIND_AGENT: PrincipalKind
AUDIT_LEVEL_UNSPECIFIED: AuditLevel
AUDIT_LEVEL_NONE: AuditLevel
AUDIT_LEVEL_REFUSED: AuditLevel
AUDIT_LEVEL_ALWAYS: AuditLevel
RATE_CLASS_UNSPECIFIED: RateClass
RATE_CLASS_CREDENTIAL: RateClass
RATE_CLASS_READ: RateClass
RATE_CLASS_WRITE: RateClass
RATE_CLASS_STREAM: RateClass
METHOD_FIELD_NUMBER: _ClassVar[int]
method: _descriptor.FieldDescriptor
FIELD_FIELD_NUMBER: _ClassVar[int]
field: _descriptor.FieldDescriptor

class MethodPolicy(_message.Message):
    __slots__ = ("permission", "risk", "second_factor", "approvals", "principals", "audit", "rate", "resource_field", "scoped", "power_approvals", "others_permission")
    PERMISSION_FIELD_NUMBER: _ClassVar[int]
    RISK_FIELD_NUMBER: _ClassVar[int]
    SECOND_FACTOR_FIELD_NUMBER: _ClassVar[int]
    APPROVALS_FIELD_NUMBER: _ClassVar[int]
    PRINCIPALS_FIELD_NUMBER: _ClassVar[int]
    AUDIT_FIELD_NUMBER: _ClassVar[int]
    RATE_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_FIELD_FIELD_NUMBER: _ClassVar[int]
    SCOPED_FIELD_NUMBER: _ClassVar[int]
    POWER_APPROVALS_FIELD_NUMBER: _ClassVar[int]
    OTHERS_PERMISSION_FIELD_NUMBER: _ClassVar[int]
    permission: str
    risk: Risk
    second_factor: SecondFactor
    approvals: int
    principals: _containers.RepeatedScalarFieldContainer[PrincipalKind]
    audit: AuditLevel
    rate: RateClass
    resource_field: str
    scoped: bool
    power_approvals: int
    others_permission: str
    def __init__(self, permission: _Optional[str] = ..., risk: _Optional[_Union[Risk, str]] = ..., second_factor: _Optional[_Union[SecondFactor, str]] = ..., approvals: _Optional[int] = ..., principals: _Optional[_Iterable[_Union[PrincipalKind, str]]] = ..., audit: _Optional[_Union[AuditLevel, str]] = ..., rate: _Optional[_Union[RateClass, str]] = ..., resource_field: _Optional[str] = ..., scoped: _Optional[bool] = ..., power_approvals: _Optional[int] = ..., others_permission: _Optional[str] = ...) -> None: ...

class FieldRules(_message.Message):
    __slots__ = ("required", "pattern", "min_length", "max_length", "min", "max", "max_items", "sensitive", "approvals")
    REQUIRED_FIELD_NUMBER: _ClassVar[int]
    PATTERN_FIELD_NUMBER: _ClassVar[int]
    MIN_LENGTH_FIELD_NUMBER: _ClassVar[int]
    MAX_LENGTH_FIELD_NUMBER: _ClassVar[int]
    MIN_FIELD_NUMBER: _ClassVar[int]
    MAX_FIELD_NUMBER: _ClassVar[int]
    MAX_ITEMS_FIELD_NUMBER: _ClassVar[int]
    SENSITIVE_FIELD_NUMBER: _ClassVar[int]
    APPROVALS_FIELD_NUMBER: _ClassVar[int]
    required: bool
    pattern: str
    min_length: int
    max_length: int
    min: int
    max: int
    max_items: int
    sensitive: bool
    approvals: int
    def __init__(self, required: _Optional[bool] = ..., pattern: _Optional[str] = ..., min_length: _Optional[int] = ..., max_length: _Optional[int] = ..., min: _Optional[int] = ..., max: _Optional[int] = ..., max_items: _Optional[int] = ..., sensitive: _Optional[bool] = ..., approvals: _Optional[int] = ...) -> None: ...
