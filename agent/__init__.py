"""The agent: probes up, permitted commands down, one per validator or RPC host."""

VERSION = "0.1.0"
PROTOCOL = 1
