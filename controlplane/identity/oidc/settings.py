"""What is set of the identity provider."""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, SecretStr, model_validator

from controlplane.secret_refs import resolve

LOOPBACK = ("localhost", "127.0.0.1", "::1")


def _issuer(text: str) -> str:
    if not text:
        return text
    parts = urlsplit(text)
    plain = parts.scheme == "http" and parts.hostname in LOOPBACK
    if (parts.scheme != "https" and not plain) or not parts.hostname or parts.query or parts.fragment or parts.username:
        raise ValueError("must be an https URL without query and fragment, as the provider's tokens name it")
    return text


class OidcSettings(BaseModel, extra="forbid"):
    """Where people sign in besides local accounts, and what their groups give them."""

    issuer: Annotated[str, AfterValidator(_issuer)] = ""
    client_id: str = ""
    client_secret: Annotated[SecretStr, BeforeValidator(resolve)] = SecretStr("")
    # The control plane's own callback, as it is registered at the provider.
    redirect_uri: str = ""
    scopes: list[str] = ["openid", "profile", "email"]
    groups_claim: str = "groups"
    # The first of these groups that a person is in gives the role.
    roles: dict[str, str] = {}
    # For who is in none of them; empty: such a person is refused.
    default_role: str = ""
    # Where the provider says that it asked for one of these, the session counts as confirmed.
    second_factor_methods: list[str] = ["mfa", "otp", "hwk", "swk", "fpt"]
    # The provider may stand in a private network.
    allow_private: bool = False

    @property
    def on(self) -> bool:
        """Whether there is a provider."""
        return bool(self.issuer)

    @model_validator(mode="after")
    def _whole(self) -> "OidcSettings":
        if self.issuer and not self.client_id:
            raise ValueError("client_id is needed where an issuer is set")
        if self.issuer and not (self.roles or self.default_role):
            raise ValueError("roles (group: role) or default_role is needed: nobody could sign in")
        return self
