"""Rows of bundles, and the budget that pays for their tips.

A tip counts against the day on which its bundle was asked for, from before it is sent until it is known not to land:
what was promised and what was paid can never be more than the budget, whoever asks at the same time and whatever dies
in between.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

from solward.jito.v1 import jito_pb2 as pb
from sqlalchemy import BindParameter, Double, Select, bindparam, case, cast, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from common.clock import now_ms
from controlplane.store.tables import bundles, tip_budgets
from controlplane.store.turns import take_turns

DAY_MS = 86_400_000
BUNDLES = "bundles/"
# Their tips were not paid and will not be. Of a bundle of which nothing is known the tip may have been.
UNPAID = (pb.BUNDLE_STATE_CHECKED, pb.BUNDLE_STATE_EXPIRED, pb.BUNDLE_STATE_FAILED)
ENDED = (
    *UNPAID, pb.BUNDLE_STATE_FINALIZED, pb.BUNDLE_STATE_PARTIAL, pb.BUNDLE_STATE_UNKNOWN,
)  # fmt: skip
LANDED = (pb.BUNDLE_STATE_LANDED, pb.BUNDLE_STATE_FINALIZED)
_OUTBID = ("OUTBID_LOCALLY", "OUTBID_GLOBALLY")
_BUDGET = "tips"
# What a sum is given as at the most: an int64 of a message, with room to add some.
_MOST = 10**18
Position = tuple[int, str]


class OverBudget(Exception):
    """The tip is more than may be tipped now.

    Attributes:
        budget: as it stands.
    """

    def __init__(self, budget: pb.Budget) -> None:
        super().__init__("the tip is over the budget")
        self.budget = budget


class Stored(NamedTuple):
    """A bundle, whose it is, and its transactions while they may be sent again."""

    bundle: pb.Bundle
    host_uid: str
    transactions: list[bytes]

    @property
    def uid(self) -> str:
        """The bundle's id."""
        return uid_of(self.bundle)


class StrategySum(NamedTuple):
    """Bundles of one strategy in one state: how many, and what they come to, in lamports."""

    strategy: str
    state: int
    bundles: int
    tips: int
    profit: int
    fees: int


class BundleRepository:
    """Reads and writes bundles and the budget."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def add(
        self, bundle: pb.Bundle, host_uid: str, transactions: Iterable[bytes], request_key: str | None
    ) -> Stored | None:
        """Store a new bundle, its tip reserved; or anew one that no block engine took.

        Args:
            request_key: names the request; a second one of the same name is not stored.

        Returns: the bundle that is stored already, by its id or by the request's name; None where this one is new.

        Raises: OverBudget.
        """
        created, uid = now_ms(), uid_of(bundle)
        row = {
            "uid": uid, "host_uid": host_uid, "strategy": bundle.strategy, "state": bundle.state,
            "tip_lamports": bundle.tip_lamports, "day": created // DAY_MS, "ended": bundle.state in ENDED,
            "record": bundle.SerializeToString(), "transactions": _packed(transactions), "request_key": request_key,
            "created_ms": created, **_summed(bundle),
        }  # fmt: skip
        try:
            async with self._engine.begin() as connection:
                await take_turns(connection, "tips")
                known = await _known(connection, uid, request_key)
                if known and known.bundle.canary:
                    # An agent said that it sends this of its own; who has it signed is believed before.
                    await connection.execute(delete(bundles).where(bundles.c.uid == uid, bundles.c.canary.is_(True)))
                    known = None
                if known:
                    # By the same request nothing is done twice, whatever came of it.
                    untaken = (bundles.c.uid == uid) & (bundles.c.state == pb.BUNDLE_STATE_FAILED)
                    another = bundles.c.request_key.is_(None) | (bundles.c.request_key != (request_key or ""))
                    gone = (
                        await connection.execute(delete(bundles).where(untaken, another)) if known.uid == uid else None
                    )
                    if gone is None or not gone.rowcount:
                        return known
                if bundle.state not in UNPAID:
                    budget = await _budget(connection, created)
                    if not affords(budget, bundle.tip_lamports):
                        raise OverBudget(budget)
                await connection.execute(insert(bundles).values(**row))
        except IntegrityError:
            async with self._engine.connect() as connection:
                return await _known(connection, uid, request_key)
        return None

    async def adopt(self, canary: pb.Bundle, host_uid: str) -> bool:
        """Store a bundle that a host's agent sends of its own, outside any budget; says whether it is new."""
        uid = uid_of(canary)
        row = {
            "uid": uid, "host_uid": host_uid, "strategy": canary.strategy, "state": canary.state,
            "tip_lamports": canary.tip_lamports, "day": now_ms() // DAY_MS, "ended": canary.state in ENDED,
            "record": canary.SerializeToString(), "transactions": b"", "created_ms": now_ms(), "canary": True,
            **_summed(canary),
        }  # fmt: skip
        try:
            async with self._engine.begin() as connection:
                if await _known(connection, uid, None):
                    return False
                await connection.execute(insert(bundles).values(**row))
        except IntegrityError:
            return False
        return True

    async def find(self, uid: str, request_key: str | None = None) -> Stored | None:
        """Find a bundle by its id, or by the name of the request that it came with."""
        async with self._engine.connect() as connection:
            return await _known(connection, uid, request_key)

    async def save(self, changed: Iterable[pb.Bundle]) -> None:
        """Store bundles as they stand now; one that has ended is sent no more."""
        rows = [
            {
                "changed": uid_of(one),
                "state": one.state,
                "record": one.SerializeToString(),
                "ended": one.state in ENDED,
                "lost_bid": _lost_bid(one),
            }
            for one in changed
        ]
        if not rows:
            return
        mine = bundles.c.uid == bindparam("changed")
        values: dict[str, BindParameter[Any]] = {
            name: bindparam(name) for name in ("state", "record", "ended", "lost_bid")
        }
        ended = [row["changed"] for row in rows if row["ended"]]
        async with self._engine.begin() as connection:
            await connection.execute(update(bundles).where(mine).values(**values), rows)
            if ended:
                await connection.execute(update(bundles).where(bundles.c.uid.in_(ended)).values(transactions=b""))

    async def page(
        self, host_uids: Iterable[str] | None, strategy: str, before: Position | None, size: int,
        *, canaries: bool = False,
    ) -> list[tuple[Position, pb.Bundle]]:  # fmt: skip
        """List bundles of some hosts or all, the newest first, each with the key that the next page begins before.

        Args:
            canaries: those that agents sent of their own, and no others.
        """
        columns = (bundles.c.created_ms, bundles.c.uid, bundles.c.record)
        statement = select(*columns).order_by(bundles.c.created_ms.desc(), bundles.c.uid.desc()).limit(size)
        statement = statement.where(bundles.c.canary.is_(canaries))
        if host_uids is not None:
            statement = statement.where(bundles.c.host_uid.in_(list(host_uids)))
        if strategy:
            statement = statement.where(bundles.c.strategy == strategy)
        if before:
            created, uid = before
            same = (bundles.c.created_ms == created) & (bundles.c.uid < uid)
            statement = statement.where((bundles.c.created_ms < created) | same)
        async with self._engine.connect() as connection:
            rows = (await connection.execute(statement)).all()
        return [((row[0], row[1]), pb.Bundle.FromString(row[2])) for row in rows]

    async def unfinished(self) -> list[Stored]:
        """List the bundles of which more is to become known, the oldest first."""
        statement = _whole().where(bundles.c.ended.is_(False)).order_by(bundles.c.created_ms)
        async with self._engine.connect() as connection:
            return [
                _stored(row.record, row.host_uid, row.transactions)
                for row in (await connection.execute(statement)).all()
            ]

    async def since(self, unix_ms: int) -> list[pb.Bundle]:
        """List the bundles that were asked for since a time, the oldest first, without canaries."""
        wanted = (bundles.c.created_ms >= unix_ms) & bundles.c.canary.is_(False)
        statement = select(bundles.c.record).where(wanted).order_by(bundles.c.created_ms)
        async with self._engine.connect() as connection:
            return [pb.Bundle.FromString(record) for record in (await connection.execute(statement)).scalars()]

    async def sums(self, unix_ms: int) -> list[StrategySum]:
        """Sum bundles up that were asked for since a time, by strategy and state, without canaries."""
        wanted = (bundles.c.created_ms >= unix_ms) & bundles.c.canary.is_(False)
        # As floating-point numbers, exact up to 9 million SOL: what callers say they earn must not overflow a sum.
        amounts = ("tip_lamports", "profit_lamports", "fee_lamports")
        columns = [func.sum(cast(bundles.c[name], Double)) for name in amounts]
        statement = select(bundles.c.strategy, bundles.c.state, func.count(), *columns).where(wanted)
        async with self._engine.connect() as connection:
            rows = (await connection.execute(statement.group_by(bundles.c.strategy, bundles.c.state))).all()
        return [StrategySum(row[0], row[1], row[2], *(min(int(one), _MOST) for one in row[3:])) for row in rows]

    async def overpaid(self, unix_ms: int, near_ms: int) -> dict[str, int]:
        """Sum up, by strategy, what landed bundles tipped above the greatest bid that lost within a time beside them.

        Args:
            near_ms: within how many milliseconds.
        """
        lost = bundles.alias()
        beside = select(func.max(lost.c.lost_bid)).where(
            lost.c.strategy == bundles.c.strategy, lost.c.lost_bid > 0, lost.c.canary.is_(False),
            lost.c.created_ms.between(bundles.c.created_ms - near_ms, bundles.c.created_ms + near_ms),
            lost.c.created_ms >= unix_ms,
        )  # fmt: skip
        landed = bundles.c.state.in_(LANDED) & (bundles.c.created_ms >= unix_ms) & bundles.c.canary.is_(False)
        pairs = select(
            bundles.c.strategy, bundles.c.tip_lamports, beside.scalar_subquery().label("bid")
        ).where(landed).subquery()  # fmt: skip
        over = pairs.c.tip_lamports - pairs.c.bid
        statement = select(pairs.c.strategy, func.sum(over)).where(over > 0).group_by(pairs.c.strategy)
        async with self._engine.connect() as connection:
            return {row[0]: int(row[1]) for row in (await connection.execute(statement)).all()}

    async def prune(self, before_ms: int) -> int:
        """Let go of bundles that have ended and were asked for before a time; give how many."""
        old = delete(bundles).where(bundles.c.ended.is_(True), bundles.c.created_ms < before_ms)
        async with self._engine.begin() as connection:
            return (await connection.execute(old)).rowcount

    async def budget(self) -> pb.Budget:
        """Give the budget, and how much of today's is left; nothing may be tipped where none was set."""
        async with self._engine.connect() as connection:
            return await _budget(connection, now_ms())

    async def set_budget(self, daily_lamports: int, bundle_lamports: int, updater: str) -> pb.Budget:
        """Set the budget; what is promised already stays so."""
        row = {
            "daily_lamports": daily_lamports, "bundle_lamports": bundle_lamports, "updated_ms": now_ms(),
            "updater": updater,
        }  # fmt: skip
        async with self._engine.begin() as connection:
            await take_turns(connection, "tips")
            there = update(tip_budgets).where(tip_budgets.c.name == _BUDGET)
            if not (await connection.execute(there.values(**row))).rowcount:
                await connection.execute(insert(tip_budgets).values(name=_BUDGET, **row))
            return await _budget(connection, now_ms())


def uid_of(bundle: pb.Bundle) -> str:
    """Give a bundle's id."""
    return bundle.name.removeprefix(BUNDLES)


def _lost_bid(bundle: pb.Bundle) -> int:
    return bundle.simulated_bid_lamports if bundle.reason in _OUTBID else 0


def _summed(bundle: pb.Bundle) -> dict[str, int]:
    return {
        "profit_lamports": bundle.profit_lamports, "fee_lamports": bundle.fee_lamports, "lost_bid": _lost_bid(bundle),
    }  # fmt: skip


def affords(budget: pb.Budget, tip: int) -> bool:
    """Whether a bundle may tip so many lamports now."""
    left = budget.daily_lamports - budget.spent_lamports - budget.reserved_lamports
    return tip <= left and (not budget.bundle_lamports or tip <= budget.bundle_lamports)


async def _budget(connection: AsyncConnection, unix_ms: int) -> pb.Budget:
    paid = case((bundles.c.ended.is_(True), bundles.c.tip_lamports), else_=0)
    promised = case((bundles.c.ended.is_(False), bundles.c.tip_lamports), else_=0)
    sums = select(func.coalesce(func.sum(paid), 0), func.coalesce(func.sum(promised), 0))
    ours = bundles.c.canary.is_(False)
    today = sums.where(bundles.c.day == unix_ms // DAY_MS, bundles.c.state.not_in(UNPAID), ours)
    spent, reserved = (await connection.execute(today)).one()
    budget = pb.Budget(spent_lamports=int(spent), reserved_lamports=int(reserved))
    row = (await connection.execute(select(tip_budgets).where(tip_budgets.c.name == _BUDGET))).first()
    if row:
        budget.daily_lamports, budget.bundle_lamports, budget.updater = (
            row.daily_lamports, row.bundle_lamports, row.updater,
        )  # fmt: skip
        budget.update_time.FromMilliseconds(row.updated_ms)
    return budget


async def _known(connection: AsyncConnection, uid: str, request_key: str | None) -> Stored | None:
    same = bundles.c.uid == uid
    if request_key:
        same |= bundles.c.request_key == request_key
    # Where both are known and differ, the request's own answer comes first.
    found = _whole().where(same).order_by((bundles.c.request_key == (request_key or "")).desc())
    row = (await connection.execute(found)).first()
    return _stored(row.record, row.host_uid, row.transactions) if row else None


def _whole() -> Select[tuple[bytes, str, bytes]]:
    return select(bundles.c.record, bundles.c.host_uid, bundles.c.transactions)


def _stored(record: bytes, host_uid: str, transactions: bytes) -> Stored:
    signed = pb.SubmitBundleRequest.FromString(transactions).transactions
    return Stored(pb.Bundle.FromString(record), host_uid, list(signed))


def _packed(transactions: Iterable[bytes]) -> bytes:
    return pb.SubmitBundleRequest(transactions=transactions).SerializeToString()
