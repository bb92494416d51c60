"""A figure made by a judge, corrected by the labels that people gave to some of its cases; or refused.

Called wherever a judge's figure is shown: reports, objectives, gates. A judge that is right 85% of the time turns a true
90% into 78%; no number of judged cases mends that. Three ways, in this order:

- the judge tells nothing: refused (`agreement.usable_by`), and the labels alone are told;
- labels were drawn from the very traffic that is judged: prediction-powered inference (PPI++), which trusts the judge as
  far as it deserves, so it is never worse than the labels alone;
- labels are from elsewhere (an older window, balanced by hand): Rogan and Gladen's estimate, which needs the judge's
  errors to be the same there: check that by `kept_errors` on fresh labels.

What surprised us: the textbook intervals of both are too short. PPI++ with a normal quantile covers 94% at 50 labels and
far less at rare truths: here it is Wilson's interval at the effective number of labels. Rogan and Gladen's by the delta
method covers 81% at worst: here it is adjusted as Lang and Reiczigel do. And a judge that erred on none of a few
labels has a variance of none: at 10 labels its interval held the truth 66% of the time, until errors not seen were
counted too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from perdure.core.errors import DeclarationError
from perdure.core.stats.agreement import (
    FEWEST_LABELS,
    Usable,
    agreement,
    usable_by,
)
from perdure.core.stats.clustered import clustered_interval
from perdure.core.stats.distributions import normal_quantile, t_quantile
from perdure.core.stats.elsewhere import rogan_gladen
from perdure.core.stats.intervals import Interval
from perdure.core.stats.shares import clustered_share, effective_share, units_of

Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.integer[Any]]
Method = Literal["ppi++", "rogan-gladen", "labels", "refused"]
Kind = Literal["share", "mean"]

CONFIDENCE = 0.95
_ERRORS_SEEN = 4.0
"""Squared errors among the labels from which their spread speaks for itself; one unseen is counted below. Ours."""


@dataclass(frozen=True, slots=True)
class Corrected:
    """A judge's figure, raw and corrected; both are always shown."""

    raw: Interval
    """What the judge says of all judged cases, its errors left in."""
    corrected: Interval | None
    """None where the judge is refused or the labels are too few: then no figure of it is used."""
    method: Method
    text: str
    n_labels: int
    n_judged: int
    """Cases judged without a label."""


@dataclass(frozen=True, slots=True)
class PowerTuned:
    """The PPI++ estimate."""

    value: float
    variance: float
    trust: float
    """λ, how far the judge is trusted: 0 is the labels alone, 1 plain PPI."""
    df: int
    errors: float = math.inf
    """Squared errors Σ(e - ē)² that were seen, in labels that are worth one each."""
    units: float = math.inf
    """How many equal and independent ones the labels are worth."""


def correct(
    labels: Floats,
    judged_of_labelled: Floats,
    judged: Floats,
    *,
    clusters: Ints | None = None,
    shifted: bool = False,
    kind: Kind = "share",
) -> Corrected:
    """A judge's share of good answers, or its mean, corrected by people's labels.

    Args:
        labels: shape (n,), by people: 0 or 1 for a share, any score for a mean. For a comparison of two versions give
            the differences of both, `kind="mean"`.
        judged_of_labelled: shape (n,), what the judge says of the same cases; of a share 0 to 1, ½ a tie.
        judged: shape (N,), what it says of *other* cases: those with a label must not be among them.
        clusters: shape (n + N,), a number each, labelled cases first; or (n,), of those alone.
        shifted: labels were drawn elsewhere than the judged cases.
        kind: of the figure.

    Raises:
        DeclarationError: lengths differ, a value is not finite, or not within 0 to 1 for a share.

    Cost: O(n + N).
    Source: A. Angelopoulos, J. Duchi, T. Zrnic, arXiv 2311.01453 (2023); Z. Lang, J. Reiczigel, Preventive Veterinary
    Medicine 113 (2014). Simulated coverage in docs/evals-statistics.md.

    >>> rng = np.random.default_rng(0)
    >>> truth = (rng.random(1_000) < 0.7).astype(float)
    >>> judged = np.where(rng.random(1_000) < 0.85, truth, 1.0 - truth)
    >>> correct(truth[:100], judged[:100], judged[100:]).text
    '64.8% (95% 57.4% to 71.6%) by 100 labels and 900 judged cases; the judge alone says 63.5%'
    """
    return _corrected(_Study(labels, judged_of_labelled, judged, clusters, None, kind), shifted)


def correct_drawn(
    labels: Floats,
    judged_of_labelled: Floats,
    judged: Floats,
    weights: Floats,
    *,
    clusters: Ints | None = None,
    shifted: bool = False,
) -> Corrected:
    """As `correct`, of a share, where labelled cases were drawn with unequal probabilities.

    Args:
        labels: shape (n,), 0 or 1.
        judged_of_labelled: shape (n,).
        judged: shape (N,), of every case that the figure is of. Those with a label stay among them (what was not drawn is
            not like the rest), and have the same number in `clusters` there as here.
        weights: shape (n,), one over the probability with which each labelled case was drawn, above 0.
        clusters: as of `correct`.
        shifted: labels were drawn elsewhere than the judged cases.

    Raises:
        DeclarationError: as `correct`, or a weight is not above 0.

    Source: C. Särndal, B. Swensson, J. Wretman, Model Assisted Survey Sampling (1992), 6.3, with λ of PPI++; T. Zrnic, E.
    Candès, arXiv 2403.03208 (2024). Simulated coverage in docs/evals-statistics.md.

    >>> rng = np.random.default_rng(0)
    >>> truth = (rng.random(1_000) < 0.7).astype(float)
    >>> judged = np.where(rng.random(1_000) < 0.85, truth, 1.0 - truth)
    >>> chance = np.where(judged == 1.0, 0.05, 0.3)
    >>> at = np.flatnonzero(rng.random(1_000) < chance)
    >>> same = np.concatenate([at, np.arange(1_000)])
    >>> correct_drawn(truth[at], judged[at], judged, 1.0 / chance[at], clusters=same).text
    '67.7% (95% 60.0% to 74.6%) by 143 labels and 1,000 judged cases; the judge alone says 63.5%'
    """
    return _corrected(_Study(labels, judged_of_labelled, judged, clusters, weights, "share"), shifted)


@dataclass(frozen=True, slots=True, eq=False)
class _Study:
    """What a figure is corrected from."""

    labels: Floats
    own: Floats
    judged: Floats
    clusters: Ints | None
    weights: Floats | None
    kind: Kind


def _corrected(of: _Study, shifted: bool) -> Corrected:
    _check(of)
    n, n_others, kind, weights = len(of.labels), len(of.judged), of.kind, of.weights
    of_labelled, of_all = _clusters(of.clusters, n, n_others)
    if n_others and (shifted or weights is not None):
        # What was labelled elsewhere is no part of what is asked about; what was drawn is among it already.
        raw = _plain(of.judged, None if of_all is None else of_all[n:], kind)
    else:
        raw = _plain(np.concatenate([of.own, of.judged]), of_all, kind, weights)
    usable, told = _trusted(of, of_labelled)
    if usable == "refused" or (shifted and kind == "mean"):
        if usable != "refused":
            told = "A mean cannot be corrected by labels drawn elsewhere: label cases of this traffic."
        if n >= FEWEST_LABELS and not shifted:
            told = f"{told} The labels alone say {_told(_plain(of.labels, of_labelled, kind, weights), kind)}."
        return Corrected(raw, None, "refused", told, n, n_others)
    if not shifted and n_others == 0:
        alone = _plain(of.labels, of_labelled, kind, weights)
        return Corrected(raw, alone, "labels", f"{_told(alone, kind)} by {n:,} labels alone", n, 0)
    method: Method = "rogan-gladen" if shifted else "ppi++"
    if shifted:
        found = rogan_gladen(of.judged if n_others else of.own, of.labels, of.own, weights=weights)
    else:
        found = _interval(power_tuned(of.labels, of.own, of.judged, weights=weights, clusters=of_all), n, kind)
    by = f"by {n:,} labels {'drawn elsewhere ' if shifted else ''}and {n_others:,} judged cases"
    weak = "; the judge is weak: label more" if usable == "weak" else ""
    text = f"{_told(found, kind)} {by}; the judge alone says {_figure(raw.value, kind)}{weak}"
    return Corrected(raw, found, method, text, n, n_others)


def power_tuned(
    labels: Floats,
    judged_of_labelled: Floats,
    judged: Floats,
    *,
    weights: Floats | None = None,
    clusters: Ints | None = None,
    trust: float | None = None,
) -> PowerTuned:
    """The PPI++ estimate of a mean: λ mean_N(f) + mean_n(y - λ f), with the λ that makes it surest.

    λ = Cov_n(y, f) / ((1 + n/N) Var(f)), within 0 to 1; Var = λ² Var_N(f)/N + Σ(e - ē)²/((n - 2) n), e = y - λ f. Over
    clusters each one's parts of both means are summed first (CR1). With weights mean_n is Hájek's Σw(y - λf)/Σw, its
    variance Σw²(e - ē)²/(Σw)² · m/(m - 2) of the m labels that they are worth, and λ = Σw²(y - ȳ)(f - f̄) / (Σw²(f -
    f̄)² + (Σw)² Var_N(f)/N).

    Args:
        labels: shape (n,).
        judged_of_labelled: shape (n,).
        judged: shape (N,), of other cases, N >= 1.
        weights: shape (n,), one over the probability with which each was drawn.
        clusters: shape (n + N,), labelled cases first; one that is in both has the same number twice.
        trust: λ, where it was fixed before.

    >>> power_tuned(np.array([1.0, 0.0, 1.0, 1.0]), np.ones(4), np.ones(9)).value
    0.75
    """
    n, n_others = len(labels), len(judged)
    weight = np.ones(n) if weights is None else np.asarray(weights, dtype=np.float64)
    if trust is None:
        trust = _best_trust(labels, judged_of_labelled, judged, weights)
    errors = labels - trust * judged_of_labelled
    mean = float(np.average(errors, weights=weight))
    value = trust * float(judged.mean()) + mean
    parts = weight * (errors - mean) / float(weight.sum())
    member = np.arange(n) if clusters is None else np.unique(clusters, return_inverse=True)[1]
    units = units_of(n, member[:n], weights)
    seen = float(np.square(np.bincount(member[:n], weights=parts)).sum())
    stretched = units / max(1.0, units - 2.0)
    if clusters is None:
        spread = float(judged.var(ddof=1)) if n_others > 1 else 0.0
        variance = trust**2 * spread / n_others + seen * stretched
    else:
        both = np.concatenate([parts, trust * (judged - judged.mean()) / n_others])
        variance = float(np.square(np.bincount(member, weights=both)).sum()) * stretched
    return PowerTuned(value, variance, trust, max(1, math.floor(units + 1e-9) - 2), seen * units**2, units)


def _best_trust(labels: Floats, judged_of_labelled: Floats, judged: Floats, weights: Floats | None) -> float:
    n, n_others = len(labels), len(judged)
    if weights is not None:
        own = judged_of_labelled - np.average(judged_of_labelled, weights=weights)
        people = labels - np.average(labels, weights=weights)
        squares, others = np.square(weights), float(np.square(weights.sum())) * float(judged.var()) / n_others
        spread = float((squares * np.square(own)).sum()) + others
        return min(1.0, max(0.0, float((squares * people * own).sum()) / spread)) if spread > 0.0 else 0.0
    spread = float(np.concatenate([judged_of_labelled, judged]).var(ddof=1))
    if spread <= 0.0:
        return 0.0
    together = float(((labels - labels.mean()) * (judged_of_labelled - judged_of_labelled.mean())).sum()) / (n - 1)
    return min(1.0, max(0.0, together / ((1.0 + n / n_others) * spread)))


def panel(labels: Floats, judged_of_labelled: Floats, judged: Floats, *, n_folds: int = 5) -> tuple[Floats, Floats]:
    """One judge out of several: labels regressed on all their verdicts, each case by a fit that did not see it.

    Args:
        labels: shape (n,).
        judged_of_labelled: shape (n, k), of k judges.
        judged: shape (N, k), of other cases.
        n_folds: of the cross-fitting.

    Returns: the combined verdicts, shapes (n,) and (N,), for `correct(..., kind="mean")` or `power_tuned`.

    >>> verdicts = np.random.default_rng(0).random((50, 2))
    >>> of_labelled, others = panel(verdicts @ [0.5, 0.5], verdicts, verdicts[:7])
    >>> of_labelled.shape, others.shape
    ((50,), (7,))
    """
    fold = np.arange(len(labels)) % n_folds
    design = np.column_stack([np.ones(len(labels)), judged_of_labelled])
    other = np.column_stack([np.ones(len(judged)), judged])
    own, others = np.empty(len(labels)), np.zeros(len(judged))
    for each in range(n_folds):
        weights = np.linalg.lstsq(design[fold != each], labels[fold != each], rcond=None)[0]
        own[fold == each] = design[fold == each] @ weights
        others += other @ weights / n_folds
    return own, others


def _check(of: _Study) -> None:
    labels, judged_of_labelled, judged, kind, weights = of.labels, of.own, of.judged, of.kind, of.weights
    if np.shape(labels) != np.shape(judged_of_labelled):
        raise DeclarationError(
            f"{len(labels)} labels and {len(judged_of_labelled)} verdicts on them do not pair.", hint="Give one each."
        )
    for values in (labels, judged_of_labelled, judged):
        if not np.isfinite(values).all():
            raise DeclarationError(
                "A label or verdict is not finite.", hint="Leave out what was not parsed, and count it."
            )
        if kind == "share" and not ((values >= 0.0) & (values <= 1.0)).all():
            raise DeclarationError("A share's verdicts lie within 0 and 1.", hint="Use kind='mean' for other scores.")
    if weights is not None and (np.shape(weights) != np.shape(labels) or not (np.asarray(weights) > 0.0).all()):
        raise DeclarationError("Each label weighs more than 0.", hint="Give one over the probability of each case.")
    if len(labels) + len(judged) == 0:
        raise DeclarationError("Nothing was judged.", hint="Give a label or a verdict.")


def _clusters(clusters: Ints | None, n: int, n_others: int) -> tuple[Ints | None, Ints | None]:
    """Of the labelled cases, and of all."""
    if clusters is None:
        return None, None
    if len(clusters) == n + n_others:
        return clusters[:n], clusters
    if len(clusters) != n:
        raise DeclarationError(
            f"{len(clusters)} cluster numbers fit neither {n} labelled nor {n + n_others} cases.", hint="Give one each."
        )
    above = int(clusters.max()) + 1 if n else 0
    return clusters, np.concatenate([clusters, np.arange(above, above + n_others)])


def _trusted(of: _Study, clusters: Ints | None) -> tuple[Usable, str]:
    """Whether the judge may be used, and what is said where not."""
    labels, judged, weights = of.labels, of.own, of.weights
    n = len(labels)
    if n < FEWEST_LABELS:
        return "refused", f"{n} labels are too few to trust this judge: its figures are not used."
    if of.kind == "share":
        found = agreement(labels, judged, clusters, weights=weights)
        return found.informs, found.text
    apart = [each - np.average(each, weights=weights) for each in (labels, judged)]
    spread = math.sqrt(math.prod(float(np.average(np.square(each), weights=weights)) for each in apart))
    value = float(np.average(apart[0] * apart[1], weights=weights)) / spread if spread > 0.0 else 0.0
    units = units_of(n, clusters, weights)
    far, half = math.atanh(min(max(value, -0.999999), 0.999999)), normal_quantile(0.95) / math.sqrt(max(units - 3, 1))
    low, high = math.tanh(far - half), math.tanh(far + half)
    told = f"correlation {value:.2f}, 90% {low:.2f} to {high:.2f}, on {n} labels"
    text = f"This judge's scores hardly follow people's ({told}): its figures are not used."
    return usable_by(Interval(value, low, high, n), low, n), text


def _plain(values: Floats, clusters: Ints | None, kind: Kind, weights: Floats | None = None) -> Interval:
    if kind == "share":
        return clustered_share(values, clusters, weights=weights, confidence=CONFIDENCE)
    if len(values) < 2 or (clusters is not None and len(np.unique(clusters)) < 2):
        return Interval(float(values.mean()), -math.inf, math.inf, len(values))
    return clustered_interval(values, clusters, weights=weights, confidence=CONFIDENCE)


def _interval(found: PowerTuned, n: int, kind: Kind) -> Interval:
    if kind == "share":
        unseen = max(0.0, 1.0 - found.errors / _ERRORS_SEEN) / (max(1.0, found.units - 2.0) * found.units)
        return effective_share(found.value, found.variance + unseen, n, found.df, confidence=CONFIDENCE)
    half = t_quantile(0.5 + CONFIDENCE / 2.0, found.df) * math.sqrt(found.variance)
    return Interval(found.value, found.value - half, found.value + half, n)


def _told(interval: Interval, kind: Kind) -> str:
    value, low, high = (_figure(each, kind) for each in (interval.value, interval.low, interval.high))
    return f"{value} ({CONFIDENCE:.0%} {low} to {high})"


def _figure(value: float, kind: Kind) -> str:
    return f"{value:.1%}" if kind == "share" else f"{value:.3g}"
