"""Whether words that somebody relied on still stand in a document, by the chunks that an index has of it.

What rests on a text (a golden question, a case of a suite) noted its words. Spaces and ends of lines are left out of the comparison, for
chunks leave those between them out, and a text that was wrapped anew says the same.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from perdure.engines.retrieval.golden import Golden, GoldenQuestion, Relevant
from perdure.engines.retrieval.protocols import Standing as Chunk

State = Literal["stands", "unknown", "moved", "changed", "gone"]
"""Of what should be found, better first; `unknown`: nobody noted its words. What moved is followed."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A document's words, without spaces."""

    words: str
    places: Sequence[int]
    """Where each character stands in the parsed text."""

    @classmethod
    def of(cls, chunks: Iterable[Chunk]) -> Standing:
        """Put together from its chunks, in whatever order; what two of them repeat counts once."""
        words, places, at = list[str](), list[int](), 0
        for each in sorted(chunks, key=lambda one: (one.start, one.end)):
            for place, letter in enumerate(each.text[max(0, at - each.start) :], max(at, each.start)):
                if not letter.isspace():
                    words.append(letter)
                    places.append(place)
            at = max(at, each.end)
        return cls("".join(words), places)

    def find(self, text: str, near: int = 0) -> tuple[int, int] | None:
        """Start and end of a text that stands there; of several the one that begins nearest to a place. None: it stands nowhere.

        >>> Standing("abcabc", [0, 2, 3, 9, 10, 11]).find("b c", near=9)
        (10, 12)
        """
        wanted = "".join(text.split())
        best: tuple[int, int] | None = None
        at = self.words.find(wanted) if wanted else -1
        while at >= 0:
            found = self.places[at], self.places[at + len(wanted) - 1] + 1
            if best is None or abs(found[0] - near) < abs(best[0] - near):
                best = found
            at = self.words.find(wanted, at + 1)
        return best


def states(golden: Golden, chunks: Iterable[Chunk], known: Collection[str]) -> list[State]:
    """Of each golden question the worst state of what should be found.

    Args:
        golden: the questions.
        chunks: of every document that they name.
        known: documents of the index.
    """
    standing = _standing(chunks)
    order = get_args(State)
    return [
        max((_state(item, standing, known) for item in each.relevant), key=order.index) for each in golden.questions
    ]


def _state(item: Relevant, standing: Mapping[str, Standing], known: Collection[str]) -> State:
    if item.document not in known:
        return "gone"
    if not item.text:
        return "unknown"
    there = standing.get(item.document)
    found = None if there is None else there.find(item.text, item.start or 0)
    if found is None:
        return "changed"
    return "stands" if item.start is None or found[0] == _first(item) else "moved"


def _first(item: Relevant) -> int:
    """Where its first letter stood."""
    return (item.start or 0) + len(item.text) - len(item.text.lstrip())


def anchored(golden: Golden, chunks: Iterable[Chunk]) -> Golden:
    """Golden questions with their stretches where their words stand now: a paragraph that came above moves what is below.

    Args:
        golden: as it was read.
        chunks: of every document that it names.

    Returns: what has no words noted, or whose words stand there no more, stays as it is.
    """
    standing = _standing(chunks)
    questions = (
        GoldenQuestion(
            each.query, tuple(_anchored(item, standing) for item in each.relevant), each.cluster, each.provenance
        )
        for each in golden.questions
    )
    return Golden(tuple(questions), golden.troubles)


def _standing(chunks: Iterable[Chunk]) -> dict[str, Standing]:
    of: dict[str, list[Chunk]] = {}
    for each in chunks:
        of.setdefault(each.document, []).append(each)
    return {id_: Standing.of(each) for id_, each in of.items()}


def _anchored(item: Relevant, standing: Mapping[str, Standing]) -> Relevant:
    there = standing.get(item.document)
    if there is None or item.start is None or not item.text:
        return item
    found = there.find(item.text, item.start)
    return item if found is None else Relevant(item.document, *found, item.grade, item.text)
