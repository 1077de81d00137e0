"""Bundles that agents send of their own."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.add_column("bundles", sa.Column("canary", sa.Boolean(), nullable=False, server_default=sa.false()))
