"""`python -m tests.bench [GROUP]`: measure, write build/bench.json, and make docs/benchmarks.md from it."""

import asyncio
import importlib
import json
import os
import platform
import re
import sys
from pathlib import Path

from tests.bench.rows import Row

ROOT = Path(__file__).resolve().parents[2]
JSON = ROOT / "build" / "bench.json"
DOCUMENT = ROOT / "docs" / "benchmarks.md"

# Group: the modules that measure it, each with an async run().
GROUPS = {
    "grpc": ("grpc_calls",),
    "ingest": ("ingest",),
    "scrape": ("scrape",),
    "ctl": ("control",),
    "agent": ("agent", "probe"),
    "journal": ("journal",),
    "access": ("access",),
    "audit": ("audit", "limits"),
    "host": ("host",),
    "store": ("store",),
    "rolling": ("rolling",),
    "snapshot": ("snapshot",),
    "crash": ("crash",),
    "anomaly": ("anomaly",),
    "landing": ("landing",),
    "ws": ("ws",),
    "bundle": ("bundle", "tracker"),
    "kafka": ("kafka",),
    "geyser": ("geyser", "geyser_recovery"),
}

HEAD = """# Benchmarks

Made by `make bench`; load generators run on the same machine as what they measure. Each comparison with an
aim is the project's own; a figure that falls short is marked and its reason given below.
"""


def main() -> int:
    """Measure one group, or all; the exit status says only whether the measuring worked."""
    wanted = sys.argv[1:] or list(GROUPS)
    unknown = set(wanted) - set(GROUPS)
    if unknown:
        print(f"no such group: {', '.join(sorted(unknown))}; there are {', '.join(GROUPS)}", file=sys.stderr)
        return 2
    rows: dict[str, Row] = {row["name"]: row for row in _stored()}
    for group in wanted:
        for module in GROUPS[group]:
            for row in asyncio.run(importlib.import_module(f"tests.bench.{module}").run()):
                rows[row["name"]] = row
                verdict = "ok  " if row["met"] else "MISS"
                print(f"{verdict} {row['name']} = {row['value']:g} {row['unit']} (aim {row['aim']})", flush=True)
    JSON.parent.mkdir(exist_ok=True)
    JSON.write_text(json.dumps(list(rows.values()), indent=2) + "\n")
    DOCUMENT.write_text(_document(list(rows.values())))
    return 0


_LINE = re.compile(r"\| `(\w+)` \| ([\d.e+-]+) ?(.*?) \| (.*?) \| (yes|\*\*no\*\*) \| (.*) \|")


def _stored() -> list[Row]:
    """Give the rows of earlier runs: of this clone, else of whoever wrote the document."""
    if JSON.exists():
        rows: list[Row] = json.loads(JSON.read_text())
        return rows
    found = map(_LINE.fullmatch, DOCUMENT.read_text().splitlines())
    return [
        Row(name=name, value=float(value), unit=unit, aim=aim, met=met == "yes", detail=detail)
        for name, value, unit, aim, met, detail in (match.groups() for match in found if match)
    ]


def _document(rows: list[Row]) -> str:
    machine = f"{os.cpu_count()} cores, Python {platform.python_version()}, Linux {platform.release().split('-')[0]}"
    lines = [HEAD, f"Measured on: {machine}.\n", "| figure | measured | aim | met | how |", "|---|---|---|---|---|"]
    for row in rows:
        met = "yes" if row["met"] else "**no**"
        lines.append(f"| `{row['name']}` | {row['value']:g} {row['unit']} | {row['aim']} | {met} | {row['detail']} |")
    notes = ROOT / "docs" / "benchmarks-notes.md"
    return "\n".join(lines) + "\n" + (f"\n{notes.read_text()}" if notes.exists() else "")


if __name__ == "__main__":
    for name in [name for name in os.environ if name.startswith("SOLWARD_")]:
        del os.environ[name]
    sys.exit(main())
