"""Roles: which permissions each holds. Roles come from the store, never from a certificate or token."""

# What every signed-in user may do, whatever the role.
SELF = frozenset({"auth.self", "health.read"})

VIEWER = SELF | frozenset(
    {
        "hosts.read",
        "rpc.read",
        "validator.read",
        "operations.read",
        "alerts.read",
        "audit.read",
        "metrics.read",
        "jito.read",
        "geyser.read",
    }
)

OPERATOR = VIEWER | {
    "validator.restart", "validator.start", "validator.stop", "validator.vote",
    "validator.config", "operations.approve", "operations.control", "controls.restart", "controls.config",
    "controls.snapshot", "controls.ledger",
    "alerts.act", "jito.submit",
}  # fmt: skip

ADMIN = OPERATOR | {
    "hosts.enroll", "hosts.revoke", "audit.export", "audit.prune", "audit.report", "reflection.read",
    "access.read", "access.write", "access.approve", "access.break_glass",
    "metrics.restore", "jito.budget", "geyser.recover",
}  # fmt: skip

# "none" is for who holds grants alone.
ROLES: dict[str, frozenset[str]] = {"admin": ADMIN, "operator": OPERATOR, "viewer": VIEWER, "none": SELF}

# What live topics tell of, and the methods that tell of them: all that a ticket can open.
LIVE = frozenset({"metrics.read", "rpc.read", "alerts.read", "operations.read", "jito.read", "geyser.read"})
LIVE_METHODS = frozenset(f"solward.metrics.v1.MetricsService/{name}" for name in ("CheckTopics", "WatchTopics"))

# What a role of the team's own may be made of.
PERMISSIONS = ADMIN

# What a caller may do by being what it is.
ANONYMOUS = frozenset({"auth.login", "link.enroll", "health.read"})
AGENT = frozenset({"link.connect", "health.read"})


def roles_with(permission: str) -> list[str]:
    """List the roles that hold a permission, so that a refusal can say whom to ask for."""
    return sorted(role for role, permissions in ROLES.items() if permission in permissions)
