"""Drives runs of graphs."""
