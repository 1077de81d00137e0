"""Principal: who is calling, by certificate or bearer token, checked anew on every call."""

import grpc

from common.errors import SolwardError
from controlplane.guard.chain import Link
from controlplane.guard.context import Call
from controlplane.guard.rate import RateLimit
from controlplane.identity.principals import Principals

TICKET_KEY = "solward-ticket"
# Said only of what this control plane has signed.
_OVER = ("TOKEN_EXPIRED", "SESSION_OVER")


class Authenticate(Link):
    """Finds the principal. Identity comes from the credential alone, never from a message or other metadata."""

    def __init__(self, principals: Principals, rate: RateLimit) -> None:
        self._principals = principals
        self._rate = rate

    async def enter(self, call: Call) -> None:
        """Fill in the principal; a bad credential is refused, none at all leaves the anonymous caller."""
        if sum(map(bool, _credentials(call))) > 1:
            raise SolwardError(
                grpc.StatusCode.INVALID_ARGUMENT,
                "TWO_CREDENTIALS",
                "the call carries a certificate, a bearer token or a ticket, and another of them; send one",
            )
        try:
            await self.recheck(call)
        except SolwardError as error:
            # Guessing is not free, and neither are the lines it leaves in the log: the address pays.
            await (self._rate.spend_as_over(call) if error.reason in _OVER else self._rate.enter(call))
            raise

    async def recheck(self, call: Call) -> None:
        """Look the credential up, by the store's word at this moment."""
        pem, bearer, ticket = _credentials(call)
        if pem:
            call.principal = await self._principals.of_certificate(pem)
        elif bearer:
            call.principal = await self._principals.of_token(bearer)
        elif ticket:
            call.principal = await self._principals.of_ticket(ticket)
        methods = call.principal.methods
        if methods and call.rule.name not in methods:
            raise SolwardError(
                grpc.StatusCode.PERMISSION_DENIED, "TOKEN_FOR_TOPICS",
                "this token came of a ticket, and is good for live topics alone: send an access token",
            )  # fmt: skip


def _credentials(call: Call) -> tuple[bytes, str, str]:
    pem = next(iter(call.context.auth_context().get("x509_pem_cert", ())), b"")
    # A client brings its ticket to the gateway's live door and to no other: the gateway alone passes one on.
    ticket = call.metadata.get(TICKET_KEY, "") if call.from_gateway else ""
    return pem, _bearer(call.metadata.get("authorization", "")), ticket


def _bearer(header: str) -> str:
    scheme, _, token = header.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""
