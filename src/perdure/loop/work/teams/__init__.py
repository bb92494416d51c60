"""The recipes of the kind "team": what it spends is measured, and who spends it is told. Compose registers them.

A team has no versions, so nothing of it is repaired: where it is ill, a person is asked.
"""
