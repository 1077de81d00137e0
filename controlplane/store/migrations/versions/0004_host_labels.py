"""Hosts know the labels that they are selected by, also while they are away."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("hosts", sa.Column("labels", sa.Text(), nullable=False, server_default="{}"))
