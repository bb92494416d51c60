"""perdure.engines.profile."""
