"""The permit gate: a command is acted on only if the control plane's key allows just this, here and now."""

import hmac

from solward.hosts.v1 import link_pb2

from agent.allowlist import Allowlist
from agent.identity import Identity
from agent.jito.transactions import read_bundle
from common.clock import now_ms
from common.permits import open_permit, request_sha256

# A permit may not live longer than this, whoever signed it.
LONGEST_MS = 2 * 60 * 60 * 1000

# What a column of SQLite holds.
LATEST_TERM = 2**63 - 1

INSPECT = "validator.inspect"
SNAPSHOT, LEDGER = "validator.snapshot", "validator.ledger"
# Of snapshots: what takes agave-ledger-tool.
TOOL_VERBS = (link_pb2.SNAPSHOT_VERB_MAKE, link_pb2.SNAPSHOT_VERB_DEEP)
SUBMIT = "jito.submit"
# Of Geyser pipelines: a plugin of the validator, and a consumer, which is a unit of its own.
PLUGIN, SERVICE = "geyser.plugin", "geyser.restart"
# What a job of the host does.
JOBS = (SNAPSHOT, LEDGER)
_VERBS = {
    link_pb2.UNIT_VERB_START: "validator.start",
    link_pb2.UNIT_VERB_STOP: "validator.stop",
    link_pb2.UNIT_VERB_RESTART: "validator.restart",
}
# Of each kind of request that is for one action alone.
_ACTIONS = {
    "inspect": INSPECT, "config": "validator.config", "snapshot": SNAPSHOT, "ledger": LEDGER, "nudge": LEDGER,
    "vote": "validator.vote", "plugin": PLUGIN,
}  # fmt: skip


class Refusal(Exception):
    """Why a command is not carried out; nothing was changed."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


def check_signed(command: link_pb2.Command, identity: Identity) -> link_pb2.Permit:
    """Check whose permit this is: signature, host and digest of the request; raise Refusal."""
    permit = open_permit(command.permit, list(identity.permit_keys))
    if permit is None:
        raise Refusal("PERMIT_NOT_SIGNED", "the permit is not signed by a key of the control plane")
    if permit.host_uid != identity.uid:
        raise Refusal("PERMIT_FOR_ANOTHER_HOST", "the permit is for another host")
    if not hmac.compare_digest(permit.request_sha256, request_sha256(command.request)):
        raise Refusal("PERMIT_FOR_ANOTHER_REQUEST", "the permit is for another request")
    if permit.term > LATEST_TERM:
        raise Refusal("PERMIT_TERM_WRONG", "the permit's term is beyond what this host can remember")
    return permit


def check_allowed(permit: link_pb2.Permit, command: link_pb2.Command, allowlist: Allowlist) -> None:
    """Check that the permit holds now and that root's allowlist agrees; raise Refusal."""
    now = now_ms()
    if now < permit.not_before_unix_ms:
        raise Refusal("PERMIT_NOT_YET_VALID", "the permit does not hold yet: this host's clock is behind")
    if now >= permit.expire_unix_ms or permit.expire_unix_ms - permit.not_before_unix_ms > LONGEST_MS:
        raise Refusal("PERMIT_EXPIRED", "the permit is over: the command came too late, or the clock is ahead")
    request = link_pb2.ActionRequest.FromString(command.request)
    action, unit = _action_of(request)
    if not action or action != permit.action:
        raise Refusal("ACTION_UNKNOWN", "the request is not for the action that the permit names")
    if action == SUBMIT:
        _check_bundle(request.bundle, allowlist)
        return
    if action == INSPECT and request.inspect.HasField("partition_lags") and not unit:
        # Of no unit: the agent tells more of what it tells by itself.
        return
    # To look at a listed unit needs no leave of its own.
    if not (unit in allowlist.units if action == INSPECT else allowlist.allows(action, unit)):
        raise Refusal("NOT_ON_ALLOWLIST", f"this host's allowlist does not let {action} act on {unit!r}")


def _check_bundle(bundle: link_pb2.BundleAction, allowlist: Allowlist) -> None:
    """Hold a bundle against its id and root's limits; what it tips is read from what was signed."""
    allowed = allowlist.bundles
    if allowed is None:
        raise Refusal("NOT_ON_ALLOWLIST", "this host's allowlist has no `bundles`, so none is sent")
    try:
        read = read_bundle(bundle.transactions)
    except ValueError as error:
        raise Refusal("BUNDLE_INVALID", str(error)) from None
    if read.ident != bundle.bundle:
        raise Refusal("BUNDLE_ID_WRONG", f"the transactions make the bundle {read.ident}, and another was named")
    tip = max(read.tip_lamports, bundle.tip_lamports)
    if tip > allowed.max_tip_lamports:
        raise Refusal("TIP_OVER_CAP", f"it tips {tip:,} lamports, and root allows {allowed.max_tip_lamports:,}")
    if bundle.region and allowed.regions and bundle.region not in allowed.regions:
        raise Refusal("REGION_NOT_ALLOWED", f"root allows {', '.join(allowed.regions)}, and not {bundle.region}")


def _action_of(request: link_pb2.ActionRequest) -> tuple[str, str]:
    """Name the action that a request is for, and its unit; an empty name for none that this agent knows."""
    kind = request.WhichOneof("action")
    if kind is None:
        return "", ""
    if kind == "bundle":
        return SUBMIT, ""
    asked = getattr(request, kind)
    if kind == "stop_job":
        return asked.action if asked.action in JOBS else "", asked.unit
    if kind == "service":
        return SERVICE if asked.verb == link_pb2.UNIT_VERB_RESTART else "", asked.unit
    if kind == "unit":
        return _VERBS.get(asked.verb, ""), asked.unit
    return _ACTIONS.get(kind, ""), asked.unit
