"""Findings are numbered in the order of their arrival; agents' own lines beside them; how far others have read."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.add_column("events", sa.Column("number", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("events", sa.Column("own_log", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_table(
        "marks",
        sa.Column("name", sa.String(length=64), primary_key=True),
        sa.Column("number", sa.BigInteger(), nullable=False),
    )
    op.execute(
        "UPDATE events SET number = numbered.number FROM ("
        "SELECT host_uid, spool_id, sequence, position, row_number() OVER "
        "(ORDER BY unix_ms, host_uid, spool_id, sequence, position) AS number FROM events) AS numbered "
        "WHERE numbered.host_uid = events.host_uid AND numbered.spool_id = events.spool_id "
        "AND numbered.sequence = events.sequence AND numbered.position = events.position"
    )
    op.execute("INSERT INTO marks (name, number) SELECT 'events', count(*) FROM events")
    # Not unique: a control plane of the version before, that leads yet, numbers nothing.
    op.create_index("ix_events_number", "events", ["number"])
    op.create_index("ix_events_host_time", "events", ["host_uid", "unix_ms"])
