"""The page of one incident: its story in the order in which it happened, and what a person can do about it now."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from perdure.surface.console.incidents import chapters, seen
from perdure.surface.console.questions import Question, asset_address, question_of
from perdure.surface.console.records import Picture, Table, View
from perdure.surface.governance.doing import job_text
from perdure.surface.governance.handing import DUTIES, HandOff, Taken, find_taken, list_hand_offs
from perdure.surface.governance.snoozing import Snoozed, find_snooze
from perdure.surface.words import words

if TYPE_CHECKING:
    from perdure.stores.ledger.protocols import Incident, LedgerSession
    from perdure.surface.console.records import Asked
    from perdure.surface.governance.story import Story


@dataclass(frozen=True, slots=True)
class Work:
    """One job about the incident that is not over."""

    id: str
    status: str
    text: str


@dataclass(frozen=True, slots=True)
class Hands:
    """Who looks after it, and whom it can be given to."""

    taken: Taken | None
    mine: bool
    snoozed: Snoozed | None
    given: tuple[HandOff, ...]
    people: tuple[str, ...]
    duties: tuple[tuple[str, str], ...]
    """(name, in words)."""


@dataclass(frozen=True, slots=True)
class IncidentPage:
    """What the page draws."""

    id: str
    asset: str
    asset_href: str
    asset_kind: str
    kind: str
    summary: str
    feeds: tuple[tuple[str, str], ...]
    """Sources that its causes name, with the address of each."""
    opened_at: datetime
    closed_at: datetime | None
    closing: str
    doing: str
    paused: str
    """Why a person paused the asset; empty where nobody did."""
    before: str
    """Version that a way back leads to; empty where there is none."""
    answers: str
    """Version that answers now."""
    hands: Hands
    work: tuple[Work, ...]
    questions: tuple[Question, ...]
    moments: tuple[chapters.Moment, ...]
    seen: Table
    pictures: tuple[Picture, ...]
    causes: tuple[chapters.Cause, ...]
    decisions: tuple[chapters.Decision, ...]
    steps: Table
    gates: Table
    moves: Table
    effects: Table
    outcomes: tuple[str, ...]


def show_incident(asked: Asked) -> View:
    """One incident, by its id."""
    with asked.project.place.stores.ledger.read() as session:
        incident = session.incidents.get(asked.path["id"])
    story = asked.project.explain(incident.id)
    with asked.project.place.stores.ledger.read() as session:
        hands = _hands(asked, session, incident)
        jobs = [job for job in session.jobs.list(subject=incident.asset) if job.id in _jobs(story, incident)]
        steps = chapters.step_table(session, jobs)
    tile = asked.board.by_name.get(incident.asset)
    people = asked.project.people
    before, answers = _way_back(asked, story) if incident.closed_at is None else ("", "")
    data = IncidentPage(
        id=incident.id,
        asset=incident.asset,
        asset_href=asset_address(asked, incident.asset),
        asset_kind=words(tile.kind) if tile else "",
        kind=words(incident.kind),
        summary=incident.summary,
        feeds=_feeds(asked, incident),
        opened_at=incident.opened_at,
        closed_at=incident.closed_at,
        closing=incident.closing,
        doing=asked.board.doing.get(incident.id, ""),
        paused=tile.paused if tile else "",
        before=before,
        answers=answers,
        hands=hands,
        work=tuple(Work(job.id, job.status, job_text(job)) for job in jobs if job.ended_at is None),
        questions=tuple(question_of(asked, each, people) for each in story.approvals),
        moments=chapters.moments(story),
        seen=seen.symptom_table(story),
        pictures=seen.pictures(asked, story),
        causes=chapters.causes(story),
        decisions=chapters.decisions(story),
        steps=steps,
        gates=chapters.gate_table(asked, story),
        moves=chapters.move_table(asked, story),
        effects=seen.effect_table(story),
        outcomes=tuple(chapters.outcome(each) for each in story.outcomes),
    )
    crumbs = (("Incidents", "/incidents"),)
    title = f"{incident.asset}: {words(incident.kind)}"
    return View(title, data, crumbs, cli=f"perdure explain {incident.id}", live=("incidents", "questions", "work"))


def _feeds(asked: Asked, incident: Incident) -> tuple[tuple[str, str], ...]:
    """Feeds that the likeliest causes blame, each once."""
    named = [
        str(each["source"])
        for cause in incident.facts.get("causes", ())
        for each in cause.get("evidence", {}).get("features", ())
        if each.get("source")
    ]
    known = asked.project.project.sources
    return tuple(
        (name, asset_address(asked, name)) for name in dict.fromkeys(named) if name in known and name != incident.asset
    )


def _jobs(story: Story, incident: Incident) -> set[str]:
    told = {str(each.facts.get("job", "")) for each in (*story.verdicts, *story.outcomes)}
    return told | set(incident.facts.get("jobs", ())) - {""}


def _hands(asked: Asked, session: LedgerSession, incident: Incident) -> Hands:
    taken = find_taken(session, incident.id)
    return Hands(
        taken=taken,
        mine=taken is not None and taken.actor == asked.person.name,
        snoozed=find_snooze(session, incident.id, asked.now),
        given=tuple(each for each in list_hand_offs(session) if each.about == incident.id),
        people=tuple(name for name in asked.project.known_people() if name != asked.person.name),
        duties=tuple(DUTIES.items()),
    )


def _way_back(asked: Asked, story: Story) -> tuple[str, str]:
    """(what a roll-back would lead to, what answers now); empty where nothing was released twice."""
    if not any(pointer.name == "champion" for pointer in asked.board.pointers.get(story.asset, ())):
        return "", ""
    moves = [each for each in asked.project.history(story.asset) if each.pointer == "champion" and each.version]
    return (moves[-1].before or "", moves[-1].version or "") if moves else ("", "")
