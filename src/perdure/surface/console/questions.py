"""Questions to people as pages show them: what is asked, what it rests on, who may answer, and why the one who looks may not.

The areas `incidents`, `registry` and `inbox` draw them. Whether an answer counts is decided where it is given, by the verb and the ledger;
here it is only told beforehand, in the same order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from perdure.core.errors import NotFound, Refused
from perdure.surface.console.asking import address
from perdure.surface.console.records import Cell, Table
from perdure.surface.words import counted, number, words

if TYPE_CHECKING:
    from perdure.assets.version import Version
    from perdure.stores.ledger.protocols import Approval
    from perdure.surface.console.records import Asked, Tone
    from perdure.surface.governance.roles import People

_N_METRICS = 3
STATUS_TONES: Mapping[str, Tone] = {"open": "warn", "approved": "good", "rejected": "bad", "withdrawn": "mute"}


@dataclass(frozen=True, slots=True)
class Said:
    """What one person answered."""

    actor: str
    approves: bool
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Question:
    """A question to people of a role."""

    id: str
    href: str
    text: str
    asset: str
    asset_href: str
    status: str
    tone: Tone
    asked_by: str
    asked_at: datetime
    role: str
    n_needed: int
    n_yes: int
    holders: tuple[str, ...]
    said: tuple[Said, ...]
    reasons: tuple[str, ...]
    why_not: str
    """Why the person who looks may not answer; empty where they may."""
    stands: str
    """How it stands, in words."""


def question_of(asked: Asked, approval: Approval, people: People) -> Question:
    """A question as the one who asks sees it."""
    n_yes = sum(each.approves for each in approval.answers)
    return Question(
        id=approval.id,
        href=address("/approvals", approval.id),
        text=approval.text,
        asset=approval.asset,
        asset_href=asset_address(asked, approval.asset),
        status=approval.status,
        tone=STATUS_TONES.get(approval.status, "mute"),
        asked_by=approval.asked_by,
        asked_at=approval.asked_at,
        role=approval.role,
        n_needed=approval.n_needed,
        n_yes=n_yes,
        holders=holders_of(people, approval.role),
        said=tuple(Said(each.actor, each.approves, each.reason, each.at) for each in approval.answers),
        reasons=tuple(str(each) for each in approval.facts.get("reasons", ())),
        why_not=why_not(asked, approval, people),
        stands=f"{counted(approval.n_needed, approval.role)} must say yes, {n_yes} did",
    )


def check_counted(asked: Asked, approval: Approval, *, approves: bool) -> None:
    """An answer that was given is told as kept only where it is: of one person the first stands.

    Raises:
        Refused: the person said the contrary before.
    """
    mine = next((each for each in approval.answers if each.actor == asked.person.name), None)
    if mine is not None and mine.approves is not approves:
        raise Refused(
            f"You said {'yes' if mine.approves else 'no'} already, and that stands; the question is {approval.status}.",
            hint="A person answers once. Whoever has the role and has not answered can still say no while it is open.",
        )


def next_step(approval: Approval) -> str:
    """Who goes on with what was approved: the loop with its own work, and whoever applies with a release by hand."""
    if approval.facts.get("stage") == "release" and not approval.facts.get("job"):
        return "perdure apply makes the release now."
    return "the loop's next round goes on with it."


def why_not(asked: Asked, approval: Approval, people: People) -> str:
    """Why the person who looks may not answer a question; empty where they may."""
    person = asked.person
    if approval.status != "open":
        return f"It is {approval.status} already."
    before = next((each for each in approval.answers if each.actor == person.name), None)
    if before is not None:
        more = approval.n_needed - sum(each.approves for each in approval.answers)
        return f"You said {'yes' if before.approves else 'no'}; {counted(more, 'other person', 'other people')} must say yes too."
    if approval.n_needed > 1 and approval.asked_by == person.name:
        return f"You asked; {counted(approval.n_needed, 'other person', 'other people')} must answer: four eyes."
    return why_not_role(asked, approval.role, people)


def why_not_role(asked: Asked, role: str, people: People) -> str:
    """Why the person who looks may not answer for a role; empty where they may."""
    holders = holders_of(people, role)
    ask = f": ask {', '.join(holders)}" if holders else "; nobody has that role yet: an administrator gives it"
    if asked.person.service:
        return "A program answers no question: people do."
    if role and asked.person.name not in holders:
        return f"Needs the role {role}{ask}."
    if not asked.person.may("decide"):
        return "Answering needs the console's role reviewer: an administrator gives it."
    return ""


def holders_of(people: People, role: str) -> tuple[str, ...]:
    """Who has a role; nobody where it is not declared."""
    try:
        return people.holders(role) if role else ()
    except NotFound:
        return ()


def asset_address(asked: Asked, asset: str) -> str:
    """Where the page of an asset is; of a card, the card's."""
    kind, sign, name = asset.partition(":")
    if (kind, sign) == ("card", ":"):
        return address("/cards", name)
    tile = asked.board.by_name.get(asset)
    return address("/assets", tile.kind, asset) if tile else ""


def asset_cell(asked: Asked, asset: str) -> Cell:
    """An asset's name, which leads to its page where it has one."""
    return Cell(asset, href=asset_address(asked, asset))


def version_address(kind: str, asset: str, version: str) -> str:
    """Where the page of a version is."""
    if kind == "card":
        return address("/cards", asset.partition(":")[2], "versions", version)
    return address("/assets", kind, asset, "versions", version)


def measured(version: Version) -> str:
    """A few of its metrics, those on rows that were held out first."""
    ordered = sorted(version.metrics.items(), key=lambda pair: not pair[0].startswith("valid"))
    return ", ".join(f"{words(name)} {number(value)}" for name, value in ordered[:_N_METRICS])


def verdict_cells(verdict: Mapping[str, Any]) -> tuple[Cell, Cell, str]:
    """A gate, whether it let the candidate pass, and what it says."""
    passed = bool(verdict.get("passed"))
    word = Cell("passed", tone="good") if passed else Cell("refused", tone="bad")
    return Cell(words(str(verdict.get("gate", "")))), word, str(verdict.get("text", ""))


def verdict_table(verdicts: Iterable[Mapping[str, Any]], caption: str, empty: str) -> Table:
    """What gates said of one candidate, those that refused first."""
    ordered = sorted(verdicts, key=lambda each: bool(each.get("passed")))
    rows: Sequence[Sequence[Cell | str]] = [verdict_cells(each) for each in ordered]
    return Table(("Gate", "Verdict", "What it saw"), rows, caption, empty=empty)
