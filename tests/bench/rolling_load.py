"""A load generator of its own process: many agents whose units take a fixed time to restart, each signing its receipts.

Reads one JSON object from standard input, says "connected" on standard error, and runs until it is ended.
"""

import asyncio
import json
import sys
import uuid
from collections.abc import AsyncIterator
from typing import Any

import uvloop
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import load_pem_x509_certificate
from solward.hosts.v1 import link_pb2
from solward.hosts.v1.link_pb2_grpc import LinkServiceStub

from agent import PROTOCOL, VERSION
from common.clock import now_ms
from common.permits import sign_receipt
from common.pki import serial_hex
from tests.bench.setup import Certified, mtls_channel
from tests.support.cluster import UNIT


class Host:
    """One host: its agent's stream, and a unit that it restarts when told to."""

    def __init__(self, who: Certified, job_s: float) -> None:
        self._who = who
        self._job_s = job_s
        key = load_pem_private_key(who.key_pem, None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        self._key = key
        self._serial = serial_hex(load_pem_x509_certificate(who.certificate_pem))
        self._outgoing: asyncio.Queue[link_pb2.ConnectRequest] = asyncio.Queue()
        self._state = self._run()

    async def run(self, port: int, ca_pem: str, connected: asyncio.Queue[str]) -> None:
        """Connect, and carry out what is asked, for ever."""
        async with mtls_channel(port, ca_pem, self._who) as channel, asyncio.TaskGroup() as commands:
            async for message in LinkServiceStub(channel).Connect(self._messages()):
                if message.HasField("welcome"):
                    self._outgoing.put_nowait(self._report())
                    connected.put_nowait(self._who.name)
                elif message.HasField("command"):
                    commands.create_task(self._carry_out(message.command))

    async def _messages(self) -> AsyncIterator[link_pb2.ConnectRequest]:
        allowed = link_pb2.AllowedUnit(unit=UNIT, actions=["validator.restart"])
        yield link_pb2.ConnectRequest(
            hello=link_pb2.Hello(
                agent_version=VERSION, protocol=PROTOCOL, spool_id=self._who.uid, first_sequence=1, unix_ms=now_ms(),
                allowed_units=[allowed],
            )
        )  # fmt: skip
        while True:
            yield await self._outgoing.get()

    async def _carry_out(self, command: link_pb2.Command) -> None:
        permit, before, start_ms = link_pb2.Permit.FromString(command.permit.permit), self._state, now_ms()
        await asyncio.sleep(self._job_s)
        self._state = self._run()
        receipt = link_pb2.Receipt(
            permit_id=permit.id, operation=permit.operation, step=permit.step, host_uid=permit.host_uid,
            action=permit.action, request_sha256=permit.request_sha256, result=link_pb2.RECEIPT_RESULT_DONE,
            before=before, after=self._state, start_unix_ms=start_ms, end_unix_ms=now_ms(),
            job_ms=self._job_s * 1000, agent_version=VERSION,
        )  # fmt: skip
        self._outgoing.put_nowait(self._report())
        signed = sign_receipt(self._key, self._serial, receipt)
        self._outgoing.put_nowait(link_pb2.ConnectRequest(receipt=signed))

    def _run(self) -> link_pb2.UnitState:
        return link_pb2.UnitState(
            unit=UNIT, load_state="loaded", active_state="active", sub_state="running",
            invocation_id=uuid.uuid4().hex, main_pid=1000,
        )  # fmt: skip

    def _report(self) -> link_pb2.ConnectRequest:
        return link_pb2.ConnectRequest(unit=link_pb2.UnitReport(state=self._state, unix_ms=now_ms()))


async def main(order: dict[str, Any]) -> None:
    """Run every host until the process is ended."""
    connected: asyncio.Queue[str] = asyncio.Queue()
    async with asyncio.TaskGroup() as group:
        for who in order["agents"]:
            host = Host(
                Certified(who["uid"], who["name"], who["key"].encode(), who["certificate"].encode()), order["job_s"]
            )
            group.create_task(host.run(order["port"], order["ca_pem"], connected))
            await connected.get()
        print("connected", file=sys.stderr, flush=True)


if __name__ == "__main__":
    uvloop.run(main(json.load(sys.stdin)))
