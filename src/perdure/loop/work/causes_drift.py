"""The causes `concept_drift` and `data_drift`: did the relation move, or only the inputs?

Both rest on one study of the recent outcomes against healthy rows of the same version: the rise of the error is
split into what the move of the inputs explains and what is left (`engines.drift.reweight`). They are weighed
against each other, and always below a fault that was found.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

import numpy as np

from perdure.assets.health import Cause as RankedCause
from perdure.assets.health import Finding, State
from perdure.core.stats.intervals import Interval
from perdure.core.units import duration_text
from perdure.engines.drift import drift_by_feature
from perdure.engines.drift.reweight import LossRows, RiseSplit, split_rise
from perdure.engines.profile import build_profile
from perdure.loop.protocols import Watched, Workplace
from perdure.loop.work.healthy import healthy_outcomes
from perdure.loop.work.recent import ENOUGH_ROWS, Outcomes, Recent, Recents, is_error, signal_of

CONCEPT_DRIFT, DATA_DRIFT = "concept_drift", "data_drift"

HEAVIEST = 0.8
"""Weight that drift never passes: a fault that was found comes first."""
_UNSURE, _WEAK = 0.4, 0.5
"""The most that is given while the split is not sure, and while inputs moved out of what is known."""
_NOTHING_COMMON = 0.25
"""The relation's share while nothing can be compared: that the inputs moved is all that is known."""
_MIN_DAYS = 3
"""Fewer days on a side are no clusters: rows count for themselves."""
_SHOWN = 5


@dataclass(frozen=True, slots=True, eq=False)
class Study:
    """The rise of one version's error, split in two."""

    split: RiseSplit
    relation_share: float
    """Of the rise, 0 to 1; the rest is the inputs'."""
    relation_sure: bool
    inputs_sure: bool
    evidence: Mapping[str, Any]

    @property
    def known_inputs(self) -> bool:
        """Whether healthy rows can speak for the present inputs."""
        return self.split.weights.enough


@lru_cache(maxsize=1)
def study(recent: Recent) -> Study | None:
    """The split of the recent rise; None where a side has too few rows.

    Cost: 0.6 CPU seconds for 10,000 rows of 20 features on each side, beside reading them.
    """
    now, (healthy, counts) = recent.outcomes, healthy_outcomes(recent)
    if len(now) < ENOUGH_ROWS or len(healthy) < ENOUGH_ROWS:
        return None
    split = split_rise(_rows(recent, healthy), _rows(recent, now))
    share, relation_sure, inputs_sure = _shares(split)
    evidence = {
        "loss": recent.loss.words,
        "unit": recent.loss.unit,
        "version": recent.version.id,
        "slice": recent.slice,
        "window": duration_text(recent.over),
        "n_now": len(now),
        **counts,
        **{name: _plain(getattr(split, name)) for name in _INTERVALS},
        "relation_share": round(share, 4),
        "separability": round(split.weights.separability, 4),
        "n_effective": round(split.weights.n_effective, 1),
        "covered_ratio": round(split.weights.covered_ratio, 4),
        "bias": _bias(healthy, now),
        "slices": _by_slice(recent, healthy, now),
        "features": _moved(recent, now),
    }
    return Study(split, share, relation_sure, inputs_sure, evidence)


_INTERVALS = ("healthy", "current", "expected", "rise", "by_inputs", "by_relation", "like_for_like")


def _rows(recent: Recent, outcomes: Outcomes) -> LossRows:
    loss = recent.loss(outcomes.y, outcomes.prediction)
    return LossRows(outcomes.x, loss, outcomes.day if len(np.unique(outcomes.day)) >= _MIN_DAYS else None)


def _shares(split: RiseSplit) -> tuple[float, bool, bool]:
    """The relation's share of the rise, and which of both parts is there for sure."""
    rise = max(split.rise.value, 1e-12)
    if split.weights.enough:
        share = float(np.clip(split.by_relation.value / rise, 0.0, 1.0))
        return share, split.by_relation.low > 0.0, split.by_inputs.low > 0.0
    # The inputs went where no healthy row has been: only where both have been can like be compared with like.
    if not np.isfinite(split.like_for_like.low):
        return _NOTHING_COMMON, False, False
    share = float(np.clip(split.like_for_like.value / rise, 0.0, 1.0))
    return share, split.like_for_like.low > 0.0, split.like_for_like.low <= 0.0


def _bias(healthy: Outcomes, now: Outcomes) -> Mapping[str, float]:
    """Is it one-sided? The mean and the spread of prediction less label, healthy and now."""
    before, after = healthy.prediction - healthy.y, now.prediction - now.y
    figures = {
        "mean_healthy": float(before.mean()),
        "mean_now": float(after.mean()),
        "spread_healthy": float(before.std()),
        "spread_now": float(after.std()),
    }
    return {name: round(value, 6) for name, value in figures.items()}


def _by_slice(recent: Recent, healthy: Outcomes, now: Outcomes) -> list[Mapping[str, Any]]:
    """Where the error rose most, among the model's slices."""
    before, after = recent.loss(healthy.y, healthy.prediction), recent.loss(now.y, now.prediction)
    rises: list[Mapping[str, Any]] = []
    for field in sorted(set(healthy.slices) & set(now.slices)):
        for value in sorted(set(now.slices[field].tolist())):
            was, is_now = healthy.slices[field] == value, now.slices[field] == value
            if was.any():
                pair = round(float(before[was].mean()), 6), round(float(after[is_now].mean()), 6)
                rises.append(
                    {"slice": f"{field}={value}", "healthy": pair[0], "now": pair[1], "n_now": int(is_now.sum())}
                )
    return sorted(rises, key=lambda rise: (rise["healthy"] - rise["now"], rise["slice"]))[:_SHOWN]


def _moved(recent: Recent, now: Outcomes) -> list[Mapping[str, Any]]:
    """The features that moved most from what the version learned on."""
    current = build_profile(now.x, recent.names, reference=recent.profile)
    ranked = drift_by_feature(recent.profile, current)[:_SHOWN]
    return [
        {"feature": drift.feature, "psi": round(drift.psi, 4), "psi_low": round(drift.psi_low, 4)} for drift in ranked
    ]


class ConceptDrift:
    """The relation of inputs and label moved: the error rose more than the inputs explain."""

    name = CONCEPT_DRIFT

    def __init__(self, recents: Recents) -> None:
        self._recents = recents

    def weigh(self, place: Workplace, asset: Watched, findings: Sequence[Finding], now: datetime) -> RankedCause | None:
        """Up to 0.8, by the share of the rise that the relation has; None where nothing rose."""
        found = _found(self._recents, place, asset, findings, now)
        if found is None:
            return None
        weight = _weight(found, found.relation_share, found.relation_sure)
        return _ranked(self.name, weight, found, _concept_text(found))


class DataDrift:
    """The inputs moved to where the model was never as good: that explains the rise of the error."""

    name = DATA_DRIFT

    def __init__(self, recents: Recents) -> None:
        self._recents = recents

    def weigh(self, place: Workplace, asset: Watched, findings: Sequence[Finding], now: datetime) -> RankedCause | None:
        """Up to 0.8, by the share of the rise that the inputs have; None where nothing rose."""
        found = _found(self._recents, place, asset, findings, now)
        if found is None:
            return None
        weight = _weight(found, 1.0 - found.relation_share, found.inputs_sure)
        return _ranked(self.name, weight, found, _data_text(found))


def _found(
    recents: Recents, place: Workplace, asset: Watched, findings: Sequence[Finding], now: datetime
) -> Study | None:
    """The study, where the error rose: for sure, or at all where an objective on it is broken."""
    recent = recents.of(place, asset, findings, now)
    found = None if recent is None else study(recent)
    if found is None:
        return None
    broken = any(
        finding.state is State.BROKEN and (is_error(finding) or signal_of(finding.reading.signal).startswith("drift"))
        for finding in findings
    )
    rose = found.split.rise.low > 0.0 or (broken and found.split.rise.value > 0.0)
    return found if rose else None


def _weight(found: Study, share: float, sure: bool) -> float:
    if not found.known_inputs:
        return round(_WEAK * (0.6 + 0.4 * share if sure else 0.5 * share), 4)
    if sure:
        return round(HEAVIEST * (0.5 + 0.5 * share), 4)
    return round(_UNSURE * share, 4)


def _ranked(name: str, weight: float, found: Study, text: str) -> RankedCause | None:
    return RankedCause(name, weight, found.evidence, text) if weight > 0.0 else None


def _concept_text(found: Study) -> str:
    split, unit = found.split, found.evidence["unit"]
    how = "for sure" if found.relation_sure else "not for sure"
    if found.known_inputs:
        return (
            f"The {found.evidence['loss']} is {_value(split.current)} {unit}; with these inputs it was "
            f"{_value(split.expected)} while all was healthy. {_signed(split.by_relation)} of the rise is the "
            f"relation's, {how}{_bias_text(found)}."
        )
    if not np.isfinite(split.like_for_like.low):
        return f"{_far(found)} Nothing tells whether the relation moved as well."
    return (
        f"{_far(found)} Where both have been, the {found.evidence['loss']} rose by {_signed(split.like_for_like)} "
        f"{unit}: that the relation moved is {'likelier' if found.relation_sure else 'the less likely reading'}."
    )


def _data_text(found: Study) -> str:
    split, unit = found.split, found.evidence["unit"]
    moved = ", ".join(f"{each['feature']} (PSI {each['psi']:.2f})" for each in found.evidence["features"][:3])
    if found.known_inputs:
        how = "for sure" if found.inputs_sure else "not for sure"
        return (
            f"The move of the inputs explains {_signed(split.by_inputs)} of a rise of {_signed(split.rise)} {unit} "
            f"in the {found.evidence['loss']}, {how}. Most moved: {moved}."
        )
    likelier = "the less likely reading" if found.relation_sure else "likelier"
    return f"{_far(found)} That the inputs alone are the reason is {likelier}. Most moved: {moved}."


def _far(found: Study) -> str:
    weights = found.split.weights
    return (
        f"The inputs moved out of what is known: healthy rows are worth {weights.n_effective:.0f} rows there, and "
        f"{1.0 - weights.covered_ratio:.0%} of the present rows lie where none has been."
    )


def _bias_text(found: Study) -> str:
    bias = found.evidence["bias"]
    return f"; predictions less labels went from {bias['mean_healthy']:.3g} to {bias['mean_now']:.3g} on average"


def _value(interval: Interval) -> str:
    return f"{interval.value:.3g} ({interval.low:.3g} to {interval.high:.3g})"


def _signed(interval: Interval) -> str:
    return f"{interval.value:+.3g} ({interval.low:+.3g} to {interval.high:+.3g})"


def _plain(interval: Interval) -> list[float] | None:
    """Value, low and high; None where nothing bounds it."""
    figures = [interval.value, interval.low, interval.high]
    return [round(figure, 6) for figure in figures] if np.isfinite(figures).all() else None
