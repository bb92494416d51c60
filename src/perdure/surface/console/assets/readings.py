"""The newest readings of an asset, judged: rows of tables, and which signal a page begins with. Reads the board alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import timedelta

from perdure.core.clock import from_us
from perdure.core.units import duration_text
from perdure.stores.telemetry.protocols import Newest
from perdure.surface.console.assets.known import Known
from perdure.surface.console.assets.series import Told
from perdure.surface.console.board import Judged
from perdure.surface.console.records import Asked, Cell, Table, Tone
from perdure.surface.words import instant, number

TONES: Mapping[str, Tone] = {"broken": "bad", "unsure": "warn", "stale": "warn", "healthy": "good"}
_WORST_FIRST = ("broken", "unsure", "stale", "healthy", "not measured")
_MOST = 200
_Key = tuple[str, str, int]
"""Signal, slice and width."""


def judged_of(asked: Asked, known: Known) -> Sequence[Judged]:
    """Objectives with their newest readings, as declared."""
    return asked.board.judged.get(known.name, ()) if known.tile else ()


def newest_of(asked: Asked, known: Known) -> Sequence[Newest]:
    """The newest reading of each signal, slice and width."""
    return asked.board.newest.get(known.name, ()) if known.tile else ()


def objectives(asked: Asked, known: Known) -> Table:
    """What healthy means, with what was measured: the worst first."""
    judged = sorted(judged_of(asked, known), key=lambda each: _WORST_FIRST.index(each.state))
    twice = _twice([each.newest for each in judged if each.newest is not None])
    return Table(
        ("Objective", "State", "Value", "Interval", "Slice", "Rows", "Measured", "Owed to"),
        [_objective(known, each, twice) for each in judged[:_MOST]],
        "Objectives with their newest readings, the worst first",
        numeric=frozenset({2, 5}),
        empty="Nothing says what healthy means: declare `healthy = [...]`, then run perdure apply.",
    )


def _objective(known: Known, judged: Judged, twice: frozenset[_Key]) -> tuple[Cell | str, ...]:
    newest, state = judged.newest, Cell(judged.state, tone=TONES.get(judged.state, "mute"))
    if newest is None:
        return (judged.objective, state, "–", "–", "–", "–", "–", judged.stakeholder or "–")
    href = known.at("health", signal=newest.signal, slice=newest.slice, width=newest.width_us)
    return (
        Cell(judged.objective, href=href),
        state,
        *_measured(newest, versioned=_key(newest) in twice),
        judged.stakeholder or "–",
    )


def measured_table(asked: Asked, known: Known, *, sliced: bool | None = None) -> Table:
    """Every signal's newest reading; `sliced` alone those of slices, or alone those of all rows."""
    newest = [each for each in newest_of(asked, known) if sliced is None or bool(each.slice) == sliced]
    twice = _twice(newest)
    return Table(
        ("Signal", "Window", "Value", "Interval", "Slice", "Rows", "Measured"),
        [
            (
                Cell(each.signal, href=known.at("health", signal=each.signal, slice=each.slice, width=each.width_us)),
                width_words(each.width_us),
                *_measured(each, versioned=_key(each) in twice),
            )
            for each in newest[:_MOST]
        ],
        "The newest reading of each signal",
        numeric=frozenset({2, 5}),
        empty="Nothing was measured yet: the loop measures in each round. Run perdure up, or one round by perdure tick.",
    )


def _key(newest: Newest) -> _Key:
    return newest.signal, newest.slice, newest.width_us


def _twice(newest: Sequence[Newest]) -> frozenset[_Key]:
    """What was measured of several versions at once: their rows say which."""
    counts = Counter(map(_key, {(_key(each), each.version): each for each in newest}.values()))
    return frozenset(key for key, n in counts.items() if n > 1)


def _measured(newest: Newest, *, versioned: bool) -> tuple[Cell | str, ...]:
    at = from_us(newest.at_us)
    return (
        Cell(_value(newest), value=newest.value, unit=newest.unit),
        interval(newest.low, newest.high),
        newest.slice or (f"all of {newest.version.partition('@')[2] or newest.version}" if versioned else "all"),
        f"{newest.n:,}",
        Cell(f"{instant(at)} UTC", at=at),
    )


def _value(newest: Newest) -> str:
    return "–" if newest.value is None else f"{number(newest.value)} {newest.unit}".strip()


def interval(low: float | None, high: float | None) -> str:
    """An interval as people read it.

    >>> interval(1.0, 2.5).split(), interval(None, 2.5)
    (['1.000', '…', '2.500'], '–')
    """
    return "–" if low is None or high is None else f"{number(low)}\u00a0…\u00a0{number(high)}"


def width_words(width_us: int) -> str:
    """The width of a window in words.

    >>> width_words(7 * 86_400_000_000)
    '7d'
    """
    return duration_text(timedelta(microseconds=width_us))


def told_of(asked: Asked, known: Known, signal: str = "", part: str = "", width_us: int = 0) -> Told | None:
    """The series that is asked for; without a signal, that of the worst objective; None where nothing was measured."""
    judged = [each for each in judged_of(asked, known) if each.newest is not None]
    fitting = [each for each in judged if _is(each.newest, signal, part, width_us)]
    chosen = min(fitting, key=lambda each: _WORST_FIRST.index(each.state), default=None)
    if chosen is not None and chosen.newest is not None:
        newest, bound, objective = chosen.newest, chosen.bound, chosen.objective
    else:
        found = next((each for each in newest_of(asked, known) if _is(each, signal, part, width_us)), None)
        if found is None:
            return None
        newest, bound, objective = found, None, ""
    return Told(newest.signal, newest.slice, newest.width_us, newest.unit, bound, objective)


def _is(newest: Newest | None, signal: str, part: str, width_us: int) -> bool:
    if newest is None:
        return False
    if not signal:
        return True
    return (newest.signal, newest.slice) == (signal, part) and width_us in (0, newest.width_us)
