"""The chapters of an incident's story as pages draw them: causes, plans that were weighed, steps, verdicts, moves, and the line of time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import TYPE_CHECKING, Any, cast

from perdure.surface.console.asking import address
from perdure.surface.console.questions import verdict_cells, version_address
from perdure.surface.console.records import Cell, Table
from perdure.surface.words import instant, number, words

if TYPE_CHECKING:
    from perdure.stores.ledger.protocols import Job, LedgerSession
    from perdure.surface.console.records import Asked, Tone
    from perdure.surface.governance.history import HistoryRow
    from perdure.surface.governance.story import Story, Told

_MOST = 200
_OUTCOME_TONES: Mapping[str, Tone] = {"released": "good", "mended": "good", "rolled_back": "warn", "rejected": "bad"}
_CHOICE_TONES: Mapping[str, Tone] = {"repair": "info", "wait": "mute", "ask": "warn"}


@dataclass(frozen=True, slots=True)
class Moment:
    """One thing that happened, on the line of time."""

    at: datetime
    word: str
    tone: Tone
    text: str
    href: str = ""


@dataclass(frozen=True, slots=True)
class Cause:
    """Why it broke, as far as the evidence goes."""

    name: str
    weight: float
    """0 to 1: how much of the evidence speaks for it."""
    text: str
    evidence: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Weighed:
    """One way that was looked at."""

    action: str
    """What would be done, in words."""
    label: str
    """Its name with its parameters, as steps and the ledger call it."""
    chosen: bool
    why: str


@dataclass(frozen=True, slots=True)
class Decision:
    """What the loop decided, why, and what it weighed."""

    at: datetime
    choice: str
    tone: Tone
    reasons: tuple[str, ...]
    weighed: tuple[Weighed, ...]
    approve_by: str
    again_at: str
    n_same: int
    """So many later decisions chose the same for the same reasons."""


def causes(story: Story) -> tuple[Cause, ...]:
    """As they stood when they were first ranked."""
    ranked: Sequence[Mapping[str, Any]] = ()
    for decision in story.decisions:
        if decision.facts["situation"]["causes"]:
            ranked = decision.facts["situation"]["causes"]
            break
    else:
        ranked = story.incident.facts.get("causes", ()) if story.incident else ()
    return tuple(
        Cause(words(each["name"]), float(each["weight"]), str(each["text"]), tuple(_evidence(each["evidence"])))
        for each in ranked
    )


def _evidence(evidence: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    """Numbers and words, those one level below too."""
    for name, value in evidence.items():
        lead = f"{above}{words(str(name))}"
        if isinstance(value, bool | str):
            yield lead, str(value)
        elif isinstance(value, int | float):
            yield lead, number(value)
        elif isinstance(value, Mapping) and not above:
            yield from _evidence(value, f"{lead}: ")


def decisions(story: Story) -> tuple[Decision, ...]:
    """In their order; those that choose again what the one before chose are counted."""
    told = []
    for _, run in groupby(story.decisions, key=_chosen):
        same = list(run)
        made = same[0].facts["decision"]
        told.append(
            Decision(
                at=same[0].at,
                choice=str(made["choice"]),
                tone=_CHOICE_TONES.get(str(made["choice"]), "info"),
                reasons=tuple(str(each) for each in made["reasons"]),
                weighed=_weighed(same[0].facts),
                approve_by=str(made["approve_by"] or "") if made["choice"] == "repair" else "",
                again_at=instant(made["again_at"]) if made["again_at"] else "",
                n_same=len(same) - 1,
            )
        )
    return tuple(told[:_MOST])


def _weighed(facts: Mapping[str, Any]) -> tuple[Weighed, ...]:
    texts = action_texts(each["action"] for each in facts["situation"]["options"])
    return tuple(
        Weighed(texts.get(str(e["action"]), str(e["action"])), str(e["action"]), bool(e["chosen"]), str(e["why"]))
        for e in facts["decision"]["weighed"]
    )


def action_texts(actions: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Label of an action → what it does, in words."""
    found = {}
    for each in actions:
        params = "".join(f" {name}={value}" for name, value in sorted(each.get("params", {}).items()))
        found[f"{each['remedy']}{params}"] = str(each["text"])
    return found


def _chosen(each: Told) -> tuple[Any, ...]:
    made = each.facts["decision"]
    return made["choice"], made["reasons"], made["actions"]


def step_table(session: LedgerSession, jobs: Sequence[Job]) -> Table:
    """What was done, step by step: a step that is done is never done again."""
    rows: list[tuple[Cell | str, ...]] = []
    for job in jobs:
        texts = action_texts(job.input.get("decision", {}).get("actions", ()))
        rows += [
            (
                step_text(step.name, texts),
                words(step.name.partition(" ")[0]),
                at_cell(step.at),
                job.id,
            )
            for step in session.jobs.list_steps(job.id)
        ]
    return Table(("Step", "Kind", "Done", "Job"), rows[:_MOST], "Steps in their order", empty="No step is done yet.")


def step_text(name: str, texts: Mapping[str, str]) -> str:
    """What a step is, in words.

    >>> step_text("do resync", {"resync": "read the feed again"}), step_text("window", {})
    ('read the feed again', 'window')
    """
    _, _, about = name.partition(" ")
    return texts.get(about, about) or words(name)


def gate_table(asked: Asked, story: Story) -> Table:
    """Every gate's word on every candidate."""
    kind = tile.kind if (tile := asked.board.by_name.get(story.asset)) else "model"
    rows: list[tuple[Cell | str, ...]] = []
    for told in story.verdicts:
        for trial in told.facts["trials"]:
            name = str(trial["candidate"])
            won = " (wins)" if name == told.facts.get("winner") else ""
            candidate = Cell(f"{name}{won}", href=version_address(kind, story.asset, name))
            for verdict in trial["verdicts"]:
                gate, word, text = verdict_cells(verdict)
                rows.append((candidate, str(told.facts["stage"]), gate, word, text))
    return Table(
        ("Candidate", "Stage", "Gate", "Verdict", "What it saw"),
        rows[:_MOST],
        "Verdicts of the gates on each candidate",
        empty="No candidate has come before the gates: nothing was made that could replace what runs.",
    )


def move_table(asked: Asked, story: Story) -> Table:
    """How traffic went to a candidate, or back."""
    kind = tile.kind if (tile := asked.board.by_name.get(story.asset)) else "model"
    rows = [_move(kind, story.asset, each) for each in story.moves]
    return Table(
        ("Pointer", "Version", "Share", "When", "By", "Why"),
        rows[:_MOST],
        "Moves of pointers",
        numeric=frozenset({2}),
        empty="No pointer was moved for it.",
    )


def _move(kind: str, asset: str, move: HistoryRow) -> tuple[Cell | str, ...]:
    gone = Cell("taken away", tone="mute")
    version = Cell(move.version, href=version_address(kind, asset, move.version)) if move.version else gone
    return move.pointer, version, f"{move.share:.0%}" if move.version else "", at_cell(move.at), move.actor, move.reason


def outcome(told: Told) -> str:
    """What a repair came to, in one sentence."""
    why = f": {told.facts['why']}" if told.facts.get("why") else ""
    return f"{instant(told.at)} UTC, {words(str(told.facts['outcome']))}{why}"


def moments(story: Story) -> tuple[Moment, ...]:
    """The line of time, oldest first."""
    assert story.incident is not None
    incident = story.incident
    found = [
        Moment(incident.opened_at, "opened", "bad", incident.summary),
        *(
            Moment(each.at, each.choice, each.tone, each.reasons[0] if each.reasons else "")
            for each in decisions(story)
        ),
        *_proofs(story),
        *_answers(story),
        *_moves(story),
    ]
    for entry in story.outcomes:
        word = str(entry.facts["outcome"])
        found.append(Moment(entry.at, words(word), _OUTCOME_TONES.get(word, "info"), str(entry.facts.get("why", ""))))
    if incident.closed_at is not None:
        found.append(Moment(incident.closed_at, "closed", "good", incident.closing))
    return tuple(sorted(found, key=lambda each: each.at)[:_MOST])


def _proofs(story: Story) -> Iterator[Moment]:
    for entry in story.verdicts:
        winner = entry.facts.get("winner")
        if winner:
            yield Moment(entry.at, "proved", "good", f"{winner} passed every gate.")
        else:
            yield Moment(entry.at, "refused", "warn", "No candidate passed every gate.")


def _answers(story: Story) -> Iterator[Moment]:
    for asked in story.approvals:
        yield Moment(asked.asked_at, "asked", "warn", asked.text, address("/approvals", asked.id))
        for said in asked.answers:
            word, tone = ("yes", "good") if said.approves else ("no", "bad")
            yield Moment(said.at, word, cast("Tone", tone), f"{said.actor}: {said.reason}")


def _moves(story: Story) -> Iterator[Moment]:
    for move in story.moves:
        if move.version:
            text = f"{move.pointer} is {move.version}, {move.share:.0%} of the traffic: {move.reason}"
            yield Moment(move.at, "moved", "info", text)


def at_cell(at: datetime) -> Cell:
    """An instant, drawn in the viewer's zone."""
    return Cell(instant(at), at=at)
