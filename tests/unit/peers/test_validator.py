"""The validator peer speaks the wire byte for byte as Agave does."""

import asyncio
import json
import os
import re
import signal
import socket
import stat
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.peers.fixtures import ValidatorPeer, validator_peer
from tests.peers.process import PeerFailed
from tests.peers.validator_jsonrpc import take_message
from tests.peers.validator_log import datapoint
from tests.peers.validator_state import b58decode, b58encode, key_of

LINE = re.compile(
    r"\[\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z (ERROR|WARN |INFO |DEBUG|TRACE) ([a-z_]+(?:::[a-z_]+)*)\] (.*)"
)


async def post(peer: ValidatorPeer, body: bytes, content_type: str = "application/json") -> tuple[int, bytes]:
    async with (
        aiohttp.ClientSession() as session,
        session.post(peer.rpc_url, data=body, headers={"Content-Type": content_type}) as answer,
    ):
        return answer.status, await answer.read()


async def raw_admin(peer: ValidatorPeer, *pieces: bytes, answers: int = 1) -> list[bytes]:
    reader, writer = await asyncio.open_unix_connection(str(peer.ledger / "admin.rpc"))
    try:
        async with asyncio.timeout(3):
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0.02)
            return [await reader.readline() for _ in range(answers)]
    finally:
        writer.close()
        await writer.wait_closed()


def keypair(path: Path, seed: int) -> str:
    path.write_text(json.dumps([seed] * 32 + [seed + 1] * 32))
    return b58encode(bytes([seed + 1] * 32))


async def until(found: Any) -> None:
    async with asyncio.timeout(5):
        while not found():
            await asyncio.sleep(0.02)


@given(st.binary(min_size=32, max_size=32))
def test_base58_round_trips(raw: bytes) -> None:
    assert b58decode(b58encode(raw)) == raw


def test_base58_is_that_of_known_keys() -> None:
    assert b58encode(bytes(32)) == "1" * 32
    token = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA"
    assert b58decode(token).hex() == "06ddf6e1d765a193d9cbe146ceeb79ac1cb485ed5f5b37913a8cf5857eff00a9"


@settings(max_examples=30, deadline=None)
@given(st.lists(st.dictionaries(st.text(), st.text() | st.lists(st.integers())), min_size=1), st.data())
def test_framing_finds_every_object_in_any_cut_of_the_stream(objects: list[Any], data: st.DataObject) -> None:
    stream = b"\n".join(json.dumps(one).encode() for one in objects)
    buffer, found, at = bytearray(), [], 0
    while at < len(stream):
        cut = data.draw(st.integers(at + 1, len(stream)))
        buffer += stream[at:cut]
        at = cut
        while (message := take_message(buffer)) is not None:
            found.append(json.loads(message))
    assert found == objects


def test_a_datapoint_shows_each_type_as_the_validator_does() -> None:
    values = {"slot": 12, "ratio": 1.5, "ok": True, "text": 'say "hi"'}
    assert datapoint("a-b", values, {"id": "x"}) == 'datapoint: a-b,id=x slot=12i ratio=1.5 ok=true text="say \\"hi\\""'


async def test_json_rpc_answers_are_exact() -> None:
    async with validator_peer(identity=key_of("me")) as peer:
        ask = b'{"jsonrpc":"2.0","id":%s,"method":"%s"}'
        assert await post(peer, ask % (b"7", b"getHealth")) == (
            200,
            b'{"jsonrpc":"2.0","result":"ok","id":7}',
        )
        identity = f'{{"jsonrpc":"2.0","result":{{"identity":"{key_of("me")}"}},"id":"x"}}'
        assert await post(peer, ask % (b'"x"', b"getIdentity")) == (200, identity.encode())
        missing = b'{"jsonrpc":"2.0","error":{"code":-32601,"message":"Method not found"},"id":1}'
        assert await post(peer, ask % (b"1", b"getNothing")) == (200, missing)
        parse = b'{"jsonrpc":"2.0","error":{"code":-32700,"message":"Parse error"},"id":null}'
        assert await post(peer, b"{") == (200, parse)
        assert (await post(peer, ask % (b"1", b"getHealth"), "text/plain"))[0] == 415
        batch = b"[" + ask % (b"1", b"getHealth") + b"," + ask % (b"2", b"getHealth") + b"]"
        assert [one["id"] for one in json.loads((await post(peer, batch))[1])] == [1, 2]
        padded = ask % (b"1", b"getHealth")
        assert (await post(peer, padded.ljust(51_200)))[0] == 200
        assert (await post(peer, padded.ljust(51_201)))[0] == 413
        async with aiohttp.ClientSession() as session:
            async with session.get(f"{peer.rpc_url}/health") as answer:
                assert (answer.status, await answer.text()) == (200, "ok")
            async with session.get(peer.rpc_url) as answer:
                assert answer.status == 405


async def test_every_method_answers_with_its_shape() -> None:
    key = key_of("some account")
    async with validator_peer(slot_ms=20, leader_every=400) as peer:

        async def result(method: str, *params: Any) -> Any:
            answer = await peer.rpc(method, *params)
            assert list(answer) == ["jsonrpc", "result", "id"], answer
            return answer["result"]

        first = await result("getSlot", {"commitment": "processed"})
        assert await result("getBlockHeight") < first
        assert await result("getTransactionCount") > first
        assert b58decode(await result("getGenesisHash"))
        assert set(await result("getVersion")) == {"solana-core", "feature-set"}
        epoch = await result("getEpochInfo")
        assert epoch["epoch"] * epoch["slotsInEpoch"] + epoch["slotIndex"] == epoch["absoluteSlot"]
        votes = await result("getVoteAccounts")
        identity = (await result("getIdentity"))["identity"]
        (own,) = [one for one in votes["current"] if one["nodePubkey"] == identity]
        assert await result("getVoteAccounts", {"votePubkey": own["votePubkey"]}) is not None
        schedule = await result("getLeaderSchedule", None, {"identity": identity})
        assert schedule[identity][:5] == [0, 1, 2, 3, 400]
        everyone = await result("getLeaderSchedule")
        assert sum(map(len, everyone.values())) == epoch["slotsInEpoch"]
        assert await result("getLeaderSchedule", 0) is None
        snapshots = await result("getHighestSnapshotSlot")
        assert snapshots["full"] % 100_000 == 0 and snapshots["incremental"] % 200 == 0
        assert set((await result("getLatestBlockhash"))["value"]) == {"blockhash", "lastValidBlockHeight"}
        account = await result("getAccountInfo", key, {"encoding": "base64", "dataSlice": {"offset": 0, "length": 4}})
        assert account["value"]["data"][1] == "base64" and account["value"]["space"] == 165
        assert len(await result("getProgramAccounts", key)) == 20
        assert "value" in await result("getProgramAccounts", key, {"withContext": True})
        block = await result("getBlock", first - 100, {"transactionDetails": "signatures", "rewards": False})
        assert block["parentSlot"] == first - 101 and len(block["signatures"]) == 50
        assert len(await result("getRecentPrioritizationFees", [])) == 150
        assert (await result("getRecentPerformanceSamples", 2))[0]["samplePeriodSecs"] == 60
        assert (await result("getSignatureStatuses", ["a" * 88]))["value"] == [None]
        assert await result("minimumLedgerSlot") == await result("getFirstAvailableBlock")
        await asyncio.sleep(0.1)
        assert await result("getSlot", {"commitment": "processed"}) > first
        assert await result("getSlot") < await result("getSlot", {"commitment": "confirmed"})


async def test_errors_of_the_rpc_side_carry_their_codes_and_data() -> None:
    async with validator_peer() as peer:
        slot = (await peer.rpc("getSlot"))["result"]
        too_new = (await peer.rpc("getSlot", {"minContextSlot": slot + 1000}))["error"]
        assert too_new["code"] == -32016 and too_new["data"]["contextSlot"] >= slot
        assert (await peer.rpc("getBlock", slot + 5000))["error"]["code"] == -32004
        assert (await peer.rpc("getBlock", 5))["error"]["code"] == -32001
        assert (await peer.rpc("getAccountInfo", "not a key"))["error"]["code"] == -32602
        assert (await peer.rpc("getSignatureStatuses", ["a"] * 257))["error"]["code"] == -32602


async def test_faults_come_and_go_at_run_time() -> None:
    async with validator_peer(latency_ms={"getSlot": 60}) as peer:
        clock = asyncio.get_running_loop().time
        begun = clock()
        await peer.rpc("getSlot")
        assert clock() - begun >= 0.06

        await peer.faults(latency_ms=None, error_code={"getSlot": -32005}, behind_slots=200)
        assert (await peer.rpc("getSlot"))["error"]["code"] == -32005
        health = (await peer.rpc("getHealth"))["error"]
        assert health == {
            "code": -32005,
            "message": "Node is behind by 200 slots",
            "data": {"numSlotsBehind": 200},
        }
        async with aiohttp.ClientSession() as session, session.get(f"{peer.rpc_url}/health") as answer:
            assert await answer.text() == "behind"

        await peer.faults(error_code=None, behind_slots=None, http_status=503)
        assert (await post(peer, b'{"jsonrpc":"2.0","id":1,"method":"getSlot"}'))[0] == 503

        await peer.faults(http_status=None, hang="getSlot")
        assert (await peer.rpc("getHealth"))["result"] == "ok"
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await peer.rpc("getSlot")

        await peer.faults(hang=False, delinquent_percent=50)
        votes = (await peer.rpc("getVoteAccounts"))["result"]
        assert len(votes["delinquent"]) == 10
        with pytest.raises(aiohttp.ClientResponseError):
            await peer.faults(no_such_fault=1)


async def test_admin_framing_needs_no_newline_and_matches_by_brackets() -> None:
    async with validator_peer() as peer:
        mode = (peer.ledger / "admin.rpc").stat().st_mode
        assert stat.S_ISSOCK(mode) and stat.S_IMODE(mode) == 0o600
        pid = b'{"jsonrpc":"2.0","result":%d,"id":"}{"}\n' % peer.process.pid
        split = (b'{"jsonrpc":"2.0","id":"}{",', b'"method":"pid","par', b'ams":[]}')
        assert await raw_admin(peer, *split) == [pid]
        both = b'{"jsonrpc":"2.0","id":1,"method":"pid"}\n{"jsonrpc":"2.0","id":2,"method":"pid"}'
        assert {json.loads(line)["id"] for line in await raw_admin(peer, both, answers=2)} == {1, 2}
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await raw_admin(peer, b'{"jsonrpc":"2.0","id":1,"method":"pid"')


@pytest.mark.parametrize(
    ("method", "params", "message"),
    [
        ("setIdentity", ["/x", True], "Invalid params: invalid length 2, expected a tuple of size 3."),
        (
            "setIdentity",
            ["/x", True, True, 1],
            "Invalid params: invalid length 4, expected fewer elements in array.",
        ),
        ("setIdentity", ["/x", 1, True], "Invalid params: invalid type: integer `1`, expected a boolean."),
        ("setLogFilter", [], "Invalid params: invalid length 0, expected a tuple of size 1."),
        ("setLogFilter", [False], "Invalid params: invalid type: boolean `false`, expected a string."),
        ("pid", [1], "Invalid parameters: No parameters were expected"),
        ("addAuthorizedVoter", ["/none"], "No such file or directory (os error 2)"),
        (
            "setIdentity",
            ["/none", False, False],
            "Failed to read identity keypair from /none: No such file or directory (os error 2)",
        ),
    ],
)
async def test_admin_parameter_errors_are_worded_as_serde_words_them(
    method: str, params: list[Any], message: str
) -> None:
    async with validator_peer() as peer:
        error = (await peer.admin(method, *params))["error"]
        assert (error["code"], error["message"]) == (-32602, message)


async def test_admin_reads_the_node() -> None:
    async with validator_peer(vote_account=key_of("v")) as peer:
        assert (await peer.admin("startProgress"))["result"] == "Running"
        assert (await peer.admin("rpcAddress"))["result"] == peer.rpc_url.removeprefix("http://")
        assert set((await peer.admin("startTime"))["result"]) == {"secs_since_epoch", "nanos_since_epoch"}
        contact = (await peer.admin("contactInfo"))["result"]
        assert contact["id"] == (await peer.rpc("getIdentity"))["result"]["identity"]
        assert contact["shred_version"] == 50093
        assert (await peer.admin("isGeneratingSnapshots"))["result"] is True
        status = (await peer.admin("validatorAdmissionTicketStatus"))["result"]
        assert status["vote_account"] == list(b58decode(key_of("v"))) and status["voting_enabled"]
        assert (await peer.admin("generateSnapshot"))["error"]["code"] == -32601


async def test_voting_stops_and_starts_with_the_authorized_voters(tmp_path: Path) -> None:
    voter = tmp_path / "voter.json"
    keypair(voter, 5)
    async with validator_peer(slot_ms=20) as peer:
        (tower,) = [path async for path in _towers(peer)]
        assert (await peer.admin("removeAllAuthorizedVoters"))["result"] is None
        await asyncio.sleep(0.1)
        stopped = tower.stat().st_mtime_ns
        await asyncio.sleep(0.1)
        assert tower.stat().st_mtime_ns == stopped
        assert not (await peer.admin("validatorAdmissionTicketStatus"))["result"]["voting_enabled"]
        assert (await peer.admin("addAuthorizedVoter", str(voter)))["result"] is None
        again = (await peer.admin("addAuthorizedVoter", str(voter)))["error"]
        assert again == {"code": -32602, "message": "Authorized voter already present"}
        await until(lambda: tower.stat().st_mtime_ns > stopped)


async def _towers(peer: ValidatorPeer) -> Any:
    await until(lambda: list(peer.ledger.glob("tower-1_9-*.bin")))
    for path in peer.ledger.glob("tower-1_9-*.bin"):
        yield path


async def test_identity_swaps_after_the_answer_and_wants_its_tower(tmp_path: Path) -> None:
    file = tmp_path / "id.json"
    new = keypair(file, 7)
    async with validator_peer() as peer:
        refused = (await peer.admin("setIdentity", str(file), True, True))["error"]
        assert refused["message"].startswith(f"Unable to load tower file for identity {new}: ")
        assert (await peer.admin("setIdentity", str(file), False, True))["result"] is None
        assert (await peer.rpc("getIdentity"))["result"] == {"identity": new}
        await until(lambda: "validator-set_identity" in peer.log.read_text())
        log = peer.log.read_text()
        assert log.index(f"Identity set to {new}") < log.index("Identity changed from")
        assert f'new_id="{new}"' in log


async def test_every_log_line_has_the_form_of_agave() -> None:
    async with validator_peer(slot_ms=10) as peer:
        await until(lambda: "net-stats-validator" in peer.log.read_text())
        lines = peer.log.read_text().splitlines()[:-1]
        matches = [LINE.fullmatch(line) for line in lines]
        assert all(matches)
        points = [match[3] for match in matches if match and match[2] == "solana_metrics::metrics"]
        assert all(re.fullmatch(r"datapoint: [\w-]+(,\w+=\w+)*( [\w-]+=\S+)+", point) for point in points)
        assert {"datapoint: bank_frozen", "datapoint: tower-vote"} <= {" ".join(p.split()[:2]) for p in points}


async def test_the_log_filter_and_rotation_work(tmp_path: Path) -> None:
    async with validator_peer(slot_ms=20) as peer:
        await peer.admin("setLogFilter", "solana=error,agave=error")
        await asyncio.sleep(0.05)
        quiet = peer.log.stat().st_size
        await asyncio.sleep(0.2)
        assert peer.log.stat().st_size == quiet
        await peer.admin("setLogFilter", "solana=info")
        peer.log.rename(tmp_path / "old.log")
        peer.process.send_signal(signal.SIGUSR1)
        await until(peer.log.exists)


async def test_a_slow_start_walks_through_its_values_with_the_rpc_port_closed_at_first() -> None:
    async with validator_peer(slow_start_s=1.5) as peer:
        seen: list[str] = []
        assert (await peer.admin("contactInfo"))["error"]["message"] == "Retry once validator start up is complete"
        assert (await peer.admin("isGeneratingSnapshots"))["error"]["message"] == "snapshot_controller unavailable"
        with pytest.raises(aiohttp.ClientConnectorError):
            await peer.rpc("getHealth")
        async with asyncio.timeout(5):
            while "Running" not in seen:
                progress = (await peer.admin("startProgress"))["result"]
                name = progress if isinstance(progress, str) else next(iter(progress))
                seen += [] if seen and seen[-1] == name else [name]
                await asyncio.sleep(0.02)
        assert seen == ["Initializing", "SearchingForRpcService", "DownloadingSnapshot", "CleaningAccounts",
                        "LoadingLedger", "StartingServices", "ProcessingLedger", "Running"]  # fmt: skip
        assert (await peer.rpc("getHealth"))["result"] == "ok"


async def test_exit_is_orderly_with_code_0() -> None:
    async with validator_peer() as peer:
        assert await raw_admin(peer, b'{"jsonrpc":"2.0","id":1,"method":"exit"}') == [
            b'{"jsonrpc":"2.0","result":null,"id":1}\n'
        ]
        async with asyncio.timeout(5):
            assert await peer.process.wait() == 0
        assert not (peer.ledger / "admin.rpc").exists()
        assert "Validator exiting..." in peer.log.read_text()


async def test_a_crash_panics_with_code_1_and_leaves_its_socket_behind() -> None:
    async with validator_peer() as peer:
        await peer.crash()
        assert await peer.process.wait() == 1
        text = peer.log.read_text()
        assert re.search(r"^thread 'solReplayStage' panicked at \S+:\n", text, re.MULTILINE)
        assert 'datapoint: panic program="validator" thread="solReplayStage" one=1i message="' in text
        with socket.socket(socket.AF_UNIX) as dead, pytest.raises(ConnectionRefusedError):
            dead.connect(str(peer.ledger / "admin.rpc"))


async def test_sigterm_is_instant_death() -> None:
    async with validator_peer() as peer:
        os.kill(peer.process.pid, signal.SIGTERM)
        assert await peer.process.wait() == -signal.SIGTERM
        assert (peer.ledger / "admin.rpc").exists()


async def test_a_ledger_serves_one_process_at_a_time(tmp_path: Path) -> None:
    async with validator_peer(ledger=tmp_path):
        with pytest.raises(PeerFailed, match="ended with 1"):
            async with validator_peer(ledger=tmp_path):
                pytest.fail("two validators on one ledger")
