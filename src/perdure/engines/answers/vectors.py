"""Texts as hashed vectors: how alike two texts are in their letters and their words. Shifts and intents share it."""

from __future__ import annotations

import re
import unicodedata
import zlib
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

N_HALF = 1024
"""Buckets for letters, and as many for words."""
_WORD = re.compile(r"\w+")
_CHARS = 4
_LONGEST = 4000

Float2D = NDArray[np.float32]


def normalised(text: str) -> str:
    """Lower case, compatibility forms, one space between words; what is no word or space is dropped.

    >>> normalised("It's  12 km -- to Bonn.")
    'it s 12 km to bonn'
    """
    folded = text if text.isascii() else unicodedata.normalize("NFKC", text)
    return " ".join(_WORD.findall(folded[:_LONGEST].lower()))


def words_of(text: str) -> list[str]:
    """The words of a text, normalised; in scripts without spaces its letters, two by two."""
    return [piece for word in normalised(text).split() for piece in _pieces(word)]


def _pieces(word: str) -> Iterator[str]:
    if word.isascii() or not any("\u3040" <= letter <= "\u9fff" for letter in word) or len(word) < 3:
        yield word
    else:
        yield from (word[at : at + 2] for at in range(len(word) - 1))


def counts_of(texts: Sequence[str]) -> Float2D:
    """Shape (n, 2 * N_HALF): how often each bucket's runs of four letters, then its words and pairs of words, occur.

    Cost: some 60 µs a text of 200 characters.
    """
    made = np.zeros((len(texts), 2 * N_HALF), dtype=np.float32)
    for row, text in enumerate(texts):
        plain, words = f" {normalised(text)} ", words_of(text)
        letters = [plain[at : at + _CHARS] for at in range(max(1, len(plain) - _CHARS + 1))]
        pairs = [f"{first} {second}" for first, second in pairwise(words)]
        np.add.at(made[row], [_bucket(each) for each in letters], 1.0)
        if words:
            np.add.at(made[row], [N_HALF + _bucket(each) for each in (*words, *pairs)], 1.0)
    return made


def _bucket(piece: str) -> int:
    return zlib.crc32(piece.encode("utf-8", "surrogatepass")) % N_HALF


def directions(counts: Float2D, weights: NDArray[np.float32] | None = None) -> Float2D:
    """Each half of each row at length sqrt(1/2), so that the product of two rows is the mean of two cosines."""
    weighted = np.sqrt(counts) if weights is None else np.sqrt(counts) * weights
    made = np.empty_like(weighted)
    for half in (slice(0, N_HALF), slice(N_HALF, None)):
        part = weighted[:, half]
        lengths = np.sqrt((part * part).sum(axis=1, keepdims=True))
        made[:, half] = part / np.where(lengths > 0.0, lengths, 1.0) * np.float32(np.sqrt(0.5))
    return made


def likeness(texts: Sequence[str]) -> NDArray[np.float64]:
    """Shape (n, n): 1 for texts of the same letters and words, 0 for those that share none."""
    rows = directions(counts_of(texts))
    used = rows[:, rows.any(axis=0)]
    # Small, and no product of matrices: BLAS would wake threads that spin for longer than the work takes.
    found: NDArray[np.float64] = np.clip(np.einsum("ik,jk->ij", used, used).astype(np.float64), 0.0, 1.0)
    _, plain = np.unique([normalised(text) for text in texts], return_inverse=True)
    found[plain[:, None] == plain[None, :]] = 1.0
    return found
