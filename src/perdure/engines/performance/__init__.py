"""perdure.engines.performance."""
