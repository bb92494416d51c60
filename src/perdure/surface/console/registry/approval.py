"""The evidence pack of a question: verdicts of the gates, slices, fairness, the card, what differs; and who may answer.

Made for the person who must say yes or no: everything that the question rests on stands on one page.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from perdure.assets.version import CHAMPION, Pointer
from perdure.core.errors import NotFound
from perdure.surface.console.asking import address
from perdure.surface.console.coding import CodeChange, code_change
from perdure.surface.console.questions import Question, next_step, question_of, verdict_table, version_address
from perdure.surface.console.records import Table, View
from perdure.surface.console.registry import differing
from perdure.surface.governance.approvals import find_release_question
from perdure.surface.governance.card_text import find_text, parts_of
from perdure.surface.governance.cards import FAIRNESS
from perdure.surface.governance.story import VERIFIED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from perdure.assets.version import Version
    from perdure.stores.ledger.protocols import Approval, LedgerSession, Run
    from perdure.surface.console.records import Asked


@dataclass(frozen=True, slots=True)
class ApprovalPage:
    """What the page draws."""

    question: Question
    goes_on: str
    """Who goes on with it, where the answer is yes and nobody did yet; empty else."""
    four_eyes: bool
    incident: str
    incident_href: str
    candidate: str
    candidate_href: str
    champion: str
    champion_href: str
    run_href: str
    compare_href: str
    gates: Table
    fairness: Table
    metrics: Table
    slices: Table
    code: CodeChange | None
    """How the code differs; none where nothing answers yet."""
    diff: tuple[str, ...]
    card_href: str
    card: tuple[tuple[str, str], ...]
    """Parts of what people wrote on the card."""
    card_note: str


@dataclass(frozen=True, slots=True)
class _Sides:
    """The versions that the question is between, and the runs that made them."""

    candidate: Version | None
    champion: Version | None
    made: Run | None
    made_champion: Run | None


def show_approval(asked: Asked) -> View:
    """One question, by its id."""
    people = asked.project.people
    with asked.project.place.stores.ledger.read() as session:
        approval = session.approvals.get(asked.path["id"])
        verdicts, name = _verdicts(session, approval)
        sides = _sides(session, approval, name)
        text = find_text(session, approval.asset)
        goes_on = _goes_on(session, approval)
    question = question_of(asked, approval, people)
    candidate, champion = sides.candidate, sides.champion
    both = candidate is not None and champion is not None and candidate.id != champion.id
    incident = str(approval.facts.get("incident") or "")
    kind = candidate.kind if candidate else "model"
    tile = asked.board.by_name.get(approval.asset)
    data = ApprovalPage(
        question=question,
        goes_on=goes_on,
        four_eyes=approval.n_needed > 1,
        incident=incident,
        incident_href=address("/incidents", incident) if incident else "",
        candidate=candidate.id if candidate else "",
        candidate_href=version_address(kind, approval.asset, candidate.id) if candidate else "",
        champion=champion.id if champion else "",
        champion_href=version_address(kind, approval.asset, champion.id) if champion else "",
        run_href=address("/training", sides.made.id) if sides.made else "",
        compare_href=_compare(kind, approval.asset, candidate, champion) if both else "",
        gates=verdict_table(verdicts, "What each gate said", _no_gates(approval)),
        fairness=verdict_table(
            [each for each in verdicts if FAIRNESS in str(each.get("gate", ""))],
            "Verdicts on groups",
            "No gate has judged groups: declare them, so that one does (fairness of a model's policy).",
        ),
        metrics=differing.metric_table(approval, candidate, champion),
        slices=differing.slice_table(sides.made, sides.made_champion),
        code=_code(asked, champion, candidate),
        diff=differing.diff(champion, candidate) if candidate else (),
        card_href=address("/cards", approval.asset) if tile and tile.declared and tile.kind == "model" else "",
        card=tuple(parts_of(text.text)) if text else (),
        card_note=f"Written by {text.actor}: {text.reason}" if text else "",
    )
    crumbs = (("Inbox", "/inbox"), ("Registry", "/registry"))
    return View(approval.text, data, crumbs, live=("questions",))


def _goes_on(session: LedgerSession, approval: Approval) -> str:
    """Who makes what was approved; empty where it is made, or the champion has moved since and it is to be asked for anew."""
    if approval.status != "approved" or approval.facts.get("stage") != "release" or approval.facts.get("job"):
        return ""
    move = Pointer(approval.asset, CHAMPION, str(approval.facts.get("version", "")))
    asked = find_release_question(session, move)
    return next_step(approval) if asked is not None and asked.id == approval.id else ""


def _verdicts(session: LedgerSession, approval: Approval) -> tuple[Sequence[Mapping[str, Any]], str]:
    """What gates said of the candidate, and its version: from the question, else from what the job proved."""
    facts = approval.facts
    name = str(facts.get("version", ""))
    job = facts.get("job")
    if not job:
        return facts.get("verdicts", ()), name
    for entry in session.audit.list(subject=approval.asset, actions=(VERIFIED,), newest=True, limit=20):
        if entry.facts.get("job") == job and entry.facts.get("winner"):
            won = str(entry.facts["winner"])
            trial = next((each for each in entry.facts["trials"] if each["candidate"] == won), None)
            return (facts.get("verdicts") or (trial or {}).get("verdicts", ())), won
    return facts.get("verdicts", ()), name


def _sides(session: LedgerSession, approval: Approval, name: str) -> _Sides:
    answers = next((each.version for each in session.pointers.list(approval.asset) if each.name == CHAMPION), "")
    runs = session.runs.list(approval.asset, limit=200) if name else []
    made = {str(run.facts.get("version", "")): run for run in reversed(runs)}
    return _Sides(_find(session, name), _find(session, answers), made.get(name), made.get(answers))


def _find(session: LedgerSession, name: str) -> Version | None:
    try:
        return session.registry.get_version(name) if name else None
    except NotFound:
        return None


def _compare(kind: str, asset: str, candidate: Version | None, champion: Version | None) -> str:
    assert candidate is not None
    assert champion is not None
    return address("/assets", kind, asset, "compare", before=champion.id, after=candidate.id)


def _code(asked: Asked, champion: Version | None, candidate: Version | None) -> CodeChange | None:
    """Of what has code of its own; a long one as the first lines, for the page that compares the two has the rest."""
    if champion is None or candidate is None or "code" not in candidate.lineage:
        return None
    change = code_change(asked, champion, candidate)
    if len(change.lines) <= differing.LONGEST:
        return change
    left = f"@@ and {len(change.lines) - differing.LONGEST:,} more lines @@"
    return CodeChange((*change.lines[: differing.LONGEST], left), change.said)


def _no_gates(approval: Approval) -> str:
    if approval.facts.get("stage") == "release":
        return "No gate has judged it: it is released by hand, on the word of who asks."
    return "No gate judges it: nothing that answers is replaced."
