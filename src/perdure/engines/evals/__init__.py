"""Scores of answers: what each scorer of a suite computes."""
