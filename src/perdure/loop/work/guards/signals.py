"""What is measured of a guard: the signals `block_ratio`, `false_block_ratio` and `miss_ratio`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl

from perdure.assets.health import Reading
from perdure.assets.objective import SignalSpec
from perdure.assets.version import Version
from perdure.core.stats import Interval, clustered_mean_interval, proportion_interval
from perdure.engines.guards.evaluation import share_interval
from perdure.loop.protocols import Signal, Watched, Workplace
from perdure.loop.work.guards.cases import (
    Case,
    group_numbers,
    guard_of,
    judged_calls,
    labelled_calls,
    read_cases,
)
from perdure.loop.work.guards.estimates import Estimate, Which, of_calls, of_suite, suite_of
from perdure.loop.work.guards.judging import Judge, is_whole, load_judge
from perdure.loop.work.readings import reading_of
from perdure.loop.work.versions import find_champion

UNKNOWN = "unknown"
"""The family of a text that is like none."""
_MIN_DAYS = 5


def guard_signals() -> Mapping[str, Callable[[], Signal]]:
    """The signals of the kind "guard": name → what makes it."""
    return {
        "block_ratio": BlockRatio,
        "false_block_ratio": lambda: WrongRatio("false_block_ratio", "false_block"),
        "miss_ratio": lambda: WrongRatio("miss_ratio", "miss"),
    }


class BlockRatio:
    """Share of judged calls that the guard acted on, whoever of its versions judged."""

    name = "block_ratio"

    def observe(self, place: Workplace, asset: Watched, spec: SignalSpec, now: datetime) -> Sequence[Reading]:
        """One reading; none while nothing was judged. Days are the units of windows of five or more."""
        judged = judged_calls(place.stores.lake, asset.name, now - spec.over, now)
        if judged.is_empty():
            return []
        acted = judged["acted"].to_numpy()
        days = judged["served_at"].dt.epoch("d").cast(pl.Int64).to_numpy()
        if len(np.unique(days)) >= _MIN_DAYS:
            found = clustered_mean_interval(acted.astype(np.float64), days, confidence=spec.confidence)
            found = Interval(found.value, max(0.0, found.low), min(1.0, found.high), found.n)
        else:
            found = proportion_interval(int(acted.sum()), len(acted), confidence=spec.confidence)
        return [reading_of(asset, spec, now, found, unit="ratio", facts={"n_acted": int(acted.sum())})]


class WrongRatio:
    """Misses among what should be caught, or false blocks among what is harmless.

    Told by two witnesses: what people said of the calls that the present champion judged, and the held-out examples.
    The worse of them is the reading, since each sees what the other does not; where there are two, each is measured so
    much surer that both are right together.
    """

    def __init__(self, name: str, which: Which) -> None:
        self.name = name
        self._which = which

    def observe(self, place: Workplace, asset: Watched, spec: SignalSpec, now: datetime) -> Sequence[Reading]:
        """One reading, or one a family; none while nothing is labelled, or no version answers."""
        champion = find_champion(place.stores.ledger, asset.name)
        if champion is None:
            return []
        judge = load_judge(place, champion) if is_whole(place, champion) else None
        suite = [] if judge is None else suite_of(read_cases(place, guard_of(asset), now), judge)
        if spec.by == "family":
            return [] if judge is None else self._by_family(place, asset, spec, now, judge, suite)
        confidence = 1.0 - (1.0 - spec.confidence) / 2.0
        witnesses = {
            "calls": self._of_calls(place, asset, spec, champion, now, confidence),
            "suite": None if judge is None else of_suite(self._which, judge, suite, confidence=confidence),
        }
        told = {name: found for name, found in witnesses.items() if found is not None}
        if not told:
            return []
        worse = max(told, key=lambda name: (told[name].interval.low, told[name].interval.value))
        facts = {"worse": worse, **{name: _facts(found) for name, found in told.items()}}
        return [reading_of(asset, spec, now, told[worse].interval, unit="ratio", version=champion.id, facts=facts)]

    def _of_calls(
        self, place: Workplace, asset: Watched, spec: SignalSpec, champion: Version, now: datetime, confidence: float
    ) -> Estimate | None:
        judged = judged_calls(place.stores.lake, asset.name, now - spec.over, now)
        # What a version before it did is mended already: only what answers now can be ill.
        judged = judged.filter(pl.col("version") == champion.id)
        said = labelled_calls(place.stores.lake, asset.name, now - spec.over, now)
        return of_calls(self._which, judged, said, confidence=confidence)

    def _by_family(
        self, place: Workplace, asset: Watched, spec: SignalSpec, now: datetime, judge: Judge, suite: Sequence[Case]
    ) -> list[Reading]:
        """Held-out examples and labelled calls of the window together, each asked anew; by label, else by likeness."""
        recent = [
            case
            for case in read_cases(place, guard_of(asset), now)
            if case.origin == "calls" and case.known_at and case.known_at > now - spec.over and not judge.knew(case)
        ]
        asked = [case for case in [*suite, *recent] if case.harmful == (self._which == "miss")]
        by_family: dict[str, list[Case]] = {}
        for case in asked:
            named = case.family or (judge.scorer.family(case.text) if case.harmful else "") or UNKNOWN
            by_family.setdefault(named, []).append(case)
        readings = []
        for family, cases in sorted(by_family.items()):
            wrong = judge.caught(cases) != (self._which == "miss")
            found = share_interval(wrong, group_numbers(cases), confidence=spec.confidence)
            readings.append(reading_of(asset, spec, now, found, unit="ratio", slice=f"family={family}"))
        return readings


def _facts(found: Estimate) -> dict[str, Any]:
    bounds = found.interval
    return {**found.facts, "value": bounds.value, "low": bounds.low, "high": bounds.high}
