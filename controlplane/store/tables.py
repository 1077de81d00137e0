"""Every table of the control plane's state; migrations under migrations/ make them."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    false,
)

metadata = MetaData()

# Times are milliseconds since the epoch, so that SQLite and PostgreSQL sort and compare them alike.

users = Table(
    "users",
    metadata,
    Column("uid", String(32), primary_key=True),
    Column("name", String(63), nullable=False, unique=True),
    Column("password_hash", Text, nullable=False),
    # Encrypted with the key in keys/seed.key; a copy of the database alone yields no code.
    Column("totp_seed", LargeBinary, nullable=False),
    # The last time step whose code was accepted: a code is good once.
    Column("totp_last_step", BigInteger, nullable=False, default=0),
    Column("role", String(63), nullable=False),
    Column("disabled", Boolean, nullable=False, default=False),
    Column("failed_logins", Integer, nullable=False, default=0),
    Column("locked_until_ms", BigInteger, nullable=False, default=0),
    Column("created_ms", BigInteger, nullable=False),
    # Accounts of one address are one person.
    Column("email", String(254), nullable=False, default=""),
    # Issuer and subject of an identity provider's account.
    Column("subject", String(512), nullable=False, default=""),
    # The seed of an authenticator that was shown and has not proved itself yet, encrypted.
    Column("totp_pending", LargeBinary),
    Column("invitation_hash", String(64), nullable=False, default=""),
    Column("invitation_expires_ms", BigInteger, nullable=False, default=0),
)

Index(
    "users_subject",
    users.c.subject,
    unique=True,
    sqlite_where=users.c.subject != "",
    postgresql_where=users.c.subject != "",
)

sessions = Table(
    "sessions",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("user_uid", String(32), ForeignKey("users.uid"), nullable=False, index=True),
    Column("created_ms", BigInteger, nullable=False),
    Column("expires_ms", BigInteger, nullable=False),
    Column("ended_ms", BigInteger),
    Column("second_factor_ms", BigInteger, nullable=False, default=0),
    Column("used_ms", BigInteger, nullable=False, default=0),
    Column("peer", String(64), nullable=False, default=""),
    # What the identity provider calls the session.
    Column("idp_sid", String(255), nullable=False, default="", index=True),
)

refresh_tokens = Table(
    "refresh_tokens",
    metadata,
    Column("hash", String(64), primary_key=True),
    Column("session_id", String(32), ForeignKey("sessions.id"), nullable=False, index=True),
    Column("expires_ms", BigInteger, nullable=False),
    Column("used_ms", BigInteger),
)

# A verified code for one call: good once, for the session and call digest that it was made for.
call_proofs = Table(
    "call_proofs",
    metadata,
    Column("hash", String(64), primary_key=True),
    Column("session_id", String(64), nullable=False),
    Column("call_digest", String(64), nullable=False),
    Column("expires_ms", BigInteger, nullable=False),
    Column("used_ms", BigInteger),
)

# Hashed; each stands in once for a code of a lost authenticator.
recovery_codes = Table(
    "recovery_codes",
    metadata,
    Column("hash", String(64), primary_key=True),
    Column("user_uid", String(32), nullable=False, index=True),
    Column("used_ms", BigInteger),
)

# The team's own roles, beside the built-in ones.
roles = Table(
    "roles",
    metadata,
    Column("name", String(63), primary_key=True),
    # A JSON list.
    Column("permissions", Text, nullable=False),
    Column("creator", String(128), nullable=False),
    Column("created_ms", BigInteger, nullable=False),
)

grants = Table(
    "grants",
    metadata,
    Column("uid", String(32), primary_key=True),
    Column("user_uid", String(32), nullable=False, index=True),
    Column("role", String(63), nullable=False),
    # "*", groups/{group} or hosts/{host}.
    Column("scope", String(70), nullable=False),
    # The host's uid, so that another host of the same name inherits nothing.
    Column("host_uid", String(32), nullable=False, default=""),
    Column("expires_ms", BigInteger),
    Column("ended_ms", BigInteger),
    Column("creator", String(128), nullable=False),
    Column("created_ms", BigInteger, nullable=False),
)

# Calls that other people approve before they are made; each approval lets one call in, once.
call_approvals = Table(
    "call_approvals",
    metadata,
    Column("uid", String(32), primary_key=True),
    Column("method", String(256), nullable=False),
    Column("call_digest", String(64), nullable=False, index=True),
    # The request as the audit log shows it.
    Column("request", Text, nullable=False),
    Column("requester_uid", String(32), nullable=False),
    Column("wanted", Integer, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("expires_ms", BigInteger, nullable=False),
    Column("used_ms", BigInteger),
)

call_approvers = Table(
    "call_approvers",
    metadata,
    Column("approval_uid", String(32), primary_key=True),
    Column("user_uid", String(32), primary_key=True),
    Column("time_ms", BigInteger, nullable=False),
)

hosts = Table(
    "hosts",
    metadata,
    # A name used again gets a new row and uid; only one row of a name is not retired.
    Column("uid", String(32), primary_key=True),
    Column("name", String(63), nullable=False),
    Column("state", String(16), nullable=False),
    Column("retired", Boolean, nullable=False, default=False),
    # Hashed; the agent holds the token itself.
    Column("exchange_current", String(64), nullable=False, default=""),
    Column("exchange_next", String(64), nullable=False, default=""),
    Column("agent_version", String(64), nullable=False, default=""),
    # Hosts of one group stand in for each other; as the agent last said.
    Column("host_group", String(63), nullable=False, default=""),
    # A JSON object; as the agent last said.
    Column("labels", Text, nullable=False, default="{}"),
    # The version of the trust bundle that its agent keeps.
    Column("trust_version", BigInteger, nullable=False, default=0),
    Column("clock_skew_s", Float, nullable=False, default=0.0),
    Column("last_seen_ms", BigInteger, nullable=False, default=0),
    Column("created_ms", BigInteger, nullable=False),
)

Index(
    "hosts_live_name",
    hosts.c.name,
    unique=True,
    sqlite_where=hosts.c.retired.is_(False),
    postgresql_where=hosts.c.retired.is_(False),
)

join_tokens = Table(
    "join_tokens",
    metadata,
    Column("hash", String(64), primary_key=True),
    Column("host_uid", String(32), ForeignKey("hosts.uid"), nullable=False, index=True),
    Column("expires_ms", BigInteger, nullable=False),
    Column("used_ms", BigInteger),
    # Who used it and what it got: the same key may ask again for a while, in case the reply was lost.
    Column("used_key_hash", String(64), nullable=False, default=""),
    # Of a recovery: the host has joined before, and stays the same host.
    Column("recover", Boolean, nullable=False, default=False),
    Column("certificate_pem", Text, nullable=False, default=""),
)

certificates = Table(
    "certificates",
    metadata,
    Column("serial", String(40), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("subject_uid", String(32), nullable=False, index=True),
    Column("public_key_der", LargeBinary, nullable=False),
    Column("not_before_ms", BigInteger, nullable=False),
    Column("not_after_ms", BigInteger, nullable=False),
    # "next" until its first use, "current" after it, "ended" when replaced or revoked.
    Column("state", String(8), nullable=False),
    # The authority that issued it, as the manifest of authorities names it.
    Column("issuer", String(32), nullable=False, default="ca"),
    # When its holder last proved a second factor, as sessions have it.
    Column("second_factor_ms", BigInteger, nullable=False, default=0),
    Column("created_ms", BigInteger, nullable=False),
)

# Programs that hold client certificates.
services = Table(
    "services",
    metadata,
    Column("uid", String(32), primary_key=True),
    Column("name", String(63), nullable=False, unique=True),
    Column("role", String(63), nullable=False),
    Column("disabled", Boolean, nullable=False, default=False),
    Column("creator", String(128), nullable=False),
    Column("created_ms", BigInteger, nullable=False),
)

operations = Table(
    "operations",
    metadata,
    Column("uid", String(32), primary_key=True),
    Column("kind", String(63), nullable=False),
    Column("host_uid", String(32), nullable=False, index=True),
    Column("requester", String(128), nullable=False),
    Column("state", Integer, nullable=False, index=True),
    # The whole Operation message as it stands, serialized.
    Column("record", LargeBinary, nullable=False),
    Column("request_key", String(192), unique=True),
    Column("created_ms", BigInteger, nullable=False, index=True),
    Column("updated_ms", BigInteger, nullable=False, index=True),
    # The term of the control plane that wrote it last; one of an earlier term writes it no more.
    Column("term", BigInteger, nullable=False, default=0),
)

# Which of several control planes leads.
leases = Table(
    "leases",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("holder", String(64), nullable=False),
    Column("term", BigInteger, nullable=False),
    Column("expires_ms", BigInteger, nullable=False),
)

# One operation at a time works on a host (2 is OPERATION_STATE_RUNNING).
Index(
    "operations_busy_host",
    operations.c.host_uid,
    unique=True,
    sqlite_where=operations.c.state == 2,
    postgresql_where=operations.c.state == 2,
)

# What the validators' logs said; a batch that comes again is known by its spool and number.
events = Table(
    "events",
    metadata,
    Column("host_uid", String(32), ForeignKey("hosts.uid"), primary_key=True),
    Column("spool_id", String(32), primary_key=True),
    Column("sequence", BigInteger, primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("severity", Integer, nullable=False),
    Column("unix_ms", BigInteger, nullable=False, index=True),
    # The whole Event message, serialized.
    Column("record", LargeBinary, nullable=False),
    # Counts every event in the order in which they became part of the store.
    Column("number", BigInteger, nullable=False),
    # Whether it is a line of an agent's own log rather than a finding.
    Column("own_log", Boolean, nullable=False, default=False),
    Index("ix_events_number", "number"),
    Index("ix_events_host_time", "host_uid", "unix_ms"),
)

# How far something has come in the row of events' numbers: "events" itself, or whoever reads them.
marks = Table(
    "marks",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("number", BigInteger, nullable=False),
)

# Every bundle that was asked for: what it tips counts against its day until it is known not to land.
bundles = Table(
    "bundles",
    metadata,
    # SHA-256 of its signatures, hexadecimal.
    Column("uid", String(64), primary_key=True),
    Column("host_uid", String(32), nullable=False, index=True),
    Column("strategy", String(63), nullable=False),
    Column("state", Integer, nullable=False),
    Column("tip_lamports", BigInteger, nullable=False),
    # The day (since the epoch, UTC) whose budget pays for it.
    Column("day", Integer, nullable=False, index=True),
    Column("ended", Boolean, nullable=False, index=True),
    # The whole Bundle message, and the transactions while they may be sent again.
    Column("record", LargeBinary, nullable=False),
    Column("transactions", LargeBinary, nullable=False),
    Column("request_key", String(192), unique=True),
    Column("created_ms", BigInteger, nullable=False, index=True),
    # An agent's own, which no budget of ours pays for.
    Column("canary", Boolean, nullable=False, server_default=false()),
    # Of the record, so that they are summed up here; the bid that lost an auction, 0 where none did.
    Column("profit_lamports", BigInteger, nullable=False, server_default="0"),
    Column("fee_lamports", BigInteger, nullable=False, server_default="0"),
    Column("lost_bid", BigInteger, nullable=False, server_default="0"),
    Index("ix_bundles_strategy_time", "strategy", "created_ms"),
)

# How much may be tipped; one row, "tips".
tip_budgets = Table(
    "tip_budgets",
    metadata,
    Column("name", String(16), primary_key=True),
    Column("daily_lamports", BigInteger, nullable=False),
    Column("bundle_lamports", BigInteger, nullable=False),
    Column("updated_ms", BigInteger, nullable=False),
    Column("updater", String(128), nullable=False),
)

# Which pipelines mend themselves.
models = Table(
    "models",
    metadata,
    Column("name", String(63), primary_key=True),
    # One higher with each save: who does not know the newest may not write.
    Column("version", BigInteger, nullable=False),
    Column("state", LargeBinary, nullable=False),
)

recoveries = Table(
    "recoveries",
    metadata,
    Column("pipeline", String(63), primary_key=True),
    Column("enabled", Boolean, nullable=False),
    Column("set_by", String(128), nullable=False),
    Column("set_ms", BigInteger, nullable=False),
)

# What they tried; told again from here after a restart, so that a budget holds.
recovery_tries = Table(
    "recovery_tries",
    metadata,
    # Its operation is begun by the request "recovery/{uid}".
    Column("uid", String(32), primary_key=True),
    Column("pipeline", String(63), nullable=False, index=True),
    Column("hop", String(63), nullable=False),
    Column("step", String(32), nullable=False),
    Column("begun_ms", BigInteger, nullable=False),
)

alerts = Table(
    "alerts",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("host", String(128), nullable=False, index=True),
    Column("firing", Boolean, nullable=False),
    Column("fire_ms", BigInteger, nullable=False, index=True),
    # The whole Alert message as it stands, serialized.
    Column("record", LargeBinary, nullable=False),
)

silences = Table(
    "silences",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("end_ms", BigInteger, nullable=False),
    Column("record", LargeBinary, nullable=False),
)

audit_entries = Table(
    "audit_entries",
    metadata,
    Column("sequence", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    # Copies of what the body says, to filter by; the body alone is signed.
    Column("principal", String(256), nullable=False, index=True),
    Column("method", String(256), nullable=False, index=True),
    Column("body", Text, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Column("mac", LargeBinary, nullable=False),
)

audit_checkpoints = Table(
    "audit_checkpoints",
    metadata,
    Column("size", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("root", LargeBinary, nullable=False),
    Column("time_ms", BigInteger, nullable=False),
    Column("signature", LargeBinary, nullable=False),
)

# What was taken out of the log, and the leaf hashes of it, 256 to a tile, so that the tree stays whole.
audit_prunes = Table(
    "audit_prunes",
    metadata,
    Column("size", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("first", BigInteger, nullable=False),
    Column("root", LargeBinary, nullable=False),
    Column("chain", LargeBinary, nullable=False),
    Column("peaks", LargeBinary, nullable=False),
    Column("pruned_by", String(256), nullable=False),
    Column("time_ms", BigInteger, nullable=False),
    Column("signature", LargeBinary, nullable=False),
)

audit_tiles = Table(
    "audit_tiles",
    metadata,
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("leaves", LargeBinary, nullable=False),
)
