"""A host for unit tests: a systemd in memory, an identity, and commands under real permits."""

import datetime as dt
import uuid
from collections.abc import Callable
from dataclasses import replace

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import NameOID
from solward.hosts.v1 import link_pb2

from agent.host.systemd import JobResult, Systemd, SystemdError, UnitState
from agent.identity import Identity
from common.clock import now_ms
from common.permits import request_sha256, sign_permit
from common.pki import new_key

UNIT = "sol.service"
HOST_UID = "11" * 16
VERBS = {
    link_pb2.UNIT_VERB_START: "validator.start",
    link_pb2.UNIT_VERB_STOP: "validator.stop",
    link_pb2.UNIT_VERB_RESTART: "validator.restart",
}


class FakeSystemd(Systemd):
    """Runs jobs at once; `jobs` are those that were asked for, `on_job` may raise before or after."""

    def __init__(self) -> None:
        super().__init__("unix:path=/nowhere")
        self.units = {UNIT: unit_state()}
        self.jobs: list[str] = []
        self.on_job: Callable[[str], None] = lambda _verb: None
        self.after_job: Callable[[str], None] = lambda _verb: None

    async def state(self, unit: str) -> UnitState:
        if unit not in self.units:
            raise SystemdError("UNIT_NOT_FOUND", f"unit {unit} not found")
        return self.units[unit]

    async def start(self, unit: str, *, timeout_s: float) -> JobResult:
        return self._run("start", unit)

    async def stop(self, unit: str, *, timeout_s: float) -> JobResult:
        return self._run("stop", unit)

    async def restart(self, unit: str, *, timeout_s: float) -> JobResult:
        return self._run("restart", unit)

    def _run(self, verb: str, unit: str) -> JobResult:
        self.jobs.append(verb)
        self.on_job(verb)
        running = self.units[unit].active_state == "active"
        if verb == "start" and self.units[unit].active_state == "activating":
            self.units[unit] = replace(self.units[unit], active_state="active", sub_state="running")
        elif verb == "stop":
            self.units[unit] = unit_state(active="inactive")
        elif verb == "restart" or not running:
            self.units[unit] = unit_state(invocation=uuid.uuid4().hex)
        self.after_job(verb)
        return JobResult(unit, f"/job/{len(self.jobs)}", "done", 0.01, self.units[unit])


def unit_state(active: str = "active", invocation: str = "ab" * 16, **fields: object) -> UnitState:
    """A unit that runs, or does not."""
    runs = active == "active"
    state = UnitState(
        UNIT, "loaded", active, "running" if runs else "dead", invocation if runs else "", 42 * runs, 0, 0, 0, "success"
    )
    return replace(state, **fields)  # type: ignore[arg-type]


def make_identity(
    permit_key: Ed25519PrivateKey,
    *,
    begin: dt.timedelta = dt.timedelta(minutes=-1),
    life: dt.timedelta = dt.timedelta(hours=24),
) -> Identity:
    """An identity that certifies itself."""
    key, name = new_key(), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "solward")])
    start = dt.datetime.now(dt.UTC) + begin
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + life)
        .sign(key, hashes.SHA256())
    )
    keys = (permit_key.public_key().public_bytes_raw(),)
    return Identity("hosts/sol-1", HOST_UID, key, certificate, (certificate,), keys)


def command(
    key: Ed25519PrivateKey,
    verb: link_pb2.UnitVerb = link_pb2.UNIT_VERB_RESTART,
    *,
    unit: str = UNIT,
    expected: str = "",
    step: str = "act",
    permit: dict[str, object] | None = None,
) -> link_pb2.Command:
    """A command as the control plane sends it.

    Args:
        permit: fields of the permit that differ from a good one's.
    """
    action = link_pb2.UnitAction(unit=unit, verb=verb, timeout_ms=1000, settle_ms=10, expected_invocation=expected)
    request = link_pb2.ActionRequest(unit=action).SerializeToString()
    fields: dict[str, object] = {
        "id": uuid.uuid4().hex,
        "host_uid": HOST_UID,
        "action": VERBS.get(verb, ""),
        "request_sha256": request_sha256(request),
        "operation": "operations/one",
        "step": step,
        "not_before_unix_ms": now_ms() - 1000,
        "expire_unix_ms": now_ms() + 60_000,
    } | (permit or {})
    return link_pb2.Command(permit=sign_permit(key, link_pb2.Permit(**fields)), request=request)  # type: ignore[arg-type]
