"""The answer cache's Protocol. Losing an entry is never an error: a cache that fails is a cache that misses.

Keys are content hashes made by `serve.gateway.caching`: tenant, route version, prompt version, parameters and messages are
in them. Entries carry tags, such as `source:handbook` or `route:support`, by which they are dropped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray


class Entry(msgspec.Struct, frozen=True, gc=False):
    """An answer that was given, with what it cost then."""

    body: bytes
    """The whole answer in the neutral form of `engines.dialects` (an OpenAI chat completion), as JSON."""
    call_id: str
    """Of the call that made it."""
    made_us: int
    cost_pusd: int | None
    """Picodollars that the call cost; None: unknown."""
    question: str = ""
    """Text that the vector was made of; empty without one."""


@dataclass(frozen=True, slots=True)
class Near:
    """An entry whose question means nearly the same."""

    key: str
    similarity: float
    """Cosine, -1 to 1."""
    entry: Entry


class AnswerCache(Protocol):
    """Entries by key, and by vector within a space. Safe to share between threads; bounded in size, oldest use first out."""

    def get(self, key: str, *, now_us: int) -> Entry | None:
        """The entry, unless it is over or was dropped."""
        ...

    def put(self, key: str, entry: Entry, *, ends_us: int, tags: Sequence[str] = ()) -> None:
        """Keep an entry; of the same key the last counts."""
        ...

    def put_vector(self, space: str, key: str, vector: NDArray[np.float32]) -> None:
        """Keep the vector of an entry's question; shape (d,), any length. `space` names tenant, route version and embedder."""
        ...

    def nearest(self, space: str, vector: NDArray[np.float32], *, now_us: int) -> Near | None:
        """The live entry of the space with the greatest cosine; None when there is none."""
        ...

    def drop(self, tags: Sequence[str]) -> int:
        """Forget entries that have one of the tags; returns how many."""
        ...

    def count(self) -> int:
        """Live and dead entries kept."""
        ...

    def close(self) -> None: ...
