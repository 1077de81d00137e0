"""How far the RPC probe's latencies are off, against a server that knows how long it held each answer.

The error of a call is the latency that the probe reports less the time that the server held it, which runs from
the kernel's timestamp of the request to the moment before the answer is sent. What is left is the probe's own
doing, and the two passages through the loopback.
"""

import asyncio
import resource
from typing import Any

import aiohttp
import uvloop

from agent.probes.base import Series
from agent.probes.rpc import RpcProbe, RpcTarget
from agent.probes.rpc_methods import RpcMethod
from tests.peers.process import python, running
from tests.support.sink import Kept

DELAYS_MS = tuple(range(1, 21))
WARM_UP = 3
ERROR_AIM_MS = 0.2


async def _measure(seconds: float) -> tuple[list[float], float]:
    """Run the probe on its schedule; return its errors in seconds, sorted, and its CPU in percent of a core."""
    sink = Kept()
    async with running(python("tests.bench.probe_server")) as (_, line):
        url = f"http://127.0.0.1:{line.split()[1]}"
        methods = tuple(RpcMethod(f"delay{delay}", (delay,)) for delay in DELAYS_MS)
        task = asyncio.create_task(RpcProbe(RpcTarget(url, methods)).run(sink))
        await asyncio.sleep(WARM_UP)
        before = resource.getrusage(resource.RUSAGE_SELF)
        await asyncio.sleep(seconds)
        after = resource.getrusage(resource.RUSAGE_SELF)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        async with aiohttp.ClientSession() as session, session.get(f"{url}/held") as answer:
            held: dict[str, list[float]] = await answer.json()
    errors: list[float] = []
    for method, truths in held.items():
        seen = sink.values[Series.of("solana_rpc_latency_seconds", method=method)]
        errors += [found - truth for found, truth in zip(seen, truths, strict=False)][WARM_UP:]
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return sorted(map(abs, errors)), 100 * used / seconds


async def run(seconds: float = 30.0) -> list[dict[str, Any]]:
    """Measure and return the rows of the report.

    Args:
        seconds: how long to probe 20 methods at 1 Hz, after a warm-up of 3 s.
    """
    errors, cpu = await _measure(seconds)
    p50, p99 = (1000 * errors[int(len(errors) * share)] for share in (0.5, 0.99))
    loop = type(asyncio.get_running_loop()).__module__
    return [
        {
            "name": "probe_error_p99_ms",
            "value": round(p99, 4),
            "unit": "ms",
            "aim": ERROR_AIM_MS,
            "met": p99 <= ERROR_AIM_MS,
            "detail": f"{len(errors)} calls held 1 to 20 ms, median {p50:.3f} ms, {loop}; the probe and its bench "
            f"used {cpu:.2f} % of a core for 20 methods and a connect each second",
        }
    ]


if __name__ == "__main__":
    print(uvloop.run(run()))
