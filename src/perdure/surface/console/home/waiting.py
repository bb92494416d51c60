"""What waits for the person who looks: questions that they may answer, incidents and hand-offs that are theirs by duty, work that failed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from perdure.surface.console.asking import address
from perdure.surface.console.questions import why_not
from perdure.surface.governance.doing import job_text
from perdure.surface.governance.handing import list_hand_offs, list_taken
from perdure.surface.governance.snoozing import list_snoozed
from perdure.surface.words import counted, words

if TYPE_CHECKING:
    from perdure.stores.ledger.protocols import Incident
    from perdure.surface.console.records import Asked, Duty, Tone
    from perdure.surface.governance.handing import HandOff, Taken

N_SHOWN = 8
_FEEDS = frozenset(("source", "feature_view"))
_TEXTS = frozenset(("prompt", "judge", "index"))
_OF_DUTY: dict[Duty, frozenset[str] | None] = {
    "on_call": None,
    "data_engineer": _FEEDS,
    "data_scientist": frozenset(("model",)),
    "ml_engineer": frozenset(("route", "guard", "agent", "graph")),
    "prompt_author": _TEXTS,
}
"""Duty → kinds whose incidents are its own; None: of every kind."""


@dataclass(frozen=True, slots=True)
class Wait:
    """One thing that a person is asked to look at."""

    what: str
    """`question`, `incident`, `hand-off` or `work`."""
    tone: Tone
    text: str
    href: str
    next: str
    """What to do about it, in words."""
    at: datetime


@dataclass(frozen=True, slots=True)
class Waits:
    """All of it, as far as it is shown."""

    shown: tuple[Wait, ...]
    n: int
    more: str
    """Address of the rest; empty: these are all."""
    told: str
    """In one sentence."""


def waits_of(asked: Asked) -> Waits:
    """What waits for the one who asks, questions first, then what has waited longest."""
    found = [*_questions(asked), *sorted(_theirs(asked), key=lambda each: each.at), *_failed(asked)]
    told = f"{counted(len(found), 'thing')} for you to look at." if found else _nothing(asked)
    more = address("/inbox") if len(found) > N_SHOWN else ""
    return Waits(tuple(found[:N_SHOWN]), len(found), more, told)


def _nothing(asked: Asked) -> str:
    n_open = len(asked.board.incidents) + len(asked.board.questions)
    if not asked.person.duties and n_open:
        return "Nothing waits for you by name. Duties bring you what is yours: an administrator gives them."
    return "Nothing waits for you."


def _questions(asked: Asked) -> Iterator[Wait]:
    if not asked.board.questions:
        return
    people = asked.project.people
    for approval in asked.board.questions:
        if not why_not(asked, approval, people):
            n_yes = sum(each.approves for each in approval.answers)
            yield Wait(
                "question",
                "warn",
                approval.text,
                address("/approvals", approval.id),
                f"look at the evidence, and answer: {counted(approval.n_needed - n_yes, 'yes', 'yeses')} missing",
                approval.asked_at,
            )


def _theirs(asked: Asked) -> Iterator[Wait]:
    """Incidents and hand-offs: what somebody took is theirs alone, what is snoozed is nobody's."""
    with asked.project.place.stores.ledger.read() as session:
        taken, snoozed = list_taken(session), list_snoozed(session, asked.now)
        handed = [each for each in list_hand_offs(session) if _is_for(asked, each)]
    about = {each.about for each in handed}
    for incident in asked.board.incidents:
        if incident.id not in snoozed and incident.id not in about and _is_ones(asked, incident, taken):
            yield _incident(asked, incident, taken)
    opened = {incident.id for incident in asked.board.incidents}
    for each in handed:
        href = address("/incidents", each.about) if each.about in opened else _of_asset(asked, each.asset)
        said = f"{each.giver} asks you to look after {each.asset}: {each.reason}"
        yield Wait("hand-off", "info", said, href, "take it, or hand it on", each.at)


def _is_for(asked: Asked, each: HandOff) -> bool:
    return each.to == asked.person.name or each.duty in asked.person.duties


def _is_ones(asked: Asked, incident: Incident, taken: dict[str, Taken]) -> bool:
    holder = taken.get(incident.id)
    if holder is not None:
        return holder.actor == asked.person.name
    tile = asked.board.by_name.get(incident.asset)
    kind = tile.kind if tile else ""
    kinds: Sequence[frozenset[str] | None] = [_OF_DUTY[duty] for duty in asked.person.duties if duty in _OF_DUTY]
    return any(each is None or kind in each for each in kinds)


def _incident(asked: Asked, incident: Incident, taken: dict[str, Taken]) -> Wait:
    doing = asked.board.doing.get(incident.id, "")
    own = "you took it over; " if incident.id in taken else ""
    return Wait(
        "incident",
        "bad",
        f"{incident.asset}: {words(incident.kind)}. {incident.summary}",
        address("/incidents", incident.id),
        f"{own}{f'the loop: {doing}' if doing else 'the loop does nothing about it yet'}",
        incident.opened_at,
    )


def _failed(asked: Asked) -> Iterator[Wait]:
    if "ml_engineer" not in asked.person.duties:
        return
    for job in asked.board.jobs:
        if job.error:
            text = f"{job.subject}: {job_text(job)}"
            yield Wait(
                "work", "warn", text, _of_asset(asked, job.subject), "see what failed, or call it off", job.started_at
            )


def _of_asset(asked: Asked, name: str) -> str:
    tile = asked.board.by_name.get(name)
    return address("/assets", tile.kind, name) if tile else address("/assets")
