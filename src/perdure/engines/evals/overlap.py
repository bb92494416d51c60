"""Scorers of what two texts have in common: items, words, words in order. Any script; 1 where both are empty."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from typing import Any

from perdure.assets.scorers import SetF1
from perdure.assets.suite import Case
from perdure.core.canonical import canonical_json
from perdure.core.errors import DeclarationError
from perdure.core.ports import Answered
from perdure.core.texts.tokens import answer_words, n_common, words
from perdure.engines.evals.protocols import Score
from perdure.engines.evals.reading import BAD, GOOD, LONGEST, expected_of, json_of, lacks_text, texts_of

_LONGEST_WORDS = 20_000
_BULLET = re.compile(r"^\s*(?:[-*•·]|\d{1,3}[.)])\s+")
_AROUND = " \t\r\n.。\"'`“”„«»"


def f1(n_same: int, n_said: int, n_expected: int) -> float:
    """2PR / (P + R), which is twice what is the same by all there is; 1 where both are empty.

    >>> f1(1, 2, 2), f1(0, 0, 0), f1(0, 0, 3)
    (0.5, 1.0, 0.0)
    """
    return 2.0 * n_same / (n_said + n_expected) if n_said + n_expected else 1.0


def token_f1(said: Sequence[str], expected: Sequence[str]) -> float:
    """F1 of two lists of words as multisets.

    Source: Rajpurkar et al. 2016. Checked against: SQuAD's script.
    """
    if said == expected:
        return 1.0
    counts = Counter(expected)
    n_same = 0
    for word in said:
        left = counts.get(word, 0)
        if left:
            counts[word] = left - 1
            n_same += 1
    return f1(n_same, len(said), len(expected))


def rouge_l(said: Sequence[str], expected: Sequence[str]) -> float:
    """F1 of the longest common subsequence of two lists of words.

    Source: Lin 2004, ROUGE-L with beta 1. Checked against: rouge-score 0.1.2.
    """
    return f1(n_common(said, expected), len(said), len(expected))


class TokenF1Part:
    """The best F1 of words over the texts that are right."""

    needs = "`expected`: a text, or a list of texts of which any is right"
    code = 1

    def lacks(self, case: Case) -> str:
        """No text is expected."""
        return lacks_text(case)

    def score(self, case: Case, answer: Answered) -> Score:
        """Cost: 35 µs for 100 words."""
        said = answer_words(answer.text[:LONGEST])
        return _scored(max(token_f1(said, answer_words(each)) for each in texts_of(expected_of(case, "text"))))


class RougeLPart:
    """The best F1 of words in order over the texts that are right."""

    needs = TokenF1Part.needs
    code = 1

    def lacks(self, case: Case) -> str:
        """No text is expected."""
        return lacks_text(case)

    def score(self, case: Case, answer: Answered) -> Score:
        """Cost: 35 µs for 100 words; quadratic in words by a 64th."""
        said = words(answer.text[:LONGEST])[:_LONGEST_WORDS]
        return _scored(max(rouge_l(said, words(each)[:_LONGEST_WORDS]) for each in texts_of(expected_of(case, "text"))))


class SetF1Part:
    """F1 of items, each counted once: of a JSON list in the answer, or of what stands between separators and on lines."""

    needs = "`expected`: a list of items, or a text of them between separators"
    code = 1

    def __init__(self, declared: SetF1) -> None:
        marks = ",、،" if declared.separator == "," else None
        inner = f"[{marks}]" if marks else re.escape(unicodedata.normalize("NFKC", declared.separator))
        self._between = re.compile(rf"{inner}|[\r\n]+")

    def lacks(self, case: Case) -> str:
        """No items are expected."""
        expected = expected_of(case, "items")
        return "" if isinstance(expected, list | tuple | str) else "the case expects no items"

    def score(self, case: Case, answer: Answered) -> Score:
        """Cost: 10 µs for ten items."""
        expected = expected_of(case, "items")
        wanted = self._split(expected) if isinstance(expected, str) else _items(expected)
        said = self._said(answer.text[:LONGEST])
        value = f1(len(said & wanted), len(said), len(wanted))
        if value == 1.0:
            return GOOD
        more, less = sorted(map(str, said - wanted))[:5], sorted(map(str, wanted - said))[:5]
        why = [f"missing: {', '.join(less)}"] * bool(less) + [f"too much: {', '.join(more)}"] * bool(more)
        return Score(value, why="; ".join(why)[:500])

    def _said(self, text: str) -> set[Hashable]:
        if "[" in text[:2_000]:
            try:
                given = json_of(text)
            except ValueError:
                given = None
            if isinstance(given, list):
                return _items(given)
        return self._split(text)

    def _split(self, text: str) -> set[Hashable]:
        plain = unicodedata.normalize("NFKC", text)
        return _items(_BULLET.sub("", each) for each in self._between.split(plain))


def _items(given: Iterable[Any]) -> set[Hashable]:
    return {item for item in map(_item, given) if item != ""}


def _item(given: Any) -> str:
    if given is None:
        return "null"
    texts = texts_of(given) if not isinstance(given, list | tuple) else []
    if texts:
        return unicodedata.normalize("NFKC", texts[0]).strip(_AROUND).casefold()
    try:
        return canonical_json(given).decode()
    except (DeclarationError, RecursionError, UnicodeEncodeError, ValueError):
        return repr(type(given))


def _scored(value: float) -> Score:
    return GOOD if value == 1.0 else BAD if value == 0.0 else Score(value)
