"""Questions of runs to people, answered as any question: role checked, reason kept, four eyes where the asset's policy wants them.

A question stands in the store of runs; what people say of it is kept in the ledger under the question's id, so that its audit tells who
let a run do what. Once it is decided the run's own question is answered, and whatever serves the project goes on with the run. A process
that dies in between leaves a decision that the next answer carries over.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from perdure.core.canonical import content_hash
from perdure.core.clock import from_us, machine_us
from perdure.core.errors import BadRequest, Refused
from perdure.core.ids import new_id
from perdure.core.runs import RunRecord, Wait, WaitAnswer
from perdure.stores.ledger.protocols import Answer, Approval
from perdure.surface.governance.roles import People, reason_of

if TYPE_CHECKING:
    from datetime import datetime

    from perdure.stores.ledger.protocols import Ledger, LedgerSession
    from perdure.stores.runs.protocols import Runs

_KEY = "runs/"
"""What keys of such questions begin with in the ledger."""
STAGE = "run"


@dataclass(frozen=True, slots=True)
class RunAsks:
    """An open question of a run.

    Args:
        run: that waits.
        wait: the question.
        n_needed: people who must say yes.
    """

    run: RunRecord
    wait: Wait
    n_needed: int = 1


@dataclass(frozen=True, slots=True)
class RunSaid:
    """A person's answer.

    Args:
        approves: yes or no.
        reason: kept.
        value: of an approval the arguments as the person changed them; of an effect that happened what it gave; None: as asked.
    """

    approves: bool
    reason: str
    value: Any = None


def answer_run(
    stores: tuple[Ledger, Runs], people: People, actor: str, asked: RunAsks, said: RunSaid, at: datetime
) -> Approval:  # fmt: skip
    """Write one person's answer down; where that decides it the run goes on. Gives the question as it stands then.

    Raises:
        DeclarationError: no reason.
        NotFound: a role that is not declared.
        Refused: the person has not the role; it was decided already, or its time is over.
        BadRequest: what is to stand in for the arguments is no object.
    """
    ledger, runs = stores
    reason = reason_of(said.reason, "An approval" if said.approves else "A rejection")
    _check_value(asked.wait, said)
    if asked.wait.role:
        people.require(actor, asked.wait.role)
    with ledger.transaction(actor=actor, at=at, reason=reason) as session:
        question = session.approvals.ask(_question(asked, said))
        if question.status == "open":
            question = session.approvals.answer(question.id, Answer(actor, said.approves, reason, at))
        if question.status != "open":
            _withdraw_others(session, asked, question)
    if question.status != "open":
        _carry_over(runs, asked, question, said)
    return question


def wait_of(question: Approval) -> str:
    """Id of the run's question that this one is of; empty where it is of none.

    >>> from perdure.core.clock import EPOCH
    >>> wait_of(Approval("apr_1", "desk", "runs/wait_7/", "…", "reviewer", 1, "agent:desk", EPOCH, "open"))
    'wait_7'
    """
    return question.key.split("/")[1] if question.key.startswith(_KEY) else ""


def _check_value(wait: Wait, said: RunSaid) -> None:
    if said.value is None:
        return
    if not said.approves:
        raise BadRequest("A no takes no value.", hint="Leave it out.")
    if wait.question == "approve" and not isinstance(said.value, Mapping):
        raise BadRequest("Arguments that are to be used instead are no object.", hint='Write {"text": "…"}.')


def _question(asked: RunAsks, said: RunSaid) -> Approval:
    """A yes is for these arguments: with others it is another question."""
    wait, run = asked.wait, asked.run
    digest = "" if said.value is None else content_hash(said.value)[:12]
    facts: dict[str, Any] = {"stage": STAGE, "run": run.id, "tool": wait.tool, "question": wait.question}
    if digest:
        facts["changed"] = True
    return Approval(
        id=new_id("apr"),
        asset=run.asset,
        key=f"{_KEY}{wait.id}/{digest}",
        text=wait.text.partition("\n")[0].rstrip(":"),
        role=wait.role,
        n_needed=asked.n_needed if said.approves else 1,
        asked_by=f"{run.kind}:{run.asset}",
        asked_at=from_us(wait.asked_us),
        status="open",
        facts=facts,
    )


def _withdraw_others(session: LedgerSession, asked: RunAsks, decided: Approval) -> None:
    for each in session.approvals.list(asset=asked.run.asset, open_only=True):
        if wait_of(each) == asked.wait.id and each.id != decided.id:
            session.approvals.withdraw(each.id)


def _carry_over(runs: Runs, asked: RunAsks, question: Approval, said: RunSaid) -> None:
    approves = question.status == "approved"
    sayers = [each for each in question.answers if each.approves == approves]
    given = WaitAnswer(
        actor=", ".join(each.actor for each in sayers),
        approves=approves,
        reason="; ".join(each.reason for each in sayers),
        at_us=machine_us(),
        value=b"" if said.value is None or not approves else msgspec.json.encode(said.value),
    )
    kept = runs.answer(asked.wait.id, given).answer
    if kept is not None and (kept.actor, kept.approves) != (given.actor, approves):
        what = "yes" if kept.approves else "no"
        raise Refused(f"{kept.actor} said {what} before: {kept.reason}", hint="The first answer counts.")
