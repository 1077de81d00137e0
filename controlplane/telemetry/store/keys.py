"""Series as text, and which of them a question means."""

import json

import duckdb

from controlplane.telemetry.store.model import Labels, Matcher, QueryRefused


def labels_text(labels: Labels) -> str:
    """Give labels as the JSON object that the tables and the Parquet files hold: the same text for the same labels."""
    return json.dumps(dict(labels), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def labels_of(text: str) -> Labels:
    """Read what `labels_text` gave."""
    return tuple(sorted(json.loads(text).items()))


def matching(cursor: duckdb.DuckDBPyConnection, found: list[Labels], matchers: list[Matcher]) -> list[Labels]:
    """Choose the labels for which all matchers hold; raises QueryRefused for a pattern that is none.

    Patterns are RE2's and match the whole value; they are left to DuckDB, since Python's can be made to take for ever.
    """
    for label, op, value in matchers:
        values = {dict(labels).get(label, "") for labels in found}
        meant = {value} & values if op in {"=", "!="} else _full_matches(cursor, values, value)
        if op in {"!=", "!~"}:
            meant = values - meant
        found = [labels for labels in found if dict(labels).get(label, "") in meant]
    return found


def _full_matches(cursor: duckdb.DuckDBPyConnection, values: set[str], pattern: str) -> set[str]:
    try:
        rows = cursor.execute(
            "SELECT value FROM (SELECT unnest(?::VARCHAR[]) AS value) WHERE regexp_full_match(value, ?)",
            [list(values), pattern],
        ).fetchall()
    except duckdb.InvalidInputException:
        raise QueryRefused(f"{pattern[:200]!r} is no regular expression of RE2") from None
    return {value for (value,) in rows}
