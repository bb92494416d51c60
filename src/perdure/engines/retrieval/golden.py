"""Golden questions: what people ask with what should be found, as JSON lines, and rankings held against them.

    {"query": "How long may I return goods?", "relevant": ["refunds.md"]}
    {"query": "Who pays the parcel?", "relevant": [{"document": "refunds.md", "start": 120, "end": 260, "grade": 2}], "cluster": "refunds"}

A document's id alone means any of its chunks; with `start` and `end`, in characters of its parsed text, a chunk that overlaps them.
Questions of one `cluster`, such as those made of one document, move together; by default each is one of its own. A line that cannot
be read is told by its number and left out, the others count.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perdure.core.stats.ranking import Grades, Judged, judged


@dataclass(frozen=True, slots=True)
class Relevant:
    """Something that should be found."""

    document: str
    start: int | None = None
    """With `end`, the stretch that is meant; None: any of the document."""
    end: int | None = None
    grade: float = 1.0
    """How relevant it is, above 0."""
    text: str = ""
    """The words that stood there when the question was made, by which it is told that they changed; empty: nobody noted them."""

    def is_found_by(self, found: Stretch) -> bool:
        """Whether a chunk is of it."""
        if found.document != self.document:
            return False
        return self.start is None or self.end is None or (found.start < self.end and self.start < found.end)


@dataclass(frozen=True, slots=True)
class Stretch:
    """Where a chunk that was found stands."""

    document: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class GoldenQuestion:
    """A question with what should be found."""

    query: str
    relevant: tuple[Relevant, ...]
    cluster: str
    provenance: Mapping[str, Any] = field(default_factory=dict, compare=False)
    """Where it came from, such as `{"from": "synthetic", "review": "rev_7d2f"}`."""


@dataclass(frozen=True, slots=True)
class Golden:
    """The questions of a file."""

    questions: tuple[GoldenQuestion, ...]
    troubles: tuple[str, ...] = ()
    """Lines that were left out, each by its number with why."""

    @property
    def queries(self) -> list[str]:
        """What is asked, in order."""
        return [each.query for each in self.questions]

    @property
    def clusters(self) -> NDArray[np.int64]:
        """A number a question; equal numbers move together."""
        numbers: dict[str, int] = {}
        return np.array([numbers.setdefault(each.cluster, len(numbers)) for each in self.questions], dtype=np.int64)


class _Wrong(Exception):
    """Why a line is none."""


def read_golden(text: str) -> Golden:
    r"""The questions of a file's text; one that stands there twice counts once, where it stands first.

    >>> found = read_golden('{"query": "Where?", "relevant": ["a.md"]}\n{"query": 7}')
    >>> found.questions[0].relevant
    (Relevant(document='a.md', start=None, end=None, grade=1.0, text=''),)
    >>> found.troubles
    ('Line 2: its query is 7, which is no question.',)
    """
    questions: dict[str, GoldenQuestion] = {}
    troubles = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            question = _question(line, number)
        except _Wrong as wrong:
            troubles.append(f"Line {number}: {wrong}")
            continue
        if questions.setdefault(question.query, question) is not question:
            troubles.append(f"Line {number}: it asks what a line before it asks.")
    return Golden(tuple(questions.values()), tuple(troubles))


def judge_golden(golden: Golden, found: Sequence[Sequence[Stretch]], k: int) -> Judged:
    """What was found for each question, held against what should be; chunks that are of nothing relevant take their places."""
    rankings = [list(_ranking(each, chunks)) for each, chunks in zip(golden.questions, found, strict=True)]
    relevant: list[Grades] = [{i: item.grade for i, item in enumerate(each.relevant)} for each in golden.questions]
    return judged(rankings, relevant, k)


def _ranking(question: GoldenQuestion, chunks: Sequence[Stretch]) -> Iterator[int]:
    """Of each chunk the number of what it finds, of several the one of the highest grade that was not found before it."""
    seen: set[int] = set()
    for place, chunk in enumerate(chunks):
        hits = [i for i, item in enumerate(question.relevant) if item.is_found_by(chunk)]
        new = [i for i in hits if i not in seen] or hits
        best = max(new, key=lambda i: question.relevant[i].grade, default=-1 - place)
        seen.add(best)
        yield best


def _question(line: str, number: int) -> GoldenQuestion:
    try:
        told = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise _Wrong(f"it is no JSON ({type(error).__name__}).") from None
    if not isinstance(told, dict):
        raise _Wrong('it is no object such as {"query": "…", "relevant": ["a.md"]}.')
    query, relevant, cluster = told.get("query"), told.get("relevant"), told.get("cluster")
    if not isinstance(query, str) or not query.strip():
        raise _Wrong(f"its query is {query!r}, which is no question.")
    if not isinstance(relevant, list) or not relevant:
        raise _Wrong("it names nothing that is relevant.")
    unknown = told.keys() - {"query", "relevant", "cluster", "provenance"}
    if unknown:
        raise _Wrong(f"it has {', '.join(sorted(unknown))}, which mean nothing.")
    group = f"line {number}" if cluster is None else f"cluster {cluster}"
    provenance = told.get("provenance", {})
    if not isinstance(provenance, dict):
        raise _Wrong("its provenance is no object.")
    return GoldenQuestion(query, tuple(dict.fromkeys(map(_relevant, relevant))), group, provenance)


def _relevant(told: Any) -> Relevant:
    if isinstance(told, str) and told:
        return Relevant(told)
    if not isinstance(told, Mapping) or not isinstance(told.get("document"), str) or not told["document"]:
        raise _Wrong(f"{told!r} names no document.")
    unknown = told.keys() - {"document", "start", "end", "grade", "text"}
    if unknown:
        raise _Wrong(f"what is relevant has {', '.join(sorted(unknown))}, which mean nothing.")
    start, end, grade = told.get("start"), told.get("end"), told.get("grade", 1.0)
    if (start is None) != (end is None) or (start is not None and not _is_stretch(start, end)):
        raise _Wrong(f"{start!r} to {end!r} is no stretch of a document.")
    if isinstance(grade, bool) or not isinstance(grade, int | float) or not (math.isfinite(grade) and grade > 0):
        raise _Wrong(f"a grade of {grade!r} means nothing.")
    text = told.get("text", "")
    if not isinstance(text, str):
        raise _Wrong(f"a text of {text!r} is none.")
    return Relevant(told["document"], start, end, float(grade), text)


def _is_stretch(start: Any, end: Any) -> bool:
    return type(start) is int and type(end) is int and 0 <= start < end
