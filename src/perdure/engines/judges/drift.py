"""Whether a judge still says what it said: the same cases judged again, and fresh labels beside those of the calibration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from perdure.core.stats.clustered import clustered_interval, mcnemar
from perdure.core.stats.intervals import Interval, proportion_interval
from perdure.engines.judges.anchors import Labelled
from perdure.engines.judges.calibration import paired
from perdure.engines.judges.deciding import Judgement
from perdure.engines.judges.scales import side_of

FEWEST_CLUSTERS = 10
"""Below, nothing is said of which of two judges tells more. Ours."""


@dataclass(frozen=True, slots=True)
class Shift:
    """The anchor judged again."""

    flips: Interval
    """Share of cases on another side than before; an opinion that is gone is another side."""
    n_kinder: int
    n_stricter: int
    p: float
    """Of kinder and stricter flips being as frequent (McNemar, exact): small where it moved one way."""
    models_before: tuple[str, ...]
    models_now: tuple[str, ...]

    @property
    def renamed(self) -> bool:
        """Whether another model answered than before."""
        return bool(self.models_before and self.models_now) and not set(self.models_now) <= set(self.models_before)


def shift_of(before: Mapping[str, Judgement], now: Mapping[str, Judgement], confidence: float) -> Shift | None:
    """What changed between two judgings; None where they share no case that was judged before."""
    cases = [case for case in now if case in before and before[case].value is not None]
    if not cases:
        return None
    then = [_side(before[case]) for case in cases]
    later = [_side(now[case]) for case in cases]
    n_flips = sum(one != other for one, other in zip(then, later, strict=True))
    n_kinder = sum(0 <= one < other for one, other in zip(then, later, strict=True))
    n_stricter = sum(one > other >= 0 for one, other in zip(then, later, strict=True))
    return Shift(
        proportion_interval(n_flips, len(cases), confidence=confidence),
        n_kinder,
        n_stricter,
        mcnemar(n_kinder, n_stricter),
        *(tuple(sorted({model for case in cases for model in each[case].models})) for each in (before, now)),
    )


def _side(judgement: Judgement) -> float:
    return -1.0 if judgement.value is None else side_of(judgement.value)


@dataclass(frozen=True, slots=True)
class Told:
    """How much more one judge tells than another, on the same cases."""

    n: int
    n_clusters: int
    first: float
    """Informedness of the first."""
    second: float
    difference: Interval | None
    """First less second, paired; None: too few clusters, or a class is missing."""


def tells_more(
    labelled: Sequence[Labelled],
    first: Mapping[str, Judgement],
    second: Mapping[str, Judgement],
    confidence: float,
) -> Told:
    """The difference of two judges' informedness on cases that both judged, paired and by clusters.

    Sensitivity and specificity weigh alike, so each case's gain is weighed by one over its class's size: the sum of both
    classes' mean gains is the difference of the informedness. Cases that were drawn weigh one over their probability.
    """
    both = [each for each in labelled if each.case.id in first and each.case.id in second]
    found, others = paired(both, first), paired(both, second)
    labels, one, other, clusters = found.labels, found.judged, others.judged, found.clusters
    good = labels == 1.0
    n_clusters = len(set(clusters.tolist()))
    if not len(labels) or good.all() or not good.any():
        return Told(len(labels), n_clusters, 0.0, 0.0, None)
    drawn = np.ones(len(labels)) if found.weights is None else found.weights
    share = np.where(good, drawn / drawn[good].sum(), drawn / drawn[~good].sum())
    values = [float((each * share)[good].sum() - (each * share)[~good].sum()) for each in (one, other)]
    if n_clusters < FEWEST_CLUSTERS:
        return Told(len(labels), n_clusters, values[0], values[1], None)
    gains = (one - other) * np.where(good, 1.0, -1.0) * share * len(labels)
    difference = clustered_interval(gains, clusters, confidence=confidence, within=(-2.0, 2.0))
    return Told(len(labels), n_clusters, values[0], values[1], difference)
