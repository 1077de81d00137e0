"""What bundles earn, cost and bid, in columns, so that the store sums them up."""

import sqlalchemy as sa
from alembic import op
from solward.jito.v1 import jito_pb2 as pb

revision = "0013"
down_revision = "0012"

_AT_ONCE = 1_000
_OUTBID = ("OUTBID_LOCALLY", "OUTBID_GLOBALLY")


def upgrade() -> None:
    for name in ("profit_lamports", "fee_lamports", "lost_bid"):
        op.add_column("bundles", sa.Column(name, sa.BigInteger(), nullable=False, server_default="0"))
    op.create_index("ix_bundles_strategy_time", "bundles", ["strategy", "created_ms"])
    columns = [sa.Column(name) for name in ("uid", "record", "profit_lamports", "fee_lamports", "lost_bid")]
    bundles, last = sa.Table("bundles", sa.MetaData(), *columns), ""
    change = sa.update(bundles).where(bundles.c.uid == sa.bindparam("mine"))
    change = change.values({name: sa.bindparam(name) for name in ("profit_lamports", "fee_lamports", "lost_bid")})
    while True:
        some = sa.select(bundles.c.uid, bundles.c.record).where(bundles.c.uid > last).order_by(bundles.c.uid)
        rows = op.get_bind().execute(some.limit(_AT_ONCE)).all()
        if not rows:
            return
        op.get_bind().execute(change, [_values(uid, pb.Bundle.FromString(record)) for uid, record in rows])
        last = rows[-1][0]


def _values(uid: str, one: pb.Bundle) -> dict[str, str | int]:
    bid = one.simulated_bid_lamports if one.reason in _OUTBID else 0
    return {
        "mine": uid, "profit_lamports": one.profit_lamports, "fee_lamports": one.fee_lamports, "lost_bid": bid,
    }  # fmt: skip
