"""Every kind of damage is found with its very documents, nothing else is, a plan heals it, and a second census is clean."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from perdure.core.errors import StoreError, UpstreamError
from perdure.engines.retrieval.census_chunks import TURNS
from perdure.engines.retrieval.planning import make_plan
from perdure.loop.work.indexes.counting import Look, take_census
from perdure.loop.work.indexes.resyncing import run_plan
from perdure.stores.vectors.packing import pack
from perdure.stores.vectors.protocols import Change
from perdure.stores.vectors.sqlite_rows import making_id


def found(census):
    """Kind → documents."""
    told = {}
    for skew in census.skews:
        told.setdefault(skew.kind, set()).add(skew.document)
    return told


def healed(world, place, census):
    """The plan of a census is run and verified, and a deep census is clean after it."""
    plan = make_plan(census, most_deleted=world.opened.index.most_deleted)
    report = run_plan(place, world.opened, plan, 3_000_000, "run:mend")
    assert report.verified
    again = take_census(world.opened, 4_000_000, deep=True)
    assert (again.skews, again.unsettled, again.touched) == ([], [], [])
    return report


def some(world, n, start=0):
    """Chunks of different documents."""
    first = {row.document: row for row in world.rows() if row.position == 1}
    return list(first.values())[start : start + n]


def resealed(world, connection, row, **changes):
    """A row changed by somebody who knows how checksums are made."""
    made = msgspec.structs.replace(row, **changes)
    making = making_id(connection, (made.form, made.embedder, made.chunker))
    connection.execute("UPDATE chunks SET packed = ?, making = ? WHERE key = ?", (pack(made), making, row.key))


@pytest.mark.parametrize("deep", [False, True])
def test_of_an_index_that_is_what_its_source_says_nothing_is_found(built, deep):
    census = take_census(built.opened, 2_000_000, deep)
    assert (census.skews, census.troubles, census.waiting, census.unsettled, census.touched) == ([], {}, [], [], [])
    assert (census.n_source, census.n_documents, census.n_chunks, census.whole) == (40, 40, 120, True)
    assert census.n_embedded == (120 if deep else 8)


def test_chunks_deleted_by_hand_are_missing_and_come_back_without_an_embedding(built, place):
    gone = some(built, 7)
    with built.damage() as connection:
        connection.executemany("DELETE FROM chunks WHERE key = ?", [(row.key,) for row in gone])
    census = take_census(built.opened, 2_000_000)
    assert found(census) == {"missing": {row.document for row in gone}, "orphan": {""}}
    assert healed(built, place, census).n_embedded == 0


def test_documents_deleted_from_the_record_by_hand_are_missing_and_their_chunks_orphans(built, place):
    names = {row.document for row in some(built, 3)}
    with built.damage() as connection:
        connection.executemany("DELETE FROM documents WHERE id = ?", [(name,) for name in names])
    census = take_census(built.opened, 2_000_000)
    assert found(census) == {"missing": names, "orphan": names}
    report = healed(built, place, census)
    assert (report.n_embedded, report.n_chunks_made) == (0, 0)


def test_a_document_that_is_gone_at_the_source_is_a_ghost_until_it_is_deleted(built, place):
    for name in ("a0/00.md", "a1/05.md"):
        built.remove(name)
    census = take_census(built.opened, 2_000_000)
    assert found(census) == {"ghost": {"a0/00.md", "a1/05.md"}}
    assert healed(built, place, census).done == {"delete": 2}


def test_a_document_with_other_bytes_is_stale_and_only_its_new_text_is_embedded(built, place):
    built.write("a2/02.md", "a new first paragraph\n\ndocument 2 paragraph 1 says word2x1 and no more")
    census = take_census(built.opened, 2_000_000)
    assert found(census) == {"stale": {"a2/02.md"}}
    assert [each.document for each in census.waiting] == ["a2/02.md"]
    assert healed(built, place, census).n_embedded == 1


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("vector", lambda row: row.vector[:-4] + b"\x00\x00\xc0\x7f"),
        ("vector", lambda row: bytes(len(row.vector))),
        ("vector", lambda row: row.vector[:-4]),
        ("vector", lambda row: b""),
        ("vector", lambda row: "text"),
        ("text", lambda row: row.text + "!"),
        ("text", lambda row: b"\xff\xfe\x00"),
        ("context", lambda row: "another"),
        ("digest", lambda row: "0" * 32),
        ("start", lambda row: 9_999),
        ("start", lambda row: "nonsense"),
        ("checksum", lambda row: 1),
    ],
)
def test_a_row_of_which_anything_was_changed_is_corrupt_and_is_made_anew(built, place, member, value):
    rows = some(built, 3)
    with built.damage() as connection:
        statement = f"UPDATE chunks SET packed = changed(packed, '{member}', ?) WHERE key = ?"
        connection.executemany(statement, [(value(row), row.key) for row in rows])
    census = take_census(built.opened, 2_000_000)
    assert found(census) == {"corrupt": {row.document for row in rows}}
    assert {skew.key for skew in census.skews} == {row.key for row in rows}
    assert healed(built, place, census).n_embedded == 0


def test_a_text_that_was_changed_together_with_its_checksum_is_surely_found_by_a_deep_census(built, place):
    [row] = some(built, 1)
    with built.damage() as connection:
        resealed(built, connection, row, text="something else")
    census = take_census(built.opened, 2_000_000, deep=True)
    assert found(census) == {"corrupt": {row.document}}
    healed(built, place, census)


def test_other_censuses_find_a_text_that_was_changed_together_with_its_checksum_each_by_some_chance(built, place):
    [row] = some(built, 1)
    with built.damage() as connection:
        resealed(built, connection, row, text="something else")
    at_first = range(2_000_000, 2_000_000 + 6 * TURNS)
    told = [each for at_us in at_first if (each := take_census(built.opened, at_us, look=Look(n_sample=0))).skews]
    assert 1 <= len(told) <= 18
    assert all(found(census) == {"corrupt": {row.document}} for census in told)
    healed(built, place, told[0])


def test_a_vector_that_is_not_of_length_1_is_corrupt_though_its_checksum_fits(built, place):
    [row] = some(built, 1)
    longer = (2 * np.frombuffer(row.vector, "<f4")).tobytes()
    with built.damage() as connection:
        resealed(built, connection, row, vector=longer)
    census = take_census(built.opened, 2_000_000)
    assert found(census) == {"corrupt": {row.document}}
    healed(built, place, census)


def test_a_chunk_that_is_there_twice_is_a_duplicate_and_the_later_one_goes(built, place):
    [row] = some(built, 1)
    with built.damage() as connection:
        columns = [each[1] for each in connection.execute("PRAGMA table_info(chunks)") if each[1] != "key"]
        told = ", ".join(f'"{each}"' for each in columns)
        connection.execute(f"INSERT INTO chunks ({told}) SELECT {told} FROM chunks WHERE key = ?", (row.key,))
        [key] = connection.execute("SELECT max(key) FROM chunks").fetchone()
        connection.execute(
            "INSERT INTO words (rowid, folded) SELECT ?, folded FROM words WHERE rowid = ?", (key, row.key)
        )
    census = take_census(built.opened, 2_000_000)
    assert [(skew.kind, skew.document, skew.key) for skew in census.skews] == [("duplicate", row.document, key)]
    assert healed(built, place, census).done == {"drop": 1}
    assert row.key in {each.key for each in built.rows()}


def test_two_different_chunks_at_one_place_are_told_by_their_document_and_it_is_cut_anew(built, place):
    [row] = some(built, 1)
    other = next(each for each in built.rows() if each.document == row.document and each.position == 2)
    store = built.opened.store
    twice = msgspec.structs.replace(other, key=0, position=1)
    store.apply(Change(1_500_000, 1_500_000, "a bug", store.generation().number, chunks=[twice]))
    census = take_census(built.opened, 2_000_000)
    assert found(census) == {"duplicate": {row.document}}
    assert healed(built, place, census).done == {"rechunk": 1}


def test_a_chunk_of_no_document_is_an_orphan_and_is_dropped(built, place):
    [row] = some(built, 1)
    store = built.opened.store
    lost = msgspec.structs.replace(row, key=0, document="nobody.md")
    store.apply(Change(1_500_000, 1_500_000, "a bug", store.generation().number, chunks=[lost]))
    census = take_census(built.opened, 2_000_000)
    assert found(census) == {"orphan": {"nobody.md"}}
    assert healed(built, place, census).done == {"drop": 1}


def test_a_chunk_beyond_those_of_its_document_is_an_orphan(built, place):
    [row] = some(built, 1)
    store = built.opened.store
    beyond = msgspec.structs.replace(row, key=0, position=3)
    store.apply(Change(1_500_000, 1_500_000, "a bug", store.generation().number, chunks=[beyond]))
    census = take_census(built.opened, 2_000_000)
    assert found(census) == {"orphan": {row.document}}
    healed(built, place, census)


def test_words_that_are_gone_or_of_nothing_are_found_and_mended(built, place):
    rows = some(built, 2)
    with built.damage() as connection:
        connection.execute("DELETE FROM words WHERE rowid = ?", (rows[0].key,))
        connection.execute("INSERT INTO words (rowid, folded) VALUES (999999, 'nothing')")
    census = take_census(built.opened, 2_000_000)
    assert found(census) == {"missing": {rows[0].document}, "orphan": {""}}
    assert healed(built, place, census).done == {"mend": 1}


def test_other_words_than_those_of_the_chunk_are_found_by_a_deep_census(built, place):
    [row] = some(built, 1)
    with built.damage() as connection:
        connection.execute("UPDATE words SET folded = 'something else' WHERE rowid = ?", (row.key,))
    assert take_census(built.opened, 2_000_000).skews == []
    census = take_census(built.opened, 2_000_000, deep=True)
    assert found(census) == {"corrupt": {row.document}}
    healed(built, place, census)


def test_a_damaged_index_of_words_is_found_by_a_deep_census_and_made_anew(built, place):
    with built.damage() as connection:
        connection.execute("DELETE FROM words_data WHERE id > 10")
    census = take_census(built.opened, 2_000_000, deep=True)
    assert {(skew.kind, skew.part) for skew in census.skews} == {("corrupt", "words")}
    healed(built, place, census)


def test_vectors_of_another_fingerprint_are_of_the_wrong_embedder_and_are_embedded_anew(built, place):
    rows = some(built, 3)
    with built.damage() as connection:
        for row in rows:
            resealed(built, connection, row, embedder="words-0")
    census = take_census(built.opened, 2_000_000)
    assert found(census) == {"wrong_embedder": {row.document for row in rows}}
    report = healed(built, place, census)
    assert (report.done, report.n_embedded) == ({"reembed": 3}, 3)


def test_vectors_of_another_model_under_the_same_name_are_found_by_embedding_anew(built, place):
    rows = some(built, 3)
    with built.damage() as connection:
        for row, other in zip(rows, some(built, 3, start=10), strict=True):
            resealed(built, connection, row, vector=other.vector)
    census = take_census(built.opened, 2_000_000, deep=True)
    assert found(census) == {"wrong_embedder": {row.document for row in rows}}
    assert healed(built, place, census).n_embedded == 3


def test_a_silently_changed_embedder_is_told_by_every_chunk_of_the_sample(built):
    built.opened.embedder.seed = "another model"
    census = take_census(built.opened, 2_000_000)
    assert [skew.kind for skew in census.skews] == ["wrong_embedder"] * 8
    assert make_plan(take_census(built.opened, 2_000_000, deep=True), most_deleted=0.2).rebuild


def test_another_chunker_makes_every_document_wrong_and_a_rebuild_sensible(built, place):
    built.opened.chunker.fingerprint = "paragraphs-2"
    census = take_census(built.opened, 2_000_000)
    assert census.counts()["wrong_chunker"] == 40 == len(census.skews)
    assert make_plan(census, most_deleted=0.2).rebuild
    assert healed(built, place, census).n_embedded == 0


def test_every_kind_at_once_is_found_and_healed(built, place):
    rows = some(built, 12)
    built.remove(rows[0].document)
    built.write(rows[1].document, "new")
    built.write("new.md", "a new document")
    with built.damage() as connection:
        connection.execute("DELETE FROM chunks WHERE key = ?", (rows[2].key,))
        connection.execute("UPDATE chunks SET packed = changed(packed, 'vector', x'00') WHERE key = ?", (rows[3].key,))
        resealed(built, connection, rows[4], embedder="words-0")
        resealed(built, connection, rows[5], chunker="paragraphs-0")
        connection.execute("UPDATE chunks SET document = 'x.md' WHERE key = ?", (rows[6].key,))
    census = take_census(built.opened, 2_000_000)
    assert found(census) == {
        "ghost": {rows[0].document},
        "stale": {rows[1].document},
        "missing": {"new.md", rows[2].document, rows[6].document},
        "corrupt": {rows[3].document},
        "wrong_embedder": {rows[4].document},
        "wrong_chunker": {rows[5].document},
        "orphan": {"x.md", ""},
    }
    healed(built, place, census)


# ------------------------------------------------------------------------------------------- no false alarms


def test_a_file_that_was_only_touched_is_no_finding_and_its_token_is_written_anew(built, place):
    built.age("a0/00.md")
    (built.folder / "a0/00.md").touch()
    census = take_census(built.opened, 2_000_000)
    assert (census.skews, census.touched) == ([], ["a0/00.md"])
    assert healed(built, place, census).n_embedded == 0


def test_of_a_source_that_fails_nothing_is_said_of_what_it_lacks(built):
    class Half:
        def __init__(self, inner):
            self.inner = inner

        def list(self):
            for i, each in enumerate(self.inner.list()):
                if i == 20:
                    raise StoreError("The share is gone.")
                yield each

        def read(self, refs):
            return self.inner.read(refs)

    inner = built.opened.documents
    built.with_(documents=Half(inner))
    census = take_census(built.opened, 2_000_000)
    built.with_(documents=inner)
    assert (census.whole, census.skews, census.why_not) == (False, [], "The share is gone.")
    assert make_plan(census, most_deleted=1.0, allow_deletion=True).steps == []


def test_a_folder_that_cannot_be_listed_leaves_its_documents_where_they_are(built, monkeypatch):
    built.folder.rename(built.folder.with_name("elsewhere"))
    census = take_census(built.opened, 2_000_000)
    assert (census.whole, census.skews) == (False, [])
    built.folder.with_name("elsewhere").rename(built.folder)


def test_a_document_that_comes_and_goes_between_two_looks_is_unsettled(built):
    class Renaming:
        n = 0

        def __init__(self, inner):
            self.inner = inner

        def list(self):
            self.n += 1
            return (each for each in self.inner.list() if each.id != "a0/00.md" or self.n > 1)

        def read(self, refs):
            return self.inner.read(refs)

    inner = built.opened.documents
    built.with_(documents=Renaming(inner))
    census = take_census(built.opened, 2_000_000)
    built.with_(documents=inner)
    assert (census.skews, census.unsettled) == ([], ["a0/00.md"])


def test_what_vanishes_while_it_is_read_is_unsettled(built):
    class Vanishing:
        def __init__(self, inner, folder):
            self.inner, self.folder = inner, folder

        def list(self):
            return self.inner.list()

        def read(self, refs):
            (self.folder / "a0/00.md").unlink()
            return self.inner.read(refs)

    built.write("a0/00.md", "changed")
    inner = built.opened.documents
    built.with_(documents=Vanishing(inner, built.folder))
    census = take_census(built.opened, 2_000_000)
    built.with_(documents=inner)
    assert (census.skews, census.unsettled) == ([], ["a0/00.md"])


def test_what_is_indexed_anew_while_the_census_is_taken_is_unsettled(built, place):
    class Changing:
        def __init__(self, world):
            self.world, self.inner = world, world.opened.documents
            self.done = False

        def list(self):
            if not self.done:
                self.done = True
                self.world.write("a0/00.md", "changed")
                self.world.with_(documents=self.inner)
                from perdure.loop.work.indexes.resyncing import resync

                resync(place, self.world.opened, 1_900_000)
            return self.inner.list()

        def read(self, refs):
            return self.inner.read(refs)

    built.with_(documents=Changing(built))
    census = take_census(built.opened, 2_000_000)
    assert (census.skews, census.unsettled) == ([], ["a0/00.md"])
    assert take_census(built.opened, 2_100_000).skews == []


def test_an_embedder_that_does_not_answer_is_noted_and_the_rest_is_counted(built):
    class Down:
        fingerprint, dimensions = "words-1", 16

        def embed(self, contents, use="document"):
            raise UpstreamError("It is down.")

    built.with_(embedder=Down())
    census = take_census(built.opened, 2_000_000)
    assert (census.skews, census.notes, census.n_embedded) == ([], ["Nothing was embedded anew: It is down."], 0)


def test_a_store_that_is_damaged_is_told_and_asks_for_a_rebuild(built):
    with built.damage() as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    data = bytearray(built.path.read_bytes())
    data[3 * 32768 :] = b"\x5a" * (len(data) - 3 * 32768)
    built.path.write_bytes(bytes(data))
    census = take_census(built.opened, 2_000_000)
    assert ("corrupt", "store") in {(skew.kind, skew.part) for skew in census.skews}
    assert make_plan(census, most_deleted=0.2).rebuild
