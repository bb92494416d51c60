"""What nodes gave, kept for a while in this process and given again for the same input.

Nothing that answered before a release answers after it: a move of any pointer empties the cache, which is cheap, for releases are rare.
What one team was given is given to no other, for each may find and call other things.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

from perdure.core.clock import monotonic_s

_MOST_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Kept:
    """What a node gave."""

    output: bytes
    versions: Mapping[str, str]
    until_s: float
    """On the clock of `monotonic_s`."""


class NodeCache:
    """The newest of what nodes gave; used on one event loop.

    Args:
        most_bytes: of all outputs; those that were not asked for the longest go first.
    """

    def __init__(self, most_bytes: int = _MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._kept: OrderedDict[str, Kept] = OrderedDict()
        self._n_bytes = 0
        self._generation = 0

    def __len__(self) -> int:
        return len(self._kept)

    def find(self, key: str, generation: int) -> Kept | None:
        """What was given for a key, not too long ago and by the versions that answer now.

        Args:
            key: of node, input and team.
            generation: of the routing table in force.
        """
        self._follow(generation)
        found = self._kept.get(key)
        if found is None:
            return None
        if found.until_s <= monotonic_s():
            self._forget(key)
            return None
        self._kept.move_to_end(key)
        return found

    def put(self, key: str, kept: Kept, generation: int) -> None:
        """Keep what was given by a generation that is still in force."""
        self._follow(generation)
        if generation != self._generation or len(kept.output) > self._most_bytes:
            return
        self._forget(key)
        self._kept[key] = kept
        self._n_bytes += len(kept.output)
        while self._n_bytes > self._most_bytes:
            self._forget(next(iter(self._kept)))

    def _follow(self, generation: int) -> None:
        if generation > self._generation:
            self._kept.clear()
            self._n_bytes, self._generation = 0, generation

    def _forget(self, key: str) -> None:
        found = self._kept.pop(key, None)
        self._n_bytes -= 0 if found is None else len(found.output)
