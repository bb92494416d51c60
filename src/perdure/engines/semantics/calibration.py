"""The cosine from which two questions are taken to mean the same, from pairs that people judged.

The number that is bounded is the share of pairs with *different* meanings that would be hits. It does not depend on how many
pairs of each sort were judged, as the share of wrong hits does; but it depends on how the pairs were drawn: draw them as the
cache meets them (a question and the nearest one before it), not at random, for random pairs are never near.

Raising the threshold can only lessen false hits, so the lowest threshold whose upper bound keeps the limit may be chosen
from the very pairs that it is then judged by, without a correction for having looked at many thresholds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perdure.core.errors import DeclarationError, Refused, TooFewRows
from perdure.core.stats.intervals import Interval
from perdure.engines.semantics.wording import same_numbers

Pair = tuple[str, str, bool]
"""Two questions, and whether one answer serves both."""

_STEP = 1e-4
"""Thresholds are rounded up to it: embeddings differ by less between machines."""
_BISECTIONS = 60


@dataclass(frozen=True, slots=True)
class Calibration:
    """A threshold and what is known of it.

    `false_hits` and `hits` have exact bounds (Clopper and Pearson): the upper one of `false_hits` is one-sided at the
    confidence asked for, its lower one zero; those of `hits` are two-sided.
    """

    threshold: float
    """Cosine: hits are at least as near."""
    false_hits: Interval
    """Share of the pairs with different meanings that are hits."""
    hits: Interval | None
    """Share of the pairs that mean the same that are hits; None where no such pair was judged."""
    confidence: float


def calibrate(
    pairs: Sequence[Pair],
    embed: Callable[[Sequence[str]], NDArray[np.float32]],
    *,
    false_hits: float = 0.01,
    confidence: float = 0.95,
) -> Calibration:
    """The lowest threshold at which, as sure as asked, at most `false_hits` of different questions are hits.

    Pairs that name different numbers are never hits, here as in the cache: those that differ in meaning are not counted.

    Args:
        pairs: judged pairs; for 1% at 95% at least 299 of them must differ in meaning.
        embed: texts to vectors, shape (n, d), of any lengths; called once with every distinct text.
        false_hits: the limit, 0 to 1, exclusive.
        confidence: of the bound, 0 to 1, exclusive.

    Raises:
        TooFewRows: so few pairs differ that not even a threshold without a false hit keeps the limit. Says how many
            more are needed about.
        Refused: more different questions than the limit bears have the very same vector: no threshold helps.
        DeclarationError: a vector has no direction, or an argument lies outside of its range.

    Cost: O(n log n) and the embedding.
    Source: C. Clopper, E. Pearson, Biometrika 26 (1934); monotone risks: S. Bates et al., Distribution-free,
    risk-controlling prediction sets, J. ACM 68 (2021), theorem 1.

    >>> rng = np.random.default_rng(0)
    >>> angles = np.concatenate([rng.normal(0.1, 0.05, 200), rng.normal(1.2, 0.1, 400)])
    >>> vectors = {f"b{'x' * n}": (math.cos(a), math.sin(a)) for n, a in enumerate(angles)} | {"a": (1.0, 0.0)}
    >>> pairs = [("a", text, n < 200) for n, text in enumerate(list(vectors)[:-1])]
    >>> found = calibrate(pairs, lambda texts: np.float32([vectors[text] for text in texts]))
    >>> found.false_hits.high <= 0.01, 0.9 < found.threshold < 1.0, found.hits.value > 0.9
    (True, True, True)
    """
    if not (0.0 < false_hits < 1.0 and 0.0 < confidence < 1.0):
        raise DeclarationError(
            f"A limit of {false_hits!r} at a confidence of {confidence!r} means nothing.", hint="Use 0 to 1, exclusive."
        )
    judged = [pair for pair in pairs if pair[2] or same_numbers(pair[0], pair[1])]
    same = np.array([pair[2] for pair in judged], dtype=bool)
    n_different = int((~same).sum())
    _need(n_different, _pairs_needed(false_hits, confidence))
    similarity = _similarities(judged, embed)
    n_allowed = _most_allowed(n_different, false_hits, confidence)
    ranked = np.sort(similarity[~same])[::-1]
    threshold = _above(float(ranked[n_allowed]))
    if same.any():
        # Below the farthest pair that means the same nothing is won, and strangers wait there.
        threshold = max(threshold, _below(float(similarity[same].min())))
    if threshold > 1.0:
        raise Refused(
            f"{n_allowed + 1} pairs of different questions have the same vectors: no threshold tells them apart.",
            hint="Use another embedder, or keep the exact cache alone.",
            n_different=n_different,
        )
    n_false, hit = int((ranked >= threshold).sum()), similarity[same] >= threshold
    bound = exact_upper(n_false, n_different, confidence)
    wrong = Interval(n_false / n_different, 0.0, bound, n_different)
    return Calibration(threshold, wrong, _share(int(hit.sum()), len(hit), confidence), confidence)


def exact_upper(n_hits: int, n: int, confidence: float) -> float:
    """The one-sided exact upper bound of a share: the greatest p at which so few hits are not too unlikely.

    Cost: O(n_hits) a bisection.  Source: C. Clopper, E. Pearson, Biometrika 26 (1934).

    >>> round(exact_upper(0, 299, 0.95), 5), exact_upper(5, 5, 0.95)
    (0.00997, 1.0)
    """
    if n_hits >= n:
        return 1.0
    low, high = n_hits / n, 1.0
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2.0
        if _at_most(n_hits, n, middle) > 1.0 - confidence:
            low = middle
        else:
            high = middle
    return high


def _at_most(k: int, n: int, p: float) -> float:
    """P(a binomial of n tries at p <= k), summed from the greatest term down so that nothing underflows early."""
    if p >= 1.0:
        return 0.0
    log_term = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
    log_term += k * math.log(p) + (n - k) * math.log1p(-p)
    total = term = 1.0
    for below in range(k, 0, -1):
        term *= below / (n - below + 1) * (1.0 - p) / p
        total += term
        if term < total * 1e-17:
            break
    return min(1.0, math.exp(log_term) * total) if log_term > -700.0 else 0.0


def _share(n_hits: int, n: int, confidence: float) -> Interval | None:
    if n == 0:
        return None
    one_sided = 0.5 + confidence / 2.0
    low = 1.0 - exact_upper(n - n_hits, n, one_sided)
    return Interval(n_hits / n, low, exact_upper(n_hits, n, one_sided), n)


def _pairs_needed(limit: float, confidence: float) -> int:
    """Pairs without one false hit that bound the share by the limit: (1 - limit)**n <= 1 - confidence."""
    return math.ceil(math.log(1.0 - confidence) / math.log1p(-limit))


def _need(n_different: int, n_needed: int) -> None:
    if n_different < n_needed:
        raise TooFewRows(
            f"{n_different} pairs of different questions are not enough pairs: about {n_needed - n_different} more.",
            hint="Judge more pairs of a question and the nearest one before it, or allow more false hits.",
            n=n_different,
            n_needed=n_needed,
        )


def _most_allowed(n: int, limit: float, confidence: float) -> int:
    """The most false hits among n pairs whose upper bound keeps the limit."""
    low, high = 0, n
    while high - low > 1:
        middle = (low + high) // 2
        if exact_upper(middle, n, confidence) <= limit:
            low = middle
        else:
            high = middle
    return low


def _above(similarity: float) -> float:
    """The next step above a similarity."""
    return round((math.floor(similarity / _STEP + 1e-9) + 1) * _STEP, 4)


def _below(similarity: float) -> float:
    """The step at a similarity or below it."""
    return round(math.floor(similarity / _STEP + 1e-9) * _STEP, 4)


def _similarities(pairs: Sequence[Pair], embed: Callable[[Sequence[str]], NDArray[np.float32]]) -> NDArray[np.float64]:
    """Cosine of each pair, shape (n,); -1 for pairs that name different numbers."""
    texts = sorted({text for first, second, _ in pairs for text in (first, second)})
    vectors = np.asarray(embed(texts), dtype=np.float64)
    if vectors.ndim != 2 or len(vectors) != len(texts):
        raise DeclarationError(f"The embedder made {vectors.shape} of {len(texts)} texts.", hint="Give a row a text.")
    lengths = np.sqrt((vectors * vectors).sum(axis=1))
    if not np.isfinite(lengths).all() or (lengths == 0.0).any():
        raise DeclarationError("The embedder gives some text a vector without a direction.", hint="Use another one.")
    units = vectors / lengths[:, None]
    row = {text: place for place, text in enumerate(texts)}
    first = units[[row[pair[0]] for pair in pairs]]
    second = units[[row[pair[1]] for pair in pairs]]
    alike = np.array([same_numbers(pair[0], pair[1]) for pair in pairs])
    return np.where(alike, (first * second).sum(axis=1), -1.0)
