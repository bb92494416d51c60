"""Recipes of agents and graphs: how healthy their runs are, which node is to blame, and what mends it."""
