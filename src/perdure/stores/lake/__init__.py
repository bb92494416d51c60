"""perdure.stores.lake."""
