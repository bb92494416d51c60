"""Runs of agents and graphs while they go on: journals that outlive the process, claims that fence it, questions to people."""
