"""Labels drawn elsewhere than what is judged: the share behind a judge's, and whether that may be asked at all.

Called by `corrected` where labels are of an older window or were balanced by hand, and by whoever decides that they are.
Everything here rests on the judge making the same errors there and here; `kept_errors` sees on fresh labels if not.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perdure.core.errors import DeclarationError
from perdure.core.stats.distributions import chi2_tail, normal_quantile
from perdure.core.stats.intervals import Interval
from perdure.core.stats.shares import units_of
from perdure.core.stats.tails import fisher_exact

Floats = NDArray[np.floating[Any]]


def rogan_gladen(
    judged: Floats,
    labels: Floats,
    judged_of_labelled: Floats,
    *,
    weights: Floats | None = None,
    confidence: float = 0.95,
) -> Interval:
    """The true share behind a judged one, from the judge's sensitivity and specificity on labels drawn elsewhere.

    θ = (p + c - 1) / (s + c - 1), with Lang and Reiczigel's adjustment of p, s and c and their shift of the centre.

    Args:
        judged: shape (N,), 0 to 1, of the traffic asked about.
        labels: shape (n,), 0 or 1, of both classes.
        judged_of_labelled: shape (n,).
        weights: shape (n,), one over the probability with which each label was drawn; None: all alike. A class then
            counts as many labels as Kish's number.
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
    n_good, says_good = _class(judged_of_labelled, good, weights)
    n_bad, says_bad = _class(judged_of_labelled, ~good, weights)
    n, m_good, m_bad = len(judged) + z * z, n_good + 2.0, n_bad + 2.0
    seen = (float(judged.sum()) + z * z / 2.0) / n
    sense = (says_good * n_good + 1.0) / m_good
    reject = ((1.0 - says_bad) * n_bad + 1.0) / m_bad
    power = sense + reject - 1.0
    if power <= 0.0:
        raise DeclarationError("A judge no better than a coin cannot be corrected.", hint="Calibrate or switch it.")
    value = (seen + reject - 1.0) / power
    of_sense, of_reject = sense * (1.0 - sense) / m_good, reject * (1.0 - reject) / m_bad
    shift = 2.0 * z * z * (value * of_sense - (1.0 - value) * of_reject)
    error = math.sqrt(seen * (1.0 - seen) / n + value**2 * of_sense + (1.0 - value) ** 2 * of_reject) / power
    plain = (float(judged.mean()) - says_bad) / (says_good - says_bad) if says_good > says_bad else value
    low, high = (min(1.0, max(0.0, value + shift + side * z * error)) for side in (-1.0, 1.0))
    return Interval(min(max(plain, low), high), low, high, len(labels))


def _class(judged: Floats, chosen: NDArray[np.bool_], weights: Floats | None) -> tuple[float, float]:
    """How many labels a class is worth, and what share of it the judge calls good."""
    picked = None if weights is None else weights[chosen]
    return units_of(int(chosen.sum()), weights=picked), float(np.average(judged[chosen], weights=picked))


def shift_p(judged_then: Floats, judged_now: Floats, weights: Floats | None = None) -> float:
    """The p-value that a judge calls the labelled cases and the traffic alike: small means `shifted=True`.

    Pearson's chi-squared over the outcomes that occur; weighted shares count as many labels as Kish's number (J. Rao, A.
    Scott, JASA 76 (1981), with one design effect for all). Labels drawn from the traffic need no such test.

    >>> round(shift_p(np.repeat([1.0, 0.0], [50, 50]), np.repeat([1.0, 0.0], [300, 100])), 6)
    1e-06
    """
    outcomes, member = np.unique(np.concatenate([judged_then, judged_now]), return_inverse=True)
    if len(outcomes) < 2:
        return 1.0
    k, n = len(outcomes), len(judged_then)
    then = np.bincount(member[:n], weights=weights, minlength=k).astype(np.float64)
    then *= units_of(n, weights=weights) / then.sum()
    seen = np.array([then, np.bincount(member[n:], minlength=k)])
    expected = np.outer(seen.sum(axis=1), seen.sum(axis=0)) / seen.sum()
    return chi2_tail(float(((seen - expected) ** 2 / expected).sum()), k - 1)


def kept_errors(
    labels: Floats,
    judged: Floats,
    fresh_labels: Floats,
    fresh_judged: Floats,
    *,
    weights: Floats | None = None,
    fresh_weights: Floats | None = None,
) -> float:
    """The p-value that a judge errs on fresh cases as it did on its anchor: what Rogan and Gladen's estimate rests on.

    Fisher's exact test on each class, the smaller p doubled. Needs 20 fresh labels to say anything. Weighted shares
    count as many labels as Kish's number, down to a whole one.

    >>> truth = np.repeat([1.0, 0.0], 20)
    >>> kept_errors(truth, truth, truth, 1.0 - truth) < 0.001
    True
    """
    found = []
    for label in (0.0, 1.0):
        then = _counts(judged, labels == label, weights)
        found.append(fisher_exact(*then, *_counts(fresh_judged, fresh_labels == label, fresh_weights)))
    return min(1.0, 2.0 * min(found))


def _counts(judged: Floats, chosen: NDArray[np.bool_], weights: Floats | None) -> tuple[int, int]:
    """Called good, and not, of a class."""
    if not chosen.any():
        return 0, 0
    n, share = _class((judged >= 0.5).astype(np.float64), chosen, weights)
    whole = math.floor(n + 1e-9)
    n_good = round(share * whole)
    return n_good, whole - n_good
