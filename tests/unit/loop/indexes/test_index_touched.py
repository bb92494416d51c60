"""Files that were only touched: their tokens are written anew, and nothing else is said of them."""

from __future__ import annotations

import msgspec
import pytest

from perdure.core.documents import Trouble
from perdure.engines.retrieval.planning import make_plan
from perdure.loop.work.indexes.counting import take_census
from perdure.loop.work.indexes.following import follow_once
from perdure.loop.work.indexes.resyncing import run_plan
from perdure.stores.vectors.packing import pack
from perdure.stores.vectors.sqlite_rows import making_id


def duplicate(world, key):
    """A second row of a chunk."""
    with world.damage() as connection:
        names = [row[1] for row in connection.execute("PRAGMA table_info(chunks)") if row[1] != "key"]
        columns = ",".join(f'"{name}"' for name in names)
        connection.execute(f"INSERT INTO chunks ({columns}) SELECT {columns} FROM chunks WHERE key = {key}")


def plan_of(world):
    return make_plan(take_census(world.opened, 2_000_000), most_deleted=0.2)


def wrong_embedder(world, key):
    [row] = world.opened.store.fetch([key])
    packed = pack(msgspec.structs.replace(row, embedder="another"))
    with world.damage() as connection:
        making = making_id(connection, (row.form, "another", row.chunker))
        connection.execute("UPDATE chunks SET making = ?, packed = ? WHERE key = ?", (making, packed, key))


@pytest.mark.parametrize(("damage", "verb"), [(duplicate, "drop"), (wrong_embedder, "reembed")])
def test_a_document_with_a_damaged_chunk_that_was_touched_too_is_mended(built, place, damage, verb):
    """It has two steps: once the second of them found nothing left to read, and the whole plan ended there."""
    touched = built.rows()[0].document
    damage(built, built.rows()[0].key)
    for name in (touched, "a1/01.md"):
        built.age(name)
    plan = plan_of(built)
    assert [step.verb for step in plan.steps if step.document == touched] == [verb, "touch"]
    report = run_plan(place, built.opened, plan, 2_000_000)
    census = take_census(built.opened, 3_000_000, deep=True)
    assert (report.verified, census.skews, census.touched) == (True, [], [])


def test_a_damaged_document_that_says_something_else_by_then_is_seen_by_the_next_look(built, place):
    first = built.rows()[0]
    duplicate(built, first.key)
    built.age(first.document)
    plan = plan_of(built)
    assert [step.verb for step in plan.steps if step.document == first.document] == ["drop", "touch"]
    built.write(first.document, "other words")
    run_plan(place, built.opened, plan, 2_000_000)
    follow_once(place, built.opened, 3_000_000)
    assert take_census(built.opened, 4_000_000, deep=True).skews == []
    assert [row.text for row in built.rows() if row.document == first.document] == ["other words"]


@pytest.mark.parametrize("known", [False, True])
def test_a_document_in_trouble_that_is_only_touched_is_no_finding(built, place, known):
    """No parser reads it; its bytes are the same, whether something of it was indexed before or nothing."""
    name = "a0/00.md" if known else "bad.md"
    built.write(name, b"\xff\xff")
    follow_once(place, built.opened, 2_000_000)
    built.age(name)
    census = take_census(built.opened, 3_000_000)
    assert (census.skews, census.touched, census.troubles) == ([], [name], {name: "encoding"})
    report = follow_once(place, built.opened, 3_000_000)
    assert (report.done, report.troubles, report.changed) == ({"touch": 1}, {name: "encoding"}, 0)
    census = take_census(built.opened, 4_000_000)
    assert (census.skews, census.touched, census.troubles) == ([], [], {name: "encoding"})
    built.write(name, "words at last")
    assert take_census(built.opened, 5_000_000).counts()["stale"] == 1
    follow_once(place, built.opened, 5_000_000)
    assert take_census(built.opened, 6_000_000).troubles == {}
    assert [row.text for row in built.rows() if row.document == name] == ["words at last"]


def test_a_document_that_nobody_may_read_and_is_touched_is_no_finding_and_one_that_may_be_read_again_is_whole(
    built, place, monkeypatch
):
    documents = type(built.opened.documents)
    read = documents.read
    unreadable = "a0/00.md"

    def refused(self, refs):
        for ref, found in zip(refs, read(self, refs), strict=True):
            yield Trouble(ref.id, "unreadable", "") if ref.id == unreadable else found

    with monkeypatch.context() as patched:
        patched.setattr(documents, "read", refused)
        built.age(unreadable)
        assert take_census(built.opened, 2_000_000).counts()["stale"] == 1
        follow_once(place, built.opened, 2_000_000)
        built.age(unreadable)
        census = take_census(built.opened, 3_000_000)
        assert (census.skews, census.touched) == ([], [unreadable])
        follow_once(place, built.opened, 3_000_000)
    built.age(unreadable)
    report = follow_once(place, built.opened, 4_000_000)
    census = take_census(built.opened, 5_000_000, deep=True)
    assert (report.troubles, report.n_embedded, report.changed) == ({}, 0, 0)
    assert (census.skews, census.touched, census.troubles) == ([], [], {})
