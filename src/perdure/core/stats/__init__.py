"""perdure.core.stats."""
