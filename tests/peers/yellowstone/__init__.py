"""A Yellowstone plugin beside a fake node: its gRPC wire, and the node's own slots over WebSocket."""

from tests.peers.yellowstone.node import Faults, Node
from tests.peers.yellowstone.peer import Peer, yellowstone

__all__ = ["Faults", "Node", "Peer", "yellowstone"]
