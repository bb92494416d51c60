"""What a text claims, and whether another text has it: words and numbers, no model.

A claim is a sentence with something to check: numbers, names, content words. It is supported where all its numbers, most of
its names and enough of its words stand in the source. Guards judge answers by it while they pass, scorers of evals more
closely (`engines.evals.evidence`). A sentence that says the contrary in the same words is supported here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from perdure.core.texts.folding import plainest

SENTENCES = re.compile(r"(?<=[.!?\u3002\uff01\uff1f])\s+|\n+|(?<=[\u3002\uff01\uff1f])")
_NUMBERS = re.compile(r"\d(?:[\d.,'\u00a0\u202f ]{0,30}\d)?")
_WORDS = re.compile(r"[^\W\d_]{2,40}")
_GROUPED = re.compile(r"\d{1,3}(?:([.,' \u00a0\u202f])\d{3})(?:\1\d{3})*(?:[.,]\d+)?")
STEM = 5
"""Letters that two forms of a word share."""
_SHORTEST = 4  # letters of a content word
WORD_SHARE, NAME_SHARE = 0.5, 0.6
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
class Facts:
    """What of a text can be looked for in another."""

    numbers: frozenset[str]
    """In one form each: `1250.5`."""
    names: frozenset[str]
    words: frozenset[str]


def facts_of(text: str, *, begins: bool = False) -> Facts:
    """Numbers, names and words of a text, in forms that compare. Linear.

    Args:
        text: a sentence, or a whole source.
        begins: its first word is a name too where it is capital: for sources, in which a name may begin a sentence.

    >>> sorted(facts_of("In 1,889 Eiffel built it.").numbers), sorted(facts_of("In 1,889 Eiffel built it.").names)
    (['1889'], ['eiffel'])
    """
    words = _WORDS.findall(text)
    # The first word of a sentence is capital anyway; in a source it counts as a word like any other.
    names = {plainest(word) for word in (words if begins else words[1:]) if word[0].isupper()}
    content = {plainest(word) for word in words}
    stems = {word[:STEM] for word in content if len(word) >= _SHORTEST and word not in _STOP}
    return Facts(
        frozenset(numbers_in(text)), frozenset(names - _STOP), frozenset(stems | {word[:STEM] for word in names})
    )


def numbers_in(text: str) -> list[str]:
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


def is_claim(facts: Facts) -> bool:
    """Whether there is something to check: a number, a name, or three content words."""
    return bool(facts.numbers or facts.names) or len(facts.words) > 2


def supports(source: Facts, claim: Facts) -> bool:
    """Whether a source has all numbers, three of five names and half of the words of a claim.

    >>> supports(facts_of("The bridge has 12 lanes."), facts_of("It is a bridge of 12 lanes."))
    True
    """
    if not claim.numbers <= source.numbers:
        return False
    every_name = {name[:STEM] for name in claim.names}
    if len(every_name & source.words) < NAME_SHARE * len(every_name):
        return False
    return len(claim.words & source.words) >= WORD_SHARE * len(claim.words)
