"""Words that are not to be said: topics by their words, and names. Whole words, in any case, in one expression."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from perdure.core.errors import BadGuard
from perdure.engines.guards.checks import PointingCheck
from perdure.engines.guards.stretches import Pattern

_ENDING = 30  # letters that a `*` stands for at most
_LETTER = 0x2E80  # from here on scripts write no spaces between words
_MOST_SIGNS = 48


def topics(denied: Mapping[str, Sequence[str]]) -> PointingCheck:
    """A check for topics, each by its words; the kind of a hit is its topic.

    >>> check = topics({"medicine": ("diagnos*", "side effect")})
    >>> [check.first(text) is not None for text in ("Diagnosis?", "SIDE  effect", "misdiagnosis", "besides")]
    [True, True, False, False]

    Raises:
        BadGuard: a topic without words, or an empty word.
    """
    return PointingCheck("topics", tuple(_pattern(topic, words) for topic, words in denied.items()))


def names(denied: Sequence[str]) -> PointingCheck:
    """A check for names.

    >>> names(["Acme Corp"]).first("What of ACME corp?").start
    8

    Raises:
        BadGuard: no name, or an empty one.
    """
    return PointingCheck("names", (_pattern("name", denied),))


def _pattern(kind: str, words: Sequence[str]) -> Pattern:
    if not words or not all(word.strip("* ") for word in words):
        raise BadGuard(f"{kind!r} has no word, or an empty one.", hint="Name at least one word for each.")
    # Longest first: of two words of which one begins the other, the whole one is found.
    ordered = sorted({word.strip() for word in words}, key=len, reverse=True)
    regex = re.compile("|".join(_word(word) for word in ordered), re.IGNORECASE)
    longest = max(len(word) + 2 * word.count(" ") for word in ordered) + _ENDING + 2
    firsts = {re.split(r"[\s*]", word)[0].lower() for word in ordered}
    # A regular expression without regard to case takes the Kelvin sign for a k; a sign, which is plain text, would not.
    plain = len(firsts) <= _MOST_SIGNS and all(each.isascii() and not set(each) & {"k", "s", "i"} for each in firsts)
    return Pattern(kind, regex, longest, tuple(sorted(firsts)) if plain else (), lower=True)


def _word(word: str) -> str:
    body, star = word.rstrip("*"), word.endswith("*")
    written = r"\s{1,3}".join(re.escape(part) for part in body.split())
    begin = r"(?<!\w)" if ord(body[0]) < _LETTER and (body[0].isalnum() or body[0] == "_") else ""
    end = rf"\w{{0,{_ENDING}}}" if star else r"(?!\w)" if ord(body[-1]) < _LETTER and body[-1].isalnum() else ""
    return begin + written + end
