"""Whether a text stands in a document, by whoever it was cut, and how much of a document stands in an index.

Tools cut documents in their own ways: they fold white space, leave out marks of Markdown, put headings elsewhere. So texts are
compared as they stand, then as sequences of words. Words are kept with their digits and case: a changed figure is another text.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Literal

Match = Literal["whole", "words", "not"]
"""It stands there as it is; its words do, and its marks are others; it does not."""
_WORD = re.compile(r"\w+")
_RUN = 5
"""Words of a run: so many in a row are hardly the same by accident."""


def folded(text: str) -> str:
    """One form of each letter, and single spaces."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def words(text: str) -> str:
    """The words of a text with single spaces between and around: a text is within another where its words are.

    >>> words("Within **30 days**,") in words("- Returns: within 30 days, Within 30 days.")
    True
    """
    return f" {' '.join(_WORD.findall(unicodedata.normalize('NFC', text)))} "


class DocumentText:
    """A document of the source, as it is compared.

    Args:
        forms: its text as it is parsed, and as its bytes say it: a tool reads either. Forms of the same words are kept once.
    """

    def __init__(self, *forms: str) -> None:
        self._folded: list[str] = []
        self._words: list[str] = []
        for form in forms:
            told = words(form)
            if told not in self._words:
                self._words.append(told)
                self._folded.append(folded(form))
        self._covered: list[list[tuple[int, int]]] = [[] for _ in self._words]

    @property
    def empty(self) -> bool:
        """Whether no word is in it."""
        return not any(form.strip() for form in self._words)

    def match(self, text: str) -> Match:
        """Whether a row's text stands in it; where it does, that stretch of it is covered."""
        told = words(text)
        match: Match = "not"
        if any(folded(text) in form for form in self._folded):
            match = "whole"
        elif len(told) > 2 and any(told in form for form in self._words):
            match = "words"
        if match != "not" and len(told) > 2:
            for form, covered in zip(self._words, self._covered, strict=True):
                _cover(told, form, covered)
        return match

    def n_times(self, text: str) -> int:
        """How often its words stand there, overlaps too; 1 at least."""
        told = words(text)
        counts = [_n_times(told, form) for form in self._words]
        return max([1, *counts])

    def still(self, text: str) -> float:
        """Share of a text's runs of five words that stand there; from 0 to 1."""
        told = words(text).split()
        runs = [told[i : i + _RUN] for i in range(max(1, len(told) - _RUN + 1))]
        within = sum(any(f" {' '.join(run)} " in form for form in self._words) for run in runs)
        return within / len(runs)

    def gap(self) -> tuple[int, str]:
        """The longest stretch of its words that no row has, as their number and how it begins; in the form that has the least."""
        pairs = zip(self._words, self._covered, strict=True)
        return min((_gap(form, covered) for form, covered in pairs), key=lambda gap: gap[0])


def _gap(form: str, covered: Sequence[tuple[int, int]]) -> tuple[int, str]:
    at, longest, begins = 0, 0, 0
    for begin, end in [*sorted(covered), (len(form), len(form))]:
        if begin - at > longest:
            longest, begins = begin - at, at
        at = max(at, end)
    missing = form[begins : begins + longest].split()
    return len(missing), " ".join(missing[:8])


def _cover(told: str, form: str, covered: list[tuple[int, int]]) -> None:
    """Everywhere that it stands: one row of a text that stands there twice says both."""
    at = 0
    while (found := form.find(told, at)) >= 0:
        covered.append((found, found + len(told) - 1))
        at = found + 1


def _n_times(told: str, form: str) -> int:
    n, at = 0, 0
    while len(told) > 2 and (found := form.find(told, at)) >= 0:
        n, at = n + 1, found + 1
    return n
