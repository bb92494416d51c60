"""Vectors as an index keeps them: finite float32, of length 1 or all zeros."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from perdure.core.documents import Content
from perdure.engines.retrieval.protocols import Unparsable


def unit_rows(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Each row divided by its length; a row of zeros stays one.

    >>> unit_rows(np.array([[3.0, 4.0], [0.0, 0.0]], np.float32)).tolist()
    [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """
    # Scaled first: squares of very small or very large members would leave float32.
    most = np.abs(vectors).max(axis=1, keepdims=True, initial=0.0)
    scaled = np.divide(vectors, most, out=np.zeros_like(vectors), where=most > 0.0)
    lengths = np.sqrt((scaled * scaled).sum(axis=1, keepdims=True))
    unit: NDArray[np.float32] = np.divide(scaled, lengths, out=np.zeros_like(scaled), where=lengths > 0.0)
    return unit


def texts_of(contents: Sequence[Content], embedder: str) -> list[str]:
    """The contents, which must be texts.

    Raises:
        Unparsable: one is the bytes of a picture, a sound ….
    """
    texts = [each for each in contents if isinstance(each, str)]
    if len(texts) != len(contents):
        raise Unparsable(
            "not_embedded", f"{embedder} embeds texts, and was given bytes: an embedder of pictures is a CustomEmbedder"
        )
    return texts
