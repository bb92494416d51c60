"""Questions to people, and their answers: role checked, reason kept, no one counted twice.

That nobody is counted twice and that who asked does not answer where two must, is the ledger's rule;
who has a role is the project's, and is checked here, before anything is written.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from perdure.assets.version import CHAMPION, Pointer
from perdure.core.ids import new_id
from perdure.stores.ledger.protocols import Answer, Approval
from perdure.surface.governance.entries import by_beginning
from perdure.surface.governance.roles import People, reason_of

if TYPE_CHECKING:
    from perdure.assets.policy import Policy
    from perdure.stores.ledger.protocols import Ledger, LedgerSession


@dataclass(frozen=True, slots=True)
class Said:
    """A person's answer to a question."""

    question: str
    """The approval's id, or how it begins."""
    approves: bool
    reason: str


def answer(ledger: Ledger, people: People, actor: str, said: Said, at: datetime) -> Approval:
    """Write one person's yes or no down; returns the question as it stands then.

    Raises:
        DeclarationError: no reason.
        NotFound: no such question, or a role that is not declared.
        Refused: the person has not the role, asked it themselves where two must answer, or it is decided.
    """
    reason = reason_of(said.reason, "An approval" if said.approves else "A rejection")
    with ledger.read() as session:
        known = {approval.id: approval for approval in session.approvals.list()}
    asked = known[by_beginning("question", said.question, known)]
    people.require(actor, asked.role)
    with ledger.transaction(actor=actor, at=at, reason=reason) as session:
        return session.approvals.answer(asked.id, Answer(actor, said.approves, reason, at))


def find_release_question(session: LedgerSession, move: Pointer) -> Approval | None:
    """The question whether a version may be released by hand, if it was asked since the champion last moved."""
    key = _key(session, move)
    return next((each for each in session.approvals.list(asset=move.asset) if each.key == key), None)


def ask_release(session: LedgerSession, move: Pointer, policy: Policy, actor: str, at: datetime) -> Approval:
    """Ask whether a version may be released by hand; one that was asked already is returned."""
    version = session.registry.get_version(move.version)
    made = "trained by hand" if version.artifacts else "as it is declared"
    question = Approval(
        id=new_id("apr"),
        asset=move.asset,
        key=_key(session, move),
        text=f"Release {move.version} of {move.asset}, {made}",
        role=policy.approve_by or "reviewer",
        n_needed=2 if policy.four_eyes else 1,
        asked_by=actor,
        asked_at=at,
        status="open",
        facts={"stage": "release", "version": move.version, "metrics": dict(version.metrics)},
    )
    return session.approvals.ask(question)


def _key(session: LedgerSession, move: Pointer) -> str:
    """A yes is for one move: once the champion has moved, the same version must be asked for anew."""
    moves = [each.sequence for each in session.pointers.history(move.asset) if each.name == CHAMPION]
    return f"apply/{move.asset}/{move.version}/{moves[-1] if moves else 0}"
