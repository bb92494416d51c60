"""perdure.serve."""
