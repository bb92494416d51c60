"""Gates that compare errors, pair by pair: over all rows, and on each declared slice.

Candidate and incumbent answer the same labelled rows, each through its own features and predictor, so what
both share (a hard day, a hard route) cancels. Errors of one day move together, so days are the units of
the comparison; where there are few of them, half-days, then shorter stretches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from perdure.assets.health import Comparison, Verdict
from perdure.assets.model import Model
from perdure.assets.repair import Stage, Trial
from perdure.assets.version import Version
from perdure.core.errors import PerdureError, Permanent, TooFewRows
from perdure.core.stats import Interval, paired_mean_interval
from perdure.engines.performance import MIN_ROWS
from perdure.loop.protocols import Watched, Workplace
from perdure.loop.work.rows import AS_OF
from perdure.loop.work.scoring import Scoreboard, is_whole, newest_scoreboard, scoreboard_between
from perdure.loop.work.versions import get_version

Float1D = NDArray[np.float64]

MIN_UNITS = 5
"""Stretches of time from which they, not rows, are the units of a comparison."""
LATER_CONFIDENCE = 0.99
"""At least so sure before a trial ends or a release is taken back: later stages look more than once, at few
hours, and the errors of neighbouring hours move together."""
_UNITS_H = (24, 12, 6, 3, 1)
_MOST_SLICES = 50
_BETTER, _WORSE, _UNSURE = Comparison.BETTER, Comparison.WORSE, Comparison.NOT_ENOUGH_EVIDENCE


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Losses of both versions on the rows that both can answer."""

    rows: pl.DataFrame
    candidate: Float1D
    incumbent: Float1D
    n_unanswered: int
    """Rows that the candidate has no answer to, though the incumbent has."""
    unit: str


def scoreboard_of(place: Workplace, model: type[Model], trial: Trial, now: datetime) -> Scoreboard:
    """The rows that a trial is judged on: the newest ones in `verify`, later those since the stage began."""
    if trial.stage == "verify" or trial.since is None:
        return newest_scoreboard(place, model, now)
    return scoreboard_between(place, model, now, trial.since)


def pairs_of(board: Scoreboard, candidate: Version, incumbent: Version) -> Pairs:
    """Both versions' losses, paired, on rows that neither was fitted on."""
    fair = board.unseen_by(candidate, incumbent)
    first, second = board.losses(candidate), board.losses(incumbent)
    both = fair & np.isfinite(first) & np.isfinite(second)
    unanswered = int((fair & np.isfinite(second) & ~np.isfinite(first)).sum())
    unit = board.model.label.column if board.model.task == "regression" else "nats"
    return Pairs(board.rows.filter(pl.Series(both)), first[both], second[both], unanswered, unit)


def clusters_of(rows: pl.DataFrame, *, n_least: int = MIN_UNITS) -> NDArray[np.int64] | None:
    """The stretch of time of each row: the longest of 24, 12, 6, 3 and 1 h that gives enough of them, else None."""
    hour = rows[AS_OF].dt.epoch("s").cast(pl.Int64).to_numpy() // 3600
    for length_h in _UNITS_H:
        stretch: NDArray[np.int64] = hour // length_h
        if len(np.unique(stretch)) >= n_least:
            return stretch
    return None


def difference(pairs: Pairs, chosen: NDArray[np.bool_] | None, confidence: float) -> Interval | None:
    """Mean loss of the candidate less that of the incumbent; None when there is not enough to say."""
    rows = pairs.rows if chosen is None else pairs.rows.filter(pl.Series(chosen))
    first = pairs.candidate if chosen is None else pairs.candidate[chosen]
    second = pairs.incumbent if chosen is None else pairs.incumbent[chosen]
    clusters = clusters_of(rows) if rows.height >= MIN_ROWS else None
    if clusters is None:
        return None
    try:
        return paired_mean_interval(first, second, clusters=clusters, confidence=confidence)
    except TooFewRows:
        return None


def compared(interval: Interval | None) -> Comparison:
    """What an interval of a difference of losses says."""
    if interval is None or interval.low <= 0.0 <= interval.high:
        return _UNSURE
    return _BETTER if interval.high < 0.0 else _WORSE


def surely(confidence: float, n_tests: int) -> float:
    """The confidence of each of several tests that are to be right together (Bonferroni).

    >>> surely(0.9, 4)
    0.975
    """
    return 1.0 - (1.0 - confidence) / max(1, n_tests)


class PairedError:
    """Absolute errors (or log losses) of candidate and incumbent on the same rows, with the interval of their difference.

    In `verify` only the better one passes, and the gain is by how much; later what is not worse passes.
    """

    name = "paired_error"
    stages: Sequence[Stage] = ("verify", "shadow", "canary", "watch")

    def judge(self, place: Workplace, asset: Watched, trial: Trial, now: datetime) -> Verdict:
        """The verdict; a champion that cannot answer is beaten by any candidate that can."""
        model: type[Model] = asset.declaration
        candidate = get_version(place.stores.ledger, trial.candidate)
        board = scoreboard_of(place, model, trial, now)
        unable = _why_unable(board, candidate)
        if unable:
            return Verdict(self.name, _WORSE, False, f"The candidate cannot answer: {unable}")
        if trial.incumbent is None:
            return Verdict(self.name, _UNSURE, True, "Nothing runs that it could be compared with.")
        incumbent = get_version(place.stores.ledger, trial.incumbent)
        broken = "a blob of it is gone" if not is_whole(place, incumbent) else _why_unable(board, incumbent)
        if broken:
            return Verdict(self.name, _BETTER, True, f"What runs cannot answer: {broken}")
        return self._compared(pairs_of(board, candidate, incumbent), model, trial)

    def _compared(self, pairs: Pairs, model: type[Model], trial: Trial) -> Verdict:
        later = trial.stage != "verify"
        confidence = surely(confidence_in(model, trial.stage), trial.n_rivals)
        found = difference(pairs, None, confidence)
        comparison = compared(found)
        passed = comparison is not _WORSE if later else comparison is _BETTER
        evidence = {
            "n": len(pairs.candidate),
            "n_unanswered": pairs.n_unanswered,
            "unit": pairs.unit,
            "confidence": confidence,
            "candidate": _mean(pairs.candidate),
            "incumbent": _mean(pairs.incumbent),
            **_bounds(found),
        }
        gain = 0.0 if found is None else -found.value
        return Verdict(self.name, comparison, passed, _told(pairs, found), evidence, gain)


def confidence_in(model: type[Model], stage: str) -> float:
    """How sure a comparison is in a stage of a release."""
    return model.gate_confidence if stage == "verify" else max(model.gate_confidence, LATER_CONFIDENCE)


def _why_unable(board: Scoreboard, version: Version) -> str:
    """Why a version has no predictions for these rows; empty when it has."""
    try:
        board.predictions(version)
    except PerdureError as error:
        if not isinstance(error, Permanent):
            raise
        return str(error)
    return ""


def _mean(values: Float1D) -> float | None:
    return float(values.mean()) if len(values) else None


def _bounds(found: Interval | None) -> dict[str, Any]:
    if found is None:
        return {"difference": None, "low": None, "high": None}
    return {"difference": found.value, "low": found.low, "high": found.high}


def _told(pairs: Pairs, found: Interval | None) -> str:
    n = len(pairs.candidate)
    if found is None:
        return f"{n} labelled rows are too few to tell."
    unit = f" {pairs.unit}" if pairs.unit else ""
    return (
        f"On {n} labelled rows its mean error is {pairs.candidate.mean():.4g}{unit}, against "
        f"{pairs.incumbent.mean():.4g} of what runs; the difference lies between {found.low:.4g} and {found.high:.4g}."
    )


class Slices:
    """No declared slice may be worse for sure: those of `Model.slices`, and of objectives by a field."""

    name = "slices"
    stages: Sequence[Stage] = ("verify", "watch")

    def judge(self, place: Workplace, asset: Watched, trial: Trial, now: datetime) -> Verdict:
        """Passes unless some slice is worse for sure, each tested so that all verdicts hold together."""
        model: type[Model] = asset.declaration
        fields = list(dict.fromkeys([*model.slices, *(each.spec.by for each in asset.healthy if each.spec.by)]))
        if not fields or trial.incumbent is None:
            return Verdict(
                self.name,
                _UNSURE,
                True,
                "There is nothing to compare slices with." if fields else "No slice is declared.",
            )
        ledger, board = place.stores.ledger, scoreboard_of(place, model, trial, now)
        incumbent = get_version(ledger, trial.incumbent)
        if not is_whole(place, incumbent) or _why_unable(board, incumbent):
            return Verdict(self.name, _UNSURE, True, "What runs cannot answer: there is nothing to compare with.")
        pairs = pairs_of(board, get_version(ledger, trial.candidate), incumbent)
        parts = [part for name in fields for part in parts_of(pairs.rows, name)]
        confidence = surely(confidence_in(model, trial.stage), len(parts))
        found = {name: difference(pairs, chosen, confidence) for name, chosen in parts}
        return self._verdict({name: each for name, each in found.items() if each is not None}, confidence, pairs.unit)

    def _verdict(self, found: dict[str, Interval], confidence: float, unit: str) -> Verdict:
        worse = [name for name, each in found.items() if compared(each) is _WORSE]
        evidence = {
            "confidence": confidence,
            "unit": unit,
            "slices": {name: _bounds(each) for name, each in found.items()},
        }
        if worse:
            listed = ", ".join(f"{name} by {found[name].value:.4g} {unit}".rstrip() for name in worse)
            return Verdict(self.name, _WORSE, False, f"Worse for sure on {listed}.", evidence)
        better = bool(found) and all(compared(each) is _BETTER for each in found.values())
        told = f"No slice of {len(found)} is worse for sure." if found else "No slice has enough labelled rows to tell."
        return Verdict(self.name, _BETTER if better else _UNSURE, True, told, evidence)


def parts_of(rows: pl.DataFrame, name: str) -> list[tuple[str, NDArray[np.bool_]]]:
    """The slices of a field that have enough rows, the largest 50, by name: `shop=north` and which rows."""
    values = rows[name].cast(pl.String)
    counted = values.drop_nulls().value_counts().filter(pl.col("count") >= MIN_ROWS)
    largest = counted.sort(["count", name], descending=[True, False]).head(_MOST_SLICES)[name].sort()
    return [(f"{name}={value}", (values == value).fill_null(value=False).to_numpy()) for value in largest]
