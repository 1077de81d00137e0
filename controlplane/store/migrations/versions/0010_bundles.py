"""Bundles, and how much they may tip."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.create_table(
        "bundles",
        sa.Column("uid", sa.String(length=64), primary_key=True),
        sa.Column("host_uid", sa.String(length=32), nullable=False),
        sa.Column("strategy", sa.String(length=63), nullable=False),
        sa.Column("state", sa.Integer(), nullable=False),
        sa.Column("tip_lamports", sa.BigInteger(), nullable=False),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("ended", sa.Boolean(), nullable=False),
        sa.Column("record", sa.LargeBinary(), nullable=False),
        sa.Column("transactions", sa.LargeBinary(), nullable=False),
        sa.Column("request_key", sa.String(length=192), unique=True),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
    )
    for column in ("host_uid", "day", "ended", "created_ms"):
        op.create_index(f"ix_bundles_{column}", "bundles", [column])
    op.create_table(
        "tip_budgets",
        sa.Column("name", sa.String(length=16), primary_key=True),
        sa.Column("daily_lamports", sa.BigInteger(), nullable=False),
        sa.Column("bundle_lamports", sa.BigInteger(), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.Column("updater", sa.String(length=128), nullable=False),
    )
