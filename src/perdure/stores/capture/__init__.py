"""perdure.stores.capture."""
