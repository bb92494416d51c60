"""Whether an answer says what its sources say: marks that cite, words that are quoted, claims that are made.

A mark `[2]` must name a source that was shown; what it stands behind must stand in that source. Quotes must stand there letter by
letter. Every claim is looked for in all sources (`engines.evals.evidence`): words and numbers, no model, so an entailed claim in other
words may be told as unsupported, and one that says the contrary in the same words is mostly seen.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from perdure.engines.evals.evidence import Claim, look_up

_MARKS = re.compile(r"[ \t]?\[\s*(\d{1,4}(?:\s*[,;]\s*\d{1,4})*)\s*\]")
_NUMBER = re.compile(r"\d+")
_QUOTES = re.compile(r"\"([^\"\n]{12,400})\"|\u201c([^\u201d\n]{12,400})\u201d|\u00ab([^\u00bb\n]{12,400})\u00bb")
_BLANKS = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class Cited:
    """A stretch of a source that bears a claim."""

    source: int
    """Number, from 1."""
    start: int
    """In characters of the source's text."""
    end: int
    quote: str


@dataclass(frozen=True, slots=True)
class Judged:
    """One claim of an answer."""

    text: str
    start: int
    """In characters of the answer."""
    end: int
    marks: tuple[int, ...]
    """Sources that it cites itself."""
    supported: bool
    """It stands in a source; where it cites some, in one of those."""
    lacks: str
    """`numbers`, `names`, `words`, `negation`, or `citation`: another source has it than it cites."""
    missing: tuple[str, ...]
    evidence: Cited | None


@dataclass(frozen=True, slots=True)
class Checked:
    """What an answer rests on."""

    claims: Sequence[Judged]
    unknown: Sequence[int]
    """Marks that name no source."""
    misquoted: Sequence[str]
    """Quotes that stand in no source."""

    @property
    def grounded(self) -> bool:
        """Every claim is supported, every mark names a source, every quote stands there."""
        return not self.unknown and not self.misquoted and all(each.supported for each in self.claims)


def check_answer(answer: str, sources: Sequence[str]) -> Checked:
    """An answer against the texts that it was made from. Cost: 40 µs a sentence, and 2 µs a claim and sentence of the sources.

    >>> found = check_answer('It opens at 9 [1]. It closes at 20 [2].', ["It opens at 9.", "It closes at 18."])
    >>> [(each.supported, each.lacks) for each in found.claims], found.grounded
    ([(True, ''), (False, 'numbers')], False)
    """
    marks = [
        (match.start(), match.end(), int(number))
        for match in _MARKS.finditer(answer)
        for number in _NUMBER.findall(match[1])
    ]
    # As long as before, so that places in it are places in the answer; and no number of a mark is a claim's.
    plain = _MARKS.sub(lambda match: " " * len(match[0]), answer)
    claims = [_judged(claim, plain, marks, sources) for claim in look_up(plain, sources)]
    unknown = dict.fromkeys(number for _, _, number in marks if not 1 <= number <= len(sources))
    return Checked(claims, list(unknown), _misquoted(plain, sources))


def _judged(claim: Claim, plain: str, marks: Sequence[tuple[int, int, int]], sources: Sequence[str]) -> Judged:
    own = _own_marks(claim, plain, marks, len(sources))
    evidence, lacks = claim.evidence, str(claim.lacks)
    if own and not lacks:
        near = look_up(claim.at.text, [sources[number - 1] for number in own])
        held = [each for each in near if each.supported and each.evidence is not None]
        if near and not held:
            lacks = "citation"
        elif held and held[0].evidence is not None:
            there = held[0].evidence
            cited = Cited(own[there.source], there.at.start, there.at.end, there.at.text)
            return Judged(claim.at.text, claim.at.start, claim.at.end, own, True, "", (), cited)
    found = (
        None if evidence is None else Cited(evidence.source + 1, evidence.at.start, evidence.at.end, evidence.at.text)
    )
    return Judged(claim.at.text, claim.at.start, claim.at.end, own, not lacks, lacks, claim.missing, found)


def _own_marks(claim: Claim, plain: str, marks: Sequence[tuple[int, int, int]], n_sources: int) -> tuple[int, ...]:
    """Of sources, in a sentence or right behind it, where nothing stands between but marks, blanks and a full stop."""
    found = {
        number: None
        for start, _, number in marks
        if claim.at.start <= start and not plain[claim.at.end : start].strip(" .!?\t") and 1 <= number <= n_sources
    }
    return tuple(found)


def _misquoted(plain: str, sources: Sequence[str]) -> list[str]:
    whole = [_BLANKS.sub(" ", source).casefold() for source in sources]
    quotes = ["".join(match.groups("")) for match in _QUOTES.finditer(plain)]
    return [
        each for each in quotes if not any(_BLANKS.sub(" ", each).strip(" .,;").casefold() in text for text in whole)
    ]
