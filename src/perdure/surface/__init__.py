"""perdure.surface."""
