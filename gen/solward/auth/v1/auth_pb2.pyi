import datetime

from google.api import annotations_pb2 as _annotations_pb2
from google.protobuf import empty_pb2 as _empty_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from solward.policy.v1 import policy_pb2 as _policy_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class LoginRequest(_message.Message):
    __slots__ = ("username", "password", "totp_code", "recovery_code")
    USERNAME_FIELD_NUMBER: _ClassVar[int]
    PASSWORD_FIELD_NUMBER: _ClassVar[int]
    TOTP_CODE_FIELD_NUMBER: _ClassVar[int]
    RECOVERY_CODE_FIELD_NUMBER: _ClassVar[int]
    username: str
    password: str
    totp_code: str
    recovery_code: str
    def __init__(self, username: _Optional[str] = ..., password: _Optional[str] = ..., totp_code: _Optional[str] = ..., recovery_code: _Optional[str] = ...) -> None: ...

class RefreshSessionRequest(_message.Message):
    __slots__ = ("refresh_token",)
    REFRESH_TOKEN_FIELD_NUMBER: _ClassVar[int]
    refresh_token: str
    def __init__(self, refresh_token: _Optional[str] = ...) -> None: ...

class LogoutRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class VerifySecondFactorRequest(_message.Message):
    __slots__ = ("totp_code", "call_digest")
    TOTP_CODE_FIELD_NUMBER: _ClassVar[int]
    CALL_DIGEST_FIELD_NUMBER: _ClassVar[int]
    totp_code: str
    call_digest: str
    def __init__(self, totp_code: _Optional[str] = ..., call_digest: _Optional[str] = ...) -> None: ...

class SecondFactorProof(_message.Message):
    __slots__ = ("proof", "expire_time")
    PROOF_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    proof: str
    expire_time: _timestamp_pb2.Timestamp
    def __init__(self, proof: _Optional[str] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Session(_message.Message):
    __slots__ = ("username", "access_token", "access_expire_time", "refresh_token", "session_expire_time", "roots_pem")
    USERNAME_FIELD_NUMBER: _ClassVar[int]
    ACCESS_TOKEN_FIELD_NUMBER: _ClassVar[int]
    ACCESS_EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    REFRESH_TOKEN_FIELD_NUMBER: _ClassVar[int]
    SESSION_EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    ROOTS_PEM_FIELD_NUMBER: _ClassVar[int]
    username: str
    access_token: str
    access_expire_time: _timestamp_pb2.Timestamp
    refresh_token: str
    session_expire_time: _timestamp_pb2.Timestamp
    roots_pem: str
    def __init__(self, username: _Optional[str] = ..., access_token: _Optional[str] = ..., access_expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., refresh_token: _Optional[str] = ..., session_expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., roots_pem: _Optional[str] = ...) -> None: ...

class GetCallerRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Caller(_message.Message):
    __slots__ = ("username", "kind", "role", "permissions", "second_factor_expire_time", "has_second_factor", "recovery_codes_left")
    USERNAME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    PERMISSIONS_FIELD_NUMBER: _ClassVar[int]
    SECOND_FACTOR_EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    HAS_SECOND_FACTOR_FIELD_NUMBER: _ClassVar[int]
    RECOVERY_CODES_LEFT_FIELD_NUMBER: _ClassVar[int]
    username: str
    kind: _policy_pb2.PrincipalKind
    role: str
    permissions: _containers.RepeatedScalarFieldContainer[str]
    second_factor_expire_time: _timestamp_pb2.Timestamp
    has_second_factor: bool
    recovery_codes_left: int
    def __init__(self, username: _Optional[str] = ..., kind: _Optional[_Union[_policy_pb2.PrincipalKind, str]] = ..., role: _Optional[str] = ..., permissions: _Optional[_Iterable[str]] = ..., second_factor_expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., has_second_factor: _Optional[bool] = ..., recovery_codes_left: _Optional[int] = ...) -> None: ...

class AcceptInvitationRequest(_message.Message):
    __slots__ = ("invitation", "password")
    INVITATION_FIELD_NUMBER: _ClassVar[int]
    PASSWORD_FIELD_NUMBER: _ClassVar[int]
    invitation: str
    password: str
    def __init__(self, invitation: _Optional[str] = ..., password: _Optional[str] = ...) -> None: ...

class AuthenticatorSecret(_message.Message):
    __slots__ = ("username", "otpauth_uri", "qr_svg")
    USERNAME_FIELD_NUMBER: _ClassVar[int]
    OTPAUTH_URI_FIELD_NUMBER: _ClassVar[int]
    QR_SVG_FIELD_NUMBER: _ClassVar[int]
    username: str
    otpauth_uri: str
    qr_svg: str
    def __init__(self, username: _Optional[str] = ..., otpauth_uri: _Optional[str] = ..., qr_svg: _Optional[str] = ...) -> None: ...

class ConfirmInvitationRequest(_message.Message):
    __slots__ = ("invitation", "totp_code")
    INVITATION_FIELD_NUMBER: _ClassVar[int]
    TOTP_CODE_FIELD_NUMBER: _ClassVar[int]
    invitation: str
    totp_code: str
    def __init__(self, invitation: _Optional[str] = ..., totp_code: _Optional[str] = ...) -> None: ...

class RecoveryCodes(_message.Message):
    __slots__ = ("username", "codes")
    USERNAME_FIELD_NUMBER: _ClassVar[int]
    CODES_FIELD_NUMBER: _ClassVar[int]
    username: str
    codes: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, username: _Optional[str] = ..., codes: _Optional[_Iterable[str]] = ...) -> None: ...

class SetUpSecondFactorRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ConfirmSecondFactorRequest(_message.Message):
    __slots__ = ("totp_code",)
    TOTP_CODE_FIELD_NUMBER: _ClassVar[int]
    totp_code: str
    def __init__(self, totp_code: _Optional[str] = ...) -> None: ...

class RenewRecoveryCodesRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListSessionsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListSessionsResponse(_message.Message):
    __slots__ = ("sessions",)
    SESSIONS_FIELD_NUMBER: _ClassVar[int]
    sessions: _containers.RepeatedCompositeFieldContainer[OpenSession]
    def __init__(self, sessions: _Optional[_Iterable[_Union[OpenSession, _Mapping]]] = ...) -> None: ...

class OpenSession(_message.Message):
    __slots__ = ("name", "username", "create_time", "use_time", "expire_time", "peer", "current")
    NAME_FIELD_NUMBER: _ClassVar[int]
    USERNAME_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    USE_TIME_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    PEER_FIELD_NUMBER: _ClassVar[int]
    CURRENT_FIELD_NUMBER: _ClassVar[int]
    name: str
    username: str
    create_time: _timestamp_pb2.Timestamp
    use_time: _timestamp_pb2.Timestamp
    expire_time: _timestamp_pb2.Timestamp
    peer: str
    current: bool
    def __init__(self, name: _Optional[str] = ..., username: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., use_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., peer: _Optional[str] = ..., current: _Optional[bool] = ...) -> None: ...

class EndSessionRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class BeginOidcLoginRequest(_message.Message):
    __slots__ = ("loopback_uri", "next")
    LOOPBACK_URI_FIELD_NUMBER: _ClassVar[int]
    NEXT_FIELD_NUMBER: _ClassVar[int]
    loopback_uri: str
    next: str
    def __init__(self, loopback_uri: _Optional[str] = ..., next: _Optional[str] = ...) -> None: ...

class OidcLogin(_message.Message):
    __slots__ = ("authorization_url", "state", "binding")
    AUTHORIZATION_URL_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    BINDING_FIELD_NUMBER: _ClassVar[int]
    authorization_url: str
    state: str
    binding: str
    def __init__(self, authorization_url: _Optional[str] = ..., state: _Optional[str] = ..., binding: _Optional[str] = ...) -> None: ...

class FinishOidcLoginRequest(_message.Message):
    __slots__ = ("state", "code", "binding", "issuer", "error")
    STATE_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    BINDING_FIELD_NUMBER: _ClassVar[int]
    ISSUER_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    state: str
    code: str
    binding: str
    issuer: str
    error: str
    def __init__(self, state: _Optional[str] = ..., code: _Optional[str] = ..., binding: _Optional[str] = ..., issuer: _Optional[str] = ..., error: _Optional[str] = ...) -> None: ...

class OidcSession(_message.Message):
    __slots__ = ("session", "next")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    NEXT_FIELD_NUMBER: _ClassVar[int]
    session: Session
    next: str
    def __init__(self, session: _Optional[_Union[Session, _Mapping]] = ..., next: _Optional[str] = ...) -> None: ...

class BeginDeviceLoginRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class DeviceLogin(_message.Message):
    __slots__ = ("user_code", "verification_uri", "verification_uri_complete", "handle_token", "interval_seconds", "expire_time")
    USER_CODE_FIELD_NUMBER: _ClassVar[int]
    VERIFICATION_URI_FIELD_NUMBER: _ClassVar[int]
    VERIFICATION_URI_COMPLETE_FIELD_NUMBER: _ClassVar[int]
    HANDLE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_SECONDS_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    user_code: str
    verification_uri: str
    verification_uri_complete: str
    handle_token: str
    interval_seconds: int
    expire_time: _timestamp_pb2.Timestamp
    def __init__(self, user_code: _Optional[str] = ..., verification_uri: _Optional[str] = ..., verification_uri_complete: _Optional[str] = ..., handle_token: _Optional[str] = ..., interval_seconds: _Optional[int] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class PollDeviceLoginRequest(_message.Message):
    __slots__ = ("handle_token",)
    HANDLE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    handle_token: str
    def __init__(self, handle_token: _Optional[str] = ...) -> None: ...

class EndOidcSessionRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class OidcLogout(_message.Message):
    __slots__ = ("end_session_url",)
    END_SESSION_URL_FIELD_NUMBER: _ClassVar[int]
    end_session_url: str
    def __init__(self, end_session_url: _Optional[str] = ...) -> None: ...

class BackChannelLogoutRequest(_message.Message):
    __slots__ = ("logout_token",)
    LOGOUT_TOKEN_FIELD_NUMBER: _ClassVar[int]
    logout_token: str
    def __init__(self, logout_token: _Optional[str] = ...) -> None: ...
