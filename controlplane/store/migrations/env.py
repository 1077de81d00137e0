"""Alembic runs migrations on the connection that the program hands it."""

from alembic import context

from controlplane.store.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
