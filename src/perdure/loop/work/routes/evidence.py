"""What a window says of each target, and what a version of a route may be expected to do by it.

A version asks its targets in shares. What is expected of it is the mean of what its targets do, by those shares; the difference
of two versions is a sum over targets, in which a target that both ask alike counts nothing. Its interval comes from those of
the targets.

Source of the interval: A. Donner, G. Zou, Closed-form confidence intervals for functions of the normal mean and standard
deviation, Stat. Methods Med. Res. 21 (2012), eq. 3 (the method of variance estimates recovery).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import numpy as np
import polars as pl

from perdure.assets.health import State
from perdure.assets.version import Version
from perdure.core.stats import Interval, mean_interval, proportion_interval
from perdure.core.units import days
from perdure.loop.incidents import find_incident
from perdure.loop.observe import newest_findings
from perdure.loop.protocols import Watched, Workplace
from perdure.loop.work.routes.definitions import first_shares
from perdure.loop.work.routes.traffic import read_tries

ERRORS, ANSWERS, LATENCY, COST = "errors", "answers", "latency", "cost"
HARM = (ERRORS, ANSWERS, LATENCY, COST)
"""What may be broken, the worst first: for what stands earlier, what stands later may be given up."""
_OF_SIGNAL = {
    "error_ratio": ERRORS,
    "answer_shift": ANSWERS,
    "refusal_ratio": ANSWERS,
    "first_token_ms": LATENCY,
    "latency_ms": LATENCY,
    "tokens_per_s": LATENCY,
    "cost_usd": COST,
    "spend_usd": COST,
}
N_LEAST = 8
"""Tries and probes of a target without which nothing is said of it."""
_USUAL = days(1)
_LONGEST = days(7)


def harm_of(series: str) -> str:
    """What a signal's readings are about; empty: none of what versions differ in.

    >>> harm_of("first_token_ms_p95@0.9"), harm_of("new_intents")
    ('latency', '')
    """
    signal = series.partition("@")[0]
    return next((harm for name, harm in _OF_SIGNAL.items() if signal.startswith(name)), "")


def broken_harms(place: Workplace, asset: Watched, now: datetime) -> set[str]:
    """What is broken: by the open incident, since readings heal on the way, and by the newest readings."""
    with place.stores.ledger.read() as session:
        incident = find_incident(session, asset.name)
    told = [] if incident is None else incident.facts.get("symptoms", ())
    series = [str(each.get("signal", "")) for each in told]
    series += [each.reading.signal for each in newest_findings(place, asset, now) if each.state is State.BROKEN]
    return {harm for harm in map(harm_of, series) if harm}


def window_of(place: Workplace, asset: Watched, now: datetime) -> timedelta:
    """The stretch that versions are compared over: the shortest window of what is broken, else the longest declared."""
    sick = [
        each.reading.window_end - each.reading.window_start
        for each in newest_findings(place, asset, now)
        if each.state is State.BROKEN and harm_of(each.reading.signal) in (ERRORS, LATENCY)
    ]
    declared = [each.spec.over for each in asset.healthy if harm_of(each.spec.series)]
    return min(min(sick) if sick else max(declared, default=_USUAL), _LONGEST)


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """Tries and probes of a window, by target."""

    tries: pl.DataFrame
    """Of the window, and of the day before its end where it is shorter."""
    start: datetime
    end: datetime

    def of(self, target: str) -> pl.DataFrame:
        """The tries and probes of one target that it could answer or fail."""
        return self._newest((pl.col("target") == target) & (pl.col("failed") | pl.col("answered")))

    def _newest(self, wanted: pl.Expr) -> pl.DataFrame:
        """Those of the window; where they are too few, the newest of the day before its end: fallbacks are seldom asked."""
        rows = self.tries.filter(wanted)
        inside = rows.filter(pl.col("served_at") >= self.start)
        return inside if inside.height >= N_LEAST else rows.tail(max(2 * N_LEAST, inside.height))

    def targets(self) -> list[str]:
        """Those that were tried or probed, by name."""
        return sorted(set(self.tries["target"]))

    def n(self, target: str) -> int:
        """Tries and probes of a target."""
        return self.of(target).height

    def errors(self, target: str, confidence: float) -> Interval | None:
        """Share of its tries and probes that failed; None: too few."""
        rows = self.of(target)
        if rows.height < N_LEAST:
            return None
        return proportion_interval(int(rows["failed"].sum()), rows.height, confidence=confidence)

    def log_first_ms(self, target: str, confidence: float, *, probes: bool) -> Interval | None:
        """Mean logarithm of the time to its first byte, of probes or of tries; None: too few."""
        rows = self._newest((pl.col("target") == target) & pl.col("answered") & (pl.col("is_probe") == probes))
        if rows.height < N_LEAST:
            return None
        return mean_interval(np.log(rows["first_ms"].to_numpy()), confidence=confidence)

    def usual_first_ms(self) -> dict[str, float]:
        """The median time to the first byte of each target that answered."""
        found = self.tries.filter(pl.col("answered")).group_by("target").agg(pl.col("first_ms").median())
        return {str(target): float(ms) for target, ms in found.sort("target").iter_rows()}

    def shares(self, version: Version) -> dict[str, float]:
        """First shares of a version, as things are in this window."""
        return first_shares(version.definition, self.usual_first_ms())


def evidence_of(place: Workplace, asset: Watched, start: datetime, end: datetime) -> Evidence:
    """What `[start, end)` says of every target that the route tried or probed."""
    return Evidence(read_tries(place.stores.lake, asset.name, min(start, end - _USUAL), end, shadows=True), start, end)


@dataclass(frozen=True, slots=True)
class Difference:
    """Candidate less incumbent of what is expected."""

    candidate: float
    incumbent: float
    interval: Interval


def expected_difference(
    first: Mapping[str, float], second: Mapping[str, float], told: Callable[[str], Interval | None]
) -> Difference | None:
    """The difference of two mixes of targets.

    Args:
        first: the candidate's shares.
        second: the incumbent's.
        told: what is known of a target; None: too little.

    Returns: None where too little is known of a target that they ask in different shares.

    >>> known = {"a": Interval(0.4, 0.3, 0.5, 50), "b": Interval(0.0, 0.0, 0.1, 40)}
    >>> found = expected_difference({"b": 1.0}, {"a": 1.0}, known.get)
    >>> round(found.interval.low, 2), found.interval.value, round(found.interval.high, 2)
    (-0.5, -0.4, -0.26)
    """
    names = sorted({*first, *second})
    factors = {name: first.get(name, 0.0) - second.get(name, 0.0) for name in names}
    found = {name: told(name) for name in names}
    if any(found[name] is None for name in names if factors[name]):
        return None
    known = {name: each for name, each in found.items() if each is not None}
    value = sum(factors[name] * each.value for name, each in known.items())
    down = math.sqrt(sum(_towards(factors[name], each, lower=True) ** 2 for name, each in known.items()))
    up = math.sqrt(sum(_towards(factors[name], each, lower=False) ** 2 for name, each in known.items()))
    n = min((each.n for name, each in known.items() if factors[name]), default=0)
    means = [sum(shares.get(name, 0.0) * each.value for name, each in known.items()) for shares in (first, second)]
    return Difference(means[0], means[1], Interval(value, value - down, value + up, n))


def _towards(factor: float, found: Interval, *, lower: bool) -> float:
    """How far one target's interval can move the sum down, or up."""
    if (factor > 0.0) == lower:
        return factor * (found.value - found.low)
    return factor * (found.high - found.value)


def error_difference(
    evidence: Evidence, first: Mapping[str, float], second: Mapping[str, float], confidence: float
) -> Difference | None:
    """Of the share of calls that are not answered by the target that is asked first."""
    return expected_difference(first, second, lambda target: evidence.errors(target, confidence))


def latency_difference(
    evidence: Evidence, first: Mapping[str, float], second: Mapping[str, float], confidence: float
) -> Difference | None:
    """Of the mean logarithm of the time to the first byte: of tries where there are enough of each target, else of probes."""
    for probes in (False, True):
        found = expected_difference(first, second, partial(evidence.log_first_ms, confidence=confidence, probes=probes))
        if found is not None:
            return found
    return None


def facts_of(found: Difference | None) -> dict[str, Any] | None:
    """For the ledger."""
    if found is None:
        return None
    bounds = found.interval
    return {
        "candidate": round(found.candidate, 6),
        "incumbent": round(found.incumbent, 6),
        "difference": [round(bounds.low, 6), round(bounds.high, 6)],
        "n": bounds.n,
    }
