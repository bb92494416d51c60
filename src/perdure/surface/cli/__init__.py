"""perdure.surface.cli."""
