"""Batches are judged by their columns to the same findings as row by row."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perdure.engines.retrieval.census import Expected
from perdure.engines.retrieval.census_chunks import TURNS, ChunkCensus
from perdure.stores.vectors.protocols import ChunkRow, DocumentRow, checksum_of
from perdure.stores.vectors.standing import batch_of

ONE = np.array([1, 0, 0, 0], "<f4").tobytes()
DAMAGES = {
    "text": "other",
    "digest": "0" * 32,
    "vector": ONE[:-4],
    "document": "none.md",
    "position": 1,
    "embedder": "f",
    "chunker": "d",
    "checksum": 7,
}


def a_row(key, document, position, **changes):
    text = f"{document} {position}"
    digest = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
    row = ChunkRow(key, document, position, 0, len(text), text, "", digest, "text", ONE, "e", "c")
    return msgspec.structs.replace(row, checksum=checksum_of(row), **changes)


def a_record(n, size, damaged=()):
    return {
        f"{i}.md": DocumentRow(f"{i}.md", "", "", "", size, "c", None, 0, 0, damaged=f"{i}.md" in damaged)
        for i in range(n)
    }


def expected(rows):
    return Expected("e", "c", 4, checksum_of, {row.key: row.digest for row in rows}.__getitem__)


def judged(record, rows, by, turn=None):
    census = ChunkCensus(record, expected(rows), sample=(5, "seed"), turn=turn)
    sound = [
        rows[begin + place].key for begin in range(0, len(rows), 7) for place in census.add(by(rows[begin : begin + 7]))
    ]
    return census.finish(), sound, census.sample, census.n_chunks


def row_by_row(rows):
    return replace(batch_of(rows), intact=False)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_by_columns_and_row_by_row_the_same_is_found_and_the_same_is_sound(data):
    """Whatever is damaged, with or without its checksum made anew, taken away, or there twice."""
    rows = [a_row(0, f"{i}.md", position) for i in range(8) for position in range(3)]
    for _ in range(data.draw(st.integers(0, 3))):
        at = data.draw(st.integers(0, len(rows) - 1))
        column = data.draw(st.sampled_from([*DAMAGES, "gone", "twice"]))
        if column in ("gone", "twice"):
            rows[at : at + 1] = [] if column == "gone" else [rows[at], rows[at]]
            continue
        rows[at] = msgspec.structs.replace(rows[at], **{column: DAMAGES[column]})
        if data.draw(st.booleans()):
            rows[at] = msgspec.structs.replace(rows[at], checksum=checksum_of(rows[at]))
    rows = [msgspec.structs.replace(row, key=key) for key, row in enumerate(rows, 1)]
    record = a_record(8, 3, data.draw(st.sampled_from([(), ("2.md",)])))
    assert judged(record, rows, batch_of) == judged(record, rows, row_by_row)


@pytest.mark.parametrize("turn", [*range(0, TURNS, 7), None])
def test_each_turn_looks_at_the_digests_of_its_own_chunks_and_no_turn_at_all(turn):
    rows = [a_row(key, f"{key}.md", 0, text="forged") for key in range(1, 2 * TURNS + 1)]
    forged = [msgspec.structs.replace(row, checksum=checksum_of(row)) for row in rows]
    record = {f"{key}.md": DocumentRow(f"{key}.md", "", "", "", 1, "c", None, 0, 0) for key in range(1, 2 * TURNS + 1)}
    census = ChunkCensus(record, expected(forged), turn=turn)
    for row in forged:
        census.add(batch_of([row]))
    assert {skew.kind for skew in census.finish()} == {"corrupt"}
    assert [skew.key for skew in census.skews] == [row.key for row in forged if turn is None or row.key % TURNS == turn]
