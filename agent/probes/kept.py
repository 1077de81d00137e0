"""A probe that fails begins anew: what one target answers must not cost the host its agent."""

import asyncio

import structlog

from agent.probes.base import Probe, Sink

log = structlog.get_logger(__name__)

AGAIN_S = 5.0


async def kept(probe: Probe, sink: Sink, again_s: float = AGAIN_S) -> None:
    """Run a probe until it ends or is cancelled; one that raises is logged and begun anew after a while."""
    while True:
        try:
            await probe.run(sink)
        except Exception:
            log.exception("a probe failed; beginning anew", probe=probe.name, seconds=again_s)
            await asyncio.sleep(again_s)
        else:
            return
