"""The ledger: who did what, when, why, on which evidence, in a chain that cannot be altered unseen.

`protocols` says what every ledger guarantees; `sqlite` is the embedded one. The roles (registry,
pointers, incidents, runs, jobs, approvals, cursors, audit) are SQLAlchemy Core over one `scope`; `chain` binds their
records together and `verify` recomputes it.
"""
