"""Error objectives over what a line answered: as `loop.work.performance` measures them over captures.

Windows end `label.delay` before the instant, days are the units of the interval, and only labels count
that were known by then. Other objectives (drift, skew, latency) are not replayed: a policy acts on errors here.
"""

from __future__ import annotations

from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from perdure.assets.health import Finding, Reading
from perdure.assets.objective import Objective
from perdure.core.clock import to_us
from perdure.engines.performance import Estimate, measure
from perdure.loop.diagnose import broken
from perdure.loop.work.backtesting.line import Line
from perdure.loop.work.performance import DECIDED_AT, MIN_DAYS
from perdure.loop.work.recent import ERROR_SIGNALS, day_of
from perdure.loop.work.rows import AS_OF


def findings(line: Line, at: datetime, *, since: datetime | None = None) -> list[Finding]:
    """The finding of every error objective and slice at an instant; none of windows in which nothing was answered.

    Args:
        line: what was answered.
        at: only labels known by then count.
        since: only what was answered from then on counts.
    """
    objectives = [each for each in line.history.model.healthy if each.spec.signal in ERROR_SIGNALS]
    begun = line.start if since is None else max(since, line.start)
    return [objective.judge(each) for objective in objectives for each in _readings(line, objective, at, begun)]


def is_broken(found: list[Finding]) -> bool:
    """Whether some objective is broken for sure."""
    return bool(broken(found))


def _readings(line: Line, objective: Objective, at: datetime, begun: datetime) -> list[Reading]:
    history, spec = line.history, objective.spec
    label = history.model.label
    end = at - label.delay
    start = end - spec.over
    first, last = history.row_at(max(start, begun)), history.row_at(end)
    if first >= last:
        return []
    rows, prediction = history.rows[first:last], line.predictions[first:last]
    if spec.signal == "accuracy" and history.model.task == "classification":
        prediction = (prediction >= DECIDED_AT).astype(np.float64)
    day = day_of(rows[AS_OF])
    estimates = measure(
        spec.signal,
        np.where(history.known[first:last] <= to_us(at), history.y[first:last], np.nan),
        prediction,
        slices=rows[spec.by].to_numpy() if spec.by else None,
        clusters=day if _several(day) else None,
        confidence=spec.confidence,
    )
    unit = "ratio" if spec.signal == "accuracy" else label.column
    return [_reading(history.model.name, objective, (start, end, at), each, unit) for each in estimates]


def _several(day: NDArray[np.int64]) -> bool:
    return len(np.unique(day)) >= MIN_DAYS


def _reading(
    name: str, objective: Objective, when: tuple[datetime, datetime, datetime], estimate: Estimate, unit: str
) -> Reading:
    spec, found = objective.spec, estimate.interval
    return Reading(
        asset=name,
        signal=spec.series,
        at=when[2],
        window_start=when[0],
        window_end=when[1],
        value=found.value if found else None,
        low=found.low if found else None,
        high=found.high if found else None,
        n=estimate.n,
        unit=unit,
        slice=f"{spec.by}={estimate.slice}" if spec.by else "",
    )
