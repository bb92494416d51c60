"""Vectors of texts without a server: WordLlama's static ones, 16 MB in its wheel (extra `similarity`).

An embedder named "" is this one; any other goes to the embedder behind it. What surprised us: version 0.4.0 looks for its own
tokenizer in a folder that its wheel does not have, and would download it; given its package as the cache it finds it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from perdure.core.errors import MissingExtra, NotReady
from perdure.core.ports import Embed, Embedded


class WordLlamaEmbed:
    """The port `Embed` with WordLlama for an unnamed route. Loads in 0.3 s at the first text; 1,000 texts a second.

    Args:
        others: who answers for named routes; None: nobody does.
    """

    def __init__(self, others: Embed | None = None) -> None:
        self._others = others
        self._loaded: Any = None

    def embed(self, route: str, texts: Sequence[str]) -> Embedded:
        """A row a text; a text of no known word is all zeros.

        Raises:
            MissingExtra: WordLlama is not installed.
            NotReady: a route is named, and nobody is there to ask.
            UpstreamError: the route answered with an error or not in time.
        """
        if route:
            if self._others is None:
                raise NotReady(
                    f"No embedder answers for {route!r} here.", hint="Run it where the gateway can be asked."
                )
            return self._others.embed(route, texts)
        if self._loaded is None:
            self._loaded = _load()
        if not texts:
            return Embedded(np.zeros((0, 256), np.float32))
        vectors = np.asarray(self._loaded.embed(list(texts)), dtype=np.float32)
        lengths = np.sqrt((vectors * vectors).sum(axis=1, keepdims=True))
        return Embedded(np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0.0))


def _load() -> Any:
    try:
        import wordllama  # type: ignore[import-untyped,import-not-found,unused-ignore]
    except ImportError as error:
        raise MissingExtra("similarity", needed_for="Comparing texts by their vectors (Similar)") from error
    return wordllama.WordLlama.load(cache_dir=Path(wordllama.__file__).parent, disable_download=True)
