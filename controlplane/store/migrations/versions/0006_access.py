"""Invitations, recovery codes, roles, grants, and calls that other people approve."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    users = (
        sa.Column("email", sa.String(length=254), nullable=False, server_default=""),
        sa.Column("subject", sa.String(length=512), nullable=False, server_default=""),
        sa.Column("totp_pending", sa.LargeBinary()),
        sa.Column("invitation_hash", sa.String(length=64), nullable=False, server_default=""),
        sa.Column("invitation_expires_ms", sa.BigInteger(), nullable=False, server_default="0"),
    )
    for column in users:
        op.add_column("users", column)
    op.create_index(
        "users_subject",
        "users",
        ["subject"],
        unique=True,
        sqlite_where=sa.text("subject <> ''"),
        postgresql_where=sa.text("subject <> ''"),
    )
    op.add_column("sessions", sa.Column("used_ms", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("sessions", sa.Column("peer", sa.String(length=64), nullable=False, server_default=""))
    op.create_index("ix_sessions_user_uid", "sessions", ["user_uid"])
    op.create_table(
        "recovery_codes",
        sa.Column("hash", sa.String(length=64), primary_key=True),
        sa.Column("user_uid", sa.String(length=32), nullable=False, index=True),
        sa.Column("used_ms", sa.BigInteger()),
    )
    op.create_table(
        "roles",
        sa.Column("name", sa.String(length=63), primary_key=True),
        sa.Column("permissions", sa.Text(), nullable=False),
        sa.Column("creator", sa.String(length=128), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "grants",
        sa.Column("uid", sa.String(length=32), primary_key=True),
        sa.Column("user_uid", sa.String(length=32), nullable=False, index=True),
        sa.Column("role", sa.String(length=63), nullable=False),
        sa.Column("scope", sa.String(length=70), nullable=False),
        sa.Column("host_uid", sa.String(length=32), nullable=False, server_default=""),
        sa.Column("expires_ms", sa.BigInteger()),
        sa.Column("ended_ms", sa.BigInteger()),
        sa.Column("creator", sa.String(length=128), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "call_approvals",
        sa.Column("uid", sa.String(length=32), primary_key=True),
        sa.Column("method", sa.String(length=256), nullable=False),
        sa.Column("call_digest", sa.String(length=64), nullable=False, index=True),
        sa.Column("request", sa.Text(), nullable=False),
        sa.Column("requester_uid", sa.String(length=32), nullable=False),
        sa.Column("wanted", sa.Integer(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("expires_ms", sa.BigInteger(), nullable=False),
        sa.Column("used_ms", sa.BigInteger()),
    )
    op.create_table(
        "call_approvers",
        sa.Column("approval_uid", sa.String(length=32), primary_key=True),
        sa.Column("user_uid", sa.String(length=32), primary_key=True),
        sa.Column("time_ms", sa.BigInteger(), nullable=False),
    )
