"""Stretches: what a check that points at text finds, and the one way in which patterns are run.

A `Pattern` is an anchored, bounded regular expression with an acceptance (a checksum, a shape). Whether a match begins at a
place depends only on the character before and on the `longest` characters after it. Streams rest on that: a place that
has so many characters behind it is judged for good, however the text was cut.

A refused match costs one step, not its length: what begins inside of it is still found.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from perdure.engines.guards.protocols import Span

Accept = Callable[[re.Match[str]], tuple[int, int] | None]
"""Match → the stretch in it that counts, or None where it is not what it looks like."""
Gate = Callable[[str], object]
"""Text → something true where it may hold what a pattern looks for. Cheap."""
Near = Callable[[str], Iterable[tuple[int, int]]]
"""Text → places, in order, one of which every match begins in. Cheap."""
_LONG = 2_000  # characters from where on a text is searched around those places only


@dataclass(frozen=True, slots=True)
class Hit:
    """One stretch found."""

    start: int
    end: int
    kind: str
    at: int
    """Where the match begins: a word that stands before the stretch belongs to it."""
    after: int
    """Where the next match may begin; not before `end`."""
    weight: float = 1.0


class Finder(Protocol):
    """Finds stretches of a text, in order, without overlap."""

    @property
    def longest(self) -> int:
        """Characters that a match and what must follow it take at most; a tail beside it is not counted."""
        ...

    @property
    def back(self) -> int:
        """How far before its match a stretch may begin."""
        ...

    @property
    def tail(self) -> object:
        """None where no stretch is longer than `longest`."""
        ...

    @property
    def gate(self) -> Gate | None:
        """True of every text that has a match; None: ask the finder itself."""
        ...

    def find(self, text: str, start: int = 0) -> Iterator[Hit]:
        """Hits whose matches begin at `start` or later."""
        ...


@dataclass(frozen=True, slots=True)
class Pattern:
    """A kind of stretch by a regular expression.

    Args:
        kind: such as `email`.
        regex: bounded, so that its cost is linear. One that begins with a class of characters, and looks behind only then,
            is searched five times faster.
        longest: characters of the longest match, with its lookahead.
        signs: one of them stands in every text that has a match (lower case: in the lower-cased text).
        accept: looks at a match closer; None takes it whole.
        gate: true of every text that has a match; asked once for all the patterns that share it.
        tail: what goes on matching behind a match, one character class: a token longer than `longest`.
        lower: whether `signs` are looked for without regard to case.
        back: how far before its match a stretch may begin.
        weight: how grave it is.
        near: where matches can begin; a long text is searched there only.
    """

    kind: str
    regex: re.Pattern[str]
    longest: int
    signs: tuple[str, ...] = ()
    accept: Accept | None = None
    gate: Gate | None = None
    tail: re.Pattern[str] | None = None
    lower: bool = False
    back: int = 0
    weight: float = 1.0
    near: Near | None = None

    def find(self, text: str, start: int = 0) -> Iterator[Hit]:
        """Its hits from `start` on. Cost: O(len(text) * longest) at worst, and nearly nothing without a sign."""
        if self.near is not None and len(text) - start > _LONG:
            return self._nearby(self.near(text), text, start)
        if self.signs and not signed(text.lower() if self.lower else text, self.signs):
            return iter(())
        return self._matches(text, start, len(text))

    def _nearby(self, places: Iterable[tuple[int, int]], text: str, start: int) -> Iterator[Hit]:
        for begin, last in places:
            for hit in self._matches(text, max(begin, start), last):
                start = hit.after
                yield hit

    def _matches(self, text: str, start: int, last: int) -> Iterator[Hit]:
        """Of matches that begin from `start` to `last`."""
        search, accept, tail = self.regex.search, self.accept, self.tail
        behind = last + self.longest + 1
        match = search(text, start, behind)
        while match is not None:
            at, after = match.span()
            if at > last:
                return
            stretch = match.span() if accept is None else accept(match)
            if stretch is None:
                match = search(text, at + 1, behind)
                continue
            begin, end = stretch
            if tail is not None and end == after and (more := tail.match(text, end)) is not None:
                end = after = more.end()
            yield Hit(begin, end, self.kind, at, after, self.weight)
            match = search(text, after, behind)


def around(core: re.Pattern[str], before: int) -> Near:
    """Matches hold what `core` matches, and begin at most so many characters before it.

    >>> list(around(re.compile("@"), 3)("a@b and c@d"))
    [(0, 2), (6, 10)]
    """
    return lambda text: merged_places((match.start() - before, match.end()) for match in core.finditer(text))


def around_signs(signs: tuple[str, ...], before: int) -> Near:
    """Matches hold one of the signs, in whatever case, and begin at most so many characters before it."""

    def near(text: str) -> Iterable[tuple[int, int]]:
        lower = text.lower()
        if len(lower) != len(text):  # a letter that is two in lower case: places would not be those of the text
            return ((0, len(text)),) if signed(lower, signs) else ()
        return merged_places(sorted((at - before, at) for sign in signs for at in places_of(sign, lower)))

    return near


def places_of(sign: str, text: str) -> Iterator[int]:
    """Where a sign stands in a text."""
    at = text.find(sign)
    while at >= 0:
        yield at
        at = text.find(sign, at + 1)


def merged_places(places: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Places in order of their beginnings, those that touch as one; none begins before 0."""
    begin = last = -1
    for first, end in places:
        if last >= 0 and first <= last:
            last = max(last, end)
            continue
        if last >= 0:
            yield begin, last
        begin, last = max(0, first), end
    if last >= 0:
        yield begin, last


def signed(text: str, signs: tuple[str, ...]) -> bool:
    """Whether one of the signs stands in the text.

    >>> signed("mail me", ("@", "mail"))
    True
    """
    for sign in signs:  # noqa: SIM110 - a generator would cost more than the searches
        if sign in text:
            return True
    return False


def grouped(finders: Iterable[Finder]) -> tuple[tuple[Gate | None, tuple[Finder, ...]], ...]:
    """Finders by the gate that they share, in order of their first."""
    groups: dict[Gate | None, list[Finder]] = {}
    for finder in finders:
        groups.setdefault(finder.gate, []).append(finder)
    return tuple((gate, tuple(members)) for gate, members in groups.items())


def merged(hits: Iterable[Hit]) -> list[Span]:
    """Spans in order, where hits that overlap are one, named by the first of them.

    >>> merged([Hit(4, 9, "b", 4, 9), Hit(0, 5, "a", 0, 5), Hit(9, 12, "c", 9, 12)])
    [Span(start=0, end=9, kind='a'), Span(start=9, end=12, kind='c')]
    """
    spans: list[Span] = []
    for hit in sorted(hits, key=lambda each: (each.start, -each.end, each.kind)):
        if spans and hit.start < spans[-1].end:
            last = spans[-1]
            spans[-1] = Span(last.start, max(last.end, hit.end), last.kind)
        else:
            spans.append(Span(hit.start, hit.end, hit.kind))
    return spans
