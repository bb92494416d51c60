"""Judges assets by the board's newest readings: the same words as `perdure status`, without reading a store.

Called by `boards` for the assets that have new readings, or whose readings have just become too old. A word holds until an instant
(`Word.until_us`): so a round that brings an asset nothing costs it nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from perdure.assets.health import Reading
from perdure.core.clock import from_us
from perdure.loop.observe import cadence
from perdure.surface.console.board import Judged, Newest, State
from perdure.surface.words import number

if TYPE_CHECKING:
    from perdure.assets.objective import Objective
    from perdure.loop.protocols import Watched

STATES: tuple[State, ...] = ("broken", "unsure", "stale", "healthy", "not measured", "no objective")
"""The worst first."""
FOREVER_US = 2**62
_US = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Word:
    """What is said of one asset."""

    state: State
    worst: str
    judged: Sequence[Judged]
    since_us: int
    """The word holds from this instant on …"""
    until_us: int
    """… and up to this one, without it."""


NO_OBJECTIVE = Word("no objective", "", (), -FOREVER_US, FOREVER_US)


def judge(asset: Watched, newest: Sequence[Newest], now_us: int) -> Word:
    """One row an objective, and one a slice where it asks for slices; and the worst of them.

    Args:
        asset: whose objectives.
        newest: its newest readings, of every signal, slice and width.
        now_us: domain time.

    >>> from perdure import days, mae
    >>> from perdure.assets.policy import Policy
    >>> from perdure.loop.protocols import Watched
    >>> asset = Watched("eta", "model", [mae(over=days(7)) <= 9.0], Policy(), None)
    >>> week = 7 * 86_400_000_000
    >>> word = judge(asset, [Newest("mae", "", week, week, 12.0, 11.5, 12.5, 400, "min", "eta@1")], week)
    >>> word.state, word.worst
    ('broken', 'mae over 7d <= 9: 12.00 min')
    """
    if not asset.healthy:
        return NO_OBJECTIVE
    judged: list[Judged] = []
    since_us, until_us = -FOREVER_US, FOREVER_US
    for objective in asset.healthy:
        rows, ends_us = _judged(asset.name, objective, newest, now_us)
        judged += rows
        if ends_us is not None and now_us < ends_us:
            until_us = min(until_us, ends_us)
        elif ends_us is not None:
            since_us = max(since_us, ends_us)
    state = min((row.state for row in judged), key=STATES.index)
    worst = "" if state == "healthy" else next(_told(row) for row in judged if row.state == state)
    return Word(state, worst, judged, since_us, until_us)


def _judged(asset: str, objective: Objective, newest: Sequence[Newest], now_us: int) -> tuple[list[Judged], int | None]:
    """The rows of one objective, and the first instant at which they are too old; None where nothing is measured."""
    measured = [each for each in newest if _measures(objective, each)]
    at_us = max((each.at_us for each in measured), default=None)
    spec, text = objective.spec, objective.text()
    if at_us is None:
        return [Judged(text, spec.series, objective.bound, objective.stakeholder, "not measured", None)], None
    ends_us = at_us + 2 * (cadence(spec) // _US) + 1
    return [
        Judged(
            text,
            spec.series,
            objective.bound,
            objective.stakeholder,
            "stale" if now_us >= ends_us else _state(asset, objective, each),
            each,
        )
        # A slice that is not among the newest readings has gone.
        for each in measured
        if each.at_us == at_us
    ], ends_us


def _measures(objective: Objective, newest: Newest) -> bool:
    spec = objective.spec
    part = newest.slice.startswith(f"{spec.by}=") if spec.by else newest.slice == ""
    return newest.signal == spec.series and part and newest.width_us == spec.over // _US


def _state(asset: str, objective: Objective, newest: Newest) -> State:
    at = from_us(newest.at_us)
    reading = Reading(
        asset,
        newest.signal,
        at,
        at,
        at,
        newest.value,
        newest.low,
        newest.high,
        newest.n,
        newest.unit,
        newest.slice,
        newest.version,
        {} if newest.harm_low is None else {"harm_low": newest.harm_low},
    )
    state: State = objective.judge(reading).state.value
    return state


def _told(row: Judged) -> str:
    if row.newest is None:
        return f"{row.objective}: not measured"
    where = f" ({row.newest.slice})" if row.newest.slice else ""
    unit = f" {row.newest.unit}" if row.newest.unit and row.newest.value is not None else ""
    return f"{row.objective}{where}: {number(row.newest.value)}{unit}"


def newest_of(readings: Sequence[Reading]) -> Iterator[Newest]:
    """Readings without what they rest on."""
    for each in readings:
        harm = each.facts.get("harm_low")
        yield Newest(
            each.signal,
            each.slice,
            (each.window_end - each.window_start) // _US,
            (each.at - from_us(0)) // _US,
            each.value,
            each.low,
            each.high,
            each.n,
            each.unit,
            each.version,
            each.asset,
            None if harm is None else float(harm),
        )
