"""What is measured of agents and graphs: success, grounding, needless steps, failing tools, limits, errors, injections, money, time.

All of runs by the version that answers, in the window, since whatever was to blame before was mended. No model is asked here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from perdure.assets.health import Reading
from perdure.assets.objective import SignalSpec
from perdure.core.errors import TooFewRows
from perdure.core.stats import Interval, proportion_interval, quantile_interval
from perdure.core.stats.clustered import clustered_interval
from perdure.core.stats.distributions import t_quantile
from perdure.core.usage import PICO
from perdure.engines.agents.trajectory import trajectory_of
from perdure.loop.protocols import Signal, Watched, Workplace
from perdure.loop.work.readings import reading_of
from perdure.loop.work.runs.judged import judged_in, unheard_in
from perdure.loop.work.runs.judged_shares import share_of_success
from perdure.loop.work.runs.outcomes import (
    Outcomes,
    claims_in,
    driven_s,
    expected_tools,
    failed_calls,
    is_injected,
)
from perdure.loop.work.runs.reading import Reader, Seen, Window, counted

SIGNALS = (
    "task_success",
    "grounded_ratio",
    "needless_ratio",
    "tool_error_ratio",
    "limited_ratio",
    "failed_ratio",
    "injected_ratio",
    "usd_per_success",
    "s_per_success",
    "run_s",
)
"""Their names, as `assets.agent_objectives` asks for them."""
_EXAMPLES = 10


def run_signals(reader: Reader | None = None) -> Mapping[str, Callable[[], Signal]]:
    """The signals of the kinds "agent" and "graph": name → what makes it; all read by one reader."""
    reads = reader if reader is not None else Reader()
    measures: Mapping[str, Callable[[_Asked], Sequence[Reading]]] = {
        "task_success": _task_success,
        "grounded_ratio": _grounded,
        "needless_ratio": _needless,
        "tool_error_ratio": _tool_errors,
        "injected_ratio": _injected,
        "usd_per_success": _usd_per_success,
        "s_per_success": _s_per_success,
        "run_s": _run_s,
    }

    def of_runs(name: str) -> Callable[[], Signal]:
        return lambda: OfRuns(name, reads, measures[name])

    def of_ends(name: str, status: str) -> Callable[[], Signal]:
        return lambda: OfEnds(name, reads, status)

    made = {name: of_runs(name) for name in measures}
    return {
        **made,
        "limited_ratio": of_ends("limited_ratio", "limited"),
        "failed_ratio": of_ends("failed_ratio", "failed"),
    }


@dataclass(frozen=True, slots=True, eq=False)
class _Asked:
    """One signal that is to be read."""

    place: Workplace
    asset: Watched
    spec: SignalSpec
    now: datetime
    window: Window
    runs: Sequence[Seen]

    def reading(self, found: Interval | None, unit: str, facts: Mapping[str, Any], part: str = "") -> Reading:
        """As the loop keeps it: the window is the objective's own, whatever of it was read."""
        told = (
            {**facts, "since": self.window.start.isoformat()}
            if self.window.start > self.now - self.spec.over
            else facts
        )
        return reading_of(
            self.asset, self.spec, self.now, found, unit=unit, version=self.window.version, facts=told, slice=part
        )


class OfRuns:
    """A signal that is read off journals."""

    def __init__(self, name: str, reader: Reader, measure: Callable[[_Asked], Sequence[Reading]]) -> None:
        self.name = name
        self._reader = reader
        self._measure = measure

    def observe(self, place: Workplace, asset: Watched, spec: SignalSpec, now: datetime) -> Sequence[Reading]:
        """Readings of the champion's runs; none where it answers none, or nothing of them says anything."""
        window = self._reader.window(place, asset, spec.over, now)
        runs = [] if window is None else self._reader.runs(place, asset, window)
        return self._measure(_Asked(place, asset, spec, now, window, runs)) if window is not None and runs else []


class OfEnds:
    """The share of runs that ended in a status: all are counted, and no journal is read."""

    def __init__(self, name: str, reader: Reader, status: str) -> None:
        self.name = name
        self._reader = reader
        self._status = status

    def observe(self, place: Workplace, asset: Watched, spec: SignalSpec, now: datetime) -> Sequence[Reading]:
        """One reading with why they ended so; none without runs."""
        window = self._reader.window(place, asset, spec.over, now)
        if window is None:
            return []
        rows = counted(place, asset.name, window, ["status", "why"])
        if rows.is_empty():
            return []
        ended = rows.filter(rows["status"] == self._status)
        found = proportion_interval(ended.height, rows.height, confidence=spec.confidence)
        whys = ended.group_by("why").len().sort(["len", "why"], descending=[True, False])
        facts = {
            "why": {str(why or "unknown"): int(n) for why, n in whys.iter_rows()},
            "runs": ended["run_id"].to_list()[:_EXAMPLES],
        }
        return [_Asked(place, asset, spec, now, window, ()).reading(found, "ratio", facts)]


def _task_success(asked: _Asked) -> Sequence[Reading]:
    """By feedback and scorers; what a judge alone decides is corrected by people's labels, and without a word of it there is no figure."""
    outcomes, by = Outcomes.of(asked.asset), asked.spec.by
    parts: dict[str, list[tuple[Seen, float]]] = {}
    for seen in asked.runs:
        found = outcomes.succeeded(seen)
        if found is not None:
            part = "" if by is None else f"{by}={seen.run.tags.get(by, '')}"
            parts.setdefault(part, []).append((seen, found))
    if not parts and any(judged_in(asked.asset)):
        text = " ".join(unheard_in(asked.place, asked.asset)) or "None of these runs was judged yet."
        return [asked.reading(None, "ratio", {"n_runs": len(asked.runs), "text": text})]
    return [asked.reading(*_share_of_success(asked, outcomes, each), part) for part, each in sorted(parts.items())]


def _share_of_success(
    asked: _Asked, outcomes: Outcomes, judged: Sequence[tuple[Seen, float]]
) -> tuple[Interval | None, str, Mapping[str, Any]]:
    found, of_judges = share_of_success(asked.place, asked.asset, asked.spec, outcomes, judged, asked.now)
    facts = {
        **of_judges,
        "n_runs": len(asked.runs),
        "n_by_feedback": sum(seen.said is not None for seen, _ in judged),
        "runs": [seen.run.id for seen, value in judged if value < 0.5][:_EXAMPLES],
    }
    return found, "ratio", facts


def _grounded(asked: _Asked) -> Sequence[Reading]:
    """Supported claims by claims: a ratio of sums over runs, each of which stands for itself."""
    claimed = [(seen, claims_in(seen.run, seen.steps)) for seen in asked.runs]
    told = [(seen, claims) for seen, claims in claimed if claims]
    if not told:
        return []
    shares = [sum(claim.supported for claim in claims) / len(claims) for _, claims in told]
    found = _clustered(shares, [float(len(claims)) for _, claims in told], asked.spec.confidence)
    facts = {
        "n_runs": len(asked.runs),
        "n_claims": sum(len(claims) for _, claims in told),
        "runs": [seen.run.id for (seen, _), share in zip(told, shares, strict=True) if share < 1.0][:_EXAMPLES],
    }
    return [asked.reading(found, "ratio", facts)]


def _needless(asked: _Asked) -> Sequence[Reading]:
    found = [
        (seen, trajectory_of(seen.steps, seen.run.input, seen.run.output, expected_tools(seen.run)))
        for seen in asked.runs
    ]
    walked = [(seen, each) for seen, each in found if each.n_steps]
    if not walked:
        return []
    share = _clustered(
        [each.ratio for _, each in walked], [float(each.n_steps) for _, each in walked], asked.spec.confidence
    )
    facts = {
        "n_steps": sum(each.n_steps for _, each in walked),
        "n_repeated": sum(len(each.repeated) for _, each in walked),
        "n_unused": sum(len(each.unused) for _, each in walked),
        "n_wrong": sum(len(each.wrong) for _, each in walked),
        "runs": [seen.run.id for seen, each in walked if each.needless][:_EXAMPLES],
    }
    return [asked.reading(share, "ratio", facts)]


def _tool_errors(asked: _Asked) -> Sequence[Reading]:
    """By calls. Those of one run may fail together: with a handful of runs the interval is too narrow."""
    by_tool: dict[str, list[tuple[str, bool, str]]] = {}
    for seen in asked.runs:
        for tool, failed, error in failed_calls(seen.steps):
            by_tool.setdefault(f"tool={tool}" if asked.spec.by else "", []).append((tool, failed, error))
    return [asked.reading(*_failing(asked, calls), part) for part, calls in sorted(by_tool.items())]


def _failing(asked: _Asked, calls: Sequence[tuple[str, bool, str]]) -> tuple[Interval, str, Mapping[str, Any]]:
    failed = [(tool, error) for tool, wrong, error in calls if wrong]
    found = proportion_interval(len(failed), len(calls), confidence=asked.spec.confidence)
    tools = {tool: sum(each == tool for each, _ in failed) for tool in sorted({tool for tool, _ in failed})}
    errors = {code: sum(each == code for _, each in failed) for code in sorted({code for _, code in failed})}
    return found, "ratio", {"by_tool": tools, "by_error": errors}


def _injected(asked: _Asked) -> Sequence[Reading]:
    hit = [seen.run.id for seen in asked.runs if is_injected(seen.steps)]
    found = proportion_interval(len(hit), len(asked.runs), confidence=asked.spec.confidence)
    return [asked.reading(found, "ratio", {"runs": hit[:_EXAMPLES]})]


def _usd_per_success(asked: _Asked) -> Sequence[Reading]:
    """All that was spent by all that succeeded; of runs that nobody judged neither counts."""
    outcomes = Outcomes.of(asked.asset)
    judged = [(seen, value) for seen in asked.runs if (value := outcomes.succeeded(seen)) is not None]
    usd = np.array([seen.run.cost_pusd / PICO for seen, _ in judged], dtype=np.float64)
    well = np.array([value >= 0.5 for _, value in judged], dtype=np.float64)
    facts = {
        "n_runs": len(judged),
        "n_success": int(well.sum()),
        "usd": float(usd.sum()),
        "n_unpriced": sum(seen.run.unpriced for seen, _ in judged),
    }
    return [asked.reading(ratio_interval(usd, well, asked.spec.confidence), "USD", facts)] if judged else []


def _s_per_success(asked: _Asked) -> Sequence[Reading]:
    """As `_usd_per_success`: a run that failed after an hour took that hour from the others."""
    outcomes = Outcomes.of(asked.asset)
    judged = [(seen, value) for seen in asked.runs if (value := outcomes.succeeded(seen)) is not None]
    seconds = np.array([driven_s(seen) for seen, _ in judged], dtype=np.float64)
    well = np.array([value >= 0.5 for _, value in judged], dtype=np.float64)
    facts = {"n_runs": len(judged), "n_success": int(well.sum()), "s": float(seconds.sum())}
    return [asked.reading(ratio_interval(seconds, well, asked.spec.confidence), "s", facts)] if judged else []


def _run_s(asked: _Asked) -> Sequence[Reading]:
    seconds = np.array([driven_s(seen) for seen in asked.runs], dtype=np.float64)
    try:
        found = quantile_interval(seconds, float(asked.spec.params["quantile"]), confidence=asked.spec.confidence)
    except TooFewRows:
        found = None
    return [asked.reading(found, "s", {"n_runs": len(seconds)})]


def ratio_interval(above: np.ndarray[Any, Any], below: np.ndarray[Any, Any], confidence: float) -> Interval | None:
    """The sum of one over the sum of another, pair by pair, by its linearised residuals at Student's t; None where it has no bounds.

    Source: W. Cochran, Sampling Techniques (1977), 6.4.

    >>> found = ratio_interval(np.array([1.0, 1.0, 2.0, 2.0]), np.array([1.0, 1.0, 1.0, 0.0]), 0.95)
    >>> round(found.value, 3), found.n
    (2.0, 4)
    """
    n, total = len(above), float(below.sum())
    if n < 2 or total <= 0.0:
        return None
    ratio = float(above.sum()) / total
    residuals = (above - ratio * below) / (total / n)
    error = math.sqrt(float(residuals.var(ddof=1)) / n)
    reach = t_quantile(0.5 + confidence / 2.0, n - 1) * error
    return Interval(ratio, max(0.0, ratio - reach), ratio + reach, n)


def _clustered(values: Sequence[float], weights: Sequence[float], confidence: float) -> Interval | None:
    try:
        return clustered_interval(np.array(values), weights=np.array(weights), confidence=confidence, within=(0.0, 1.0))
    except TooFewRows:
        return None
