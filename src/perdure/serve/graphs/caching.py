"""What nodes gave, kept for a while in this process and given again for the same input.

Nothing that answered before a release answers after it, and nothing that was found in an index before its documents changed: a move of any
pointer, and another generation of any index, empties the cache.
What one team was given is given to no other, for each may find and call other things.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Mapping
from dataclasses import dataclass

from perdure.core.clock import monotonic_s
from perdure.serve.live import Live
from perdure.serve.retrieval.held import ServedIndex

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
        self._force: Hashable = None

    def __len__(self) -> int:
        return len(self._kept)

    def find(self, key: str, force: Hashable) -> Kept | None:
        """What was given for a key, not too long ago and by what answers now.

        Args:
            key: of node, input and team.
            force: what is in force, as `in_force` tells it.
        """
        if force != self._force:
            self._kept.clear()
            self._n_bytes, self._force = 0, force
        found = self._kept.get(key)
        if found is None:
            return None
        if found.until_s <= monotonic_s():
            self._forget(key)
            return None
        self._kept.move_to_end(key)
        return found

    def put(self, key: str, kept: Kept, force: Hashable) -> None:
        """Keep what was given while that was in force, unless something else was found in force since."""
        if force != self._force or len(kept.output) > self._most_bytes:
            return
        self._forget(key)
        self._kept[key] = kept
        self._n_bytes += len(kept.output)
        while self._n_bytes > self._most_bytes:
            self._forget(next(iter(self._kept)))

    def _forget(self, key: str) -> None:
        found = self._kept.pop(key, None)
        self._n_bytes -= 0 if found is None else len(found.output)


def in_force(live: Live) -> Hashable:
    """What answers now: the generation of the routing table, and of each index that is served. Cost: about 1 µs, and 0.1 µs a version."""
    servables = () if live.serving is None else live.serving.servables.values()
    return live.generation, tuple(each.held.generation.number for each in servables if isinstance(each, ServedIndex))
