"""Counters that limits and budgets are held by: shared, atomic, and safe over crashes."""
