"""Telemetry: readings, kept apart from the ledger so that their rate never slows its commits."""
