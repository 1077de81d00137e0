"""Hosts know their group, also while they are away."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("hosts", sa.Column("host_group", sa.String(length=63), nullable=False, server_default=""))
