"""Alembic's entry point: migrates over the connection, and inside the transaction, of the caller."""

from __future__ import annotations

from alembic import context

from perdure.stores.ledger.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
