"""Names and identities: resource names (AIP-122) and SPIFFE ids."""

import re
from typing import Literal, NamedTuple

HOST_ID = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
UID = re.compile(r"[0-9a-f]{32}")
TRUST_DOMAIN = re.compile(r"[a-z0-9]([a-z0-9.-]{0,253}[a-z0-9])?")
# What a block engine said of a bundle, as a kind of event; and what an agent says of a bundle of its own.
BUNDLE = "jito.bundle"
CANARY = "jito.canary"
# The kind of event that a line of an agent's own log is.
AGENT_LOG = "agent.log"

Kind = Literal["agent", "user", "service"]
KINDS: tuple[Kind, ...] = ("agent", "user", "service")


class SpiffeId(NamedTuple):
    """Who a certificate names: one principal of one trust domain."""

    trust_domain: str
    kind: Kind
    uid: str

    def __str__(self) -> str:
        return f"spiffe://{self.trust_domain}/{self.kind}/{self.uid}"

    @classmethod
    def parse(cls, text: str) -> "SpiffeId":
        """Read "spiffe://<trust-domain>/<kind>/<uid>"; anything else at all raises ValueError."""
        scheme, _, rest = text.partition("://")
        parts = rest.split("/")
        if scheme != "spiffe" or len(parts) != 3:
            raise ValueError("not of the form spiffe://<trust-domain>/<kind>/<uid>")
        domain, kind, uid = parts
        if not TRUST_DOMAIN.fullmatch(domain) or not UID.fullmatch(uid):
            raise ValueError("trust domain or uid has characters that are not allowed")
        for known in KINDS:
            if kind == known:
                return cls(domain, known, uid)
        raise ValueError(f"kind is none of {', '.join(KINDS)}")


def host_name(host_id: str) -> str:
    """Make the resource name of a host."""
    return f"hosts/{host_id}"


def host_id(name: str) -> str:
    """Take the host's id out of its resource name; ValueError for anything else."""
    collection, _, ident = name.partition("/")
    if collection != "hosts" or not HOST_ID.fullmatch(ident):
        raise ValueError(f"{name!r} is not of the form hosts/{{host}}")
    return ident


def user_name(name: str) -> str:
    """Make the resource name of a user."""
    return f"users/{name}"


def operation_name(uid: str) -> str:
    """Make the resource name of an operation."""
    return f"operations/{uid}"
