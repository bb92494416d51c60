"""Odd damages of an index's own file: each is found, never by a traceback, and healed to what a rebuild from nothing would be."""

from __future__ import annotations

import msgspec
import pytest

from perdure.engines.retrieval.planning import make_plan
from perdure.loop.work.indexes.counting import take_census
from perdure.loop.work.indexes.resyncing import resync, run_plan
from perdure.stores.vectors.manifest import manifest_digest
from perdure.stores.vectors.packing import pack
from perdure.stores.vectors.sqlite_rows import making_id

A, B = "a0/00.md", "a1/05.md"


def sql(statement, *facts):
    return lambda world, connection: connection.execute(statement, facts)


def put_back(connection, row):
    """A row in the place of the one of its key, with its checksum."""
    facts = (row.document, making_id(connection, (row.form, row.embedder, row.chunker)), pack(row))
    connection.execute("UPDATE chunks SET document = ?, making = ?, packed = ? WHERE key = ?", (*facts, row.key))


def sealed_anew(document, position, /, **changes):
    """A row changed by somebody who knows how checksums are made."""

    def by(world, connection):
        row = next((row for row in world.rows() if (row.document, row.position) == (document, position)), None)
        if row is None:
            return
        told = {name: change(row, world) if callable(change) else change for name, change in changes.items()}
        made = msgspec.structs.replace(row, **told)
        put_back(connection, made)

    return by


def of_position(position):
    return lambda row, world: next(
        (each.vector for each in world.rows() if (each.document, each.position) == (row.document, position)), b""
    )


def vectors_swapped(world, connection):
    first, second = of_position(0), of_position(1)
    rows = [row for row in world.rows() if row.document == A]
    if not rows:
        return
    one, other = second(rows[0], world), first(rows[0], world)
    for row, vector in zip(rows[:2], (one, other), strict=False):
        put_back(connection, msgspec.structs.replace(row, vector=vector))


def record_copied(world, connection):
    names = [
        each[1] for each in connection.execute("PRAGMA table_info(documents)") if each[1] not in ("revision", "id")
    ]
    told = ", ".join(names)
    connection.execute(f"INSERT INTO documents (id, {told}) SELECT upper(id), {told} FROM documents WHERE id = ?", (A,))


DAMAGES = {
    "a chunk is moved to another document": (sql("UPDATE chunks SET document = ? WHERE document = ? AND told(packed, 'position') = 1", B, A), {"corrupt", "missing", "duplicate"}),
    "a chunk is moved to another document with its checksum": (sealed_anew(A, 1, document=B), {"missing", "duplicate"}),
    "two places of a document are exchanged": (sql("UPDATE chunks SET packed = changed(packed, 'position', 1 - told(packed, 'position')) WHERE document = ? AND told(packed, 'position') < 2", A), {"corrupt"}),
    "a place is below none": (sealed_anew(A, 1, position=-1), {"missing", "orphan"}),
    "a place is a word": (sql("UPDATE chunks SET packed = changed(packed, 'position', x'74776f2074776f20') WHERE document = ? AND told(packed, 'position') = 2", A), {"corrupt", "missing"}),
    "a context is another, with its checksum": (sealed_anew(A, 1, context="elsewhere"), {"corrupt"}),
    "an embedder is another, with its checksum": (sealed_anew(A, 1, embedder="other"), {"wrong_embedder"}),
    "a chunker is another, with its checksum": (sealed_anew(A, 1, chunker="other"), {"wrong_chunker"}),
    "the document of a chunk is no text": (sql("UPDATE chunks SET document = CAST(x'ff61' AS TEXT) WHERE document = ? AND told(packed, 'position') = 1", A), {"missing", "orphan"}),
    "the document of a chunk is bytes": (sql("UPDATE chunks SET document = x'ff' WHERE document = ? AND told(packed, 'position') = 1", A), {"missing", "orphan"}),
    "a parent is a word": (sql("UPDATE chunks SET packed = changed(packed, 'parent', 'x') WHERE document = ?", A), {"corrupt"}),
    "vectors are exchanged, with their checksums": (vectors_swapped, {"wrong_embedder"}),
    "a chunk is said to be dead": (sql("UPDATE chunks SET died = 1 WHERE document = ? AND told(packed, 'position') = 1", A), {"missing"}),
    "a chunk is to die some day": (sql("UPDATE chunks SET died = 999 WHERE document = ? AND told(packed, 'position') = 1", A), {"corrupt"}),
    "a chunk is to be born some day": (sql("UPDATE chunks SET born = 999 WHERE document = ? AND told(packed, 'position') = 1", A), {"missing", "corrupt"}),
    "a chunk died at a word": (sql("UPDATE chunks SET died = 'x' WHERE document = ? AND told(packed, 'position') = 1", A), {"corrupt"}),
    "a record's metadata are garbage": (sql("UPDATE documents SET told = recorded(told, 'metadata', x'c1') WHERE id = ?", A), {"corrupt"}),
    "a record's metadata are others": (sql("UPDATE documents SET told = recorded(told, 'metadata', x'81a16101') WHERE id = ?", A), {"corrupt"}),
    "a record's readers are others": (sql("UPDATE documents SET told = recorded(told, 'readers', x'90') WHERE id = ?", A), {"corrupt"}),
    "a record's readers are a word": (sql("UPDATE documents SET told = recorded(told, 'readers', 'all') WHERE id = ?", A), {"corrupt"}),
    "a record's count is a word": (sql("UPDATE documents SET told = recorded(told, 'n_chunks', 'many') WHERE id = ?", A), {"corrupt"}),
    "a record's count is less": (sql("UPDATE documents SET told = recorded(told, 'n_chunks', 1) WHERE id = ?", A), {"corrupt"}),
    "a record's token and digest are others": (sql("UPDATE documents SET told = recorded(recorded(told, 'token', ''), 'digest', '') WHERE id = ?", A), {"corrupt"}),
    "a record's token is no text": (sql("UPDATE documents SET told = recorded(told, 'token', x'a2ff61') WHERE id = ?", A), {"corrupt"}),
    "a record's title is none": (sql("UPDATE documents SET told = recorded(told, 'title', NULL) WHERE id = ?", A), {"corrupt"}),
    "a record says that it cannot be read": (sql("UPDATE documents SET told = recorded(told, 'trouble', 'binary') WHERE id = ?", A), {"corrupt"}),
    "a record is text": (sql("UPDATE documents SET told = 'text' WHERE id = ?", A), {"corrupt"}),
    "a record is nothing": (sql("UPDATE documents SET told = x'' WHERE id = ?", A), {"corrupt"}),
    "a record is four zeros": (sql("UPDATE documents SET told = x'00000000' WHERE id = ?", A), {"corrupt"}),
    "a record is cut off": (sql("UPDATE documents SET told = substr(told, 1, 30) WHERE id = ?", A), {"corrupt"}),
    "a record is another's": (sql("UPDATE documents SET told = (SELECT told FROM documents WHERE id = ?) WHERE id = ?", B, A), {"corrupt"}),
    "a record has another name": (sql("UPDATE documents SET id = 'z.md' WHERE id = ?", A), {"missing", "orphan", "ghost"}),
    "a record's name is no text": (sql("UPDATE documents SET id = CAST(x'ff61' AS TEXT) WHERE id = ?", A), {"missing", "orphan", "ghost"}),
    "a record's name is bytes": (sql("UPDATE documents SET id = x'ff' WHERE id = ?", A), {"missing", "orphan", "ghost"}),
    "a record is there twice but for case": (record_copied, {"ghost"}),
    "a record is said to be dead": (sql("UPDATE documents SET died = 1 WHERE id = ?", A), {"missing", "orphan"}),
    "a record is to die some day": (sql("UPDATE documents SET died = 999 WHERE id = ?", A), {"corrupt"}),
    "a record is to be born some day": (sql("UPDATE documents SET born = 999 WHERE id = ?", A), {"missing", "orphan", "corrupt"}),
    "what a chunk says is text": (sql("UPDATE chunks SET packed = 'text' WHERE document = ? AND told(packed, 'position') = 1", A), {"corrupt", "missing"}),
    "what a chunk says is cut off": (sql("UPDATE chunks SET packed = substr(packed, 1, 30) WHERE document = ? AND told(packed, 'position') = 1", A), {"corrupt"}),
    "what a chunk says is nothing": (sql("UPDATE chunks SET packed = x'' WHERE document = ? AND told(packed, 'position') = 1", A), {"corrupt", "missing"}),
    "a checksum is text": (sql("UPDATE chunks SET packed = changed(packed, 'checksum', 'sound') WHERE document = ?", A), {"corrupt"}),
    "a making is another": (sql("UPDATE makings SET embedder = 'another'"), {"corrupt"}),
    "a making is bytes": (sql("UPDATE makings SET chunker = x'ff', form = CAST(x'ff' AS TEXT)"), {"corrupt"}),
    "the makings are gone": (sql("DELETE FROM makings"), {"corrupt"}),
    "a chunk is of no making": (sql("UPDATE chunks SET making = 'none' WHERE document = ?", A), {"corrupt"}),
    "words are exchanged": (sql("UPDATE words_content SET c0 = 'nothing of it' WHERE id = 5"), {"corrupt"}),
    "all words are gone": (sql("DELETE FROM words"), {"missing"}),
    "words of a chunk and of none": (sql("UPDATE words_docsize SET id = 9999 WHERE id = 5"), {"missing", "orphan", "corrupt"}),
    "the generations are gone": (sql("DELETE FROM generations"), {"missing", "corrupt"}),
    "the generation is a later one": (sql("UPDATE generations SET number = 40"), set()),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGES)
def test_an_odd_damage_is_found_and_healed(built, place, name):
    damage, kinds = DAMAGES[name]
    before = manifest_digest(built.opened.store)
    with built.damage() as connection:
        damage(built, connection)
    census = take_census(built.opened, 2_000_000, deep=True)
    assert {skew.kind for skew in census.skews} == kinds
    msgspec.json.encode(census)
    for _ in range(2):
        run_plan(place, built.opened, make_plan(census, most_deleted=0.2), 3_000_000)
        census = take_census(built.opened, 4_000_000, deep=True)
    assert (census.skews, census.troubles) == ([], {})
    assert manifest_digest(built.opened.store) == before
    assert resync(place, built.opened, 5_000_000)[1].steps == []


def test_generations_that_are_no_figures_are_a_damaged_store_that_asks_for_a_rebuild(built):
    with built.damage() as connection:
        connection.execute("UPDATE generations SET at_us = 'x'")
    census = take_census(built.opened, 2_000_000)
    assert [(skew.kind, skew.part) for skew in census.skews] == [("corrupt", "store")]
    assert make_plan(census, most_deleted=0.2).rebuild


def test_every_damage_at_once_is_healed(built, place):
    before = manifest_digest(built.opened.store)
    with built.damage() as connection:
        for name, (damage, _) in DAMAGES.items():
            if "generation" not in name:
                damage(built, connection)
    for at in range(2, 6):
        census = take_census(built.opened, at * 1_000_000, deep=True)
        run_plan(place, built.opened, make_plan(census, most_deleted=0.2), at * 1_000_000)
    assert take_census(built.opened, 9_000_000, deep=True).skews == []
    assert manifest_digest(built.opened.store) == before
