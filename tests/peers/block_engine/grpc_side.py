"""The gRPC half: searcher, authentication, and what a validator asks."""

import asyncio
import datetime as dt
import secrets
import time
from collections.abc import AsyncIterator
from typing import Any

import grpc
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from google.protobuf.timestamp_pb2 import Timestamp
from jito import auth_pb2, block_engine_pb2, bundle_pb2, searcher_pb2
from jito.auth_pb2_grpc import AuthServiceServicer, add_AuthServiceServicer_to_server
from jito.block_engine_pb2_grpc import BlockEngineValidatorServicer, add_BlockEngineValidatorServicer_to_server
from jito.searcher_pb2_grpc import SearcherServiceServicer, add_SearcherServiceServicer_to_server

from common import base58
from tests.peers.block_engine.judge import Refused
from tests.peers.block_engine.region import RETRY_KEY, VALIDATOR, Region

REFRESH_LIVES_S = 3600.0
NOT_APPROVED = "The supplied pubkey is not authorized to generate a token."


class Tokens:
    """Who has shown a key."""

    def __init__(self, region: Region) -> None:
        self._region = region
        self._challenges: dict[str, bytes] = {}
        self._until: dict[str, float] = {}
        self.handshakes = self.refreshes = 0

    def challenge(self, public: bytes) -> str:
        made = secrets.token_urlsafe(12)
        self._challenges[f"{base58.encode(public)}-{made}"] = public
        return made

    def answered(self, request: auth_pb2.GenerateAuthTokensRequest) -> bool:
        public = self._challenges.pop(request.challenge, None)
        if public is None or public != request.client_pubkey:
            return False
        try:
            Ed25519PublicKey.from_public_bytes(public).verify(request.signed_challenge, request.challenge.encode())
        except InvalidSignature:
            return False
        self.handshakes += 1
        return True

    def make(self, kind: str, life_s: float) -> auth_pb2.Token:
        value = f"{kind}.{secrets.token_urlsafe(16)}"
        self._until[value] = time.time() + life_s
        stamp = Timestamp()
        stamp.FromMilliseconds(round((time.time() + life_s) * 1000))
        return auth_pb2.Token(value=value, expires_at_utc=stamp)

    def holds(self, kind: str, value: str) -> bool:
        return value.startswith(kind) and self._until.get(value, 0.0) > time.time()

    def revoke(self) -> None:
        """Forget every token."""
        self._until.clear()


class Auth(AuthServiceServicer):
    def __init__(self, region: Region, tokens: Tokens) -> None:
        self._region, self._tokens = region, tokens

    async def GenerateAuthChallenge(self, request: Any, context: Any) -> auth_pb2.GenerateAuthChallengeResponse:
        if self._region.faults.auth_refused or request.role != auth_pb2.SEARCHER:
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, NOT_APPROVED)
        return auth_pb2.GenerateAuthChallengeResponse(challenge=self._tokens.challenge(request.pubkey))

    async def GenerateAuthTokens(self, request: Any, context: Any) -> auth_pb2.GenerateAuthTokensResponse:
        if not self._tokens.answered(request):
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, "the challenge is not signed by this key")
        life_s = self._region.faults.token_s
        return auth_pb2.GenerateAuthTokensResponse(
            access_token=self._tokens.make("access", life_s),
            refresh_token=self._tokens.make("refresh", REFRESH_LIVES_S),
        )

    async def RefreshAccessToken(self, request: Any, context: Any) -> auth_pb2.RefreshAccessTokenResponse:
        if not self._tokens.holds("refresh", request.refresh_token):
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "the refresh token is over")
        self._tokens.refreshes += 1
        return auth_pb2.RefreshAccessTokenResponse(
            access_token=self._tokens.make("access", self._region.faults.token_s)
        )


class _Guarded:
    """What every call goes through: troubles, the limit, the token."""

    def __init__(self, region: Region, tokens: Tokens, names: list[str]) -> None:
        self._region, self._tokens, self._names = region, tokens, names
        self.seen: list[str] = []

    async def _enter(self, context: Any, what: str) -> None:
        received = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        try:
            await self._region.trouble()
            self._region.count(_address(context.peer()), what)
        except Refused as refused:
            await _abort(context, refused)
        metadata = dict(context.invocation_metadata())
        told = metadata.get("authorization")
        if uuid := metadata.get("x-jito-auth"):
            self._region.uuids.append(("grpc", uuid))
        if told is not None or self._region.faults.require_auth:
            self.seen.append(told or "")
            if not self._tokens.holds("access", (told or "").removeprefix("Bearer ")):
                await context.abort(grpc.StatusCode.UNAUTHENTICATED, "the access token is over")
        service = ("x-envoy-upstream-service-time", "0")
        await context.send_initial_metadata(
            (("server", "jito-block-engine"), ("x-request-received-at", received), service)
        )


class Searcher(_Guarded, SearcherServiceServicer):
    async def SendBundle(self, request: Any, context: Any) -> searcher_pb2.SendBundleResponse:
        await self._enter(context, "SendBundle")
        transactions = [packet.data[: packet.meta.size] for packet in request.bundle.packets]
        try:
            return searcher_pb2.SendBundleResponse(uuid=await self._region.submit(transactions))
        except Refused as refused:
            return await _abort(context, refused)

    async def SubscribeBundleResults(self, request: Any, context: Any) -> AsyncIterator[bundle_pb2.BundleResult]:
        region = self._region
        if len(region.listeners) >= region.faults.most_streams:
            words = "exceeded maximum concurrent bundle result connections limit"
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, words)
        await self._enter(context, "SubscribeBundleResults")
        queue: asyncio.Queue[bundle_pb2.BundleResult] = asyncio.Queue()
        region.listeners.add(queue)
        try:
            while True:
                result = await queue.get()
                if not region.faults.silent:
                    yield result
        finally:
            region.listeners.discard(queue)

    async def GetNextScheduledLeader(self, request: Any, context: Any) -> searcher_pb2.NextScheduledLeaderResponse:
        await self._enter(context, "GetNextScheduledLeader")
        slot = self._region.world.slot
        return searcher_pb2.NextScheduledLeaderResponse(
            current_slot=slot, next_leader_slot=slot + 4 - slot % 4, next_leader_identity=VALIDATOR,
            next_leader_region=self._region.faults.leader_region or self._region.name,
        )  # fmt: skip

    def _leaders(self) -> searcher_pb2.ConnectedLeadersResponse:
        begin = self._region.world.slot // 432_000 * 432_000
        slots = searcher_pb2.SlotList(slots=range(begin, begin + 4000, 4))
        return searcher_pb2.ConnectedLeadersResponse(connected_validators={VALIDATOR: slots})

    async def GetConnectedLeaders(self, request: Any, context: Any) -> searcher_pb2.ConnectedLeadersResponse:
        await self._enter(context, "GetConnectedLeaders")
        return self._leaders()

    async def GetConnectedLeadersRegioned(
        self, request: Any, context: Any
    ) -> searcher_pb2.ConnectedLeadersRegionedResponse:
        await self._enter(context, "GetConnectedLeadersRegioned")
        names = list(request.regions) or [self._region.name]
        return searcher_pb2.ConnectedLeadersRegionedResponse(connected_validators=dict.fromkeys(names, self._leaders()))

    async def GetTipAccounts(self, request: Any, context: Any) -> searcher_pb2.GetTipAccountsResponse:
        await self._enter(context, "GetTipAccounts")
        return searcher_pb2.GetTipAccountsResponse(accounts=self._region.tip_accounts())

    async def GetRegions(self, request: Any, context: Any) -> searcher_pb2.GetRegionsResponse:
        if self._region.faults.no_regions:
            await context.abort(grpc.StatusCode.UNIMPLEMENTED, "")
        await self._enter(context, "GetRegions")
        names = self._region.faults.regions if self._region.faults.regions is not None else self._names
        return searcher_pb2.GetRegionsResponse(current_region=self._region.name, available_regions=names)


class Validator(_Guarded, BlockEngineValidatorServicer):
    async def GetBlockEngineEndpoints(
        self, request: Any, context: Any
    ) -> block_engine_pb2.GetBlockEngineEndpointResponse:
        if self._region.faults.no_endpoints:
            await context.abort(grpc.StatusCode.UNIMPLEMENTED, "")
        await self._enter(context, "GetBlockEngineEndpoints")
        urls = [f"https://{name}.mainnet.block-engine.jito.wtf" for name in self._names]
        endpoints = [block_engine_pb2.BlockEngineEndpoint(block_engine_url=url) for url in urls]
        everywhere = block_engine_pb2.BlockEngineEndpoint(block_engine_url="https://mainnet.block-engine.jito.wtf")
        return block_engine_pb2.GetBlockEngineEndpointResponse(global_endpoint=everywhere, regioned_endpoints=endpoints)


def add_services(server: grpc.aio.Server, region: Region, tokens: Tokens, names: list[str]) -> Searcher:
    """Serve a region."""
    searcher = Searcher(region, tokens, names)
    add_SearcherServiceServicer_to_server(searcher, server)  # type: ignore[no-untyped-call]
    add_AuthServiceServicer_to_server(Auth(region, tokens), server)  # type: ignore[no-untyped-call]
    add_BlockEngineValidatorServicer_to_server(Validator(region, tokens, names), server)  # type: ignore[no-untyped-call]
    return searcher


async def _abort(context: Any, refused: Refused) -> Any:
    hint = ((RETRY_KEY, str(refused.wait_ms)),) if refused.wait_ms is not None else ()
    await context.abort(refused.grpc_code, refused.message, hint)


def _address(peer: str) -> str:
    """Take the address out of "ipv4:127.0.0.1:1234"."""
    return peer.partition(":")[2].rpartition(":")[0].strip("[]")
