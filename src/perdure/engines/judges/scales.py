"""Words that a judge may say, and what they are worth. Called by whoever asks a judge, reads it, or reads what people said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

PAIR = ("second", "tie", "first")
"""What is said of two answers, worst first as seen by the first of them."""
GOOD_ABOVE = 0.5
"""A value above it speaks for the answer (of a pair: for the first), one below against it."""


def words_of(definition: Mapping[str, Any]) -> tuple[str, ...]:
    """What a version of a judge may say, worst first.

    >>> words_of({"form": "pointwise", "scale": [1, 2, 3]}), words_of({"form": "pairwise", "scale": ["bad", "good"]})
    (('1', '2', '3'), ('second', 'tie', 'first'))
    """
    if definition["form"] == "pairwise":
        return PAIR
    return tuple(str(word) for word in definition["scale"])


def value_of(word: Any, words: Sequence[str]) -> float | None:
    """0 to 1 in even steps; None: no such word. Case and spaces around it do not count.

    >>> value_of("2", ("1", "2", "3")), value_of(" Good ", ("bad", "good")), value_of("10/10", ("bad", "good"))
    (0.5, 1.0, None)
    """
    if isinstance(word, bool) or not isinstance(word, str | int):
        return None
    folded = [each.strip().casefold() for each in words]
    said = str(word).strip().casefold()
    return folded.index(said) / (len(words) - 1) if said in folded else None


def word_of(value: float, words: Sequence[str]) -> str:
    """The word nearest to a value.

    >>> word_of(0.5, PAIR)
    'tie'
    """
    return words[round(value * (len(words) - 1))]


def side_of(value: float) -> float:
    """1 for the answer (or the first of two), 0 against it, 0.5 neither.

    >>> side_of(0.75), side_of(0.5), side_of(0.25)
    (1.0, 0.5, 0.0)
    """
    return 0.5 if value == GOOD_ABOVE else float(value > GOOD_ABOVE)
