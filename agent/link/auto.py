"""The reconnect state machine: keeps one stream up, backs off when it falls, renews the certificate in time."""

import asyncio
import datetime as dt
import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import grpc.aio
import structlog
from solward.hosts.v1 import enrollment_pb2, link_pb2
from solward.hosts.v1.enrollment_pb2_grpc import EnrollmentServiceStub

from agent.identity import Identity, IdentityStore, trusting
from agent.link.channel import mtls_channel
from agent.link.direct import DirectLink
from agent.settings import Settings
from common.errors import info_of, status_of
from common.pki import certificate_request, issuer_key_id, load_certificates, new_key
from common.trust import open_trust

log = structlog.get_logger(__name__)

FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 30.0
RENEW_SECONDS = 15.0
# A renewal that failed is tried again after this, while the certificate still holds for hours.
RENEW_AGAIN_S = 60.0
# Within this after another authority has begun to issue, so that a fleet does not renew in one moment.
MOVE_SECONDS = 60.0
# Refusals that no hurry will change: a person must act first.
SETTLED = frozenset(
    {"HOST_REVOKED", "HOST_NOT_ACTIVE", "HOST_QUARANTINED", "CERTIFICATE_REVOKED", "CERTIFICATE_UNKNOWN"}
)
SETTLED_WAIT_S = 60.0


class AutoLink:
    """Runs attempts one after the other, each on a fresh channel."""

    def __init__(
        self, settings: Settings, store: IdentityStore, direct: DirectLink, connected: Callable[[], None]
    ) -> None:
        self._settings = settings
        self._store = store
        self._direct = direct
        self._connected = connected
        self.identity = store.load()
        self._failures = 0
        # Set when the certificate is of an authority that issues no more; with the time to renew it at.
        self._move = asyncio.Event()
        self._move_at: dt.datetime | None = None

    async def run(self) -> None:
        """Keep the link up until cancelled."""
        while True:
            reason = await self._attempt()
            wait_s = self._wait_s(reason)
            if wait_s:
                log.info("connecting again", seconds=round(wait_s, 1))
                await asyncio.sleep(wait_s)

    async def _attempt(self) -> str:
        """Run one stream; give the reason for its end, empty for an end in peace."""
        trouble = self.identity.trouble()
        if trouble:
            log.error("the control plane will refuse this agent", why=trouble)
        channel = mtls_channel(self._settings, self.identity)
        stream = asyncio.create_task(self._direct.run(channel, self.identity, self._welcomed, self._trusted))
        renewal = asyncio.create_task(self._renew_when_due(channel))
        try:
            await asyncio.wait({stream, renewal}, return_when=asyncio.FIRST_COMPLETED)
            if stream.done():
                stream.result()
            return ""
        except grpc.aio.AioRpcError as error:
            return self._report(error)
        except TimeoutError:
            log.warning("the control plane does not answer")
            return "NO_WELCOME"
        except OSError as error:
            # A full disk: the token that could not be kept was not used either, so the one before still opens.
            log.error("the identity cannot be written; trying again", why=str(error))
            return "STATE_UNWRITABLE"
        finally:
            for task in (stream, renewal):
                task.cancel()
            await asyncio.gather(stream, renewal, return_exceptions=True)
            await channel.close()

    def _welcomed(self, welcome: link_pb2.Welcome) -> None:
        self.identity = self._store.save_exchange(self.identity, welcome.exchange_token)
        self._failures = 0
        log.info("connected", server=self._settings.server, resume_after=welcome.acked_sequence)
        self._connected()

    def _trusted(self, signed: enrollment_pb2.SignedTrust) -> int:
        """Keep a trust bundle; give the version that is kept then."""
        told = self._told(self.identity, signed)
        if told is not self.identity:
            # Stored before it is used, and before the control plane is told so.
            self._store.save(told)
            self.identity = told
            log.info("trust bundle kept", version=told.trust_version, roots=len(told.roots))
        self._move_if_old(signed)
        return told.trust_version

    def _told(self, identity: Identity, signed: enrollment_pb2.SignedTrust) -> Identity:
        try:
            return trusting(identity, signed)
        except ValueError as error:
            log.error("a trust bundle was refused; whom this host trusts stays as it was", why=str(error))
            return identity

    def _move_if_old(self, signed: enrollment_pb2.SignedTrust) -> None:
        trust = open_trust(signed, self.identity.permit_keys)
        if trust is None or trust.issuer_key_id == issuer_key_id(self.identity.certificate):
            return
        self._move_at = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=random.uniform(0, MOVE_SECONDS))  # noqa: S311
        self._move.set()

    async def _renew_when_due(self, channel: grpc.aio.Channel) -> None:
        due = self.identity.renew_at()
        while True:
            if self._move_at:
                due, self._move_at = min(due, self._move_at), None
                self._move.clear()
            wait_s = (due - dt.datetime.now(dt.UTC)).total_seconds()
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, min(wait_s, 60.0))):
                    await self._move.wait()
            if self._move_at or wait_s > 60.0 or dt.datetime.now(dt.UTC) < due:
                continue
            try:
                await self._renew(channel)
                return
            except (grpc.aio.AioRpcError, OSError, ValueError) as error:
                why = error.details() if isinstance(error, grpc.aio.AioRpcError) else str(error)
                log.warning("the certificate could not be renewed; trying again", why=why)
                due = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=RENEW_AGAIN_S)

    async def _renew(self, channel: grpc.aio.Channel) -> None:
        key = new_key()
        request = enrollment_pb2.RenewRequest(csr_pem=certificate_request(key))
        answer = await EnrollmentServiceStub(channel).Renew(request, timeout=RENEW_SECONDS)
        certificate, *between = load_certificates(answer.certificate_pem.encode())
        renewed = replace(self.identity, key=key, certificate=certificate, between=tuple(between))
        if answer.HasField("trust"):
            # Whoever answers here has shown a server's key; whom to trust takes a signature besides.
            renewed = self._told(renewed, answer.trust)
        # Saved before it is used: after a crash here either certificate opens the next stream.
        self._store.save(renewed)
        self.identity = renewed
        log.info("certificate renewed", until=str(renewed.certificate.not_valid_after_utc))

    def _report(self, error: grpc.aio.AioRpcError) -> str:
        reason = info_of(status_of(error)).reason or error.code().name
        log.warning("the stream ended", reason=reason, why=error.details())
        return reason

    def _wait_s(self, reason: str) -> float:
        if not reason:
            return 0.0
        self._failures += 1
        if reason in SETTLED:
            return SETTLED_WAIT_S * random.uniform(0.8, 1.2)  # noqa: S311
        ceiling = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** min(self._failures, 10))
        return random.uniform(FIRST_WAIT_S, ceiling)  # noqa: S311
