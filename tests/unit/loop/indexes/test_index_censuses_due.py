"""Censuses are taken when they are due and kept; what answers rest on is outdated when texts change; history is forgotten."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from datetime import timedelta

from perdure.assets.version import CHAMPION, Pointer, Version
from perdure.core.clock import from_us
from perdure.core.units import days
from perdure.engines.retrieval.planning import make_plan
from perdure.loop.outdated import Outdated
from perdure.loop.work.indexes.censuses import Censuses, prune
from perdure.loop.work.indexes.counting import take_census
from perdure.loop.work.indexes.following import follow_once
from perdure.loop.work.indexes.kept import keep_census, newest_census
from perdure.loop.work.indexes.resyncing import run_plan

START = from_us(2_000_000)


class Opens:
    """Gives one version that is open already."""

    def __init__(self, world):
        self.world = world

    def open(self, name, version):
        return nullcontext(self.world.opened)

    def versions(self, name):
        return ["handbook@1"]


class Dropping:
    """A cache that says what it was told to forget."""

    def __init__(self):
        self.tags = []

    def drop(self, tags):
        self.tags += tags
        return 1


def audited(place, action):
    with place.stores.ledger.read() as session:
        return [each.facts for each in session.audit.list() if each.action == action]


def test_a_census_is_taken_when_it_is_due_and_told_when_it_says_something_else(built, place):
    due = Censuses([built.opened.index], Opens(built))
    due.run(place, START)
    first = newest_census(place, "handbook", "handbook@1")
    assert first.at_us == 2_000_000
    due.run(place, START + timedelta(minutes=9))
    assert newest_census(place, "handbook", "handbook@1") == first
    due.run(place, START + timedelta(minutes=10))
    assert newest_census(place, "handbook", "handbook@1").at_us == 602_000_000
    assert len(audited(place, "index.census")) == 1
    built.remove("a0/00.md")
    due.run(place, START + timedelta(minutes=20))
    assert [each["skews"] for each in audited(place, "index.census")] == [{}, {"ghost": 1}]


def test_a_week_after_a_deep_census_the_next_one_is_deep(built, place):
    due = Censuses([built.opened.index], Opens(built))
    due.run(place, START)
    due.run(place, START + timedelta(days=6))
    assert not newest_census(place, "handbook", "handbook@1").deep
    due.run(place, START + timedelta(days=7))
    assert newest_census(place, "handbook", "handbook@1").deep
    due.run(place, START + timedelta(days=8))
    assert not newest_census(place, "handbook", "handbook@1").deep


def test_after_a_census_whose_source_did_not_answer_the_next_is_due_at_once(built, place):
    """One that a person took in a short outage says nothing of a source that is back."""
    away = built.folder.with_name("elsewhere")
    built.folder.rename(away)
    keep_census(place, take_census(built.opened, 2_000_000))
    assert not newest_census(place, "handbook", "handbook@1").whole
    away.rename(built.folder)
    due = Censuses([built.opened.index], Opens(built))
    due.run(place, START + timedelta(minutes=1))
    assert newest_census(place, "handbook", "handbook@1").whole
    due.run(place, START + timedelta(minutes=2))
    assert newest_census(place, "handbook", "handbook@1").at_us == 62_000_000


def test_of_a_version_that_was_never_filled_no_census_is_taken(world, place):
    Censuses([world.opened.index], Opens(world)).run(place, START)
    assert newest_census(place, "handbook", "handbook@1") is None


def test_a_census_is_kept_whole(built, place):
    built.remove("a0/00.md")
    built.write("bad.md", b"\xff\xff")
    follow_once(place, built.opened, 2_000_000)
    with built.damage() as connection:
        connection.execute("DELETE FROM chunks WHERE key = 5")
    census = keep_census(place, take_census(built.opened, 3_000_000))
    assert newest_census(place, "handbook", "handbook@1") == census
    assert census.skews
    assert census.troubles == {"bad.md": "encoding"}


def test_cached_answers_are_dropped_when_texts_change_and_not_when_rows_are_mended(built, place):
    version = Version("handbook@1", "handbook", "index", {}, {}, {}, {}, START, "test")
    with place.transaction(START, "release") as session:
        session.registry.put_version(version)
        session.pointers.set([Pointer("handbook", CHAMPION, "handbook@1")])
    cache = Dropping()
    told = Outdated([], cache, ["handbook"])
    told.run(place, START)
    told.run(place, START)
    assert cache.tags == ["source:handbook"]
    with built.damage() as connection:
        connection.execute("DELETE FROM chunks WHERE key = 5")
    run_plan(place, built.opened, make_plan(take_census(built.opened, 3_000_000), most_deleted=0.2), 3_000_000)
    told.run(place, START)
    assert len(cache.tags) == 1
    built.write("a0/00.md", "changed")
    follow_once(place, built.opened, 4_000_000)
    told.run(place, START)
    assert len(cache.tags) == 2


def test_what_was_replaced_before_the_history_is_forgotten_and_what_stood_at_its_begin_stays(built, place):
    store, day = built.opened.store, 86_400_000_000
    for i in range(1, 5):
        built.write("a0/00.md", f"changed {i}")
        follow_once(place, built.opened, i * 10 * day)
    built.with_(index=replace(built.opened.index, history=days(15)))
    assert prune(built.opened, 40 * day) > 0
    assert [each.number for each in store.generations()] == [3, 4, 5]
    assert any(row.text == "changed 2" for row in store.chunks(3))
    assert prune(built.opened, 40 * day) == 0
