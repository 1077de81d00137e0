"""Steps: what a host says of its figures is shown as it says it, whatever it calls them."""

from typing import Any

from solward.hosts.v1 import link_pb2
from solward.operations.v1 import operations_pb2 as pb

from controlplane.links.dispatch import Order
from controlplane.operations.board import Board
from controlplane.operations.steps import Steps

UID = "b" * 32


class World:
    """A store of one operation, an audit log, and a host that answers with figures of any names."""

    def __init__(self) -> None:
        self.operation = pb.Operation(name=f"operations/{UID}", steps=[pb.Step(id="act")])
        self.figures = {"uid": "a", "step": "b", "verdict": "c", "message": "d", "self": "e", "slots": "12"}

    async def get(self, _uid: str) -> pb.Operation:
        return self.operation

    async def save(self, operation: pb.Operation) -> None:
        self.operation = operation

    async def append(self, _entry: object) -> None:
        pass

    async def carry_out(self, _order: Order, _tell: object) -> Any:
        receipt = link_pb2.Receipt(result=link_pb2.RECEIPT_RESULT_DONE, message="done", figures=self.figures)
        return link_pb2.SignedReceipt(), receipt


async def test_figures_may_have_any_names() -> None:
    world: Any = World()
    steps = Steps(Board(world), world, world)
    order = Order(f"operations/{UID}", "act", "a" * 32, "validator.ledger", b"", 1.0, 1.0)
    assert await steps.ordered(UID, "act", order) == pb.VERDICT_PASS
    assert dict(world.operation.steps[0].figures).items() >= world.figures.items()
