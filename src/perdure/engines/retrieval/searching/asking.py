"""What a searcher is asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from perdure.core.documents import Where
from perdure.core.errors import BadIndex

Mode = Literal["dense", "lexical", "hybrid"]
"""By vectors, by words, or by both."""
Fusion = Literal["ranks", "scores"]
MOST_HITS = 1_000


@dataclass(frozen=True, slots=True, eq=False)
class Wording:
    """One way to say what is searched."""

    words: str = ""
    vector: NDArray[np.floating] | None = None
    """By the index's own embedder, of any length; None: not by vectors."""


@dataclass(frozen=True, slots=True, eq=False)
class Ask:
    """One search.

    Raises:
        BadIndex: a setting means nothing.
    """

    words: str = ""
    vector: NDArray[np.floating] | None = None
    """By the index's own embedder, of any length; None: not by vectors."""
    k: int = 10
    mode: Mode = "hybrid"
    where: Where = field(default_factory=dict)
    groups: Sequence[str] | None = None
    """Of who asks; None: everything may be found."""
    fusion: Fusion = "ranks"
    dense_share: float = 0.5
    """Of the fused score, where fused by scores."""
    diversity: float = 0.0
    """0: the best; above it, what is like what was found already goes behind what is not (MMR)."""
    others: Sequence[Wording] = ()
    """Other wordings of the same question: all are searched, and fused."""

    def __post_init__(self) -> None:
        if self.mode not in get_args(Mode) or self.fusion not in get_args(Fusion):
            raise BadIndex(
                f"A search by {self.mode!r}, fused by {self.fusion!r}, is none.",
                hint="By dense, lexical or hybrid; fused by ranks or scores.",
            )
        if type(self.k) is not int or not 1 <= self.k <= MOST_HITS:
            raise BadIndex(f"{self.k!r} chunks cannot be found.", hint=f"Ask for 1 to {MOST_HITS}.")
        if not (0.0 <= self.dense_share <= 1.0 and 0.0 <= self.diversity <= 1.0):
            raise BadIndex(
                f"A dense share of {self.dense_share!r} and a diversity of {self.diversity!r} mean nothing.",
                hint="Both lie in 0 to 1.",
            )

    @property
    def wordings(self) -> Sequence[Wording]:
        """All of them, the question itself first."""
        return [Wording(self.words, self.vector), *self.others]
