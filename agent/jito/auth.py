"""Authentication as a searcher: optional since 2024, and dropped for good where the key is not approved.

The handshake is that of Jito's own clients (searcher-examples, token_authenticator.rs): the text that is signed, and
sent back, is the public key in base58, a dash and the challenge.
"""

import asyncio
import json
import re
import time
from pathlib import Path

import grpc
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jito import auth_pb2
from jito.auth_pb2_grpc import AuthServiceStub

from agent.jito.channel import RegionChannel, ours_alone
from agent.secret_file import SettingsFileError, read_secret
from common import base58

log = structlog.get_logger(__name__)

Metadata = tuple[tuple[str, str], ...]
CALL_S = 5.0
# Before its end a token is renewed.
EARLY_S = 300.0
# Of a token that lives shorter than that.
EARLY_SHARE = 0.2
_KEYPAIR = 64
# Of JSON-RPC, by Jito's documentation; whether gRPC's side looks at it is not documented, and it does no harm there.
UUID_KEY = "x-jito-auth"
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def load_roots(path: Path | None) -> bytes | None:
    """Read authorities to trust, PEM; None for no file. Raises SettingsFileError."""
    try:
        return path.read_bytes() if path else None
    except OSError as error:
        raise SettingsFileError(f"jito.tls_roots: {path} cannot be read: {error.strerror}") from None


def load_key(path: Path, field: str = "jito.auth_key") -> Ed25519PrivateKey:
    """Read a keypair as solana-keygen writes it: a JSON list of 64 bytes.

    Args:
        field: the setting that names it, for messages.

    Raises: SettingsFileError where it cannot be read, or others may read it.
    """
    content = read_secret(path, field)
    try:
        raw = bytes(json.loads(content))
    except (ValueError, TypeError):
        raw = b""
    if len(raw) != _KEYPAIR:
        raise SettingsFileError(f"{field}: {path} must be a JSON list of {_KEYPAIR} bytes, as solana-keygen writes it")
    key = Ed25519PrivateKey.from_private_bytes(raw[:32])
    if key.public_key().public_bytes_raw() != raw[32:]:
        raise SettingsFileError(f"{field}: the two halves of {path} are not one keypair")
    return key


def load_uuid(path: Path) -> str:
    """Read the UUID that Jito gave; raises SettingsFileError where it is none, or others may read it."""
    text = read_secret(path, "jito.uuid_file").decode(errors="replace").strip().lower()
    if not _UUID.fullmatch(text):
        raise SettingsFileError(f"jito.uuid_file: {path} must hold one UUID, of 36 characters, and nothing else")
    return text


def challenge_text(public: bytes, challenge: str) -> str:
    """Give the text that answers a challenge."""
    return f"{base58.encode(public)}-{challenge}"


class _Token:
    def __init__(self, token: auth_pb2.Token) -> None:
        self.value = token.value
        self._until = time.monotonic() + token.expires_at_utc.ToMilliseconds() / 1000 - time.time()
        life = self._until - time.monotonic()
        self._early = min(EARLY_S, life * EARLY_SHARE)

    @property
    def fresh(self) -> bool:
        return time.monotonic() < self._until - self._early


class Auth:
    """The tokens of one region.

    Args:
        key: who we are; None: nobody, which is enough for most.
        uuid: what Jito gave us to raise our limit; empty: nothing.
    """

    def __init__(self, region: str, channel: RegionChannel, key: Ed25519PrivateKey | None, uuid: str = "") -> None:
        self._uuid: Metadata = ((UUID_KEY, uuid),) if uuid else ()
        self._region = region
        self._channel = channel
        self._key = key
        self._access: _Token | None = None
        self._refresh: _Token | None = None
        self._lock = asyncio.Lock()

    @property
    def dropped(self) -> bool:
        """Whether calls go out as nobody."""
        return self._key is None

    async def metadata(self) -> Metadata:
        """Give what each call carries, after a handshake or a renewal where one is due.

        Raises: grpc.aio.AioRpcError where the engine cannot be asked.
        """
        if self._key is None:
            return self._uuid
        async with self._lock:
            if not (self._access and self._access.fresh):
                try:
                    with ours_alone():
                        await self._renew(self._key)
                except grpc.aio.AioRpcError as error:
                    if error.code() is not grpc.StatusCode.PERMISSION_DENIED:
                        raise
                    log.error(
                        "the block engine does not know the key of jito.auth_key; calls go on without it",
                        region=self._region,
                    )
                    self._key = None
        bearer = (("authorization", f"Bearer {self._access.value}"),) if self._access and self._key else ()
        return (*bearer, *self._uuid)

    def refused(self) -> None:
        """Note that a token was not taken: the next call begins with a handshake."""
        self._access = self._refresh = None

    async def _renew(self, key: Ed25519PrivateKey) -> None:
        stub = AuthServiceStub(self._channel.channel)
        if self._refresh and self._refresh.fresh:
            request = auth_pb2.RefreshAccessTokenRequest(refresh_token=self._refresh.value)
            try:
                self._access = _Token((await stub.RefreshAccessToken(request, timeout=CALL_S)).access_token)
                return
            except grpc.aio.AioRpcError as error:
                if error.code() not in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED):
                    raise
        public = key.public_key().public_bytes_raw()
        asked = auth_pb2.GenerateAuthChallengeRequest(role=auth_pb2.SEARCHER, pubkey=public)
        challenge = (await stub.GenerateAuthChallenge(asked, timeout=CALL_S)).challenge
        text = challenge_text(public, challenge)
        answer = auth_pb2.GenerateAuthTokensRequest(
            challenge=text, client_pubkey=public, signed_challenge=key.sign(text.encode())
        )
        tokens = await stub.GenerateAuthTokens(answer, timeout=CALL_S)
        self._access, self._refresh = _Token(tokens.access_token), _Token(tokens.refresh_token)
