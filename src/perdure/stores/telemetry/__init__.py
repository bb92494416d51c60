"""perdure.stores.telemetry."""
