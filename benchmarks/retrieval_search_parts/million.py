"""A million chunks in a process of their own, so that its memory is its own: `million.py build|load FOLDER N`."""

from __future__ import annotations

import json
import os
import resource
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from perdure.core.clock import cpu_s
from perdure.core.documents import Scalar
from perdure.engines.retrieval.searching.asking import Ask
from perdure.engines.retrieval.searching.dumping import dump, load
from perdure.engines.retrieval.searching.searcher import Searcher, Tuning


@dataclass(frozen=True, slots=True)
class Chunk:
    """As a store gives it."""

    key: int
    document: str
    text: str
    vector: bytes
    context: str = ""


@dataclass(frozen=True, slots=True)
class Document:
    """As a record tells it."""

    id: str
    metadata: dict[str, Scalar]
    readers: Sequence[str] | None


def documents(n: int) -> Iterator[Document]:
    """One for ten chunks; a third of them for staff only."""
    for i in range(n // 10 + 1):
        yield Document(f"d{i}", {"year": 2000 + i % 25}, None if i % 3 else ["staff"])


def chunks(texts: Sequence[str], fetch: Callable[[Sequence[int]], Sequence[bytes]], n: int) -> Iterator[Chunk]:
    """The texts again and again, each with its vector."""
    for i in range(n):
        [vector] = fetch([i + 1])
        yield Chunk(i + 1, f"d{i // 10}", texts[i % len(texts)], vector)


def rss_mb() -> float:
    """What this process holds now, in MB."""
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * resource.getpagesize() / 1e6


def peak_mb() -> float:
    """The most that this process ever held, in MB; `ru_maxrss` would count what its parent held."""
    told = Path("/proc/self/status").read_text("ascii")
    return float(told.split("VmHWM:")[1].split()[0]) / 1e3


def asked(searcher: Searcher, questions: Sequence[str], vectors: NDArray[np.float32], mode: str) -> tuple[float, float]:
    """Median and 95th percentile of the CPU of a question, in ms."""
    spent = []
    for words, vector in zip(questions, vectors, strict=True):
        began_s = cpu_s()
        searcher.search(Ask(words, vector, mode=mode))  # type: ignore[arg-type]
        spent.append(1e3 * (cpu_s() - began_s))
    return statistics.median(spent), sorted(spent)[int(0.95 * len(spent))]


def recall(searcher: Searcher, all_vectors: NDArray[np.float32], vectors: NDArray[np.float32]) -> float:
    """Of the true first ten, by looking at every vector."""
    scores = [all_vectors[begin : begin + 50_000] @ vectors.T for begin in range(0, len(all_vectors), 50_000)]
    exact = np.argpartition(-np.concatenate(scores), 10, axis=0)[:10] + 1
    found = [{hit.key for hit in searcher.search(Ask(vector=vector, mode="dense"))} for vector in vectors]
    return float(np.mean([len(each & set(true.tolist())) / 10 for each, true in zip(found, exact.T, strict=True)]))


def main() -> None:
    """Build and dump, or load and ask."""
    step, folder, n = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    told = json.loads((folder / "texts.json").read_text("utf-8"))
    vectors = np.load(folder / "million.npy", mmap_mode="r")
    questions = np.load(folder / "million_questions.npy")

    file = os.open(folder / "million.npy", os.O_RDONLY)
    begin, size = vectors.offset, 4 * vectors.shape[1]

    def fetch(keys: Sequence[int]) -> list[bytes]:
        # Read and not mapped: pages of the file would count as this process's memory.
        return [os.pread(file, size, begin + (key - 1) * size) for key in keys]

    began_s = cpu_s()
    if step == "build":
        tuning = Tuning(dimensions=vectors.shape[1])
        searcher = Searcher.of(chunks(told["texts"], fetch, n), documents(n), generation=1, tuning=tuning, fetch=fetch)
        out: dict[str, object] = {"build_s": cpu_s() - began_s}
        began_s = cpu_s()
        dump(searcher, folder / "dumped", version="v1")
        out |= {"dump_s": cpu_s() - began_s, "file_mb": (folder / "dumped").stat().st_size / 1e6}
        out["peak_mb"] = peak_mb()
    else:
        before_mb = rss_mb()
        loaded = load(folder / "dumped", documents(n), version="v1", fields=["year"], fetch=fetch)
        assert loaded is not None, "what was dumped is there"
        out = {"load_s": cpu_s() - began_s, "before_mb": before_mb}
        for mode in ("dense", "lexical", "hybrid"):
            asked(loaded, told["questions"][:5], questions[:5], mode)
            out[mode] = asked(loaded, told["questions"], questions, mode)
        out["rss_mb"] = rss_mb()
        out["recall"] = recall(loaded, vectors, questions)
    print(json.dumps(out))


if __name__ == "__main__":
    main()
