"""Everything that waits for a person: questions of releases and repairs, and of runs of agents and graphs, in one list, answered by one verb."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from perdure.assets.graph import ToolNode
from perdure.assets.tools import McpTools
from perdure.core.clock import from_us
from perdure.core.errors import BadRequest, NotFound, PerdureError, Refused, not_found
from perdure.surface.governance.entries import by_beginning
from perdure.surface.governance.run_waits import RunAsks, answer_run, wait_of
from perdure.surface.runs_kept import opened_runs, waiting

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime

    from perdure.assets.tools import Tool
    from perdure.core.runs import RunRecord, Wait
    from perdure.stores.ledger.protocols import Approval
    from perdure.surface.governance.run_waits import RunSaid
    from perdure.surface.governing import Governing


@dataclass(frozen=True, slots=True)
class RunQuestion:
    """A question of a run, with what people said of it so far."""

    run: RunRecord
    wait: Wait
    n_needed: int
    said: Sequence[Approval]
    """Of the ledger: of other arguments each is another one."""


@dataclass(frozen=True, slots=True)
class Inbox:
    """What waits for a person, those first that were asked first."""

    approvals: Sequence[Approval]
    runs: Sequence[RunQuestion]


def read_inbox(project: Governing, asset: str | None = None) -> Inbox:
    """Open questions, of one asset or of all."""
    with project.place.stores.ledger.read() as session:
        known = session.approvals.list(asset=asset, open_only=True)
    questions = [
        RunQuestion(run, wait, _n_needed(project, run), [each for each in known if wait_of(each) == wait.id])
        for run, wait in waiting(project)
        if asset in (None, run.asset)
    ]
    return Inbox([each for each in known if not wait_of(each)], questions)


def find_wait(project: Governing, question: str) -> str:
    """Id of the open question of a run that is meant, by its own or by how it stands in the ledger; empty where none is."""
    with project.place.stores.ledger.read() as session:
        in_ledger = {each.id: each for each in session.approvals.list()}
    asked = {wait.id for _, wait in waiting(project)}
    known = [*in_ledger, *asked]
    if not any(each.startswith(question) for each in asked) and not any(
        wait_of(each) for name, each in in_ledger.items() if name.startswith(question)
    ):
        return ""
    found = by_beginning("question", question, known)
    return found if found in asked else wait_of(in_ledger[found])


def answer_wait(project: Governing, question: str, said: RunSaid, at: datetime) -> Approval:
    """Answer an open question of a run.

    Raises:
        NotFound: there is no such open question.
        Refused: who acts has not the role, or it is decided.
        BadRequest: arguments that are to be used instead do not fit the tool.
    """
    open_now = {wait.id: (run, wait) for run, wait in waiting(project)}
    wait_id = find_wait(project, question)
    if wait_id not in open_now:
        raise _not_open(project, question, open_now)
    run, wait = open_now[wait_id]
    if said.approves and wait.question == "approve" and isinstance(said.value, Mapping):
        _check_arguments(project, run, wait, said.value)
    asked = RunAsks(run, wait, _n_needed(project, run))
    with opened_runs(project) as runs:
        assert runs is not None
        return answer_run((project.place.stores.ledger, runs), project.people, project.actor, asked, said, at)


def _check_arguments(project: Governing, run: RunRecord, wait: Wait, arguments: Mapping[str, Any]) -> None:
    """A yes with arguments that the tool does not take would be spent on a call that fails. Tools of MCP servers are not asked here."""
    from perdure.serve.runs.protocols import ToolAsked
    from perdure.serve.tools.making import Toolmaker

    declared = [each for each in _tools(project, run) if each.name == wait.tool and not isinstance(each, McpTools)]
    wrong = Toolmaker().box(declared[:1]).wrong(ToolAsked(wait.tool, dict(arguments), wait.call)) if declared else ""
    if wrong:
        raise BadRequest(
            f"The arguments do not fit {wait.tool}: {wrong}.",
            hint="Write all of them; perdure inbox shows those that were asked.",
        )


def _tools(project: Governing, run: RunRecord) -> Sequence[Tool]:
    known = project.project
    if run.kind == "agent":
        return known.agents[run.asset].tools if run.asset in known.agents else ()
    nodes = known.graphs[run.asset].nodes if run.asset in known.graphs else ()
    return [each.tool for each in nodes if isinstance(each, ToolNode)]


def _not_open(project: Governing, question: str, open_now: Collection[str]) -> PerdureError:
    """Why a question of a run cannot be answered: somebody did, or there is none."""
    with project.place.stores.ledger.read() as session:
        decided = [each for each in session.approvals.list() if each.answers and wait_of(each).startswith(question)]
    if decided:
        said = decided[-1].answers[-1]
        word = "yes" if said.approves else "no"
        return Refused(f"{said.actor} said {word} before: {said.reason}", hint="The first answer counts.")
    if open_now:
        return not_found("open question of a run", question, open_now)
    return NotFound(
        f"There is no open question {question!r}.", hint="No run waits for a person.", what="question", name=question
    )


def asked_at(question: RunQuestion) -> datetime:
    """When it was asked, by the machine's clock."""
    return from_us(question.wait.asked_us)


def _n_needed(project: Governing, run: RunRecord) -> int:
    """Two where the policy of what runs wants four eyes."""
    declared = project.project.pointed.get(run.asset)
    return 2 if declared is not None and declared.policy.four_eyes else 1
