"""What a chunk says as bytes: it comes back whole, and no bit of it changes unseen."""

from __future__ import annotations

import zlib

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perdure.stores.vectors.packing import INTACT, NO_VECTORS, are_intact, begun, pack, packed_places, unpack, vector_of
from perdure.stores.vectors.protocols import ChunkRow, checksum_of
from perdure.stores.vectors.sqlite_rows import as_standing

VECTOR = np.arange(6, dtype="<f4").tobytes()
ROW = ChunkRow(1, "a.md", 2, 30, 34, "text", "Title", "d" * 32, "text", VECTOR, "e", "c", parent=(0, 90), data=b"\x00")
MAKINGS = {1: ("text", "e", "c")}


def standing(*rows, documents=None, packed=None, making=1):
    told = zip(rows, documents or [row.document for row in rows], packed or map(pack, rows), strict=True)
    return as_standing([(row.key, name, each, making) for row, name, each in told], MAKINGS)


def test_what_is_packed_comes_back_whole():
    tail = (30, 34, (0, 90), "d" * 32, "text", "Title", b"\x00")
    assert unpack(pack(ROW)) == (2, VECTOR, tail, checksum_of(ROW))
    assert vector_of(pack(ROW)) == VECTOR
    assert standing(ROW).row(0) == msgspec.structs.replace(ROW, checksum=checksum_of(ROW))


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 8 * len(pack(ROW)) - 1))
def test_whatever_bit_is_another_it_is_not_intact_and_can_still_be_told(bit):
    told = bytearray(pack(ROW))
    told[bit // 8] ^= 1 << bit % 8
    batch = standing(ROW, packed=[bytes(told)])
    assert not batch.intact
    row = batch.row(0)
    assert (row.key, row.document) == (1, "a.md")
    assert checksum_of(row) != row.checksum


@pytest.mark.parametrize("packed", [None, 7, "text", b"", b"short", pack(ROW)[:20], pack(ROW)[:-1], b"\xff" * 40])
def test_what_was_never_packed_is_told_as_no_chunk(packed):
    batch = standing(ROW, packed=[packed])
    assert not batch.intact
    assert (batch.row(0).text, batch.row(0).start) == ("", -1)
    assert isinstance(vector_of(packed), bytes)


@pytest.mark.parametrize("facts", [{"documents": ["b.md"]}, {"documents": [b"a.md"]}, {"making": 2}, {"making": None}])
def test_another_document_or_making_is_not_intact(facts):
    assert standing(ROW).intact
    assert not standing(ROW, **facts).intact


def test_positions_and_vectors_of_many_are_arrays_unless_their_lengths_differ():
    rows = [msgspec.structs.replace(ROW, position=i, text="x" * i) for i in range(5)]
    positions, vectors = packed_places([pack(row) for row in rows])
    assert positions.tolist() == [0, 1, 2, 3, 4]
    assert (vectors == np.frombuffer(VECTOR, "<f4")).all()
    for odd in (b"", VECTOR[:-4], VECTOR + b"x"):
        rows[3] = msgspec.structs.replace(rows[3], vector=odd)
        positions, vectors = packed_places([pack(row) for row in rows])
        assert (positions.tolist(), vectors is NO_VECTORS) == ([0, 1, 2, 3, 4], True)


def test_many_are_intact_where_each_is_from_the_making_and_document_that_it_is_of():
    rows = [ROW, msgspec.structs.replace(ROW, document="é.md", form="code")]
    before = [begun((row.form, row.embedder, row.chunker)) for row in rows]
    documents, packed = [row.document for row in rows], [pack(row) for row in rows]
    assert are_intact(documents, packed, before)
    assert not are_intact(documents, packed, reversed(before))
    assert not are_intact(reversed(documents), packed, before)


@given(st.binary(max_size=40), st.integers(0, 2**32 - 1))
def test_whatever_has_its_checksum_behind_it_has_one_checksum_wherever_it_began(data, begin):
    sealed = data + zlib.crc32(data, begin).to_bytes(4, "little")
    assert zlib.crc32(sealed, begin) == INTACT
