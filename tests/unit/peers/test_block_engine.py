"""The block engine peer: clients that others have written work with it unchanged, and it refuses as Jito does."""

import asyncio
import base64
import datetime as dt
import ipaddress
import json
import os
import subprocess
import sys
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID
from jito import bundle_pb2, packet_pb2, searcher_pb2
from jito.searcher_pb2_grpc import SearcherServiceStub
from solders.hash import Hash
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer

from common.pki import key_pem, new_key
from tests.peers.block_engine import Peer, block_engine
from tests.peers.block_engine.peer import Pair
from tests.peers.process import python, running
from tests.support.bundles import TESTNET_TIP_ACCOUNT, tipping
from tests.support.ports import free_ports
from tests.unit.agent.jito.stand import standing

ROOT = Path(__file__).resolve().parents[3]


def certificate() -> Pair:
    key, name = new_key(), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "block engine")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Pair(key_pem(key), made.public_bytes(serialization.Encoding.PEM))


@pytest.fixture(scope="session")
def clients(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clients")
    argv = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps",
            "--require-hashes", "--target", str(folder), "-r", str(ROOT / "requirements" / "peers.txt")]  # fmt: skip
    subprocess.run(argv, check=True, timeout=100)
    return folder


@pytest.mark.parametrize("seed", ["", "07" * 32], ids=["as nobody", "with a key"])
async def test_public_clients_work_with_it_unchanged(tmp_path: Path, clients: Path, seed: str) -> None:
    pair = certificate()
    roots = tmp_path / "roots.pem"
    roots.write_bytes(pair.certificate)
    async with block_engine("ny", tls=pair) as peer:
        peer["ny"].faults.require_auth = bool(seed)
        hash_ = peer.world.blockhash()
        bundles = [[tipping(blockhash=hash_) for _ in range(2)] for _ in range(2)]
        argv = [sys.executable, "-W", "ignore", str(Path(__file__).with_name("public_clients.py")),
                f"127.0.0.1:{peer['ny'].grpc_port}", peer["ny"].json_rpc, seed,
                *(",".join(raw.hex() for raw in bundle) for bundle in bundles)]  # fmt: skip
        environment = os.environ | {"PYTHONPATH": str(clients), "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": str(roots)}
        process = await asyncio.create_subprocess_exec(*argv, stdout=PIPE, env=environment, cwd=tmp_path)
        out, _ = await process.communicate()
        assert process.returncode == 0
        told = json.loads(
            next(line for line in out.decode().splitlines() if line.startswith("told ")).partition(" ")[2]
        )
    by_grpc, by_http = told["grpc"], told["http"]
    assert len(by_grpc["tip_accounts"]) == 8
    assert by_http["tip_account"] in by_grpc["tip_accounts"]
    assert (by_grpc["leaders"], by_grpc["kind"]) == (1, "accepted")
    assert 0 < by_grpc["leader_in"] <= 4
    assert by_grpc["result"] == by_grpc["bundle"] == peer["ny"].region.received[0][0]
    assert by_http["bundle"] == peer["ny"].region.received[1][0]
    assert by_http["inflight"][0]["bundle_id"] == by_http["bundle"]
    assert by_http["again"] == {"success": False, "error": by_http["again"]["error"]}
    assert peer["ny"].tokens.handshakes == bool(seed)


async def test_the_agent_trusts_a_root_of_its_own() -> None:
    pair = certificate()
    async with block_engine("ny", tls=pair) as peer, standing(peer, roots=pair.certificate) as stand:
        assert (await stand.submit(stand.bundle())).figures["tries"] == "1"


def instructions(payer: Keypair, count: int) -> list[Any]:
    to = [Pubkey.new_unique() for _ in range(count)]
    return [transfer(TransferParams(from_pubkey=payer.pubkey(), to_pubkey=one, lamports=1)) for one in to]


def unsigned(raw: bytes) -> bytes:
    return raw[:1] + bytes(64) + raw[65:]


@pytest.mark.parametrize(("make", "words"), [
    (lambda good, _: [good() for _ in range(6)], "max transaction length"),
    (lambda good, _: [good()] * 2, "duplicate transactions"),
    (lambda good, _: [unsigned(good())], "transaction 1111"),
    (lambda good, _: [good()[:90]], "transaction #0 could not be decoded"),
    (lambda good, _: [tipping(blockhash=Hash.default())], "expired blockhash"),
    (lambda good, world: [tipping(blockhash=world.blockhash(), to=TESTNET_TIP_ACCOUNT)], "write lock at least one tip"),
    (lambda good, world: [tipping(999, blockhash=world.blockhash())], "write lock at least one tip"),
])  # fmt: skip
async def test_what_it_refuses_both_wires_refuse_in_the_same_words(make: Any, words: str) -> None:
    async with block_engine("ny") as peer:
        raw = make(lambda: tipping(blockhash=peer.world.blockhash()), peer.world)
        status, body = await send_json(peer, raw)
        assert (status, body["error"]["code"], body["id"]) == (400, -32602, 7)
        assert words in body["error"]["message"]
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await send_grpc(peer, raw)
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert refused.value.details() == body["error"]["message"]


async def test_one_bucket_for_both_wires_with_the_wait_in_all_three_places() -> None:
    async with block_engine("ny", per_second=1.0) as peer:
        raw = [tipping(blockhash=peer.world.blockhash())]
        await send_grpc(peer, raw)
        async with aiohttp.ClientSession() as session:
            url = f"{peer['ny'].json_rpc}/api/v1/getTipAccounts"
            asked = {"jsonrpc": "2.0", "id": 1, "method": "getTipAccounts", "params": []}
            async with session.post(url, json=asked) as answer:
                body = await answer.json()
                assert answer.status == 429
                wait = int(answer.headers["x-wait-to-retry-ms"])
        assert body["error"]["data"] == {"x-wait-to-retry-ms": wait}
        assert f"Retry after {wait}ms" in body["error"]["message"]
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await send_grpc(peer, raw)
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        hint = dict(refused.value.trailing_metadata() or ())["x-wait-to-retry-ms"]
        # Who goes on is made to wait longer.
        assert int(hint) > max(wait, 2_000)


async def test_tips_are_told_in_each_shape_that_was_met() -> None:
    async with block_engine("ny") as peer, aiohttp.ClientSession() as session:
        base = f"{peer['ny'].json_rpc}/api/v1/bundles"
        async with session.get(f"{base}/tip_floor") as answer:
            text = await answer.text()
            (first,) = json.loads(text)
        assert "6.001e-06" in text
        assert first["time"].endswith("Z")
        peer["ny"].http.new_dates = peer["ny"].http.as_strings = True
        async with session.ws_connect(f"{base}/tip_stream") as socket:
            (told,) = await socket.receive_json()
            (again,) = await socket.receive_json()
        assert told["time"].endswith("+00:00")
        assert float(again["landed_tips_25th_percentile"]) == 6.001e-06


async def test_it_runs_as_a_program_whose_faults_are_set_from_outside() -> None:
    grpc_port, http_port, control_port = free_ports(3)
    argv = python("tests.peers.block_engine", "--grpc-port", str(grpc_port), "--http-port", str(http_port),
                  "--control-port", str(control_port))  # fmt: skip
    async with running(argv), aiohttp.ClientSession() as session:
        control = f"http://127.0.0.1:{control_port}/ny"
        async with session.post(f"{control}/faults", json={"upstream_errors": 1}) as answer:
            assert answer.status == 200
        async with session.post(f"{control}/faults", json={"nonsense": 1}) as answer:
            assert (answer.status, await answer.json()) == (400, {"unknown": ["nonsense"]})
        url, asked = f"http://127.0.0.1:{http_port}/api/v1/getTipAccounts", {"id": 1, "method": "getTipAccounts"}
        async with session.post(url, json=asked) as answer:
            assert answer.status == 503
        async with session.post(url, json=asked) as answer:
            assert len((await answer.json())["result"]) == 8
        async with session.post(f"{control}/down") as answer:
            assert answer.status == 200
        with pytest.raises(aiohttp.ClientConnectionError):
            await session.post(url, json=asked)
        async with session.get(f"{control}/state") as answer:
            assert (await answer.json())["received"] == []


async def send_json(peer: Peer, raw: list[bytes]) -> tuple[int, Any]:
    params = [[base64.b64encode(one).decode() for one in raw], {"encoding": "base64"}]
    body = {"jsonrpc": "2.0", "id": 7, "method": "sendBundle", "params": params}
    url = f"{peer['ny'].json_rpc}/api/v1/bundles"
    async with aiohttp.ClientSession() as session, session.post(url, json=body) as answer:
        return answer.status, await answer.json()


async def send_grpc(peer: Peer, raw: list[bytes]) -> str:
    packets = [packet_pb2.Packet(data=one, meta=packet_pb2.Meta(size=len(one))) for one in raw]
    request = searcher_pb2.SendBundleRequest(bundle=bundle_pb2.Bundle(packets=packets))
    async with grpc.aio.insecure_channel(f"127.0.0.1:{peer['ny'].grpc_port}") as channel:
        return (await SearcherServiceStub(channel).SendBundle(request)).uuid
