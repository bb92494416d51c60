"""perdure.engines.contracts."""
