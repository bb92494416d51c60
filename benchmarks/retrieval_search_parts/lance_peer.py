"""LanceDB on the same texts, vectors and questions; run by a Python that has it: `lance_peer.py FOLDER`.

CPU is that of the whole process, threads of Rust too. Its tokenizer is set to what ours does: no stems, all words, accents folded.
"""

from __future__ import annotations

import json
import resource
import statistics
import sys
from pathlib import Path
from typing import Any

import lancedb
import numpy as np
import pyarrow as pa
from lancedb.rerankers import RRFReranker


def cpu_s() -> float:
    """Of all threads."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def made(folder: Path, vectors: Any, texts: list[str]) -> Any:
    """The table with its index of words."""
    flat = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])
    data = pa.table({"id": pa.array(range(1, len(texts) + 1), pa.int64()), "text": texts, "vector": flat})
    table = lancedb.connect(str(folder / "lance")).create_table("t", data)
    table.create_fts_index("text", stem=False, remove_stop_words=False, ascii_folding=True, with_position=False)
    return table


def measured(ask: Any, questions: list[tuple[str, Any]]) -> tuple[float, list[list[int]]]:
    """Median CPU of a question, in ms, and what each finds."""
    spent, found = [], []
    for words, vector in questions[:5]:
        ask(words, vector)
    for words, vector in questions:
        began_s = cpu_s()
        rows = ask(words, vector)
        spent.append(1e3 * (cpu_s() - began_s))
        found.append([row["id"] for row in rows])
    # CPU is accounted in ticks of some ms here and there: the mean is honest where the median is coarse.
    return max(statistics.median(spent), 0.0), found


def main() -> None:
    """Without an index of vectors (exact), and with the one that costs least."""
    folder = Path(sys.argv[1])
    told = json.loads((folder / "texts.json").read_text("utf-8"))
    vectors = np.load(folder / "vectors.npy")
    asked = list(zip(told["questions"], np.load(folder / "questions.npy"), strict=True))
    began_s = cpu_s()
    table = made(folder, vectors, told["texts"])
    out: dict[str, Any] = {"version": lancedb.__version__, "build_s": cpu_s() - began_s}
    fuse = RRFReranker()

    def hybrid(words: str, vector: Any) -> Any:
        asking = table.search(query_type="hybrid").vector(vector).text(words).distance_type("cosine")
        return asking.rerank(fuse).limit(10).select(["id"]).to_list()

    def pooled(words: str, vector: Any) -> Any:
        asking = table.search(query_type="hybrid").vector(vector).text(words).distance_type("cosine")
        return asking.rerank(fuse).limit(100).select(["id"]).to_list()[:10]

    def dense(_: str, vector: Any) -> Any:
        return table.search(vector).distance_type("cosine").limit(10).select(["id"]).to_list()

    def words_only(words: str, _: Any) -> Any:
        return table.search(words, query_type="fts").limit(10).select(["id"]).to_list()

    for name, ask in (("hybrid", hybrid), ("pooled", pooled), ("dense", dense), ("words", words_only)):
        out[f"{name} exact"] = measured(ask, asked)
    began_s = cpu_s()
    table.create_index("cosine", index_type="IVF_HNSW_SQ", num_partitions=4)
    out["index_s"] = cpu_s() - began_s
    for name, ask in (("hybrid", hybrid), ("pooled", pooled), ("dense", dense)):
        out[f"{name} indexed"] = measured(ask, asked)
    print(json.dumps(out))


if __name__ == "__main__":
    main()
