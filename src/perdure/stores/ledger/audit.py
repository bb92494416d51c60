"""The audit role: entries of one's own, and reading the project's part of the chain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import func, select

from perdure.core.errors import DeclarationError
from perdure.stores.ledger.chain import RECORDS, to_entry
from perdure.stores.ledger.protocols import AuditEntry
from perdure.stores.ledger.schema import audit, audit_subjects
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

    def list(
        self,
        *,
        after: int = 0,
        before: int | None = None,
        limit: int = 1000,
        subject: str | None = None,
        actions: Sequence[str] = (),
        newest: bool = False,
    ) -> list[AuditEntry]:
        """The project's entries with a sequence number above `after` and below `before`, oldest first.

        Args:
            after: 0: from the first one on.
            before: None: up to the newest.
            limit: so many at most.
            subject: those whose subject names it.
            actions: those of one of these; none: of any.
            newest: the newest `limit` of them, newest first.
        """
        # In the order of the chain: an index by project and action would be sorted whole for the newest few entries.
        project = audit.c.project if actions or subject is not None else func.coalesce(audit.c.project, "")
        query, at = select(audit).where(project == self._scope.project), audit.c.sequence
        if subject is not None:
            at = audit_subjects.c.sequence
            query = query.join(audit_subjects, audit.c.sequence == at)
            query = query.where(audit_subjects.c.project == self._scope.project, audit_subjects.c.subject == subject)
        query = query.where(at > after)
        if before is not None:
            query = query.where(at < before)
        if actions:
            query = query.where(audit.c.action.in_(actions))
        rows = self._scope.connection.execute(query.order_by(at.desc() if newest else at).limit(limit))
        return [to_entry(row) for row in rows]
