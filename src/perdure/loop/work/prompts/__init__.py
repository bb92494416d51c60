"""The recipes by which prompts are kept healthy."""
