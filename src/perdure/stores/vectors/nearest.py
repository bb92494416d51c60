"""The nearest vectors, exactly: batch by batch, so that a generation of any size needs the memory of one batch.

Used by stores that search a past generation, which nobody holds in memory. Products are summed by `einsum`: the threads of BLAS
spin, and cost many times the CPU on busy cores.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from perdure.core.errors import BadIndex


def as_query(vector: bytes) -> NDArray[np.float32]:
    """The question's vector at length one, or all zeros.

    Raises:
        BadIndex: it is half a float, or has numbers that are none.
    """
    if len(vector) % 4:
        raise BadIndex(f"A vector of {len(vector)} bytes is not float32.", hint="Give little-endian float32.")
    found = np.frombuffer(vector, dtype="<f4").astype(np.float64)
    length = float(np.sqrt((found * found).sum()))
    if not np.isfinite(length):
        raise BadIndex("A question's vector holds numbers that are none.", hint="Embed the question anew.")
    return (found / length if length else found).astype(np.float32)


class Nearest:
    """Keeps the k best of all batches it is given.

    Args:
        query: of `as_query`.
        k: how many.
    """

    def __init__(self, query: NDArray[np.float32], k: int) -> None:
        self._query = query
        self._k = k
        self._keys = np.empty(0, dtype=np.int64)
        self._scores = np.empty(0, dtype=np.float32)
        self._n_compared = 0
        self._others: set[int] = set()

    def add(self, keys: Sequence[int], vectors: Sequence[bytes]) -> None:
        """Compare a batch. A vector without a direction, or with numbers that are none, is never found."""
        size = 4 * len(self._query)
        fitting = [i for i, vector in enumerate(vectors) if len(vector) == size]
        if len(fitting) < len(vectors):
            self._others.update(len(vector) for vector in vectors if vector and len(vector) != size)
        if not fitting:
            return
        self._n_compared += len(fitting)
        rows = np.frombuffer(b"".join(vectors[i] for i in fitting), dtype="<f4").reshape(len(fitting), -1)
        scores = np.einsum("ij,j->i", rows, self._query)
        usable = np.isfinite(scores) & rows.any(axis=1)
        found = np.fromiter((keys[i] for i in fitting), dtype=np.int64, count=len(fitting))
        self._keep(np.concatenate([self._keys, found[usable]]), np.concatenate([self._scores, scores[usable]]))

    def best(self) -> list[tuple[int, float]]:
        """Keys with cosines, best first; of equals the lower key.

        Raises:
            BadIndex: there are vectors, and none is as long as the question's.
        """
        if self._others and not self._n_compared:
            raise BadIndex(
                f"A question of {len(self._query)} dimensions, and vectors of {sorted(each / 4 for each in self._others)}.",
                hint="Embed the question by the index's own embedder.",
            )
        return [(int(key), float(score)) for key, score in zip(self._keys, self._scores, strict=True)]

    def _keep(self, keys: NDArray[np.int64], scores: NDArray[np.float32]) -> None:
        order = np.lexsort((keys, -scores))[: self._k]
        self._keys, self._scores = keys[order], scores[order]


def batches(rows: Iterable[tuple[int, bytes]], size: int) -> Iterable[tuple[list[int], list[bytes]]]:
    """Keys and vectors of up to `size` rows at once."""
    keys: list[int] = []
    vectors: list[bytes] = []
    for key, vector in rows:
        keys.append(key)
        vectors.append(vector)
        if len(keys) == size:
            yield keys, vectors
            keys, vectors = [], []
    if keys:
        yield keys, vectors
