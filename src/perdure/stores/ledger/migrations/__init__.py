"""The ledger's Alembic environment; run by `stores.ledger.migrate` when a file is opened."""
