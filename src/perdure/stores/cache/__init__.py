"""Answers that are given again: exact by key, semantic by vector."""
