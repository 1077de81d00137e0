"""The identity provider: what it says of itself, its keys, and the tokens that it signs."""

import time
from typing import Any
from urllib.parse import urlencode

from authlib.oidc.core import CodeIDToken
from authlib.oidc.discovery import OpenIDProviderMetadata, get_well_known_url
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jws import extract_compact

from controlplane.identity.oidc.keys import Keys, KeyUnknown
from controlplane.identity.oidc.outbound import Outbound, OutboundError
from controlplane.identity.oidc.settings import OidcSettings

# Signatures by a key that only the provider has; never none, and never a shared secret.
ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
METADATA_S = 3600.0
LEEWAY_S = 60
LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"
# A logout token is about now.
LOGOUT_S = 300


class TokenRefused(Exception):
    """A token that is not to be believed; the words say why, and hold nothing of it."""


class Provider:
    """Talks to the provider that the settings name.

    Sources: OpenID Connect Core 1.0 §3.1.3.7 (ID token), Back-Channel Logout 1.0 §2.6, RFC 8628 (device grant),
    RFC 7636 (PKCE).
    """

    def __init__(self, settings: OidcSettings, outbound: Outbound) -> None:
        self._settings = settings
        self._http = outbound
        self._metadata: dict[str, Any] = {}
        self._metadata_at = float("-inf")
        self._keys = Keys(self._jwks)

    async def metadata(self) -> dict[str, Any]:
        """Give what the provider says of itself; raises OutboundError."""
        if time.monotonic() - self._metadata_at >= METADATA_S:
            try:
                found = await self._http.get(get_well_known_url(self._settings.issuer, external=True))
            except OutboundError:
                if not self._metadata:
                    raise
                return self._metadata
            self._metadata, self._metadata_at = self._checked(found), time.monotonic()
        return self._metadata

    async def authorization_url(self, **parameters: str) -> str:
        """Give the address where a person signs in, with these parameters."""
        endpoint = str((await self.metadata())["authorization_endpoint"])
        query = {"client_id": self._settings.client_id, "scope": " ".join(self._settings.scopes), **parameters}
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(query)}"

    async def end_session_url(self) -> str:
        """Give the address where a person signs out; empty where the provider has none."""
        endpoint = str((await self.metadata()).get("end_session_endpoint", ""))
        return f"{endpoint}?{urlencode({'client_id': self._settings.client_id})}" if endpoint else ""

    async def token(self, **form: str) -> tuple[int, dict[str, Any]]:
        """Ask the token endpoint, as the client; gives the HTTP status and the answer; raises OutboundError."""
        return await self._post("token_endpoint", form)

    async def device(self) -> dict[str, Any]:
        """Begin a device grant; raises OutboundError."""
        status, answer = await self._post("device_authorization_endpoint", {"scope": " ".join(self._settings.scopes)})
        if status != 200:
            raise OutboundError(f"the identity provider refuses a device login (HTTP {status})")
        return answer

    async def id_token(self, token: Any, nonce: str, access_token: str = "") -> CodeIDToken:
        """Check an ID token.

        Args:
            nonce: of the login; empty where the grant has none.

        Raises: TokenRefused, OutboundError.
        """
        decoded = await self._decode(token)
        options: dict[str, Any] = {
            "iss": {"essential": True, "value": self._settings.issuer},
            "aud": {"essential": True, "value": self._settings.client_id},
        }
        params = {"client_id": self._settings.client_id, "nonce": nonce, "access_token": access_token}
        claims = CodeIDToken(decoded.claims, decoded.header, options, params)
        try:
            claims.validate(leeway=LEEWAY_S)
        except (JoseError, ValueError, TypeError) as error:
            raise TokenRefused(f"the ID token is refused: {_why(error)}") from None
        return claims

    async def logout_token(self, token: str) -> dict[str, Any]:
        """Check a logout token; raises TokenRefused, OutboundError."""
        claims = (await self._decode(token)).claims
        audience = claims.get("aud")
        issued, expires = claims.get("iat"), claims.get("exp", time.time() + 1)
        good = (
            claims.get("iss") == self._settings.issuer
            and self._settings.client_id in (audience if isinstance(audience, list) else [audience])
            and isinstance(issued, int | float)
            and abs(time.time() - issued) < LOGOUT_S
            and isinstance(expires, int | float)
            and time.time() < expires + LEEWAY_S
            and isinstance(claims.get("events"), dict)
            and isinstance(claims["events"].get(LOGOUT_EVENT), dict)
            and "nonce" not in claims
            and bool(claims.get("jti"))
            and bool(claims.get("sub") or claims.get("sid"))
        )
        if not good:
            raise TokenRefused("the logout token is refused: it is not one of this provider for us, about now")
        return dict(claims)

    async def close(self) -> None:
        """Close every connection."""
        await self._http.close()

    async def _decode(self, token: Any) -> jwt.Token:
        if not isinstance(token, str) or token.count(".") != 2:
            raise TokenRefused("the provider gave no signed token")
        try:
            header = extract_compact(token.encode()).headers()
            if header.get("alg") not in ALGORITHMS:
                raise TokenRefused("the token's signature is of a kind that is not taken")
            key = await self._keys.get(str(header.get("kid", "")))
            return jwt.decode(token, key, algorithms=ALGORITHMS)
        except KeyUnknown:
            raise TokenRefused("the token is signed with a key that the provider does not show") from None
        except (JoseError, ValueError, TypeError, KeyError) as error:
            raise TokenRefused(f"the token's signature is not good ({type(error).__name__})") from None

    async def _jwks(self) -> dict[str, Any]:
        return await self._http.get(str((await self.metadata())["jwks_uri"]))

    async def _post(self, endpoint: str, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        metadata = await self.metadata()
        if endpoint not in metadata:
            raise OutboundError(f"the identity provider has no {endpoint}")
        secret = self._settings.client_secret.get_secret_value()
        methods = metadata.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        asked = {"client_id": self._settings.client_id, **form}
        if not secret:
            return await self._http.post(str(metadata[endpoint]), asked, None)
        if "client_secret_basic" in methods:
            return await self._http.post(str(metadata[endpoint]), form, (self._settings.client_id, secret))
        return await self._http.post(str(metadata[endpoint]), asked | {"client_secret": secret}, None)

    def _checked(self, found: dict[str, Any]) -> dict[str, Any]:
        metadata = OpenIDProviderMetadata(found)
        if found.get("issuer") != self._settings.issuer:
            raise OutboundError("the identity provider calls itself by another name than the issuer that is set")
        try:
            for needed in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
                if not isinstance(metadata.get(needed), str):
                    raise ValueError(needed)
        except ValueError as error:
            raise OutboundError(f"the identity provider does not say its {error}") from None
        return dict(metadata)


def _why(error: Exception) -> str:
    claim = getattr(error, "claim", "")
    return f"{claim} is missing or wrong" if claim else type(error).__name__
