"""Drives runs of agents by pydantic-ai, over this server's own gateway."""
