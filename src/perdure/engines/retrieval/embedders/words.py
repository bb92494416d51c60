"""WordLlama's static vectors of words (extra `similarity`): the mean of a text's tokens. 1,000 documents a second, weights in the wheel.

The package is not imported, only its files are read: importing it costs 0.7 s and sets up the whole process's logging. Each text is pooled
alone, so that its vector is the same to the bit in any batch.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from perdure.core.canonical import bytes_hash
from perdure.core.documents import Content
from perdure.core.errors import MissingExtra
from perdure.engines.retrieval.embedders.fingerprints import fingerprint
from perdure.engines.retrieval.embedders.rows import texts_of, unit_rows
from perdure.engines.retrieval.embedders.tensors import tensors_of
from perdure.engines.retrieval.protocols import Use

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_NEEDED_FOR = "Embedding by WordLlama"
_WEIGHTS, _TOKENIZER = "weights/l2_supercat_256.safetensors", "tokenizers/l2_supercat_tokenizer_config.json"
_PART = 4096
"""Tokens whose vectors are held at once: of a whole book they would take gigabytes."""
_POOLING = 1
"""Version of the arithmetic below: part of the fingerprint."""


@dataclass(frozen=True, slots=True)
class _Words:
    table: NDArray[np.float32]
    tokenizer: Tokenizer
    digest: str


class WordVectors:
    """Mean of the vectors of a text's tokens. Safe to share between threads; memory is shared by all of a process.

    Args:
        dimensions: the first 64, 128 or 256 of them: the table was trained to be cut there.

    Raises:
        MissingExtra: WordLlama is not installed.
    """

    def __init__(self, dimensions: int = 256) -> None:
        words = _installed()
        self._table = np.ascontiguousarray(words.table[:, :dimensions])
        self._tokenizer = words.tokenizer
        self.dimensions = dimensions
        self.fingerprint = fingerprint("wordllama", files=words.digest, dimensions=dimensions, pooling=_POOLING)

    def embed(self, contents: Sequence[Content], use: Use = "document") -> NDArray[np.float32]:  # noqa: ARG002 - the Protocol's
        """See `Embedder.embed`; the same for questions and documents. A blank text is all zeros: its spaces have vectors, and say nothing."""
        rows = np.zeros((len(contents), self.dimensions), np.float32)
        for row, text in zip(rows, texts_of(contents, "WordLlama"), strict=True):
            ids = self._tokenizer.encode(text, add_special_tokens=False).ids if text.strip() else []
            if ids:
                row[:] = self._sum(ids) / len(ids)
        return unit_rows(rows)

    def _sum(self, ids: list[int]) -> NDArray[np.float32]:
        parts = (self._table[ids[at : at + _PART]].sum(axis=0) for at in range(0, len(ids), _PART))
        total: NDArray[np.float32] = sum(parts, np.zeros(self.dimensions, np.float32))
        return total


@lru_cache(maxsize=1)
def _installed() -> _Words:
    spec = importlib.util.find_spec("wordllama")
    try:
        from tokenizers import Tokenizer

        folder = Path(((spec and spec.submodule_search_locations) or [""])[0])
        weights, tokenizer = (folder / _WEIGHTS).read_bytes(), (folder / _TOKENIZER).read_bytes()
    except (ImportError, FileNotFoundError) as error:
        raise MissingExtra("similarity", needed_for=_NEEDED_FOR) from error
    cutting = Tokenizer.from_str(tokenizer.decode())
    cutting.no_padding()
    cutting.no_truncation()
    table = tensors_of(weights)["embedding.weight"].astype(np.float32)
    return _Words(table, cutting, bytes_hash(weights) + bytes_hash(tokenizer))
