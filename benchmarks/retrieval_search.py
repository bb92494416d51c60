"""Searching in memory: CPU a question and what is found, beside LanceDB on the same texts and vectors, and at a million chunks.

Texts are documentation and code that is installed here, questions are sentences of theirs, vectors are WordLlama's, turned into 384
dimensions without changing any cosine. Embedding the question is not counted. LanceDB runs in an environment of its own, without and
with an index of vectors; its cheaper way is the peer. At a million chunks the texts are told ten times, and vectors are neighbours of
real ones, with noise.

Run: `python benchmarks/retrieval_search.py [--json FILE] [--chunks 100000] [--million 1000000] [--peer PYTHON]`. Some 5 minutes.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perdure.core.clock import cpu_s
from perdure.core.texts.tokens import words as words_of
from perdure.engines.retrieval.embedders.words import WordVectors
from perdure.engines.retrieval.searching.asking import Ask
from perdure.engines.retrieval.searching.calibrating import calibrated
from perdure.engines.retrieval.searching.digests import served
from perdure.engines.retrieval.searching.searcher import Searcher
from retrieval_search_parts import corpus
from retrieval_search_parts.million import chunks, documents

PARTS = Path(__file__).parent / "retrieval_search_parts"
DIMENSIONS = 384
N_QUESTIONS = 100
BAR_MS, BAR_RATIO, BAR_RECALL = 5.0, 3.0, 0.98
BAR_MILLION_MS, BAR_MILLION_MB = 25.0, 1_200.0
ALIKE = 0.85
"""Of the first ten, so many are the same."""
PEER = "lancedb==0.40.0"
Floats = NDArray[np.float32]


def embedded(texts: Sequence[str]) -> Floats:
    """Vectors in 384 dimensions, of length one."""
    vectors = WordVectors().embed(texts)
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(DIMENSIONS, vectors.shape[1])))[0].T
    turned = vectors @ turn.astype(np.float32)
    lengths = np.linalg.norm(turned, axis=1, keepdims=True)
    return np.divide(turned, lengths, out=np.zeros_like(turned), where=lengths > 0)


def exact(vectors: Floats, questions: Floats) -> list[set[int]]:
    """Keys of the true first ten."""
    return [set((np.argsort(-row)[:10] + 1).tolist()) for row in questions @ vectors.T]


def asked(searcher: Searcher, asks: Sequence[Ask]) -> tuple[list[float], list[list[int]]]:
    """CPU of each question in ms, and the keys it finds."""
    spent, found = [], []
    for ask in asks[:5]:
        searcher.search(ask)
    for ask in asks:
        began_s = cpu_s()
        hits = searcher.search(ask)
        spent.append(1e3 * (cpu_s() - began_s))
        found.append([hit.key for hit in hits])
    return spent, found


def overlap(one: Sequence[Sequence[int]], other: Sequence[Sequence[int]] | Sequence[set[int]]) -> float:
    """Mean share of the first ten that both have."""
    return float(np.mean([len(set(a[:10]) & set(list(b)[:10])) / 10 for a, b in zip(one, other, strict=True)]))


def ours(
    texts: list[str], vectors: Floats, told: list[str], questions: Floats, calibrating: Floats
) -> tuple[Searcher, dict[str, Any]]:
    """Build, and ask in every way."""
    began_s = cpu_s()
    searcher = Searcher.of(
        chunks(texts, lambda keys: [vectors[key - 1].tobytes() for key in keys], len(texts)),
        documents(len(texts)),
        generation=1,
        fields=["year"],
    )
    print(f"{len(texts):,} chunks built in {cpu_s() - began_s:.1f} s of CPU, {searcher.n_bytes / 1e6:.0f} MB")
    began_s = cpu_s()
    searcher, calibration = calibrated(searcher, calibrating)
    print(
        f"  calibrated to {calibration.oversample:g}x, recall {calibration.recall.value:.3f} (at least {calibration.recall.low:.3f}), in {cpu_s() - began_s:.1f} s"
    )
    pairs = list(zip(told, questions, strict=True))
    ways = {
        "dense": [Ask(vector=vector, mode="dense") for _, vector in pairs],
        "words": [Ask(words, mode="lexical") for words, _ in pairs],
        "hybrid": [Ask(words, vector) for words, vector in pairs],
        "hybrid, fused by scores": [Ask(words, vector, fusion="scores") for words, vector in pairs],
        "hybrid, one year of 25": [Ask(words, vector, where={"year": 2003}) for words, vector in pairs],
        "hybrid, of two thirds": [Ask(words, vector, groups=["guests"]) for words, vector in pairs],
        "hybrid, diverse": [Ask(words, vector, diversity=0.3) for words, vector in pairs],
    }
    found = {name: asked(searcher, asks) for name, asks in ways.items()}
    for name, (spent, _) in found.items():
        print(f"  {name:26} {statistics.median(spent):6.2f} ms, 95th {sorted(spent)[int(0.95 * len(spent))]:6.2f} ms")
    began_s = cpu_s()
    served(searcher)
    print(f"  sums of what memory holds  {1e3 * (cpu_s() - began_s):6.1f} ms")
    return searcher, found


def lancedb(folder: Path, python: str) -> dict[str, Any] | None:
    """What the peer measured; None where it cannot be had here."""
    if python == "none":
        return None
    if not python:
        made = folder / "peer"
        try:
            subprocess.run([sys.executable, "-m", "venv", made], check=True)
            python = str(made / "bin" / "python")
            subprocess.run([python, "-m", "pip", "install", "--quiet", PEER, "numpy"], check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            print(f"lancedb left out: {error}")
            return None
    done = subprocess.run([python, PARTS / "lance_peer.py", folder], check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def neighbours(vectors: Floats, n: int, folder: Path) -> Floats:
    """N vectors near real ones in a file, and questions near others."""
    rng = np.random.default_rng(7)
    out = np.lib.format.open_memmap(folder / "million.npy", mode="w+", dtype=np.float32, shape=(n, DIMENSIONS))
    for begin in range(0, n, len(vectors)):
        # Noise of half a vector's length: the copies of a chunk are as near to each other as paraphrases are.
        noise = rng.normal(scale=0.5 / DIMENSIONS**0.5, size=vectors.shape).astype(np.float32)
        some = (vectors + noise * (begin > 0))[: n - begin]
        lengths = np.linalg.norm(some, axis=1, keepdims=True)
        out[begin : begin + len(some)] = np.divide(some, lengths, out=np.zeros_like(some), where=lengths > 0)
    out.flush()
    return out


def million(folder: Path, n: int) -> dict[str, Any]:
    """Built in one process, loaded and asked in another."""
    found: dict[str, Any] = {}
    for step in ("build", "load"):
        run = [sys.executable, PARTS / "million.py", step, folder, str(n)]
        found |= json.loads(subprocess.run(run, check=True, capture_output=True, text=True).stdout)
    return found


def row(what: str, mine: float, other: float, unit: str, *, more: bool = False) -> dict[str, Any]:
    """A figure against a bar or a peer: the ratio says how many times better ours is."""
    return {"what": what, "ours": mine, "peer": other, "unit": unit, "ratio": mine / other if more else other / mine}


def against_peer(found: dict[str, Any], told: dict[str, Any], true: list[set[int]]) -> list[dict[str, Any]]:
    """Print both, and the rows of the comparison with the peer's cheaper way."""
    mine = statistics.median(found["hybrid"][0])
    print(
        f"lancedb {told['version']}: built in {told['build_s']:.1f} s of CPU, its index of vectors in {told['index_s']:.1f} s"
    )
    for kind in ("exact", "indexed"):
        for way in ("hybrid", "pooled", "dense", "words"):
            if f"{way} {kind}" not in told:
                continue
            spent, keys = told[f"{way} {kind}"]
            same = overlap(found["hybrid" if way == "pooled" else way][1], keys)
            print(f"  {way:7} {kind:8} {spent:7.2f} ms, {same:.2f} of ours found")
    print(f"  its index finds {overlap(told['dense indexed'][1], true):.3f} of the true first ten")
    # Only what gives about the same answer is compared: fused from 10 of each, or from poor neighbours, it gives another one.
    alike = [
        told[way][0]
        for way in ("hybrid exact", "pooled exact", "hybrid indexed", "pooled indexed")
        if overlap(found["hybrid"][1], told[way][1]) >= ALIKE
    ]
    if not alike:
        print("  none of its ways gives about the same answer: nothing is compared")
        return []
    return [
        row(
            "cpu a hybrid question at 100,000 x 384 against lancedb, its cheapest way of the same answer",
            mine,
            min(alike),
            "ms",
        )
    ]


def main() -> None:
    """Measure, print, and write JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chunks", type=int, default=100_000)
    parser.add_argument("--million", type=int, default=1_000_000)
    parser.add_argument("--peer", default="", help="a Python that has lancedb; none: leave it out")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    texts = corpus.texts(given.chunks)
    told = corpus.questions(texts, 2 * N_QUESTIONS)
    # Half of the questions tune the searcher, the other half are asked.
    told, calibrating = told[::2], embedded(told[1::2])
    vectors, questions = embedded(texts), embedded(told)
    n_words = statistics.mean(len(words_of(each)) for each in told)
    print(f"{len(told)} questions of {n_words:.1f} words")
    _, found = ours(texts, vectors, told, questions, calibrating)
    true = exact(vectors, questions)
    recall, mine = overlap(found["dense"][1], true), statistics.median(found["hybrid"][0])
    print(f"  recall of the true first ten {recall:.4f}")
    rows = [
        row("cpu a hybrid question at 100,000 x 384, against the bar", mine, BAR_MS, "ms"),
        row("recall at 10 of short questions, against the bar", recall, BAR_RECALL, "share", more=True),
    ]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "texts.json").write_text(json.dumps({"texts": texts, "questions": told}), "utf-8")
        np.save(folder / "vectors.npy", vectors)
        np.save(folder / "questions.npy", questions)
        peer = lancedb(folder, given.peer)
        if peer is not None:
            rows += against_peer(found, peer, true)
        if given.million:
            rows += at_a_million(folder, vectors, questions, given.million)
    bars = [each["ratio"] >= (BAR_RATIO if "lancedb" in each["what"] else 1.0) for each in rows]
    for each, held in zip(rows, bars, strict=True):
        print(f"{each['what']}: {each['ours']:.4g} to {each['peer']:.4g} {each['unit']}, {each['ratio']:.2f}x, "
              f"{'held' if held else 'MISSED'}")  # fmt: skip
    if given.json:
        given.json.write_text(
            json.dumps({"bench": "retrieval_search", "agree": all(bars), "rows": rows}, indent=1), "utf-8"
        )


def at_a_million(folder: Path, vectors: Floats, questions: Floats, n: int) -> list[dict[str, Any]]:
    """Print, and the rows against the bars."""
    neighbours(vectors, n, folder)
    np.save(folder / "million_questions.npy", questions)
    found = million(folder, n)
    print(f"{n:,} chunks: built in {found['build_s']:.0f} s of CPU (peak {found['peak_mb']:.0f} MB),"
          f" dumped in {found['dump_s']:.1f} s to {found['file_mb']:.0f} MB, loaded in {found['load_s']:.1f} s, recall "
          f"{found['recall']:.3f}")  # fmt: skip
    for mode in ("dense", "lexical", "hybrid"):
        print(f"  {mode:8} {found[mode][0]:6.2f} ms, 95th {found[mode][1]:6.2f} ms")
    return [
        row("cpu a hybrid question at 1,000,000 x 384, against the bar", found["hybrid"][0], BAR_MILLION_MS, "ms"),
        row("memory at 1,000,000 x 384, against the bar", found["rss_mb"], BAR_MILLION_MB, "MB"),
    ]


if __name__ == "__main__":
    main()
