"""Which pipelines mend themselves, and what they tried."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.create_table(
        "recoveries",
        sa.Column("pipeline", sa.String(length=63), primary_key=True),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("set_by", sa.String(length=128), nullable=False),
        sa.Column("set_ms", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "recovery_tries",
        sa.Column("uid", sa.String(length=32), primary_key=True),
        sa.Column("pipeline", sa.String(length=63), nullable=False),
        sa.Column("hop", sa.String(length=63), nullable=False),
        sa.Column("step", sa.String(length=32), nullable=False),
        sa.Column("begun_ms", sa.BigInteger(), nullable=False),
    )
    op.create_index("ix_recovery_tries_pipeline", "recovery_tries", ["pipeline"])
