"""Vectors of cached questions in this process's memory, searched exactly; every cache adapter uses it.

Spaces are small (one conversation's beginning under one route version), so one product of a matrix and a vector finds the
nearest: 2,000 vectors of 384 numbers take 0.1 ms, and an index of any kind would only add what can be wrong.

What surprised us: the same product by BLAS took 80 times the CPU on busy cores, since its threads spin; `einsum` has none.

A shared store keeps its vectors itself, and `seen` is how far of a space this process has read them. A space that is let go
for want of room forgets that too, and is read anew.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perdure.stores.cache.protocols import Entry, Near

Float1D = NDArray[np.float32]

_FIRST_ROWS = 16
_MORE = 8
"""Of ranked candidates one is asked for, then eight times as many: after a drop nearly all of them may be gone."""


class _Space:
    """Unit vectors of one length, one a key."""

    __slots__ = ("keys", "place", "rows", "seen")

    def __init__(self, n_dimensions: int) -> None:
        self.rows = np.empty((_FIRST_ROWS, n_dimensions), dtype=np.float32)
        self.keys: list[str] = []
        self.place: dict[str, int] = {}
        """Key → row, the oldest key first."""
        self.seen: Any = None

    def put(self, key: str, vector: Float1D) -> None:
        self.forget(key)
        n_rows = len(self.keys)
        if n_rows == len(self.rows):
            self.rows = np.concatenate([self.rows, np.empty_like(self.rows)])
        self.rows[n_rows] = vector
        self.keys.append(key)
        self.place[key] = n_rows

    def forget(self, key: str) -> None:
        row = self.place.pop(key, None)
        if row is None:
            return
        last = self.keys.pop()
        if row < len(self.keys):
            self.rows[row] = self.rows[len(self.keys)]
            self.keys[row] = last
            self.place[last] = row


class VectorSpaces:
    """Spaces of vectors, the least lately used let go first. Safe to share between threads.

    Args:
        a_space: so many vectors a space at most; its oldest go first.
        total: so many in all of them.
    """

    def __init__(self, *, a_space: int = 2_000, total: int = 20_000) -> None:
        self.a_space = a_space
        self._total = total
        self._spaces: OrderedDict[str, _Space] = OrderedDict()
        self._n_vectors = 0
        self._lock = threading.Lock()

    def seen(self, space: str) -> Any:
        """The mark that the last `add` left; None for a space that is not there."""
        with self._lock:
            found = self._spaces.get(space)
            return None if found is None else found.seen

    def add(self, space: str, vectors: Iterable[tuple[str, Float1D]], *, seen: Any = None) -> None:
        """Keep vectors by key, of one key the last; those without a direction are not kept.

        A vector of another length than its space has begins the space anew: its embedder has changed.
        """
        with self._lock:
            for key, vector in vectors:
                unit = as_unit(vector)
                if unit is not None:
                    self._put(space, key, unit)
            if seen is not None and space in self._spaces:
                self._spaces[space].seen = seen

    def forget(self, space: str, keys: Iterable[str]) -> None:
        """Let go of some vectors."""
        with self._lock:
            found = self._spaces.get(space)
            for key in keys if found is not None else ():
                self._forget(found, key)

    def nearest(
        self, space: str, vector: Float1D, alive: Callable[[Sequence[str]], Sequence[Entry | None]]
    ) -> Near | None:
        """The nearest key whose entry lives, asking `alive` for entries of keys; those that do not are forgotten."""
        for keys, similarities in self._ranked(space, vector):
            for key, similarity, entry in zip(keys, similarities, alive(keys), strict=True):
                if entry is not None:
                    return Near(key, min(1.0, max(-1.0, float(similarity))), entry)
            self.forget(space, keys)
        return None

    def _ranked(self, space: str, vector: Float1D) -> Iterator[tuple[list[str], Float1D]]:
        """Keys and cosines, the greatest first, in portions that grow."""
        unit = as_unit(vector)
        with self._lock:
            found = self._spaces.get(space)
            if found is None or unit is None or not found.keys or found.rows.shape[1] != len(unit):
                return
            self._spaces.move_to_end(space)
            keys = list(found.keys)
            similarities = np.einsum("ij,j->i", found.rows[: len(keys)], unit)
        best = int(np.argmax(similarities))
        yield [keys[best]], similarities[[best]]
        order = np.argsort(-similarities, kind="stable")
        order = order[order != best]
        start, size = 0, _MORE
        while start < len(order):
            portion = order[start : start + size]
            yield [keys[row] for row in portion], similarities[portion]
            start, size = start + size, size * _MORE

    def _put(self, space: str, key: str, unit: Float1D) -> None:
        found = self._spaces.get(space)
        if found is not None and found.rows.shape[1] != len(unit):
            self._let_go(space)
            found = None
        if found is None:
            found = self._spaces[space] = _Space(len(unit))
        self._spaces.move_to_end(space)
        self._n_vectors += key not in found.place
        found.put(key, unit)
        while len(found.keys) > self.a_space or (self._n_vectors > self._total and len(self._spaces) == 1):
            self._forget(found, next(iter(found.place)))
        while self._n_vectors > self._total:
            self._let_go(next(iter(self._spaces)))

    def _forget(self, found: _Space | None, key: str) -> None:
        if found is not None and key in found.place:
            found.forget(key)
            self._n_vectors -= 1

    def _let_go(self, space: str) -> None:
        self._n_vectors -= len(self._spaces.pop(space).keys)


def as_unit(vector: Float1D) -> Float1D | None:
    """The vector at length one, float32; None for one that has no direction: zero, or with a number that is none.

    >>> as_unit(np.float32([3.0, 4.0])).tolist()
    [0.6000000238418579, 0.800000011920929]
    """
    wide = np.asarray(vector, dtype=np.float64)
    length = float(np.sqrt((wide * wide).sum()))
    if wide.ndim != 1 or not np.isfinite(length) or length == 0.0:
        return None
    return (wide / length).astype(np.float32)
