"""Findings, alerts and silences."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "events",
        sa.Column("host_uid", sa.String(length=32), sa.ForeignKey("hosts.uid"), nullable=False),
        sa.Column("spool_id", sa.String(length=32), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("severity", sa.Integer(), nullable=False),
        sa.Column("unix_ms", sa.BigInteger(), nullable=False),
        sa.Column("record", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("host_uid", "spool_id", "sequence", "position"),
    )
    op.create_index("ix_events_unix_ms", "events", ["unix_ms"])
    op.create_table(
        "alerts",
        sa.Column("name", sa.String(length=64), primary_key=True),
        sa.Column("host", sa.String(length=128), nullable=False),
        sa.Column("firing", sa.Boolean(), nullable=False),
        sa.Column("fire_ms", sa.BigInteger(), nullable=False),
        sa.Column("record", sa.LargeBinary(), nullable=False),
    )
    op.create_index("ix_alerts_host", "alerts", ["host"])
    op.create_index("ix_alerts_fire_ms", "alerts", ["fire_ms"])
    op.create_table(
        "silences",
        sa.Column("name", sa.String(length=64), primary_key=True),
        sa.Column("end_ms", sa.BigInteger(), nullable=False),
        sa.Column("record", sa.LargeBinary(), nullable=False),
    )
