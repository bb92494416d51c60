"""perdure.engines.explain."""
