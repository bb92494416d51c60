"""perdure.loop.work."""
