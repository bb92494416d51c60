"""All roles over one scope: what `Ledger.transaction` and `Ledger.read` yield."""

from __future__ import annotations

from perdure.stores.ledger.approvals import SqlApprovals
from perdure.stores.ledger.audit import SqlAudit
from perdure.stores.ledger.cursors import SqlCursors
from perdure.stores.ledger.incidents import SqlIncidents
from perdure.stores.ledger.jobs import SqlJobs
from perdure.stores.ledger.keys import SqlKeys
from perdure.stores.ledger.people import SqlPersons
from perdure.stores.ledger.pointers import SqlPointers
from perdure.stores.ledger.registry import SqlRegistry
from perdure.stores.ledger.reviews import SqlReviews
from perdure.stores.ledger.runs import SqlRuns
from perdure.stores.ledger.scope import Scope


class SqlSession:
    """The roles as of one snapshot, or inside one transaction; not to be used after it."""

    __slots__ = (
        "approvals", "audit", "cursors", "incidents", "jobs", "keys", "people", "pointers", "registry", "reviews", "runs",
    )  # fmt: skip

    def __init__(self, scope: Scope) -> None:
        self.registry = SqlRegistry(scope)
        self.pointers = SqlPointers(scope)
        self.incidents = SqlIncidents(scope)
        self.runs = SqlRuns(scope)
        self.jobs = SqlJobs(scope)
        self.approvals = SqlApprovals(scope)
        self.keys = SqlKeys(scope)
        self.people = SqlPersons(scope)
        self.reviews = SqlReviews(scope)
        self.cursors = SqlCursors(scope)
        self.audit = SqlAudit(scope)
