"""perdure.engines.training."""
