"""A map of an index: its vectors on two axes, what lies together, and where questions fall among them.

Axes are the two first principal components of a sample, so nearness on the map is nearness of vectors as far as two numbers can tell;
`explained` says how far that is. Clusters are found in all dimensions, not on the map. Everything is deterministic: the same vectors
make the same map.

What surprised us: a principal component has no sign, and a new generation of one document more turned the whole map over. So each axis
points to one side of a fixed direction; its largest part, as others choose it, has a rival of the other sign too often.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perdure.core.errors import TooFewRows

Floats = NDArray[np.floating[Any]]
_ROUNDS = 20
_FEWEST = 3
_SELDOM = 0.02
"""Added to shares before they are divided: a word of one text among hundreds tells nothing."""
_WORD = re.compile(r"[^\W\d_]{3,}")


@dataclass(frozen=True, slots=True, eq=False)
class Axes:
    """Where a vector stands on the map: `project` says."""

    mean: NDArray[np.float64]
    """Shape (d,)."""
    axes: NDArray[np.float64]
    """Shape (2, d), of length 1."""
    explained: float
    """Share of the sample's variance that the two axes show, 0 to 1."""

    def project(self, vectors: Floats) -> NDArray[np.float64]:
        """Places of vectors of shape (n, d) on the map, shape (n, 2)."""
        found: NDArray[np.float64] = (np.asarray(vectors, dtype=np.float64) - self.mean) @ self.axes.T
        return found


def fit_axes(vectors: Floats) -> Axes:
    """The two first principal components of a sample.

    Args:
        vectors: shape (n, d).

    Raises:
        TooFewRows: fewer than three vectors, or vectors of one number.

    Cost: O(n d²); 5,000 vectors of 384 numbers take some 0.1 s.  Source: Pearson 1901.

    >>> axes = fit_axes(np.array([[0.0, 0.0, 1.0], [2.0, 0.0, 1.0], [4.0, 0.0, 1.0], [6.0, 0.0, 1.0]]))
    >>> np.round(np.abs(axes.axes[0]), 2).tolist(), axes.explained > 0.99
    ([1.0, 0.0, 0.0], True)
    """
    rows = np.asarray(vectors, dtype=np.float64)
    if rows.ndim != 2 or len(rows) < _FEWEST or rows.shape[1] < 2:
        raise TooFewRows(
            f"{len(rows)} vectors make no map: it takes {_FEWEST}.", hint="Fill the index: perdure index build NAME"
        )
    mean = rows.mean(axis=0)
    centred = rows - mean
    values, found = np.linalg.eigh(centred.T @ centred)
    axes = found[:, -1:-3:-1].T
    fixed = np.random.default_rng(0).normal(size=rows.shape[1])
    axes = axes * np.where(axes @ fixed < 0, -1.0, 1.0)[:, None]
    total = float(values.clip(min=0).sum())
    explained = float(values[-2:].clip(min=0).sum()) / total if total else 0.0
    return Axes(mean, axes, min(explained, 1.0))


def find_clusters(vectors: Floats, most: int = 8) -> NDArray[np.int64]:
    """Which cluster each vector is in, numbered from 0, the largest first; shape (n,).

    Spherical k-means, begun from vectors that lie far apart; of n vectors at most √(n/2) clusters.

    Args:
        vectors: shape (n, d).
        most: clusters at most.

    Cost: O(n d most), some 0.2 s for 5,000 of 384.  Source: Dhillon and Modha 2001; Gonzalez 1985 for the beginning.

    >>> find_clusters(np.array([[1.0, 0.0]] * 5 + [[0.0, 1.0]] * 3)).tolist()
    [0, 0, 0, 0, 0, 1, 1, 1]
    """
    rows = np.asarray(vectors, dtype=np.float64)
    if not len(rows):
        return np.zeros(0, dtype=np.int64)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    rows = rows / np.where(lengths > 0, lengths, 1.0)
    centres = _far_apart(rows, max(1, min(most, int(np.sqrt(len(rows) / 2)))))
    labels = (rows @ centres.T).argmax(axis=1)
    for _ in range(_ROUNDS):
        sums = np.stack([rows[labels == each].sum(axis=0) for each in range(len(centres))])
        norms = np.linalg.norm(sums, axis=1, keepdims=True)
        centres = np.where(norms > 0, sums / np.where(norms > 0, norms, 1.0), centres)
        moved = (rows @ centres.T).argmax(axis=1)
        if (moved == labels).all():
            break
        labels = moved
    return _by_size(labels)


def _far_apart(rows: NDArray[np.float64], k: int) -> NDArray[np.float64]:
    """Rows to begin with: the one nearest the middle, then each time the one farthest from all that were taken."""
    chosen = [int((rows @ rows.mean(axis=0)).argmax())]
    nearest = rows @ rows[chosen[0]]
    while len(chosen) < k:
        farthest = int(nearest.argmin())
        if nearest[farthest] > 1 - 1e-9:
            break
        chosen.append(farthest)
        nearest = np.maximum(nearest, rows @ rows[farthest])
    return rows[chosen]


def _by_size(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    sizes = Counter(labels.tolist())
    order = {label: place for place, (label, _) in enumerate(sorted(sizes.items(), key=lambda it: (-it[1], it[0])))}
    return np.array([order[each] for each in labels.tolist()], dtype=np.int64)


def nearest_cluster(queries: Floats, vectors: Floats, labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """The cluster of the vector that is nearest to each query, shape (n_queries,); vectors of length 1 are compared by cosine."""
    if not len(queries):
        return np.zeros(0, dtype=np.int64)
    found: NDArray[np.int64] = labels[(np.asarray(queries) @ np.asarray(vectors).T).argmax(axis=1)]
    return found


def telling_words(texts: Sequence[str], labels: Sequence[int], n: int = 4) -> list[list[str]]:
    """Words that tell each cluster from the others, the most telling first: often in its texts, seldom elsewhere.

    Args:
        texts: one a vector.
        labels: of `find_clusters`.
        n: words a cluster at most.

    >>> telling_words(["refund a parcel", "refund the parcel fee", "opening hours shop"], [0, 0, 1], n=2)
    [['parcel', 'refund'], ['hours', 'opening']]
    """
    k = max(labels, default=-1) + 1
    holds: list[Counter[str]] = [Counter() for _ in range(k)]
    sizes = Counter(labels)
    for text, label in zip(texts, labels, strict=True):
        holds[label].update({each.casefold() for each in _WORD.findall(text)})
    everywhere: Counter[str] = Counter()
    for each in holds:
        everywhere.update(each)
    total = max(1, len(texts))

    def weight(word: str, label: int) -> float:
        inside = holds[label][word] / max(1, sizes[label])
        outside = (everywhere[word] - holds[label][word]) / max(1, total - sizes[label])
        return inside * math.log((inside + _SELDOM) / (outside + _SELDOM))

    return [sorted(holds[label], key=lambda word: (-weight(word, label), word))[:n] for label in range(k)]
