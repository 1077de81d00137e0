"""Whence: from which address a call really comes, and whether calls may come from there."""

import hmac

import grpc

from common.errors import SolwardError
from controlplane.guard.chain import Link
from controlplane.guard.context import Call
from controlplane.guard.rate import RateLimit
from controlplane.networks import Admission

GATEWAY_SECRET_KEY = "solward-gateway-secret"
CLIENT_IP_KEY = "solward-client-ip"
RAW_PEER_KEY = "solward-raw-peer"


class Whence(Link):
    """Takes the client's address from the gateway, or from the connection of who is not the gateway.

    Args:
        admission: which addresses may call.
        gateway_secret: who knows it may speak for another address.
        rate: whose budget of the address pays for a refusal.
    """

    def __init__(self, admission: Admission, gateway_secret: str, rate: RateLimit) -> None:
        self._admission = admission
        self._gateway_secret = gateway_secret.encode()
        self._rate = rate

    async def enter(self, call: Call) -> None:
        """Fill in the addresses; refuse a call from a network that is not let in."""
        secret = call.metadata.get(GATEWAY_SECRET_KEY, "").encode()
        if secret and hmac.compare_digest(secret, self._gateway_secret):
            call.from_gateway = True
            call.peer = call.metadata.get(CLIENT_IP_KEY, call.peer)
            call.raw_peer = call.metadata.get(RAW_PEER_KEY, call.raw_peer)
        if self._admission.admits(call.peer):
            return
        # Knocking leaves lines in the log, so the address pays for it.
        await self._rate.enter(call)
        raise SolwardError(
            grpc.StatusCode.PERMISSION_DENIED,
            "NETWORK_REFUSED",
            f"calls are not taken from {call.peer}: see allow_networks and deny_networks of the control plane",
            {"address": call.peer},
        )
