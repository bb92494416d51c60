"""The approvals role: questions to people, and who said what.

An approval waits in its row: no process has to live until somebody answers.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from sqlalchemy import ColumnElement, Row, select

from perdure.core.clock import from_us, parse_at, to_us
from perdure.core.errors import DeclarationError, Refused, not_found
from perdure.stores.ledger.chain import json_text
from perdure.stores.ledger.protocols import Answer, Approval
from perdure.stores.ledger.schema import approvals
from perdure.stores.ledger.scope import Change, Scope, Write

_OPEN = "open"


class SqlApprovals:
    """Questions by id and by key, over one snapshot or transaction."""

    __slots__ = ("_scope",)

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    def ask(self, approval: Approval) -> Approval:
        """Keep an open question; the one that was asked under its key already is returned.

        Raises:
            DeclarationError: it is not open, has answers already, or nobody would have to say yes.
            Refused: its id is taken by another question.
        """
        self._scope.writing()
        asked = self._one(approvals.c.key == approval.key)
        if asked is not None:
            return _approval(asked)
        if approval.status != _OPEN or approval.answers or approval.n_needed < 1:
            raise DeclarationError(
                f"The question {approval.key!r} is {approval.status!r}, has {len(approval.answers)} answers and needs "
                f"{approval.n_needed}.",
                hint="Ask an open question without answers that at least one person has to approve.",
            )
        if self._one(approvals.c.id == approval.id) is not None:
            raise Refused(f"The id {approval.id!r} is taken by another question.", hint="Make one by `new_id`.")
        kept = replace(approval, facts=json.loads(json_text(approval.facts)))
        self._save("approvals.ask", kept, {"role": kept.role, "n_needed": kept.n_needed}, replaces=False)
        return kept

    def answer(self, approval_id: str, answer: Answer) -> Approval:
        """Add one person's answer: one no rejects, enough yeses approve; a second answer of one person changes nothing.

        Raises:
            NotFound: no such question.
            Refused: it is decided already, or who asked may not answer.
        """
        self._scope.writing()
        approval = self.get(approval_id)
        if answer.actor in {each.actor for each in approval.answers}:
            return approval
        if approval.status != _OPEN:
            raise Refused(
                f"The question {approval_id!r} is {approval.status} already.", hint="It needs no further answer."
            )
        if approval.n_needed > 1 and answer.actor == approval.asked_by:
            raise Refused(
                f"{answer.actor!r} asked the question {approval_id!r}, which {approval.n_needed} other people decide.",
                hint=f"Let somebody else of the role {approval.role!r} answer.",
            )
        answers = (*approval.answers, answer)
        n_yes = sum(each.approves for each in answers)
        status = "rejected" if not answer.approves else "approved" if n_yes >= approval.n_needed else _OPEN
        answered = replace(approval, answers=answers, status=status)
        said = {"by": answer.actor, "approves": answer.approves, "why": answer.reason, "status": status}
        self._save("approvals.answer", answered, said, replaces=True)
        return answered

    def withdraw(self, approval_id: str) -> Approval:
        """The question is moot; one that is decided stays as it is.

        Raises:
            NotFound: no such question.
        """
        self._scope.writing()
        approval = self.get(approval_id)
        if approval.status != _OPEN:
            return approval
        withdrawn = replace(approval, status="withdrawn")
        self._save("approvals.withdraw", withdrawn, {}, replaces=True)
        return withdrawn

    def get(self, approval_id: str) -> Approval:
        """The question of an id.

        Raises:
            NotFound: no such question.
        """
        row = self._one(approvals.c.id == approval_id)
        if row is None:
            known = select(approvals.c.id).where(approvals.c.project == self._scope.project)
            raise not_found("approval", approval_id, self._scope.connection.scalars(known))
        return _approval(row)

    def list(self, *, asset: str | None = None, open_only: bool = False) -> list[Approval]:
        """In the order in which they were asked."""
        query = select(approvals).where(approvals.c.project == self._scope.project)
        if asset is not None:
            query = query.where(approvals.c.asset == asset)
        if open_only:
            query = query.where(approvals.c.status == _OPEN)
        rows = self._scope.connection.execute(query.order_by(approvals.c.asked_us, approvals.c.id))
        return [_approval(row) for row in rows]

    def _one(self, condition: ColumnElement[bool]) -> Row[Any] | None:
        query = select(approvals).where(approvals.c.project == self._scope.project, condition)
        return self._scope.connection.execute(query).one_or_none()

    def _save(self, action: str, approval: Approval, said: dict[str, Any], *, replaces: bool) -> None:
        row = {
            "project": self._scope.project,
            "id": approval.id,
            "asset": approval.asset,
            "key": approval.key,
            "text": approval.text,
            "role": approval.role,
            "n_needed": approval.n_needed,
            "asked_by": approval.asked_by,
            "asked_us": to_us(approval.asked_at),
            "status": approval.status,
            "answers": json_text(approval.answers),
            "facts": json_text(approval.facts),
            "actor": self._scope.writing().actor,
        }
        change = Change(action, approval.asset, {"approval": approval.id, **said})
        self._scope.save(change, [Write(approvals, row, replaces=replaces)])


def _approval(row: Row[Any]) -> Approval:
    return Approval(
        id=row.id,
        asset=row.asset,
        key=row.key,
        text=row.text,
        role=row.role,
        n_needed=row.n_needed,
        asked_by=row.asked_by,
        asked_at=from_us(row.asked_us),
        status=row.status,
        answers=tuple(Answer(**{**each, "at": parse_at(each["at"])}) for each in json.loads(row.answers)),
        facts=json.loads(row.facts),
    )
