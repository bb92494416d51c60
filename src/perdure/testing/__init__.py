"""perdure.testing."""
