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
method covers 81% at worst: here it is adjusted as Lang and Reiczigel do.
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
from perdure.core.stats.distributions import chi2_tail, normal_quantile, t_quantile
from perdure.core.stats.intervals import Interval
from perdure.core.stats.shares import clustered_share, effective_share
from perdure.core.stats.tails import fisher_exact

Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.integer[Any]]
Method = Literal["ppi++", "rogan-gladen", "labels", "refused"]
Kind = Literal["share", "mean"]

CONFIDENCE = 0.95


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
    _check(labels, judged_of_labelled, judged, kind)
    n, n_others = len(labels), len(judged)
    of_labelled, of_all = _clusters(clusters, n, n_others)
    everything = np.concatenate([judged_of_labelled, judged])
    if shifted and n_others:
        # What was labelled elsewhere is no part of what is asked about.
        raw = _plain(judged, None if of_all is None else of_all[n:], kind)
    else:
        raw = _plain(everything, of_all, kind)
    usable, told = _trusted(labels, judged_of_labelled, of_labelled, kind)
    if usable == "refused" or (shifted and kind == "mean"):
        if usable != "refused":
            told = "A mean cannot be corrected by labels drawn elsewhere: label cases of this traffic."
        if n >= FEWEST_LABELS and not shifted:
            told = f"{told} The labels alone say {_told(_plain(labels, of_labelled, kind), kind)}."
        return Corrected(raw, None, "refused", told, n, n_others)
    if not shifted and n_others == 0:
        alone = _plain(labels, of_labelled, kind)
        return Corrected(raw, alone, "labels", f"{_told(alone, kind)} by {n:,} labels alone", n, 0)
    method: Method = "rogan-gladen" if shifted else "ppi++"
    if shifted:
        found = rogan_gladen(judged if n_others else judged_of_labelled, labels, judged_of_labelled)
    else:
        tuned = power_tuned(labels, judged_of_labelled, judged, clusters=of_all)
        found = _interval(tuned, n, kind)
    by = f"by {n:,} labels {'drawn elsewhere ' if shifted else ''}and {n_others:,} judged cases"
    weak = "; the judge is weak: label more" if usable == "weak" else ""
    text = f"{_told(found, kind)} {by}; the judge alone says {_figure(raw.value, kind)}{weak}"
    return Corrected(raw, found, method, text, n, n_others)


def power_tuned(
    labels: Floats,
    judged_of_labelled: Floats,
    judged: Floats,
    *,
    clusters: Ints | None = None,
    trust: float | None = None,
) -> PowerTuned:
    """The PPI++ estimate of a mean: λ mean_N(f) + mean_n(y - λ f), with the λ that makes it surest.

    λ = Cov_n(y, f) / ((1 + n/N) Var(f)), within 0 to 1; Var = λ² Var_N(f)/N + Σ(e - ē)²/((n - 2) n), e = y - λ f. Over
    clusters each one's parts of both means are summed first (CR1).

    Args:
        labels: shape (n,).
        judged_of_labelled: shape (n,).
        judged: shape (N,), of other cases, N >= 1.
        clusters: shape (n + N,), labelled cases first.
        trust: λ, where it was fixed before.

    >>> power_tuned(np.array([1.0, 0.0, 1.0, 1.0]), np.ones(4), np.ones(9)).value
    0.75
    """
    n, n_others = len(labels), len(judged)
    if trust is None:
        trust = _best_trust(labels, judged_of_labelled, judged)
    errors = labels - trust * judged_of_labelled
    value = trust * float(judged.mean()) + float(errors.mean())
    if clusters is None:
        spread = float(judged.var(ddof=1)) if n_others > 1 else 0.0
        variance = trust**2 * spread / n_others + float(np.square(errors - errors.mean()).sum()) / ((n - 2) * n)
        return PowerTuned(value, variance, trust, n - 2)
    parts = np.concatenate([(errors - errors.mean()) / n, trust * (judged - judged.mean()) / n_others])
    _, member = np.unique(clusters, return_inverse=True)
    sums = np.bincount(member, weights=parts)
    n_labelled = len(np.unique(member[:n]))
    variance = float(np.square(sums).sum()) * n_labelled / max(1, n_labelled - 2)
    return PowerTuned(value, variance, trust, max(1, n_labelled - 2))


def _best_trust(labels: Floats, judged_of_labelled: Floats, judged: Floats) -> float:
    n, n_others = len(labels), len(judged)
    spread = float(np.concatenate([judged_of_labelled, judged]).var(ddof=1))
    if spread <= 0.0:
        return 0.0
    together = float(((labels - labels.mean()) * (judged_of_labelled - judged_of_labelled.mean())).sum()) / (n - 1)
    return min(1.0, max(0.0, together / ((1.0 + n / n_others) * spread)))


def rogan_gladen(
    judged: Floats, labels: Floats, judged_of_labelled: Floats, *, confidence: float = CONFIDENCE
) -> Interval:
    """The true share behind a judged one, from the judge's sensitivity and specificity on labels drawn elsewhere.

    θ = (p + c - 1) / (s + c - 1), with Lang and Reiczigel's adjustment of p, s and c and their shift of the centre.

    Args:
        judged: shape (N,), 0 to 1, of the traffic asked about.
        labels: shape (n,), 0 or 1, of both classes.
        judged_of_labelled: shape (n,).
        confidence: 0 to 1, exclusive.

    Raises:
        DeclarationError: a class is missing, or the judge is no better than a coin.

    Source: Z. Lang, J. Reiczigel, Preventive Veterinary Medicine 113 (2014). Holds while P(judged | truth) is the same.

    >>> truth = np.repeat([1.0, 0.0], 100)
    >>> judged_then = np.concatenate([np.repeat([1.0, 0.0], [90, 10]), np.repeat([1.0, 0.0], [20, 80])])
    >>> found = rogan_gladen(np.repeat([1.0, 0.0], [550, 450]), truth, judged_then)
    >>> round(found.value, 3), round(found.low, 3), round(found.high, 3)
    (0.5, 0.414, 0.583)
    """
    z = normal_quantile(0.5 + confidence / 2.0)
    good = labels == 1.0
    if good.all() or not good.any():
        raise DeclarationError("Labels of one class do not tell a judge's errors.", hint="Label some of the other.")
    n, m_good, m_bad = len(judged) + z * z, float(good.sum()) + 2.0, float((~good).sum()) + 2.0
    seen = (float(judged.sum()) + z * z / 2.0) / n
    sense = (float(judged_of_labelled[good].sum()) + 1.0) / m_good
    reject = (float((1.0 - judged_of_labelled[~good]).sum()) + 1.0) / m_bad
    power = sense + reject - 1.0
    if power <= 0.0:
        raise DeclarationError("A judge no better than a coin cannot be corrected.", hint="Calibrate or switch it.")
    value = (seen + reject - 1.0) / power
    of_sense, of_reject = sense * (1.0 - sense) / m_good, reject * (1.0 - reject) / m_bad
    shift = 2.0 * z * z * (value * of_sense - (1.0 - value) * of_reject)
    error = math.sqrt(seen * (1.0 - seen) / n + value**2 * of_sense + (1.0 - value) ** 2 * of_reject) / power
    plain = _rogan_gladen_value(judged, good, judged_of_labelled, value)
    low, high = (min(1.0, max(0.0, value + shift + side * z * error)) for side in (-1.0, 1.0))
    return Interval(min(max(plain, low), high), low, high, len(labels))


def _rogan_gladen_value(judged: Floats, good: NDArray[np.bool_], judged_of_labelled: Floats, adjusted: float) -> float:
    sense, miss = float(judged_of_labelled[good].mean()), float(judged_of_labelled[~good].mean())
    return (float(judged.mean()) - miss) / (sense - miss) if sense > miss else adjusted


def shift_p(judged_then: Floats, judged_now: Floats) -> float:
    """The p-value that a judge calls the labelled cases and the traffic alike: small means `shifted=True`.

    Pearson's chi-squared over the outcomes that occur. Labels drawn from the traffic need no such test.

    >>> round(shift_p(np.repeat([1.0, 0.0], [50, 50]), np.repeat([1.0, 0.0], [300, 100])), 6)
    1e-06
    """
    outcomes, member = np.unique(np.concatenate([judged_then, judged_now]), return_inverse=True)
    if len(outcomes) < 2:
        return 1.0
    k, n = len(outcomes), len(judged_then)
    seen = np.array([np.bincount(each, minlength=k) for each in (member[:n], member[n:])], dtype=np.float64)
    expected = np.outer(seen.sum(axis=1), seen.sum(axis=0)) / seen.sum()
    return chi2_tail(float(((seen - expected) ** 2 / expected).sum()), k - 1)


def kept_errors(labels: Floats, judged: Floats, fresh_labels: Floats, fresh_judged: Floats) -> float:
    """The p-value that a judge errs on fresh cases as it did on its anchor: what Rogan and Gladen's estimate rests on.

    Fisher's exact test on each class, the smaller p doubled. Needs 20 fresh labels to say anything.

    >>> truth = np.repeat([1.0, 0.0], 20)
    >>> kept_errors(truth, truth, truth, 1.0 - truth) < 0.001
    True
    """
    found = []
    for label in (0.0, 1.0):
        then, now = judged[labels == label] >= 0.5, fresh_judged[fresh_labels == label] >= 0.5
        found.append(fisher_exact(int(then.sum()), int((~then).sum()), int(now.sum()), int((~now).sum())))
    return min(1.0, 2.0 * min(found))


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


def _check(labels: Floats, judged_of_labelled: Floats, judged: Floats, kind: Kind) -> None:
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


def _trusted(labels: Floats, judged: Floats, clusters: Ints | None, kind: Kind) -> tuple[Usable, str]:
    """Whether the judge may be used, and what is said where not."""
    n = len(labels)
    if n < FEWEST_LABELS:
        return "refused", f"{n} labels are too few to trust this judge: its figures are not used."
    if kind == "share":
        found = agreement(labels, judged, clusters)
        return found.usable, found.text
    spread = float(labels.std()) * float(judged.std())
    value = float(((labels - labels.mean()) * (judged - judged.mean())).mean()) / spread if spread > 0.0 else 0.0
    units = n if clusters is None else len(np.unique(clusters))
    far, half = math.atanh(min(max(value, -0.999999), 0.999999)), normal_quantile(0.95) / math.sqrt(max(units - 3, 1))
    low, high = math.tanh(far - half), math.tanh(far + half)
    told = f"correlation {value:.2f}, 90% {low:.2f} to {high:.2f}, on {n} labels"
    text = f"This judge's scores hardly follow people's ({told}): its figures are not used."
    return usable_by(Interval(value, low, high, n), low, n), text


def _plain(values: Floats, clusters: Ints | None, kind: Kind) -> Interval:
    if kind == "share":
        return clustered_share(values, clusters, confidence=CONFIDENCE)
    if len(values) < 2 or (clusters is not None and len(np.unique(clusters)) < 2):
        return Interval(float(values.mean()), -math.inf, math.inf, len(values))
    return clustered_interval(values, clusters, confidence=CONFIDENCE)


def _interval(found: PowerTuned, n: int, kind: Kind) -> Interval:
    if kind == "share":
        return effective_share(found.value, found.variance, n, found.df, confidence=CONFIDENCE)
    half = t_quantile(0.5 + CONFIDENCE / 2.0, found.df) * math.sqrt(found.variance)
    return Interval(found.value, found.value - half, found.value + half, n)


def _told(interval: Interval, kind: Kind) -> str:
    value, low, high = (_figure(each, kind) for each in (interval.value, interval.low, interval.high))
    return f"{value} ({CONFIDENCE:.0%} {low} to {high})"


def _figure(value: float, kind: Kind) -> str:
    return f"{value:.1%}" if kind == "share" else f"{value:.3g}"
