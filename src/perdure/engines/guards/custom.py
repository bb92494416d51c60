"""A check by a function of one's own: text → True where it is to be caught, or the stretches that are to be masked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from perdure.engines.guards.checks import PointingCheck
from perdure.engines.guards.stretches import Gate, Hit

Function = Callable[[str], bool | Sequence[tuple[int, int]]]


@dataclass(frozen=True, slots=True)
class Asked:
    """Asks a function about a text, or in a stream about what is held of it.

    Args:
        kind: of its hits.
        function: what it returns is checked: stretches that lie outside of the text or overlap are an error.
        longest: characters of the longest stretch that it can see whole in a stream.
    """

    kind: str
    function: Function
    longest: int
    back: int = 0
    tail: None = None
    gate: Gate | None = None

    def find(self, text: str, start: int = 0) -> Iterator[Hit]:
        """Its hits; True catches everything from `start` on.

        Raises:
            ValueError: a stretch that is none.
        """
        said = self.function(text[start:])
        if isinstance(said, bool):
            if said and start < len(text):
                yield Hit(start, len(text), self.kind, start, len(text))
            return
        stretches = sorted((int(begin) + start, int(end) + start) for begin, end in said)
        if any(not start <= begin < end <= len(text) for begin, end in stretches):
            raise ValueError("a stretch lies outside of the text")
        if any(one[1] > other[0] for one, other in pairwise(stretches)):
            raise ValueError("stretches overlap")
        for begin, end in stretches:
            yield Hit(begin, end, self.kind, begin, end)


def custom(name: str, function: Function, longest: int) -> PointingCheck:
    """A check by a function; how long it takes nobody knows, so it counts as slow.

    >>> custom("shouting", str.isupper, 200).first("HELP").kind
    'shouting'
    """
    return PointingCheck("custom", (Asked(name, function, longest),), slow=True)
