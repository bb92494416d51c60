"""Words as numbers: a word is known by 64 bits of its hash, so that a million chunks need no dictionary of words in memory.

Two of 3,000,000 words share a number once in 4,000,000 indexes. Words are split as the store of an index splits them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from perdure.core.texts.tokens import words

MOST_WORDS = 64
"""Of one question, each once: a page that is pasted into a search must not cost a page's time."""
_LONGEST_QUESTION = 100_000
"""Characters of a question that are looked at."""


def chunk_words(context: str, text: str) -> list[str]:
    """The words that a chunk is found by, in order."""
    return words(f"{context}\n{text}" if context else text)


def question_terms(question: str) -> NDArray[np.uint64]:
    """Numbers of a question's words, each once, in order. There is no syntax: operators and quotes are none.

    >>> len(question_terms('Who "pays" AND NEAR(pays)?'))
    4
    """
    return numbers_of(list(dict.fromkeys(words(question[:_LONGEST_QUESTION])))[:MOST_WORDS])


def numbers_of(texts: Sequence[str]) -> NDArray[np.uint64]:
    """64 bits of each text's hash, the same on every machine. Cost: 0.8 µs a text."""
    hashed = b"".join(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest() for text in texts)
    return np.frombuffer(hashed, dtype="<u8").astype(np.uint64)
