"""The recipes by which judges are kept healthy."""
