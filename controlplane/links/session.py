"""One agent's stream, from Hello to its end: admission, telemetry up, commands down."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator

import grpc
import structlog
from solward.hosts.v1 import link_pb2

from common.clock import now_ms
from common.errors import SolwardError
from common.names import host_name
from controlplane.alerts.findings import Findings
from controlplane.audit.log import AuditLog
from controlplane.audit.witness import Witnesses
from controlplane.guard.context import Principal
from controlplane.identity.live import LivePki
from controlplane.identity.secrets import token_hash
from controlplane.links.dispatch import Dispatch
from controlplane.links.registry import AgentLink, Links
from controlplane.store.hosts import ACTIVE, QUARANTINED, HostRepository, HostRow
from controlplane.telemetry.ingest import Ingest

log = structlog.get_logger(__name__)

HELLO_SECONDS = 10.0
# The oldest and newest version of the protocol that this server speaks.
PROTOCOLS = (1, 1)


class LinkSessions:
    """Serves agents' streams."""

    def __init__(
        self,
        hosts: HostRepository,
        links: Links,
        ingest: Ingest,
        dispatch: Dispatch,
        audit: AuditLog,
        findings: Findings,
        witnesses: Witnesses,
        pki: LivePki,
    ) -> None:
        self._hosts = hosts
        self._links = links
        self._ingest = ingest
        self._dispatch = dispatch
        self._audit = audit
        self._findings = findings
        self._witnesses = witnesses
        self._pki = pki
        self._told = pki.authorities.version

    async def serve(
        self, principal: Principal, messages: AsyncIterator[link_pb2.ConnectRequest]
    ) -> AsyncIterator[link_pb2.ConnectResponse]:
        """Serve one stream until either side ends it, or the certificate does."""
        link, welcome = await self._admit(principal, await _hello(messages))
        reader = asyncio.create_task(self._read(link, messages), name=f"link-{link.name}")
        try:
            yield link_pb2.ConnectResponse(welcome=welcome)
            while message := await self._next(link):
                yield message
        finally:
            # First, and without waiting: whoever cancels us twice must not leave the host as connected.
            self._links.detach(link)
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)
            await self._links.changed()

    async def _next(self, link: AgentLink) -> link_pb2.ConnectResponse | None:
        try:
            return await link.next(max(0.0, (link.expires_ms - now_ms()) / 1000))
        except TimeoutError:
            # TLS checked the certificate when the stream began, and will not again.
            raise SolwardError(
                grpc.StatusCode.UNAUTHENTICATED, "CERTIFICATE_EXPIRED", "the certificate ended: connect with the next"
            ) from None

    async def _admit(self, principal: Principal, hello: link_pb2.Hello) -> tuple[AgentLink, link_pb2.Welcome]:
        if not PROTOCOLS[0] <= hello.protocol <= PROTOCOLS[1]:
            raise SolwardError(
                grpc.StatusCode.FAILED_PRECONDITION,
                "PROTOCOL_UNSUPPORTED",
                f"agent {hello.agent_version} speaks protocol {hello.protocol}; this server speaks "
                f"{PROTOCOLS[0]} to {PROTOCOLS[1]}: upgrade the older side",
                {"agent_version": hello.agent_version, "protocol": str(hello.protocol)},
            )
        host = await self._hosts.by_uid(principal.uid)
        if host is None or host.state != ACTIVE:
            raise SolwardError(grpc.StatusCode.PERMISSION_DENIED, "HOST_NOT_ACTIVE", "this host was cut off")
        token, successor = await self._exchange(host, hello)
        link = AgentLink(host.uid, host.name, principal.expires_ms, hello)
        if not await self._links.attach(link, successor=successor):
            raise await self._quarantine(host, "its streams take each other's place again and again")
        resume_after = self._ingest.open(host.name, hello)
        self._witnesses.met(link)
        if hello.trust_version < self._pki.authorities.version:
            link.send(link_pb2.ConnectResponse(trust=self._pki.trust()))
        return link, link_pb2.Welcome(
            acked_sequence=resume_after,
            exchange_token=token,
            unix_ms=now_ms(),
            term=self._dispatch.term,
        )

    async def _exchange(self, host: HostRow, hello: link_pb2.Hello) -> tuple[str, bool]:
        """Check the token of the last Welcome and make the next: a copied machine presents one that is spent.

        Returns: the next token, and whether the one shown was the newest, so that only the last Welcome's reader
            can have shown it.
        """
        shown = token_hash(hello.exchange_token) if hello.exchange_token else ""
        known = {host.exchange_current, host.exchange_next} if host.exchange_current or host.exchange_next else {""}
        if shown not in known:
            raise await self._quarantine(host, "it presented a token that its own successor has spent")
        token = secrets.token_hex(16)
        await self._hosts.seen(
            host.uid,
            now_ms(),
            exchange_current=shown,
            exchange_next=token_hash(token),
            agent_version=hello.agent_version,
            host_group=hello.group,
            trust_version=self._believed(hello.trust_version),
            labels=json.dumps(dict(hello.labels), sort_keys=True),
            clock_skew_s=(hello.unix_ms - now_ms()) / 1000,
        )
        return token, bool(shown) and shown == host.exchange_next

    async def tell_trust(self) -> None:
        """Tell every connected agent whom to trust from now on, if that has changed."""
        if self._told == self._pki.authorities.version:
            return
        self._told = self._pki.authorities.version
        message = link_pb2.ConnectResponse(trust=self._pki.trust())
        for link in self._links.open_links():
            link.send(message)

    def _believed(self, version: int) -> int:
        # No agent can keep a bundle that was not made yet; one that says so must not pass for told.
        return version if version <= self._pki.authorities.version else 0

    async def _quarantine(self, host: HostRow, why: str) -> SolwardError:
        error = SolwardError(
            grpc.StatusCode.PERMISSION_DENIED,
            "HOST_QUARANTINED",
            f"two machines use this host's identity ({why}); neither is let in: find the copy, "
            f"then enroll the right one again (ctl hosts enroll {host.name})",
            {"host": host.name},
        )
        log.error("host quarantined: its identity is used twice", host=host.name, why=why)
        await self._hosts.set_state(host.uid, QUARANTINED)
        self._links.cut(host.uid, error)
        self._ingest.forget(host.name)
        await self._audit.append(
            {
                "phase": "event",
                "principal": host_name(host.name),
                "kind": "agent",
                "method": "hosts.quarantine",
                "resource": host_name(host.name),
                "code": "QUARANTINED",
                "reason": error.reason,
                "message": why,
            }
        )
        return error

    async def _read(self, link: AgentLink, messages: AsyncIterator[link_pb2.ConnectRequest]) -> None:
        try:
            async for message in messages:
                await self._take(link, message)
            link.close(None)
        except SolwardError as error:
            link.close(error)
        except Exception:
            # A stream that nobody reads must not look as if it were well.
            log.exception("an agent's message could not be taken in", host=link.name)
            link.close(
                SolwardError(grpc.StatusCode.INTERNAL, "INTERNAL", "the server failed on a message: see its log")
            )

    async def _take(self, link: AgentLink, message: link_pb2.ConnectRequest) -> None:
        kind = message.WhichOneof("message")
        if kind == "samples":
            link.acknowledge(self._ingest.samples(link.name, message.samples))
        elif kind == "events":
            # Kept first: what is acknowledged is the agent's no more.
            await self._findings.take(link.host_uid, link.name, link.hello.spool_id, message.events)
            link.acknowledge(self._ingest.events(link.name, message.events))
        elif kind == "unit":
            host = self._links.get(link.host_uid)
            if host and host.link is link and message.unit.state.unit in link.allowed:
                host.units[message.unit.state.unit] = message.unit
                await self._links.changed()
        elif kind == "receipt":
            await self._dispatch.receipt(link.host_uid, message.receipt)
        elif kind == "trust_kept":
            await self._hosts.seen(link.host_uid, now_ms(), trust_version=self._believed(message.trust_kept.version))
        elif kind == "progress":
            self._dispatch.progress(link.host_uid, message.progress)
        elif kind == "spans":
            self._dispatch.spans(link, message.spans)
        elif kind == "witness":
            self._witnesses.report(link, message.witness)
        else:
            raise SolwardError(
                grpc.StatusCode.INVALID_ARGUMENT,
                "UNEXPECTED_MESSAGE",
                f"a stream cannot go on with {kind or 'nothing'}",
            )


async def _hello(messages: AsyncIterator[link_pb2.ConnectRequest]) -> link_pb2.Hello:
    try:
        async with asyncio.timeout(HELLO_SECONDS):
            first = await anext(messages)
    except (TimeoutError, StopAsyncIteration):
        raise _no_hello() from None
    if first.WhichOneof("message") != "hello":
        raise _no_hello()
    return first.hello


def _no_hello() -> SolwardError:
    return SolwardError(
        grpc.StatusCode.INVALID_ARGUMENT, "HELLO_MISSING", f"a stream begins with Hello within {HELLO_SECONDS:.0f} s"
    )
