"""Answers and scores of evals, by content."""
