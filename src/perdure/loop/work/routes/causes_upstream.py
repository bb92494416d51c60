"""One upstream is ill: it fails, takes no more, or is slow. What tells them apart is where the errors and the time are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl

from perdure.assets.health import Cause as RankedCause
from perdure.assets.health import Finding
from perdure.core.stats import Interval, mean_interval, proportion_interval
from perdure.core.units import duration_text
from perdure.loop.protocols import Watched, Workplace
from perdure.loop.work.routes.evidence import ERRORS, LATENCY, N_LEAST
from perdure.loop.work.routes.symptoms import (
    UPSTREAM_FAILING,
    UPSTREAM_SATURATED,
    UPSTREAM_SLOW,
    broken_of,
    healthy_time,
    over_of,
    times,
)
from perdure.loop.work.routes.traffic import read_tries

_CONFIDENCE = 0.95
_SLOWER = 1.25
_MOSTLY = 0.5
_N_PACED = 100
_PACED = 0.3


@dataclass(frozen=True, slots=True, eq=False)
class _Windows:
    """Tries and probes of the window that broke, and of the time before it."""

    now: pl.DataFrame
    before: pl.DataFrame
    over: str


def _windows(place: Workplace, asset: Watched, sick: Sequence[Finding], now: datetime) -> _Windows:
    over = over_of(sick)
    lake, told = place.stores.lake, pl.col("failed") | pl.col("answered")
    return _Windows(
        read_tries(lake, asset.name, now - over, now).filter(told),
        read_tries(lake, asset.name, *healthy_time(place, asset, over, now)).filter(told),
        duration_text(over),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Failing:
    """The target from which the errors come."""

    target: str
    found: Interval
    n_failed: int
    n_busy: int
    n_other: int
    n_other_failed: int
    before: float | None
    commonest: str

    @property
    def earlier(self) -> str:
        """What it failed before, as it is told."""
        return "" if self.before is None else f", before {self.before:.1%}"


def _failing(windows: _Windows) -> _Failing | None:
    """The target that fails most, where it fails for sure more than before, and than the others if there are any."""
    worst: _Failing | None = None
    for (name,), rows in sorted(windows.now.partition_by("target", as_dict=True).items()):
        n_failed = int(rows["failed"].sum())
        if rows.height < N_LEAST or not n_failed:
            continue
        found = proportion_interval(n_failed, rows.height, confidence=_CONFIDENCE)
        earlier = windows.before.filter(pl.col("target") == name)["failed"]
        others = windows.now.filter(pl.col("target") != name)["failed"]
        if _is_usual(found, earlier) or _is_usual(found, others):
            continue
        codes = rows.filter("failed").group_by("error", "status").len().sort(["len", "error"], descending=[True, False])
        code, status, _ = codes.row(0)
        if worst is None or found.low > worst.found.low:
            worst = _Failing(
                str(name), found, n_failed, int(rows["busy"].sum()), len(others), int(others.sum()),
                None if earlier.is_empty() else float(earlier.cast(pl.Float64).to_numpy().mean()),
                f"{code} {status}" if status else str(code),
            )  # fmt: skip
    return worst


def _is_usual(found: Interval, rows: pl.Series) -> bool:
    """Whether other tries may fail as often: the interval of the difference (Newcombe's, of both Wilson's) holds zero.

    Fallbacks are seldom asked: that both intervals lie apart would be to ask for too much of a few tries.
    """
    if len(rows) < N_LEAST:
        return False
    usual = proportion_interval(int(rows.sum()), len(rows), confidence=_CONFIDENCE)
    return found.value - usual.value <= math.hypot(found.value - found.low, usual.high - usual.value)


class UpstreamFailing:
    """Errors come from one target."""

    name = UPSTREAM_FAILING

    def weigh(self, place: Workplace, asset: Watched, findings: Sequence[Finding], now: datetime) -> RankedCause | None:
        """0.9; 0.4 where most of its errors say that it is busy; None where errors come from all alike, or nothing broke."""
        sick = broken_of(findings, ERRORS, LATENCY)
        if not sick:
            return None
        windows = _windows(place, asset, sick, now)
        found = _failing(windows)
        if found is None:
            return None
        weight = 0.4 if found.n_busy > _MOSTLY * found.n_failed else 0.9
        evidence = {
            "target": found.target,
            "ratio": round(found.found.value, 4),
            "n": found.found.n,
            "n_failed": found.n_failed,
            "commonest": found.commonest,
            "before": found.before,
            "n_others": found.n_other,
            "n_others_failed": found.n_other_failed,
        }
        text = (
            f"{found.target} failed {found.n_failed} of {found.found.n} tries in {windows.over} ({found.found.value:.0%}{found.earlier}), "
            f"the others {found.n_other_failed} of {found.n_other}; mostly {found.commonest}."
        )
        return RankedCause(self.name, weight, evidence, text)


class UpstreamSaturated:
    """One target takes no more than it does: it says so, or gets slower as calls come faster."""

    name = UPSTREAM_SATURATED

    def weigh(self, place: Workplace, asset: Watched, findings: Sequence[Finding], now: datetime) -> RankedCause | None:
        """0.92 where most of its errors are 429, 503 or 529; 0.88 where its times follow the load; None else."""
        sick = broken_of(findings, ERRORS, LATENCY)
        if not sick:
            return None
        windows = _windows(place, asset, sick, now)
        found = _failing(windows)
        if found is not None and found.n_busy > _MOSTLY * found.n_failed:
            evidence = {
                "target": found.target,
                "n_busy": found.n_busy,
                "n_failed": found.n_failed,
                "n": found.found.n,
                "before": found.before,
            }
            text = (
                f"{found.target} turned {found.n_busy} of {found.found.n} tries away as too busy in {windows.over} "
                f"({found.found.value:.0%} failed{found.earlier}); mostly {found.commonest}."
            )
            return RankedCause(self.name, 0.92, evidence, text)
        return self._paced(windows) if broken_of(findings, LATENCY) else None

    def _paced(self, windows: _Windows) -> RankedCause | None:
        slow = _slowest(windows)
        if slow is None:
            return None
        rows = windows.now.filter((pl.col("target") == slow.target) & pl.col("answered") & ~pl.col("is_probe"))
        if rows.height < _N_PACED:
            return None
        minute = rows["served_at"].dt.truncate("1m")
        load = rows.select(pl.len().over(minute))["len"]
        r = (
            float(np.corrcoef(load.rank().to_numpy(), rows["first_ms"].rank().to_numpy())[0, 1])
            if load.n_unique() > 1
            else 0.0
        )
        if not r > max(_PACED, 3.0 / math.sqrt(rows.height)):
            return None
        evidence = {
            "target": slow.target,
            "rank_correlation": round(r, 3),
            "n": rows.height,
            "slower": round(slow.ratio, 3),
        }
        text = f"{slow.target} gets slower as calls come faster (rank correlation {r:.2f} over {rows.height} tries)."
        return RankedCause(self.name, 0.88, evidence, text)


@dataclass(frozen=True, slots=True)
class _Slow:
    target: str
    what: str
    ratio: float
    sure: float
    """The least that it is slower, for sure."""
    now: float
    before: float
    n: int


def _slowest(windows: _Windows) -> _Slow | None:
    """The target whose first byte, or whose stream, takes longer than before by a quarter for sure."""
    slow: list[_Slow] = []
    for target in sorted(set(windows.now["target"])):
        for what, column, sign in (("first byte", "first_ms", 1.0), ("stream", "tokens_per_s", -1.0)):
            for probes in (False, True):
                mine = (pl.col("target") == target) & (pl.col("is_probe") == probes) & pl.col(column).is_not_null()
                late, early = (np.log(rows.filter(mine)[column].to_numpy()) for rows in (windows.now, windows.before))
                if min(len(late), len(early)) < N_LEAST:
                    continue
                new, old = (mean_interval(each, confidence=_CONFIDENCE) for each in (late, early))
                apart = math.hypot(new.high - new.low, old.high - old.low) / 2.0
                moved = sign * (new.value - old.value)
                if moved - apart > math.log(_SLOWER):
                    slow.append(
                        _Slow(target, what, math.exp(moved), math.exp(moved - apart), math.exp(new.value),
                              math.exp(old.value), new.n)
                    )  # fmt: skip
    return max(slow, key=lambda each: (each.sure, each.target), default=None)


class UpstreamSlow:
    """One target takes longer than it did."""

    name = UPSTREAM_SLOW

    def weigh(self, place: Workplace, asset: Watched, findings: Sequence[Finding], now: datetime) -> RankedCause | None:
        """0.85, where a time is broken and one target's own time, or stream, is worse than before by a quarter for sure."""
        sick = broken_of(findings, LATENCY)
        if not sick:
            return None
        windows = _windows(place, asset, sick, now)
        slow = _slowest(windows)
        if slow is None:
            return None
        unit = "ms" if slow.what == "first byte" else "tokens/s"
        evidence = {
            "target": slow.target,
            "what": slow.what,
            "slower": round(slow.ratio, 3),
            "at_least": round(slow.sure, 3),
            "now": round(slow.now, 2),
            "before": round(slow.before, 2),
            "n": slow.n,
        }
        text = (
            f"{slow.target} is slower: its {slow.what} is usually at {slow.now:.3g} {unit}, before {slow.before:.3g} "
            f"({times(slow.ratio)} as slow, over {slow.n} tries in {windows.over})."
        )
        return RankedCause(self.name, 0.85, evidence, text)
