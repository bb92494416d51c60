"""A search as a server makes it, in one process: ranked in memory, every hit read from the store and checked; without HTTP, embedding or capture.

Run: `python benchmarks/retrieval_search_parts/guarded.py [--chunks 100000]`. Some 2 minutes, most of them writing the store. Texts,
questions and vectors are those of `retrieval_search.py`, with ten chunks a document; the plain searcher is asked the same beside it.
"""

from __future__ import annotations

import argparse
import hashlib
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from perdure import Index, Pushed
from perdure.core.clock import cpu_s
from perdure.engines.retrieval.searching.asking import Ask
from perdure.serve.retrieval.finding import Search, find
from perdure.serve.retrieval.held import HeldParts, ServedIndex
from perdure.stores.vectors.opening import open_index
from perdure.stores.vectors.protocols import Change, ChunkRow, DocumentRow
from retrieval_search import BAR_MS, N_QUESTIONS, Floats, embedded
from retrieval_search_parts import corpus

_A_DOCUMENT = 10
_AT_ONCE = 20_000


class Known:
    """Gives vectors of texts that were embedded before."""

    fingerprint = "known"

    def __init__(self, texts: Sequence[str], vectors: Floats) -> None:
        self._known = dict(zip(texts, vectors, strict=True))
        self.dimensions = vectors.shape[1]

    def embed(self, contents: Sequence[Any], use: str = "document") -> Floats:
        return np.stack([self._known[each] for each in contents])


def changes(texts: Sequence[str], vectors: Floats) -> Iterator[Change]:
    """The texts as generations of a store, ten of them a document."""
    for number, begin in enumerate(range(0, len(texts), _AT_ONCE)):
        some = range(begin, min(begin + _AT_ONCE, len(texts)))
        rows = [_chunk(i, texts[i], vectors[i].astype("<f4").tobytes()) for i in some]
        names = dict.fromkeys(row.document for row in rows)
        documents = [DocumentRow(name, "1", "d", "text/plain", _A_DOCUMENT, "c", 1, 1, 1) for name in names]
        yield Change(1_000_000 * (number + 1), 1_000_000, "bench", number, documents, rows)


def _chunk(i: int, text: str, vector: bytes) -> ChunkRow:
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
    return ChunkRow(
        key=0, document=f"{i // _A_DOCUMENT}.md", position=i % _A_DOCUMENT, start=0, end=len(text), text=text, context="",
        digest=digest, form="text", vector=vector, embedder=Known.fingerprint, chunker="c",
    )  # fmt: skip


def spent(run: Callable[[str], Any], told: Sequence[str]) -> list[float]:
    """CPU of each question in ms."""
    for each in told[:5]:
        run(each)
    found = []
    for each in told:
        began_s = cpu_s()
        run(each)
        found.append(1e3 * (cpu_s() - began_s))
    return found


def measured(n: int, folder: Path) -> dict[str, tuple[float, float]]:
    """Way → median and 95th percentile of the CPU of a question, ms."""
    texts = corpus.texts(n)
    told = corpus.questions(texts, N_QUESTIONS)
    vectors, questions = embedded(texts), embedded(told)
    path = folder / "v.db"
    store = open_index(path)
    for change in changes(texts, vectors):
        store.apply(change)
    store.close()
    sentences = Known([*texts, *told], np.concatenate([vectors, questions]))
    opened = partial(open_index, path, read_only=True)
    index = ServedIndex(HeldParts(Index("bench", Pushed()), "bench@1", opened, sentences))
    searcher = index.held.searcher
    assert searcher is not None
    for each in told:
        index.embedded(each)
    ways: dict[str, Callable[[str], Any]] = {
        "searched alone, hybrid": lambda text: searcher.search(Ask(text, index.embedded(text))),
        "guarded, hybrid": lambda text: find(index, Search(text)),
        "guarded, hybrid, k=50": lambda text: find(index, Search(text, k=50)),
        "guarded, dense": lambda text: find(index, Search(text, mode="dense")),
        "guarded, words": lambda text: find(index, Search(text, mode="lexical")),
    }
    found = {}
    for name, run in ways.items():
        each = sorted(spent(run, told))
        found[name] = statistics.median(each), each[int(0.95 * len(each))]
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chunks", type=int, default=100_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measured(given.chunks, Path(folder))
    for name, (median, high) in found.items():
        print(f"{name:24} {median:6.2f} ms, 95th {high:6.2f} ms")
    print(
        f"the bar of a hybrid question is {BAR_MS:g} ms: {'held' if found['guarded, hybrid'][0] <= BAR_MS else 'MISSED'}"
    )


if __name__ == "__main__":
    main()
