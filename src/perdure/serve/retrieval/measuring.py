"""How wide a large index is searched: measured when it is first read, by questions made of its own first sentences, and kept with it.

What is kept in the file beside the store has it, so it is measured once a version and machine, not at each start.
"""

from __future__ import annotations

import logging
import re

import numpy as np

from perdure.core.errors import PerdureError
from perdure.engines.retrieval.protocols import Embedder
from perdure.engines.retrieval.searching.calibrating import calibrated
from perdure.engines.retrieval.searching.searcher import Searcher
from perdure.serve.boundary import contained
from perdure.stores.vectors.protocols import IndexStore

log = logging.getLogger("perdure.serve")

LEAST_CHUNKS = 10_000
"""Of fewer the usual width leaves so many that nothing is missed, for next to nothing."""
_QUESTIONS = 256
_LEAST_QUESTIONS = 183
"""With fewer the lower end of the interval does not reach the goal, whatever is found: 0.98^183 is 2.5%."""
_LONGEST = 200
_ENDS = re.compile(r"(?<=[.!?])\s|\n")


def measured(searcher: Searcher, store: IndexStore, embedder: Embedder | PerdureError) -> Searcher:
    """The searcher with the width that it needs; itself where it is small, was measured, or its questions cannot be embedded.

    Args:
        searcher: of a generation.
        store: that has its chunks.
        embedder: of questions; an error where there is none.

    Cost: 8 s for 100,000 chunks, 50 s for 1,000,000, and 256 questions that are embedded.
    """
    if searcher.n_chunks < LEAST_CHUNKS or searcher.state.tuning.recall is not None:
        return searcher
    if isinstance(embedder, PerdureError):
        return searcher
    return contained(lambda: _measured(searcher, store, embedder), lambda error: _left(searcher, error))


def _measured(searcher: Searcher, store: IndexStore, embedder: Embedder) -> Searcher:
    sentences = _sentences(searcher, store)
    if len(sentences) < _LEAST_QUESTIONS:
        return searcher
    made, found = calibrated(searcher, embedder.embed(sentences, "query"))
    log.info("An index of %d chunks is searched %g rows a hit wide.", searcher.n_chunks, found.oversample)
    return made


def _sentences(searcher: Searcher, store: IndexStore) -> list[str]:
    """First sentences of chunks that lie evenly over the index, each once."""
    keys = searcher.state.segments[0].keys
    places = np.linspace(0, len(keys) - 1, _QUESTIONS).astype(np.intp)
    rows = store.fetch(keys[np.unique(places)].tolist())
    told = [_ENDS.split(row.text.strip(), 1)[0][:_LONGEST] for row in rows if row is not None]
    return list(dict.fromkeys(each for each in told if each))


def _left(searcher: Searcher, error: Exception) -> Searcher:
    log.info("An index is searched as wide as usual: its questions could not be embedded (%s).", type(error).__name__)
    return searcher
