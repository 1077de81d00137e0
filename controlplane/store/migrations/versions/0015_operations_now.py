"""Operations that are not over, and those that changed of late, are found by an index."""

from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    op.create_index("ix_operations_state", "operations", ["state"])
    op.create_index("ix_operations_updated_ms", "operations", ["updated_ms"])
