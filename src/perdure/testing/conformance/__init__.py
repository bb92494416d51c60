"""perdure.testing.conformance."""
