"""The gate `route_evidence`: errors and times of candidate and incumbent.

In `verify` and `shadow` by what their targets do, tries and probes together, since the candidate has answered nobody yet; in
`canary` and `watch` by the calls that each of them answered.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime

import numpy as np
import polars as pl

from perdure.assets.health import Comparison, Verdict
from perdure.assets.repair import Stage, Trial
from perdure.core.stats import Interval, mean_interval, proportion_interval
from perdure.loop.protocols import Watched, Workplace
from perdure.loop.work.comparing import LATER_CONFIDENCE, surely
from perdure.loop.work.routes.evidence import (
    ERRORS,
    HARM,
    LATENCY,
    N_LEAST,
    Difference,
    broken_harms,
    error_difference,
    evidence_of,
    expected_difference,
    facts_of,
    latency_difference,
    window_of,
)
from perdure.loop.work.routes.signals import ENDED
from perdure.loop.work.routes.traffic import read_traffic
from perdure.loop.work.versions import get_version

CONFIDENCE = 0.9
MARGIN = {ERRORS: 0.02, LATENCY: math.log(1.5)}
"""How much worse one may be by chance, where it is not what is broken: a share; the logarithm of a ratio."""
_BETTER, _WORSE, _UNSURE = Comparison.BETTER, Comparison.WORSE, Comparison.NOT_ENOUGH_EVIDENCE
Found = Mapping[str, Difference | None]


class RouteEvidence:
    """Expected errors and times against the incumbent's. The gain is by how much errors and log times fall."""

    name = "route_evidence"
    stages: Sequence[Stage] = ("verify", "shadow", "canary", "watch")

    def judge(self, place: Workplace, asset: Watched, trial: Trial, now: datetime) -> Verdict:
        """In `verify` it passes what is proven; later what is not worse for sure."""
        if trial.incumbent is None:
            return Verdict(self.name, _UNSURE, True, "Nothing runs that it could be compared with.")
        sick = broken_harms(place, asset, now)
        later = trial.stage != "verify"
        confidence = surely(LATER_CONFIDENCE if later else CONFIDENCE, 2 * trial.n_rivals)
        if trial.stage in ("canary", "watch"):
            found = _by_calls(place, asset, trial, now, confidence)
        else:
            found = _by_targets(place, asset, trial, now, confidence)
        worse = [harm for harm in _protected(sick) if _is_worse(harm, found[harm])]
        better = [harm for harm in _wanted(sick) if _is_better(found[harm])]
        told = _told(found)
        evidence = {
            "confidence": confidence,
            "broken": sorted(sick),
            **{harm: facts_of(each) for harm, each in found.items()},
        }
        gain = -sum(
            each.interval.value for harm, each in found.items() if each is not None and harm in _protected(sick)
        )
        if worse:
            return Verdict(self.name, _WORSE, False, f"Worse in {' and '.join(worse)}: {told}", evidence)
        if later or not _wanted(sick):
            enough = later or found[ERRORS] is not None
            return Verdict(self.name, _BETTER if better else _UNSURE, enough, told, evidence, gain)
        return Verdict(self.name, _BETTER if better else _UNSURE, bool(better), told, evidence, gain)


def _protected(sick: set[str]) -> list[str]:
    """What must not become worse: all that does no less harm than the worst that is broken."""
    worst = min((HARM.index(each) for each in sick), default=len(HARM))
    return [harm for harm in (ERRORS, LATENCY) if HARM.index(harm) <= worst]


def _wanted(sick: set[str]) -> list[str]:
    """What must be better, one of it: the worst that is broken, if it is of this gate; anything where nothing is."""
    if not sick:
        return [ERRORS, LATENCY]
    worst = min(sick, key=HARM.index)
    return [worst] if worst in (ERRORS, LATENCY) else []


def _is_worse(harm: str, found: Difference | None) -> bool:
    return found is not None and found.interval.low > MARGIN[harm]


def _is_better(found: Difference | None) -> bool:
    return found is not None and found.interval.high < 0.0


def _by_targets(place: Workplace, asset: Watched, trial: Trial, now: datetime, confidence: float) -> Found:
    start = now - window_of(place, asset, now) if trial.since is None else trial.since
    evidence = evidence_of(place, asset, start, now)
    assert trial.incumbent is not None
    candidate, incumbent = (get_version(place.stores.ledger, each) for each in (trial.candidate, trial.incumbent))
    first, second = evidence.shares(candidate), evidence.shares(incumbent)
    return {
        ERRORS: error_difference(evidence, first, second, confidence),
        LATENCY: latency_difference(evidence, first, second, confidence),
    }


def _by_calls(place: Workplace, asset: Watched, trial: Trial, now: datetime, confidence: float) -> Found:
    """Calls that each version answered since the stage began; in `watch` the incumbent's of the stretch before it."""
    since = trial.since or now
    before = since - max(now - since, window_of(place, asset, now)) if trial.stage == "watch" else since
    calls = read_traffic(place.stores.lake, asset.name, before, now, ["version", "outcome", "first_us", "n_attempts"])
    ended = calls.filter(
        pl.col("outcome").is_in(ENDED) & ((pl.col("outcome") != "failed") | (pl.col("n_attempts") > 0))
    )
    mine = ended.filter((pl.col("version") == trial.candidate) & (pl.col("served_at") >= since))
    others = ended.filter(pl.col("version") == trial.incumbent)
    rows = {"candidate": mine, "incumbent": others}
    first, second = {"candidate": 1.0}, {"incumbent": 1.0}
    return {
        ERRORS: expected_difference(first, second, lambda who: _failed(rows[who], confidence)),
        LATENCY: expected_difference(first, second, lambda who: _log_first(rows[who], confidence)),
    }


def _failed(calls: pl.DataFrame, confidence: float) -> Interval | None:
    if calls.height < N_LEAST:
        return None
    return proportion_interval(int((calls["outcome"] != "answered").sum()), calls.height, confidence=confidence)


def _log_first(calls: pl.DataFrame, confidence: float) -> Interval | None:
    first = calls.filter((pl.col("first_us") > 0) & (pl.col("outcome") == "answered"))["first_us"]
    return mean_interval(np.log(first.to_numpy() / 1000.0), confidence=confidence) if len(first) >= N_LEAST else None


def _told(found: Found) -> str:
    errors, latency = found[ERRORS], found[LATENCY]
    parts = ["errors: too few tries and probes to tell"]
    if errors is not None:
        bounds = errors.interval
        parts = [
            f"errors: {errors.candidate:.1%} against {errors.incumbent:.1%}, a difference of {bounds.low:+.1%} to {bounds.high:+.1%}"
        ]
    if latency is None:
        parts.append("first byte: too few to tell")
    else:
        low, high = (math.exp(each) for each in (latency.interval.low, latency.interval.high))
        parts.append(
            f"first byte: usually {math.exp(latency.candidate):.3g} ms against {math.exp(latency.incumbent):.3g}, "
            f"{low:.2f} to {high:.2f} times as long"
        )
    return "; ".join(parts) + "."
