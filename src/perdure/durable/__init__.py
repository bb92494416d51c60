"""perdure.durable."""
