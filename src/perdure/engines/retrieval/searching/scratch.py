"""Memory that questions of one thread use again: fresh pages cost more than the arithmetic on them."""

from __future__ import annotations

import threading

import numpy as np

_HERE = threading.local()


class Scratch:
    """Arrays for one segment. 15 bytes a row, in each thread that searches."""

    def __init__(self) -> None:
        self.words = np.empty(0, dtype=np.uint64)
        self.counts = np.empty(0, dtype=np.uint8)
        self.totals = np.empty(0, dtype=np.uint16)
        self.scores = np.empty(0, dtype=np.float32)

    @staticmethod
    def here(i: int) -> Scratch:
        """This thread's for the i-th segment."""
        kept: list[Scratch] | None = getattr(_HERE, "kept", None)
        if kept is None:
            kept = _HERE.kept = []
        while len(kept) <= i:
            kept.append(Scratch())
        return kept[i]

    def reserve(self, n: int) -> None:
        """Make room for n rows; what is in it is anything. Room for many more is given back."""
        if len(self.words) < n or len(self.words) > 8 * n + 65_536:
            self.words = np.empty(n, dtype=np.uint64)
            self.counts = np.empty(n, dtype=np.uint8)
            self.totals = np.empty(n, dtype=np.uint16)
            self.scores = np.empty(n, dtype=np.float32)
