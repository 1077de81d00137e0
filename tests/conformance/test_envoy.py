"""The same requests to a real Envoy before the same server: where it answers otherwise, the table says so and why."""

from pathlib import Path

import grpc
import pytest
from aiohttp import ClientSession, ClientTimeout
from yarl import URL

from tests.conformance.cases import Try, differences, fits, load
from tests.conformance.toy import Toy
from tests.support.envoy import envoy_before, toy_contract

DOCS = Path(__file__).parents[2] / "docs/rest.md"
pytestmark = pytest.mark.timeout(120)


async def answers() -> dict[str, tuple[Try, int, str]]:
    """Put every try to Envoy."""
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((Toy(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    found = {}
    try:
        async with envoy_before(port, toy_contract()) as (door, _), ClientSession(timeout=ClientTimeout(20)) as http:
            for one in (one for case in load() for one in case.tries):
                url = URL(f"http://127.0.0.1:{door}{one.path}", encoded=True)
                async with http.request(one.method, url, **one.options()) as answer:
                    found[one.label] = (one, answer.status, await answer.text(errors="replace"))
    finally:
        await server.stop(None)
    return found


async def test_every_difference_is_explained_and_every_explanation_is_true() -> None:
    explained = {label: one for one in differences() for label in one["tries"]}
    seen = await answers()
    assert not explained.keys() - seen.keys(), "a try that is not there"
    other = {label: (status, text) for label, (one, status, text) in seen.items() if not fits(one, status, text)}
    assert not other.keys() - explained.keys(), {label: other[label] for label in other.keys() - explained.keys()}
    assert not explained.keys() - other.keys(), "no longer a difference"


def test_the_table_is_shown() -> None:
    shown = DOCS.read_text()
    for one in differences():
        assert f"| {one['envoy']} | {one['ours']} |" in shown, one
