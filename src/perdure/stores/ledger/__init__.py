"""perdure.stores.ledger."""
