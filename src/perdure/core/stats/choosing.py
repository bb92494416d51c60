"""Which cases are worth a person's label, and what to do with labels chosen so.

Called by the review queue. Cases where the judge is likely to err are asked more often, each with a known probability
that travels with its label, so the estimate stays unbiased: a label counts for 1/probability.

What surprised us: a poor guess of where the judge errs is worse than none (raw disagreement of a panel saved 30% of the
labels, plain chance 50%, learned uncertainty 55%). So the guess is learned from labels, shrunk, mixed with chance, and
without labels it is chance alone. A case picked by hand has no probability: it goes to the suite, never into the estimate.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perdure.core.errors import DeclarationError
from perdure.core.stats.distributions import t_quantile
from perdure.core.stats.intervals import Interval
from perdure.core.stats.shares import effective_share

Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.integer[Any]]
Bools = NDArray[np.bool_]

LEAST_CHANCE = 0.2
"""Share of labels given out by chance whatever the guess says: bounds the weight of a case. Ours."""
_PSEUDO_LABELS = 10.0


def uncertainty(labels: Floats, guesses: Floats, bins: Ints, bins_of_all: Ints) -> Floats:
    """How far the judge errs in each case's bin: the root of the mean squared error, shrunk to that of all.

    Args:
        labels: shape (n,), of the cases labelled so far; may be empty: then all are alike.
        guesses: shape (n,), the judge's verdicts on them, on people's scale: see `chosen_mean`.
        bins: shape (n,), each one's bin: judge's score by agreement of orders by self-consistency, numbered.
        bins_of_all: shape (N,), the bin of each case that may be chosen.

    >>> at = np.array([0, 0, 1, 1])
    >>> found = uncertainty(np.array([1.0, 0.0, 1.0, 1.0]), np.array([1.0, 1.0, 1.0, 1.0]), at, np.array([0, 1, 2]))
    >>> bool(found[0] > found[2] > found[1])
    True
    """
    if len(labels) == 0:
        return np.ones(len(bins_of_all))
    squares = np.square(labels - guesses)
    overall = float(squares.mean())
    n_bins = int(max(bins.max(), bins_of_all.max(initial=0))) + 1
    counts, sums = np.bincount(bins, minlength=n_bins), np.bincount(bins, weights=squares, minlength=n_bins)
    shrunk: Floats = np.sqrt((sums + _PSEUDO_LABELS * overall) / (counts + _PSEUDO_LABELS))
    return shrunk[bins_of_all]


def inclusion(uncertain: Floats, n_labels: float, *, chance: float = LEAST_CHANCE) -> Floats:
    """The probability of each case to be labelled, about `n_labels` in all.

    π_i = min(1, (1 - τ) n u_i / Σu + τ n / N), the rest of what the cap takes given to the others.

    Args:
        uncertain: shape (N,), at least 0: see `uncertainty`.
        n_labels: expected number of labels.
        chance: τ, at least `LEAST_CHANCE`.

    Raises:
        DeclarationError: τ too small, an uncertainty negative, or no case.

    Source: T. Zrnic, E. Candès, arXiv 2403.03208 (2024).

    >>> inclusion(np.array([1.0, 1.0, 3.0, 3.0]), 2.0).round(2).tolist()
    [0.3, 0.3, 0.7, 0.7]
    """
    n_cases = len(uncertain)
    if n_cases == 0 or not LEAST_CHANCE <= chance <= 1.0 or not (np.asarray(uncertain) >= 0.0).all() or n_labels <= 0.0:
        raise DeclarationError(
            f"{n_labels!r} labels of {n_cases} cases at a chance of {chance!r} cannot be chosen.",
            hint=f"Give uncertainties of at least 0 and a chance of {LEAST_CHANCE} to 1.",
        )
    if n_labels >= n_cases:
        return np.ones(n_cases)
    total = float(np.sum(uncertain))
    share = np.asarray(uncertain) / total if total > 0.0 else np.full(n_cases, 1.0 / n_cases)
    wanted: Floats = ((1.0 - chance) * share + chance / n_cases) * n_labels
    for _ in range(n_cases):
        capped = wanted >= 1.0
        left, free = n_labels - float(capped.sum()), float(wanted[~capped].sum())
        if not capped.any() or free <= 0.0 or math.isclose(left, free):
            break
        wanted = np.where(capped, 1.0, wanted * left / free)
    return np.minimum(1.0, wanted)


def drawn(probabilities: Floats, seed: int) -> Bools:
    """Which cases are labelled: each by its own probability, the same ones for the same seed.

    >>> drawn(np.array([0.0, 1.0]), 7).tolist()
    [False, True]
    """
    return np.random.default_rng(seed).random(len(probabilities)) < probabilities


def chosen_mean(
    guesses: Floats, labels: Floats, chosen: Bools, probabilities: Floats, *, share: bool = True
) -> Interval:
    """The mean of labels over all cases, from those that were chosen with known probabilities, at 95%.

    θ = mean over all of g_i + chosen_i / π_i (y_i - g_i); the variance is that of these terms over N.

    Args:
        guesses: shape (N,), of all cases, fixed before these labels came: the judge's verdicts put on people's scale by
            earlier labels, such as mean(y) + λ (f - mean(f)). A guess that is off on average costs width, not truth.
        labels: shape (N,), what was not chosen may hold anything finite.
        chosen: shape (N,).
        probabilities: shape (N,), as they were when chosen, above 0 where chosen.
        share: whether labels are 0 or 1, so that the interval is Wilson's.

    Raises:
        DeclarationError: fewer than 3 chosen, or a probability that is not above 0 and at most 1.

    Source: T. Zrnic, E. Candès, arXiv 2403.03208 (2024). At π = n/N of all cases it is close to `power_tuned`.

    >>> everything = np.ones(6, dtype=bool)
    >>> chosen_mean(np.ones(6), np.array([1.0, 0.0, 1.0, 1.0, 0.0, 0.0]), everything, np.ones(6)).value
    0.5
    """
    n, n_chosen = len(guesses), int(chosen.sum())
    picked = probabilities[chosen]
    if n_chosen < 3 or not ((picked > 0.0) & (picked <= 1.0)).all():
        raise DeclarationError(
            f"{n_chosen} labels chosen with such probabilities give no mean.",
            hint="Label 3 at least, each with its own.",
        )
    terms = np.array(guesses, dtype=np.float64)
    terms[chosen] += (labels[chosen] - terms[chosen]) / picked
    value, variance, df = float(terms.mean()), float(terms.var(ddof=1)) / n, n_chosen - 2
    if share:
        return effective_share(value, variance, n_chosen, df)
    half = t_quantile(0.975, df) * math.sqrt(variance)
    return Interval(value, value - half, value + half, n_chosen)
