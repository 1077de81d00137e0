"""An archive that decodes to far more than its size is left soon, and takes no memory."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from backports import zstd

from agent.snapshots import decode
from agent.snapshots.report import Reason, Verdict
from agent.snapshots.verify import Caps, verify
from tests.peers.snapshots import accounts, bomb, compress, name, state, tar, write

ROOT = Path(__file__).resolve().parents[4]
CHILD = """
import json, sys
from pathlib import Path
from agent.snapshots.verify import Caps, verify
caps = Caps(times=int(sys.argv[3]))
report = verify(Path(sys.argv[1]), sys.argv[2], caps=caps)
# Not getrusage(): that counts what the parent held when it forked.
peak = int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) >> 10
print(json.dumps([report.verdict, report.reasons, report.figures.seconds, peak, report.figures.bytes_decoded]))
"""


def in_a_child(path: Path, times: int = 64) -> tuple[str, list[str], float, int, int]:
    vector = [sys.executable, "-c", CHILD, str(path.parent), path.name, str(times)]
    found = json.loads(subprocess.run(vector, check=True, capture_output=True, cwd=ROOT, timeout=100).stdout)
    return tuple(found)


def write_bomb(folder: Path, codec: str, decoded_bytes: int, file_bytes: int) -> Path:
    path = folder / name(codec=codec)
    with path.open("wb") as file:
        file.writelines(bomb(decoded_bytes, file_bytes, codec))
    return path


def test_a_bomb_of_10_mb_that_decodes_to_10_gb(tmp_path: Path) -> None:
    path = write_bomb(tmp_path, "zst", 10 << 30, 9 << 20)
    verdict, reasons, seconds, peak_mb, decoded_bytes = in_a_child(path)
    assert (verdict, reasons) == (Verdict.FAIL, [Reason.BOMB])
    assert decoded_bytes < 1 << 30
    assert seconds < 20
    assert peak_mb < 150


@pytest.mark.parametrize("codec", ["zst", "lz4"])
def test_memory_is_constant_whatever_it_decodes_to(tmp_path: Path, codec: str) -> None:
    path = write_bomb(tmp_path, codec, 1 << 30, 0)
    verdict, _, _, peak_mb, decoded_bytes = in_a_child(path, 1 << 20)
    assert verdict == Verdict.PASS
    assert decoded_bytes > 1 << 30
    assert peak_mb < 150


def test_a_window_of_any_size_is_not_taken(tmp_path: Path) -> None:
    parameter = zstd.CompressionParameter
    raw = tar([*state(), *accounts()])
    for log, verdict in ((27, Verdict.PASS), (28, Verdict.FAIL)):
        packer = zstd.ZstdCompressor(options={parameter.window_log: log, parameter.enable_long_distance_matching: 1})
        path = write(tmp_path, raw=packer.compress(raw) + packer.flush())
        report = verify(tmp_path, path.name)
        assert report.verdict is verdict
        assert report.reasons == (() if verdict is Verdict.PASS else (Reason.BOMB,))


def test_frames_without_number_are_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "MAX_FRAMES", 20)
    path = write(tmp_path, raw=compress(b"") * 30)
    assert verify(tmp_path, path.name).reasons == (Reason.BOMB,)


def test_the_cap_is_the_callers(tmp_path: Path) -> None:
    path = write(tmp_path)
    assert verify(tmp_path, path.name, caps=Caps(times=0, allowance=1000)).reasons == (Reason.BOMB,)
