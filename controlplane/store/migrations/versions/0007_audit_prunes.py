"""The audit log's oldest entries may be taken out; what proves the rest is kept."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "audit_prunes",
        sa.Column("size", number, primary_key=True, autoincrement=False),
        sa.Column("first", sa.BigInteger(), nullable=False),
        sa.Column("root", sa.LargeBinary(), nullable=False),
        sa.Column("chain", sa.LargeBinary(), nullable=False),
        sa.Column("peaks", sa.LargeBinary(), nullable=False),
        sa.Column("pruned_by", sa.String(length=256), nullable=False),
        sa.Column("time_ms", sa.BigInteger(), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
    )
    op.create_table(
        "audit_tiles",
        sa.Column("number", number, primary_key=True, autoincrement=False),
        sa.Column("leaves", sa.LargeBinary(), nullable=False),
    )
