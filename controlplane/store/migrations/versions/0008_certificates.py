"""Several authorities, certificates of people and services, and recovery of hosts."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.add_column("hosts", sa.Column("trust_version", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("join_tokens", sa.Column("recover", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("certificates", sa.Column("issuer", sa.String(length=32), nullable=False, server_default="ca"))
    op.add_column("certificates", sa.Column("second_factor_ms", sa.BigInteger(), nullable=False, server_default="0"))
    op.create_table(
        "services",
        sa.Column("uid", sa.String(length=32), primary_key=True),
        sa.Column("name", sa.String(length=63), nullable=False, unique=True),
        sa.Column("role", sa.String(length=63), nullable=False),
        sa.Column("disabled", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("creator", sa.String(length=128), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
    )
