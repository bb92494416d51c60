"""A story, an approval, a decision in words: chapters of lines, printed by the CLI or written as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from perdure.surface.words import counted, instant, number, words

if TYPE_CHECKING:
    from perdure.stores.ledger.protocols import Approval
    from perdure.surface.governance.history import HistoryRow
    from perdure.surface.governance.story import Effect, Story


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a chapter: what it is about, and what is said of it."""

    lead: str
    text: str


@dataclass(frozen=True, slots=True)
class Chapter:
    """A part of a story."""

    title: str
    lines: Sequence[Line]


def chapters(story: Story) -> list[Chapter]:
    """The story in its order; chapters with nothing to say are left out."""
    told = [
        Chapter("seen", [_symptom(each) for each in story.symptoms]),
        Chapter("causes", list(_causes(story))),
        Chapter("decided", list(_decided(story))),
        Chapter("proved", [line for each in story.verdicts for line in _verdict_lines(each.facts, each.at)]),
        Chapter("asked", [line for each in story.approvals for line in approval_lines(each)]),
        Chapter("moved", [_move(each) for each in story.moves]),
        Chapter("came to", [Line(instant(each.at), _outcome(each.facts)) for each in story.outcomes]),
        Chapter("gave", [_effect(each) for each in story.effects if each.after_at is not None]),
        Chapter("ended", list(_end(story))),
    ]
    return [chapter for chapter in told if chapter.lines]


def title(story: Story) -> str:
    """What the story is about, in one line."""
    incident = story.incident
    if incident is None:
        return f"{story.asset}: no incident"
    until = f"closed {instant(incident.closed_at)}" if incident.closed_at else "open"
    return f"{incident.asset}: {words(incident.kind)}, since {instant(incident.opened_at)}, {until}"


def markdown(story: Story) -> str:
    """The story as a page."""
    parts = [f"# {title(story)}", ""]
    if story.incident is not None:
        parts += [f"`{story.incident.id}`", "", story.incident.summary, ""]
    for chapter in chapters(story):
        parts += [f"## {chapter.title.capitalize()}", ""]
        parts += [f"- **{line.lead}** {line.text}" if line.lead else f"  - {line.text}" for line in chapter.lines]
        parts.append("")
    return "\n".join(parts)


def _decided(story: Story) -> Iterator[Line]:
    """Every decision; those that choose again what the one before chose, for the same reasons, are counted."""
    for _, run in groupby(story.decisions, key=lambda each: _chosen(each.facts["decision"])):
        same = list(run)
        yield from decision_lines(same[0].facts["decision"], same[0].at)
        if len(same) > 1:
            yield Line("", f"the same {counted(len(same) - 1, 'time')} more, the last at {instant(same[-1].at)}")


def _chosen(decision: Mapping[str, Any]) -> tuple[Any, ...]:
    return decision["choice"], decision["reasons"], decision["actions"]


def decision_lines(decision: Mapping[str, Any], at: Any) -> Iterator[Line]:
    """What was decided, why, and every action that was weighed."""
    because = " ".join(decision["reasons"])
    again = f" It is looked at again at {instant(decision['again_at'])}." if decision["again_at"] else ""
    role = (
        f" A {decision['approve_by']} must say yes."
        if decision["approve_by"] and decision["choice"] == "repair"
        else ""
    )
    yield Line(instant(at), f"{decision['choice']}: {because}{again}{role}")
    for weighed in decision["weighed"]:
        yield Line("", f"{'+' if weighed['chosen'] else '-'} {weighed['action']}: {weighed['why']}")


def cause_lines(causes: Sequence[Mapping[str, Any]]) -> Iterator[Line]:
    """Ranked causes with their weights and figures."""
    for cause in causes:
        yield Line(f"{cause['weight']:.0%} {words(cause['name'])}", cause["text"])
        figures = _figures(cause["evidence"])
        if figures:
            yield Line("", figures)


def approval_lines(approval: Approval) -> Iterator[Line]:
    """A question, and what each person said."""
    n = f"{counted(approval.n_needed, approval.role)} must say yes, {sum(a.approves for a in approval.answers)} did"
    yield Line(instant(approval.asked_at), f"{approval.text} ({approval.id}, {approval.status}; {n})")
    for answer in approval.answers:
        said = "yes" if answer.approves else "no"
        yield Line("", f"{answer.actor} said {said} at {instant(answer.at)}: {answer.reason}")


def evidence_lines(facts: Mapping[str, Any]) -> list[Line]:
    """What a question rests on: reasons of the decision, verdicts of the gates, metrics."""
    lines = [Line("because", reason) for reason in facts.get("reasons", ())]
    lines += [Line(_passed(each), f"{each['gate']}: {each['text']}") for each in facts.get("verdicts", ())]
    if facts.get("metrics"):
        lines.append(Line("measured", _figures(facts["metrics"])))
    return lines


def _symptom(symptom: Mapping[str, Any]) -> Line:
    interval = "" if symptom["low"] is None else f" ({number(symptom['low'])} to {number(symptom['high'])})"
    where = f" ({symptom['slice']})" if symptom["slice"] else ""
    unit = f" {symptom['unit']}" if symptom["unit"] else ""
    told = f"{number(symptom['value'])}{unit}{interval}, n {symptom['n']:,}, at {instant(symptom['at'])}"
    return Line(f"{symptom['objective']}{where}", told)


def _causes(story: Story) -> Iterator[Line]:
    """As they stood at the first decision; else as the incident says."""
    for decision in story.decisions:
        if decision.facts["situation"]["causes"]:
            yield from cause_lines(decision.facts["situation"]["causes"])
            return
    if story.incident is not None:
        yield from cause_lines(story.incident.facts.get("causes", ()))


def _verdict_lines(facts: Mapping[str, Any], at: Any) -> Iterator[Line]:
    for trial in facts["trials"]:
        against = f" against {trial['incumbent']}" if trial["incumbent"] else ""
        won = " wins" if trial["candidate"] == facts.get("winner") else ""
        yield Line(f"{instant(at)} {facts['stage']}", f"{trial['candidate']}{against}{won}")
        for verdict in trial["verdicts"]:
            yield Line("", f"{_passed(verdict)} {verdict['gate']}: {verdict['text']}")


def _passed(verdict: Mapping[str, Any]) -> str:
    return "passed" if verdict["passed"] else "refused"


def _move(move: HistoryRow) -> Line:
    where = move.version or "taken away"
    share = "" if move.share in (0.0, 1.0) else f" for {move.share:.0%}"
    stage = f" ({move.stage})" if move.stage else ""
    return Line(instant(move.at), f"{move.pointer} {where}{share}{stage}, by {move.actor}: {move.reason}")


def _outcome(facts: Mapping[str, Any]) -> str:
    why = f": {facts['why']}" if facts.get("why") else ""
    return f"{words(facts['outcome'])}{why}"


def _effect(effect: Effect) -> Line:
    where = f" ({effect.slice})" if effect.slice else ""
    unit = f" {effect.unit}" if effect.unit else ""
    assert effect.after_at is not None
    before = f"{number(effect.before)}{unit} at {instant(effect.before_at)}"
    return Line(f"{effect.objective}{where}", f"{before}, {number(effect.after)}{unit} at {instant(effect.after_at)}")


def _end(story: Story) -> Iterator[Line]:
    incident = story.incident
    if incident is not None and incident.closed_at is not None:
        yield Line(instant(incident.closed_at), incident.closing)


def _figures(evidence: Mapping[str, Any]) -> str:
    """Numbers and words among the evidence; tables of it are left to --json."""
    parts = []
    for name, value in evidence.items():
        if isinstance(value, bool | str):
            parts.append(f"{words(name)} {value}")
        elif isinstance(value, int | float):
            parts.append(f"{words(name)} {number(value)}")
    return ", ".join(parts)
