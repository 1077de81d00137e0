"""Advice on priority fees, from what an RPC node can say of them; no I/O.

getRecentPrioritizationFees tells, of each of the last 150 blocks, the LEAST price that landed in it (of the block, and
of the writable accounts that were asked about). Percentiles over blocks are percentiles of these least prices, and not
of what others paid.
"""

import math
from typing import Any, NamedTuple

UNITS, MOST_UNITS = 200_000, 1_400_000
LEVELS = (("low", 25.0), ("medium", 50.0), ("high", 75.0), ("very_high", 95.0))
MOST_SLOTS = 1_000
CAVEAT = (
    "percentiles over recent blocks of the least price that landed in each; a block that was not full has 0. "
    "They tell what got in, not what others paid, and nothing of bundles, where only the tip counts"
)


class Level(NamedTuple):
    """One price: micro-lamports a compute unit, and what a transaction then pays in lamports besides its base fee."""

    name: str
    percentile: float
    micro_lamports: int
    lamports: int


class Advice(NamedTuple):
    """Prices, how many blocks they rest on, and the share of those where nothing above 0 was asked for."""

    levels: list[Level]
    slots: int
    free_share: float


def advise(answer: Any, compute_units: int) -> Advice:
    """Make advice of an answer of getRecentPrioritizationFees.

    Args:
        answer: its result.
        compute_units: the transaction's limit, at most 1,400,000; 0 for 200,000.

    Raises: ValueError for an answer of another shape.
    """
    prices = sorted(_prices(answer))
    units = min(compute_units or UNITS, MOST_UNITS)
    if not prices:
        return Advice([], 0, 0.0)
    levels = [Level(name, share, price := _at(prices, share), cost(price, units)) for name, share in LEVELS]
    return Advice(levels, len(prices), sum(price == 0 for price in prices) / len(prices))


def cost(micro_lamports: int, compute_units: int) -> int:
    """Give what a price of compute units comes to, in lamports: what is begun of one is paid (Solana's fee rule)."""
    return -(-micro_lamports * compute_units // 1_000_000)


def _prices(answer: Any) -> list[int]:
    if not isinstance(answer, list) or len(answer) > MOST_SLOTS:
        raise ValueError("not a list of slots")
    return [_price(one) for one in answer]


def _price(slot: Any) -> int:
    price = slot.get("prioritizationFee") if isinstance(slot, dict) else None
    if not isinstance(price, int) or isinstance(price, bool) or not 0 <= price < 2**63:
        raise ValueError("a slot without its prioritizationFee")
    return price


def _at(prices: list[int], percentile: float) -> int:
    return prices[min(len(prices) - 1, math.ceil(percentile / 100 * len(prices)) - 1)]
