"""A Jito block engine: gRPC and JSON-RPC of one or more regions, over one small chain, with faults on demand."""

from tests.peers.block_engine.peer import Peer, block_engine

__all__ = ["Peer", "block_engine"]
