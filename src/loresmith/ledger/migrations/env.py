"""What Alembic runs: migrations go through the connection that `upgrade` was given, in its transaction."""

from __future__ import annotations

from alembic import context

from loresmith.ledger import schema

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=schema.METADATA,
    version_table=schema.VERSION_TABLE,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
