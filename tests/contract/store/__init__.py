"""The state store: one suite for SQLite and for PostgreSQL."""
