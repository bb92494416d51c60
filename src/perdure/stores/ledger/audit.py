"""The audit role: entries of one's own, and reading the project's part of the chain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import literal, select

from perdure.core.errors import DeclarationError
from perdure.stores.ledger.chain import RECORDS, to_entry
from perdure.stores.ledger.protocols import AuditEntry
from perdure.stores.ledger.schema import audit
from perdure.stores.ledger.scope import Change, Scope


class SqlAudit:
    """The hash-chained log, over one snapshot or transaction."""

    __slots__ = ("_scope",)

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    def append(self, action: str, subject: str, facts: Mapping[str, Any]) -> AuditEntry:
        """Add an entry of one's own.

        Raises:
            DeclarationError: `facts` has the key `records`, which is the ledger's, or no canonical form.
        """
        if RECORDS in facts:
            raise DeclarationError(f"The fact {RECORDS!r} is the ledger's own.", hint="Use another name for it.")
        return self._scope.save(Change(action, subject, facts))

    def list(self, *, after: int = 0, limit: int = 1000, subject: str | None = None) -> list[AuditEntry]:
        """The project's entries with a greater sequence number, oldest first."""
        query = select(audit).where(audit.c.project == self._scope.project, audit.c.sequence > after)
        if subject is not None:
            among = literal(",").concat(audit.c.subject).concat(",")
            query = query.where(among.contains(f",{subject},", autoescape=True))
        rows = self._scope.connection.execute(query.order_by(audit.c.sequence).limit(limit))
        return [to_entry(row) for row in rows]
