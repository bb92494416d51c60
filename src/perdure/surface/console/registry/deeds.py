"""Answers to questions, and edits of cards. Role, four eyes and who was faster are checked by the verbs and the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perdure.surface.console.asking import address
from perdure.surface.console.questions import check_counted, next_step
from perdure.surface.console.records import Done
from perdure.surface.words import counted

if TYPE_CHECKING:
    from perdure.stores.ledger.protocols import Approval
    from perdure.surface.console.records import Asked


def approve(asked: Asked) -> Done:
    """One person's yes."""
    _exact(asked)
    made = asked.project.approve(asked.path["id"], reason=asked.form["reason"], at=asked.now)
    check_counted(asked, made, approves=True)
    n_more = made.n_needed - sum(each.approves for each in made.answers)
    if made.status == "open":
        return _done(made, f"Your yes is kept; {counted(n_more, f'more {made.role}')} must say yes.")
    if made.status != "approved":
        return _done(made, f"Your yes was kept; the question is {made.status} by now.")
    return _done(made, f"Approved: {next_step(made)}")


def reject(asked: Asked) -> Done:
    """One person's no, which is enough."""
    _exact(asked)
    made = asked.project.reject(asked.path["id"], reason=asked.form["reason"], at=asked.now)
    check_counted(asked, made, approves=False)
    return _done(made, "Rejected: it is not done.")


def edit_card(asked: Asked) -> Done:
    """A new version of what people say on a card; refused where somebody was faster."""
    name, form = asked.path["name"], asked.form
    made = asked.project.edit_card(
        name, form.get("text", ""), reason=form["reason"], base=form.get("base"), at=asked.now
    )
    return Done("The card is kept as a new version.", address("/cards", name), made)


def _exact(asked: Asked) -> None:
    """An address names a question whole: no beginning of it is taken.

    Raises:
        NotFound: no such question.
    """
    with asked.project.place.stores.ledger.read() as session:
        session.approvals.get(asked.path["id"])


def _done(made: Approval, text: str) -> Done:
    return Done(text, address("/approvals", made.id), {"id": made.id, "status": made.status})
