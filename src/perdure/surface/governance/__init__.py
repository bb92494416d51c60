"""Who may do what, what was done and why: roles, approvals, history, stories, cards, evidence.

Everything here reads the ledger; only `approvals` writes to it. No module here knows how a repair works:
they tell what its records say.
"""
