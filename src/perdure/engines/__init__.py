"""perdure.engines."""
