"""perdure.stores.online."""
