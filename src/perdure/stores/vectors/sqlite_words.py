"""Ranks chunks by words for whoever may not read everything: weighed by what he may read, and by nothing else.

`SqliteIndex.search` asks it. FTS5's own `bm25` counts every chunk of the file, dead ones and those of others too: a score would tell how
often a word stands in documents that its reader may not find.
"""

from __future__ import annotations

import math
import sqlite3
from collections import Counter
from collections.abc import Sequence
from collections.abc import Set as AbstractSet

from perdure.stores.vectors.sqlite_record import ALIVE

_K1, _B = 1.2, 0.75
"""Of BM25, as in FTS5 and Lucene. Source: Robertson and Zaragoza 2009."""
_LENGTHS = f"""
SELECT key, document, 1 + length(c0) - length(replace(c0, ' ', '')) FROM chunks JOIN words_content ON words_content.id = key
WHERE {ALIVE} AND c0 <> ''
"""  # noqa: S608 - of our own words
_MATCHING = "SELECT rowid, folded FROM words WHERE words MATCH :words"


def ranked_by_words(
    connection: sqlite3.Connection,
    asked: Sequence[str],
    at: int,
    shown: tuple[AbstractSet[str], AbstractSet[str]],
    k: int,
) -> list[tuple[int, float]]:
    """Key and BM25 of the k best, best first. Cost: 1 µs a chunk of the generation, and 5 µs one that has a word.

    Args:
        connection: of a snapshot.
        asked: words, each once.
        at: generation.
        shown: ids of documents that may be read, and of those among them that the filter leaves.
        k: how many.
    """
    readable, wanted = shown
    owners: dict[int, str] = {}
    lengths: dict[int, int] = {}
    for key, id_, n in connection.execute(_LENGTHS, {"at": at}):
        if id_ in readable:
            owners[key], lengths[key] = id_, n
    expression = " OR ".join(f'"{word}"' for word in asked)
    counts: dict[int, Counter[str]] = {}
    for key, folded in connection.execute(_MATCHING, {"words": expression}) if asked and owners else ():
        if key in owners:
            counts[key] = Counter(folded.split(" "))
    n, mean = len(owners), sum(lengths.values()) / max(1, len(owners))
    having = Counter(word for found in counts.values() for word in asked if word in found)
    weights = {word: math.log1p((n - having[word] + 0.5) / (having[word] + 0.5)) for word in asked}
    scores = [
        (key, sum(weights[word] * _weight(found[word], lengths[key] / mean) for word in asked))
        for key, found in counts.items()
        if owners[key] in wanted
    ]
    return sorted(scores, key=lambda each: (-each[1], each[0]))[:k]


def _weight(n: int, length: float) -> float:
    return n * (_K1 + 1.0) / (n + _K1 * (1.0 - _B + _B * length)) if n else 0.0
