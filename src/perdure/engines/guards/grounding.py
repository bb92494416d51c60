"""What an answer claims stands in the texts that were retrieved. Words and numbers, no model: a coarse sieve that is cheap.

A claim is a sentence with something to check: numbers, names, content words. It is supported where all its numbers, most of
its names and enough of its words stand in the sources. A sentence that says the contrary in the same words passes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from perdure.engines.guards.checks import Finding, Json
from perdure.engines.guards.conversation import said
from perdure.engines.guards.folding import plainest

_SENTENCES = re.compile(r"(?<=[.!?\u3002\uff01\uff1f])\s+|\n+|(?<=[\u3002\uff01\uff1f])")
_NUMBERS = re.compile(r"\d(?:[\d.,'\u00a0\u202f ]{0,30}\d)?")
_WORDS = re.compile(r"[^\W\d_]{2,40}")
_GROUPED = re.compile(r"\d{1,3}(?:([.,' \u00a0\u202f])\d{3})(?:\1\d{3})*(?:[.,]\d+)?")
_STEM = 5  # letters that two forms of a word share
_SHORTEST = 4  # letters of a content word
_WORD_SHARE, _NAME_SHARE = 0.5, 0.6
_STOP = frozenset((
    "about", "above", "after", "again", "against", "also", "among", "answer", "because", "been",
    "before", "being", "below", "between", "both", "cannot", "could", "does", "doing", "down",
    "during", "each", "either", "else", "ever", "every", "from", "further", "have", "having",
    "here", "hers", "herself", "himself", "however", "into", "itself", "just", "less", "like",
    "made", "make", "many", "might", "more", "most", "much", "must", "myself", "never", "only",
    "other", "ours", "over", "rather", "same", "shall", "should", "since", "some", "such", "than",
    "that", "their", "theirs", "them", "then", "there", "therefore", "these", "they", "this",
    "those", "though", "through", "thus", "under", "until", "upon", "very", "was", "were", "what",
    "when", "where", "whether", "which", "while", "whom", "whose", "will", "with", "within",
    "without", "would", "your", "yours", "based", "according", "context", "information",
    "provided", "text", "document", "states", "mentions", "following", "please", "sure",
    "here's", "yes",
))  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Facts:
    numbers: frozenset[str]
    names: frozenset[str]
    words: frozenset[str]


class GroundedCheck:
    """Judges whether enough of an answer's claims stand in the conversation's sources.

    Args:
        least: share of the claims that must be supported.
        tagged: sources stand between `<tagged>` and `</tagged>`, or are results of tools.
    """

    name = "grounded"

    def __init__(self, least: float = 0.7, tagged: str = "context") -> None:
        self._least = least
        tag = re.escape(tagged)
        self._tagged = re.compile(rf"<{tag}(?:\s[^<>]{{0,200}})?>(.*?)</{tag}>", re.DOTALL | re.IGNORECASE)

    def judge(self, answers: Sequence[Json], messages: Sequence[Json]) -> Finding | None:
        """A finding where too few claims are supported; none where nothing was retrieved or nothing is claimed."""
        sources = self.sources(messages)
        if not sources:
            return None
        known = _facts("\n".join(sources))
        for answer in answers:
            text = answer.get("content")
            claims = [_facts(each) for each in _SENTENCES.split(text) if each.strip()] if isinstance(text, str) else []
            claims = [each for each in claims if each.numbers or each.names or len(each.words) > 2]
            supported = sum(_supported(each, known) for each in claims)
            if claims and supported < self._least * len(claims):
                score = 1.0 - supported / len(claims)
                return Finding("unsupported", score, {"claims": len(claims), "supported": supported})
        return None

    def sources(self, messages: Sequence[Json]) -> list[str]:
        """The texts that were retrieved, as far as the conversation shows them."""
        found = []
        for each in said(messages):
            if each.role in ("tool", "function"):
                found.append(each.text)
            elif each.role != "assistant":
                found += self._tagged.findall(each.text)
        return found


def _facts(text: str) -> _Facts:
    words = _WORDS.findall(text)
    # The first word of a sentence is capital anyway; in a source it counts as a word like any other.
    names = {plainest(word) for word in words[1:] if word[0].isupper()}
    content = {plainest(word) for word in words}
    stems = {word[:_STEM] for word in content if len(word) >= _SHORTEST and word not in _STOP}
    return _Facts(
        frozenset(_numbers(text)), frozenset(names - _STOP), frozenset(stems | {word[:_STEM] for word in names})
    )


def _numbers(text: str) -> list[str]:
    """The numbers of a text in one form: "1,250.50", "1.250,5" and "1250.5" are one."""
    found = []
    for match in _NUMBERS.finditer(text):
        whole = match[0]
        pieces = [whole] if _GROUPED.fullmatch(whole) else whole.replace("'", " ").split()
        found += [_number(piece.strip(".,")) for piece in pieces]
    return found


def _number(text: str) -> str:
    grouped = _GROUPED.fullmatch(text)
    if grouped is not None:
        text = text.replace(grouped[1], "")
    text = text.replace(",", ".")
    if text.count(".") > 1:
        return text  # a version or a date
    whole, _, rest = text.partition(".")
    rest = rest.rstrip("0")
    return (whole.lstrip("0") or "0") + (f".{rest}" if rest else "")


def _supported(claim: _Facts, known: _Facts) -> bool:
    if not claim.numbers <= known.numbers:
        return False
    every_name = {name[:_STEM] for name in claim.names}
    if len(every_name & known.words) < _NAME_SHARE * len(every_name):
        return False
    return len(claim.words & known.words) >= _WORD_SHARE * len(claim.words)
