"""The regions that the engine lists, held against those that the settings name.

Nothing is ever connected to because an engine lists it: where bundles go, root and the settings say.
"""

import re
from collections.abc import Collection, Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

import grpc
import structlog
from jito import block_engine_pb2, searcher_pb2

from agent.jito.region import CALL_S, Region

log = structlog.get_logger(__name__)

# An engine lists eight.
MOST_LISTED = 64
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


class Listing(NamedTuple):
    """What the engine lists, against the settings.

    Attributes:
        there: regions of the settings that it lists.
        gone: regions of the settings that it does not list.
        unknown: regions that it lists and the settings do not name.
    """

    there: frozenset[str]
    gone: frozenset[str]
    unknown: frozenset[str]


def compare(configured: Collection[str], listed: Sequence[str]) -> Listing:
    """Hold a list against the settings; what is no name is left out."""
    names = frozenset(name for name in listed[:MOST_LISTED] if _NAME.fullmatch(name))
    mine = frozenset(configured)
    return Listing(mine & names, mine - names, names - mine)


def warn(before: Listing | None, now: Listing) -> None:
    """Say once what has changed for the worse."""
    gone = now.gone - before.gone if before else now.gone
    unknown = now.unknown - before.unknown if before else now.unknown
    if gone:
        log.warning("the block engine does not list regions of jito.regions (any more)", regions=sorted(gone))
    if unknown:
        words = "the block engine lists regions that jito.regions does not name; they are not used"
        log.warning(words, regions=sorted(unknown))


async def ask(region: Region) -> list[str]:
    """Ask a region for the regions there are: GetRegions, or the endpoints where it is not offered.

    Raises: grpc.aio.AioRpcError.
    """
    metadata = await region.auth.metadata()
    request = searcher_pb2.GetRegionsRequest()
    try:
        told = await region.ask(lambda: region.searcher().GetRegions(request, metadata=metadata, timeout=CALL_S))
    except grpc.aio.AioRpcError as error:
        if error.code() is not grpc.StatusCode.UNIMPLEMENTED:
            raise
    else:
        return list(told.available_regions)
    asked = block_engine_pb2.GetBlockEngineEndpointRequest()
    answer = await region.ask(lambda: region.validator().GetBlockEngineEndpoints(asked, timeout=CALL_S))
    return [_region_of(one.block_engine_url) for one in answer.regioned_endpoints]


def _region_of(url: str) -> str:
    """Take the region out of https://REGION.CLUSTER.block-engine.jito.wtf; empty where there is none."""
    try:
        return (urlsplit(url).hostname or "").partition(".")[0]
    except ValueError:
        return ""
