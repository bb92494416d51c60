"""What people prove who they are by: digests of secrets, sessions, failed tries. Authority is not here but in the ledger.

Losing this store costs everybody a new password, and nobody a role. Every instant is the machine's, in microseconds.
"""
