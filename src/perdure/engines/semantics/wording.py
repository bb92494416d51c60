"""What no embedding tells apart, and words do: the numbers in a question."""

from __future__ import annotations

import re

_NUMBER = re.compile(r"\d+(?:[.,:/-]\d+)*")


def same_numbers(first: str, second: str) -> bool:
    """Whether two texts name the same numbers, in any order.

    "Refund order 4711" and "Refund order 4712" are as near as paraphrases are to every embedder that we tried, and have
    different answers. Numbers in words are not seen.

    >>> same_numbers("Is flight 12 late?", "Is flight 13 late?"), same_numbers("2 of 3?", "Of 3, are 2?")
    (False, True)
    """
    return sorted(_NUMBER.findall(first)) == sorted(_NUMBER.findall(second))
