"""Canaries: bundles that agents send of their own, taken in as they are told, and followed as all others are."""

import time
from collections.abc import Iterable

import structlog
from solders.signature import Signature
from solward.hosts.v1 import link_pb2
from solward.jito.v1 import jito_pb2 as pb

from common.clock import now_ms
from common.names import host_name
from controlplane.mev import figures
from controlplane.mev.lifecycle import is_region
from controlplane.mev.tracker import Tracker, whole
from controlplane.mev.transactions import bundle_id
from controlplane.store.bundles import BUNDLES, BundleRepository, Stored

log = structlog.get_logger(__name__)

# One host's that are followed anew within a minute: an agent sends one a minute at the most, and may have been away.
MOST_A_MINUTE, MOST_A_DAY = 60, 2_000
# It lives for 150 blocks, and an agent that was away tells of it later.
_AHEAD_MS = 60_000


class Canaries:
    """Takes in what agents tell.

    Args:
        bundles: where they are stored.
        tracker: follows them to their end on the chain.
    """

    def __init__(self, bundles: BundleRepository, tracker: Tracker) -> None:
        self._bundles = bundles
        self._tracker = tracker
        # What a host has used of a minute, and of a day, by their lengths in seconds.
        self._room: dict[tuple[str, int], tuple[int, int]] = {}

    async def take(self, host_uid: str, host: str, events: Iterable[link_pb2.Event]) -> None:
        """Take in what a host's agent tells of canaries of its own.

        Args:
            host: the host's id.
        """
        for event in events:
            if event.attributes.get("outcome", "") == "sending":
                await self._begin(host_uid, host, event)
            else:
                self._tracker.received(host_uid, event.attributes.get("bundle", ""), _receipt(event))

    async def _begin(self, host_uid: str, host: str, event: link_pb2.Event) -> None:
        canary = read_canary(event, host)
        if canary is None or not self._has_room(host_uid):
            figures.CANARY_REFUSED.labels(host).inc()
            return
        if await self._bundles.adopt(canary, host_uid):
            self._tracker.follow(Stored(canary, host_uid, []))

    def _has_room(self, host_uid: str) -> bool:
        minute, day = self._used(host_uid, 60), self._used(host_uid, 86_400)
        return minute <= MOST_A_MINUTE and day <= MOST_A_DAY and not self._tracker.full

    def _used(self, host_uid: str, seconds: int) -> int:
        part = int(time.monotonic() // seconds)
        began, used = self._room.get((host_uid, seconds), (part, 0))
        used = used + 1 if began == part else 1
        self._room[host_uid, seconds] = (part, used)
        return used


def read_canary(event: link_pb2.Event, host: str) -> pb.Bundle | None:
    """Read what an agent says before it sends one; None where it does not hold together."""
    told = event.attributes
    signature, uid = told.get("signature", ""), told.get("bundle", "")
    height, region = whole(told.get("last_valid_block_height", "")), told.get("region", "")
    if not _is_signature(signature) or uid != bundle_id([signature]) or not height or not is_region(region):
        return None
    canary = pb.Bundle(
        name=f"{BUNDLES}{uid}", host=host_name(host), requester=host_name(host), state=pb.BUNDLE_STATE_SENDING,
        signatures=[signature], tip_lamports=whole(told.get("tip_lamports", "")),
        fee_lamports=whole(told.get("fee_lamports", "")), region=region, last_valid_block_height=height, canary=True,
    )  # fmt: skip
    canary.create_time.FromMilliseconds(max(0, min(event.unix_ms, now_ms() + _AHEAD_MS)))
    return canary


def _is_signature(text: str) -> bool:
    """Whether it is one of 64 bytes: a node refuses a whole question for one that is not."""
    try:
        Signature.from_string(text)
    except ValueError:
        return False
    return True


def _receipt(event: link_pb2.Event) -> link_pb2.Receipt:
    """Say what an agent tells of a canary as it would of a bundle of ours."""
    told = event.attributes
    done = told.get("outcome", "") == "acknowledged"
    return link_pb2.Receipt(
        result=link_pb2.RECEIPT_RESULT_DONE if done else link_pb2.RECEIPT_RESULT_FAILED,
        reason=told.get("reason", "")[:64], message=told.get("message", "")[:512], figures=told,
        end_unix_ms=max(0, event.unix_ms),
    )  # fmt: skip
