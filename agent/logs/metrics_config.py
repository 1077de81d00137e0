"""SOLANA_METRICS_CONFIG: where a validator sends its metrics (agave metrics/src/metrics.rs)."""

from urllib.parse import urlsplit

HOST = "127.0.0.1"
DATABASE = USER = "solward"


def ours(port: int, password: str) -> str:
    """Give the value that makes a validator send to the agent beside it."""
    return f"host=http://{HOST}:{port},db={DATABASE},u={USER},p={password}"


def parse(config: str) -> dict[str, str]:
    """Parse "host=URL,db=NAME,u=USER,p=PASSWORD"; ValueError says what is wrong, and repeats no secret."""
    parts = dict(part.split("=", 1) for part in config.split(",") if "=" in part)
    missing = [key for key in ("host", "db", "u", "p") if not parts.get(key)]
    if missing:
        raise ValueError(f"forward lacks {', '.join(missing)}: it reads host=URL,db=NAME,u=USER,p=PASSWORD")
    url = urlsplit(parts["host"])
    if url.scheme not in ("http", "https") or not url.hostname:
        raise ValueError("forward needs a host that is a URL, http:// or https://")
    return parts
