"""perdure.engines.drift."""
