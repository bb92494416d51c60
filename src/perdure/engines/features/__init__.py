"""perdure.engines.features."""
