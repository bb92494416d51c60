"""Runs of suites: asking, scoring, comparing."""
