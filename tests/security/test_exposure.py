"""What a stranger gets to see: whether the control plane is well, and what is in its public contract."""

from pathlib import Path

import aiohttp
import grpc
import pytest
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from controlplane.settings import Settings
from tests.support.browser import Browser, reason
from tests.support.plane import Person, Plane, control_plane


async def reflect(plane: Plane, who: Person | None = None) -> list[str]:
    stub = reflection_pb2_grpc.ServerReflectionStub(plane.channel())
    metadata = (("authorization", f"Bearer {who.token}"),) if who else ()

    async def ask():
        yield reflection_pb2.ServerReflectionRequest(list_services="*")

    call = stub.ServerReflectionInfo(ask(), metadata=metadata, timeout=10)
    return [service.name async for reply in call for service in reply.list_services_response.service]


async def test_case_55_reflection_is_for_people_who_signed_in(plane: Plane) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await reflect(plane)
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert "solward.hosts.v1.HostsService" in await reflect(plane, await plane.sign_in())


async def test_case_55_reflection_and_the_document_are_off_where_they_are_switched_off(tmp_path: Path) -> None:
    async with control_plane(tmp_path, reflection=False) as plane, Browser(plane) as browser:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await reflect(plane, await plane.sign_in())
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
        assert await reason(await browser.send("GET", "/openapi.json")) == (404, "PATH_UNKNOWN")


async def test_case_55_metrics_stay_on_loopback_and_are_not_at_the_gateway(plane: Plane) -> None:
    assert Settings().metrics_listen == "127.0.0.1:3050"
    assert Settings().gateway_listen.startswith("127.0.0.1:")
    async with Browser(plane) as browser:
        for path in ("/metrics", "/debug", "/debug/pprof", "/.env", "/server-status", "/"):
            assert await reason(await browser.send("GET", path)) == (404, "PATH_UNKNOWN")
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{plane.app.metrics_port}/metrics") as answer,
    ):
        assert answer.status == 200


async def test_case_55_health_says_whether_it_is_well_and_no_more(plane: Plane) -> None:
    async with Browser(plane) as browser:
        answer = await browser.send("GET", "/health")
        assert (answer.status, await answer.json()) == (200, {"status": "SERVING"})
        assert answer.headers["Server"] == "solward"


async def test_case_55_the_document_holds_the_contract_and_nothing_of_this_installation(plane: Plane) -> None:
    async with Browser(plane) as browser:
        text = await (await browser.send("GET", "/openapi.json")).text()
        assert '"openapi":"3.1.0"' in text
        for own in (str(plane.settings.data_dir), "localhost", "127.0.0.1", plane.settings.trust_domain):
            assert own not in text
