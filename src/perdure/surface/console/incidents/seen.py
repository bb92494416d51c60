"""What was seen of an incident: the readings that were broken, each with its picture around it, and what they are now."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from perdure.core.clock import parse_at, to_us
from perdure.surface.console.records import Cell, Mark, Picture, Series, Table
from perdure.surface.words import instant, number, words

if TYPE_CHECKING:
    from perdure.surface.console.records import Asked
    from perdure.surface.governance.story import Effect, Story

_N_PICTURES = 3
_LEAST = timedelta(days=7)
_N_BUCKETS = 300


def symptom_table(story: Story) -> Table:
    """What was broken when the loop first looked."""
    rows = [_symptom(each) for each in story.symptoms]
    return Table(
        ("Objective", "Slice", "Value", "Interval", "Rows", "Measured"),
        rows[:200],
        "Objectives that were broken",
        numeric=frozenset({2, 3, 4}),
        empty="It was opened by something other than an objective; its summary says what.",
    )


def _symptom(symptom: Mapping[str, Any]) -> tuple[Cell | str, ...]:
    low, unit = symptom["low"], "ratio" if symptom["unit"] == "ratio" else ""
    return (
        str(symptom["objective"]),
        str(symptom["slice"]) or "all",
        valued(symptom["value"], str(symptom["unit"])),
        "" if low is None else f"{valued(low, unit)} to {valued(symptom['high'], unit)}",
        f"{symptom['n']:,}",
        Cell(instant(symptom["at"]), at=parse_at(symptom["at"])),
    )


def effect_table(story: Story) -> Table:
    """Before and after: the readings that were broken beside the newest ones like them."""
    return Table(
        ("Objective", "Slice", "Before", "After", "Change", "Measured again"),
        [_effect(each) for each in story.effects[:200]],
        "Readings before and after",
        numeric=frozenset({2, 3, 4}),
        empty="There is nothing to compare yet: what was broken has not been measured again.",
    )


def _effect(effect: Effect) -> tuple[Cell | str, ...]:
    change = ""
    if effect.before is not None and effect.after is not None:
        gone = effect.after - effect.before
        change = f"{gone:+.1%}" if effect.unit == "ratio" else f"{gone:+,.4g}"
    return (
        effect.objective,
        effect.slice or "all",
        valued(effect.before, effect.unit),
        valued(effect.after, effect.unit) if effect.after_at else "not yet",
        change,
        Cell(instant(effect.after_at), at=effect.after_at) if effect.after_at else "",
    )


def valued(value: float | None, unit: str) -> str:
    """A value with its unit; a ratio is told in per cent."""
    if value is not None and unit == "ratio":
        return f"{value:.1%}"
    return f"{number(value)} {unit}".strip()


def pictures(asked: Asked, story: Story) -> tuple[Picture, ...]:
    """The broken readings over time, from as long before the incident as it lasted to as long after it."""
    assert story.incident is not None
    incident = story.incident
    end = incident.closed_at or asked.now
    around = max(_LEAST, end - incident.opened_at)
    since, until = incident.opened_at - around, min(asked.now, end + around)
    drawn: list[Picture] = []
    for symptom in story.symptoms:
        if len(drawn) == _N_PICTURES:
            break
        picture = _picture(asked, story, symptom, (since, max(until, incident.opened_at)), len(drawn))
        drawn += [picture] if picture else []
    return tuple(drawn)


def _picture(
    asked: Asked, story: Story, symptom: Mapping[str, Any], span: tuple[datetime, datetime], n: int
) -> Picture | None:
    from perdure.stores.telemetry.protocols import Wanted

    signal, slice_ = str(symptom["signal"]), str(symptom["slice"])
    judged = [each for each in asked.board.judged.get(story.asset, ()) if each.objective == symptom["objective"]]
    like = [each for each in asked.board.newest.get(story.asset, ()) if (each.signal, each.slice) == (signal, slice_)]
    exact = [each.newest for each in judged if each.newest is not None]
    if not (exact or like):
        return None
    wanted = Wanted(story.asset, signal, slice_, (exact or like)[0].width_us)
    found = asked.project.place.stores.readings.series(wanted, since=span[0], until=span[1], n_buckets=_N_BUCKETS)
    if not found.at_us:
        return None
    where = f", {slice_}" if slice_ else ""
    return Picture(
        id=f"seen-{n}",
        title=f"{words(signal)}{where} around the incident",
        unit=str(symptom["unit"]),
        at_us=tuple(found.at_us),
        series=(Series(signal, tuple(found.value), tuple(found.low), tuple(found.high)),),
        bound=judged[0].bound if judged else None,
        bound_text=str(symptom["objective"]),
        marks=_marks(story, span),
    )


def _marks(story: Story, span: tuple[datetime, datetime]) -> tuple[Mark, ...]:
    assert story.incident is not None
    incident = story.incident
    until = to_us(incident.closed_at) if incident.closed_at else None
    opened = Mark(words(incident.kind), to_us(incident.opened_at), until, "bad", shape="incident")
    released = (each for each in story.moves if each.version and each.pointer == "champion")
    return (
        opened,
        *(
            Mark(f"{each.version} answers", to_us(each.at), tone="good", shape="release")
            for each in released
            if span[0] <= each.at <= span[1]
        ),
    )
