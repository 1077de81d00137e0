"""The log of the validator peer: Agave's line format (logger/src/lib.rs), datapoints, panics and filter."""

import signal
import sys
import time
from collections.abc import Mapping
from typing import IO

from tests.peers.validator_state import Node, key_of

_LEVELS = ("off", "error", "warn", "info", "debug", "trace")


def datapoint(name: str, values: Mapping[str, object], tags: Mapping[str, str] | None = None) -> str:
    """Write a datapoint as the validator logs it: integers end in i, strings stand in quotes."""
    parts = [f"datapoint: {name}" + "".join(f",{key}={tag}" for key, tag in (tags or {}).items())]
    for key, value in values.items():
        parts.append(f"{key}={_field(value)}")
    return " ".join(parts)


def _field(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return f"{value}i"
    if isinstance(value, str):
        return '"' + value.replace('"', '\\"') + '"'
    return str(value)


class Log:
    """The log of one node, to a file that SIGUSR1 reopens, or to stderr for "-"."""

    def __init__(self, node: Node, target: str) -> None:
        self._node = node
        self._target = target
        self._reopen = False
        self._out: IO[str] = sys.stderr if target == "-" else self._open()
        if target != "-":
            # With the log on stderr there is no handler, and USR1 kills: so it is with the real node.
            signal.signal(signal.SIGUSR1, self._ask_reopen)

    def _open(self) -> IO[str]:
        return open(self._target, "a", buffering=1, encoding="utf-8")

    def _ask_reopen(self, *_: object) -> None:
        self._reopen = True

    def poll_reopen(self) -> None:
        """Reopen the file if a signal asked for it; called once a second."""
        if self._reopen:
            self._reopen = False
            self._out.close()
            self._out = self._open()

    def line(self, level: str, module: str, text: str) -> None:
        """Write one line, unless the filter drops it."""
        if not self._wanted(level.lower(), module):
            return
        now = time.time_ns()
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now // 1_000_000_000))
        print(f"[{stamp}.{now % 1_000_000_000:09d}Z {level:<5} {module}] {text}", file=self._out, flush=True)

    def _wanted(self, level: str, module: str) -> bool:
        best, allowed = -1, "off"
        for directive in self._node.log_filter.split(","):
            prefix, _, named = directive.strip().rpartition("=")
            if not _ and named not in _LEVELS:
                prefix, named = named, "trace"
            if module.startswith(prefix) and len(prefix) > best and named in _LEVELS:
                best, allowed = len(prefix), named
        return _LEVELS.index(level) <= _LEVELS.index(allowed)

    def point(self, name: str, *, level: str = "INFO", **values: object) -> None:
        """Log one datapoint."""
        self.line(level, "solana_metrics::metrics", datapoint(name, values))

    def panic(self, thread: str, message: str) -> None:
        """Write what the panic hook writes: the raw panic, then an error datapoint."""
        where = "core/src/replay_stage.rs:2961:17"
        print(f"thread '{thread}' panicked at {where}:\n{message}\nstack backtrace:", file=self._out, flush=True)
        print("   0: rust_begin_unwind\n   1: core::panicking::panic_fmt", file=self._out, flush=True)
        text = f"panicked at {where}:\n{message}"
        version = f"{self._node.version} (src:00000000; feat:0, client:Agave)"
        self.point("panic", level="ERROR", program="validator", thread=thread, one=1, message=text,
                   location=where, version=version)  # fmt: skip

    def slot(self, slot: int) -> None:
        """Log what a replayed slot leaves in the log."""
        node, core = self._node, "solana_core::replay_stage"
        block = key_of(f"block{slot}")
        self.line("INFO", core, f"new fork:{slot} parent:{slot - 1} root:{slot - 32}")
        self.line("INFO", "solana_runtime::bank",
                  f"bank frozen: {slot} hash: {block} signature_count: {1000 + slot % 900} "
                  f"last_blockhash: {key_of(f'hash{slot}')} capitalization: 611205302121219551, "
                  f"accounts_lt_hash checksum: {key_of(f'lt{slot}')}, stats: None")  # fmt: skip
        self.point("bank_frozen", slot=slot, hash=block)
        self.point("replay-slot-stats", slot=slot, total_entries=64, total_shreds=900,
                   fetch_entries_time=1200, execute_batches_us=90_000, replay_total_elapsed=150_000)  # fmt: skip
        self.point("shred_insert_is_full", slot=slot, total_time_ms=380, last_index=899, num_repaired=0,
                   num_recovered=12)  # fmt: skip
        self.point("optimistic_slot", slot=slot - 1)
        self.point("tower-vote", latest=node.last_vote, root=node.last_vote - 31)
        self.point("bank-forks_set_root", slot=slot - 32, elapsed_ms=2, total_banks=33, tx_count=1500,
                   total_snapshot_ms=0, dropped_banks_len=1)  # fmt: skip

    def host(self) -> None:
        """Log the counters of the host, which the real node writes every few seconds."""
        self.point("net-stats-validator", in_datagrams_delta=120_000, rcvbuf_errors_delta=0,
                   in_errors_delta=0, rx_drops_delta=0, rx_fifo_delta=0, tx_drops_delta=0)  # fmt: skip
        self.point("memory-stats", total=549_755_813_888, avail_percent=61.5, used_bytes=211_655_988_183,
                   swap_free_percent=100.0)  # fmt: skip
