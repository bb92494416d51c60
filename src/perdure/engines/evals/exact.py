"""Scorers that say right or wrong: the expected text, a pattern, a number."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

import jsonschema_rs

from perdure.assets.scorers import Contains, Exact, Matches, Number
from perdure.assets.suite import Case
from perdure.core.errors import BadSuite
from perdure.core.ports import Answered
from perdure.core.texts.numbers import Found, find_numbers
from perdure.core.texts.tokens import HAS_UNSPACED
from perdure.engines.evals.protocols import Score
from perdure.engines.evals.reading import BAD, GOOD, LONGEST, expected_of, finite, json_of, same, texts_of

_CLASSES = {"w": r"\p{L}\p{M}\p{N}_", "d": r"\p{Nd}"}


class ExactPart:
    """The answer is the expected text, one of the expected texts, or JSON that is the expected value."""

    needs = "`expected`: a text, a number, a list of which any is right, or an object that the answer is as JSON"
    code = 1

    def __init__(self, declared: Exact) -> None:
        self._fold = declared.fold_case

    def lacks(self, case: Case) -> str:
        """Nothing is expected."""
        return "the case expects nothing" if self._expected(case) is None else ""

    def score(self, case: Case, answer: Answered) -> Score:
        """Cost: 2 µs for a short text."""
        expected = self._expected(case)
        said = self._plain(answer.text)
        if said == self._plain(expected) if isinstance(expected, str) else self._is_one(said, expected):
            return GOOD
        return BAD

    @staticmethod
    def _expected(case: Case) -> Any:
        expected = expected_of(case, "text")
        return expected_of(case, "json") if expected is None else expected

    def _is_one(self, said: str, expected: Any) -> bool:
        if any(said == self._plain(each) for each in texts_of(expected)):
            return True
        if not isinstance(expected, list | tuple | dict):
            return False
        try:
            return same(json_of(said), expected)
        except ValueError:
            return False

    def _plain(self, text: str) -> str:
        if not text.isascii():
            text = unicodedata.normalize("NFKC", text)
        return text.strip().casefold() if self._fold else text.strip()


class ContainsPart:
    """The expected text stands in the answer: neither part of a longer word nor of a longer number."""

    needs = "`expected`: a text, a number, or a list of them"
    code = 1

    def __init__(self, declared: Contains) -> None:
        self._fold, self._every = declared.fold_case, declared.every

    def lacks(self, case: Case) -> str:
        """Nothing is expected."""
        return "" if texts_of(expected_of(case, "text")) else "the case expects nothing"

    def score(self, case: Case, answer: Answered) -> Score:
        """Cost: 3 µs for a short text."""
        said = self._plain(answer.text[:LONGEST])
        found = [_stands_in(self._plain(each), said) for each in texts_of(expected_of(case, "text"))]
        return GOOD if (all(found) if self._every else any(found)) else BAD

    def _plain(self, text: str) -> str:
        if not text.isascii():
            text = unicodedata.normalize("NFKC", text)
        return text.strip().casefold() if self._fold else text.strip()


def _stands_in(wanted: str, text: str) -> bool:
    """Whether a text stands in another, and not in a longer word or number; where no spaces stand, anywhere."""
    at = text.find(wanted) if wanted else -1
    while at >= 0:
        before, behind = text[at - 1 : at] if at else "", text[at + len(wanted) : at + len(wanted) + 1]
        if not (_goes_on(before, wanted[0]) or _goes_on(wanted[-1], behind)):
            return True
        at = text.find(wanted, at + 1)
    return False


def _goes_on(one: str, other: str) -> bool:
    """Whether two neighbours are of one word."""
    return one.isalnum() and other.isalnum() and HAS_UNSPACED.search(one + other) is None


class MatchesPart:
    r"""A pattern is found. Rust's engine runs it: linear time, hence without look-around and back-references.

    What surprised us: as patterns of JSON schemas go through it, `\w` and `\d` mean ASCII; here they are Unicode's, as in `re`.
    """

    needs = "nothing: the pattern is the scorer's"
    code = 1

    def __init__(self, declared: Matches) -> None:
        pattern = unicode_classes(declared.pattern)
        try:
            self._validator = jsonschema_rs.validator_for(
                {"type": "string", "pattern": f"^(?:{pattern})$" if declared.whole else pattern},
                pattern_options=jsonschema_rs.RegexOptions(),
            )
        except (jsonschema_rs.ValidationError, ValueError) as error:
            raise BadSuite(
                f"The pattern {declared.pattern!r} cannot be used.",
                hint="Patterns run in linear time: no look-around (?=…), no back-references \\1, no possessive quantifiers.",
            ) from error

    def lacks(self, case: Case) -> str:  # noqa: ARG002 - one shape for all
        """It applies to every case."""
        return ""

    def score(self, case: Case, answer: Answered) -> Score:  # noqa: ARG002 - one shape for all
        """Cost: 1 µs for a short text."""
        text = answer.text[:LONGEST]
        try:
            found = self._validator.is_valid(text)
        except UnicodeEncodeError:  # halves of a surrogate pair, which no text in UTF-8 has
            found = self._validator.is_valid(text.encode("utf-8", "replace").decode())
        return GOOD if found else BAD


def unicode_classes(pattern: str) -> str:
    r"""The pattern with `\w` and `\d` for letters and digits of all scripts. A negated one within brackets stays ASCII's.

    >>> unicode_classes(r"\d+ [\w-]"), unicode_classes(r"\\d")
    ('\\p{Nd}+ [\\p{L}\\p{M}\\p{N}_-]', '\\\\d')
    """
    made: list[str] = []
    in_class = False
    for piece in re.findall(r"\\.|\[\^?\]?|[^\\]", pattern, re.DOTALL):
        kind = piece[1:]
        if piece[0] == "\\" and kind.lower() in _CLASSES:
            inner = _CLASSES[kind.lower()]
            if in_class:
                made.append(inner if kind.islower() else piece)
            else:
                made.append(f"[{inner}]" if kind == "w" else f"[^{inner}]" if kind.isupper() else inner)
            continue
        in_class = (in_class or piece[0] == "[") and piece != "]"
        made.append(piece)
    return "".join(made)


class NumberPart:
    """The number in the answer is near the expected one, in whichever way it is written; percent and shares meet."""

    needs = "`expected`: a number, or a text that holds one"
    code = 1

    def __init__(self, declared: Number) -> None:
        self._absolute, self._relative, self._which = declared.absolute, declared.relative, declared.which

    def lacks(self, case: Case) -> str:
        """No number is expected."""
        expected = expected_of(case, "number")
        return "" if _number_of(expected) is not None else "the case expects no number"

    def score(self, case: Case, answer: Answered) -> Score:
        """Cost: 5 µs for a short text."""
        wanted = _number_of(expected_of(case, "number"))
        found = find_numbers(answer.text[-LONGEST:] if self._which == "last" else answer.text[:LONGEST])
        if not found or wanted is None:
            return Score(0.0, why="no number in the answer")
        if self._which == "only" and len(found) > 1:
            return Score(0.0, why=f"{len(found)} numbers in the answer")
        said = found[0 if self._which == "first" else -1]
        if any(self._is_near(one, other) for one in _both(said, wanted) for other in wanted.readings):
            return GOOD
        return Score(0.0, why=f"{said.readings[0]:g} is not {wanted.readings[0]:g}")

    def _is_near(self, said: float, wanted: float) -> bool:
        return abs(said - wanted) <= self._absolute + self._relative * abs(wanted)


def _both(said: Found, wanted: Found) -> tuple[float, ...]:
    """Where one side alone says percent, 50 % is 50 and 0.5: the question told in which unit it asked."""
    if said.percent == wanted.percent:
        return said.readings
    return (*said.readings, *(each / 100.0 if said.percent else each * 100.0 for each in said.readings))


def _number_of(expected: object) -> Found | None:
    if isinstance(expected, str):
        found = find_numbers(expected[:LONGEST])
        return found[-1] if found and finite(found[-1].readings[0]) is not None else None
    value = finite(expected)
    return None if value is None else Found((value,))
