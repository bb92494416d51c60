"""Tables of many commits are compacted in the course of rounds."""

from __future__ import annotations

from datetime import UTC, datetime

import polars as pl
import pytest

from perdure.core.errors import Conflict
from perdure.loop import upkeep
from perdure.loop.failures import Failures
from perdure.loop.round import Loop
from perdure.testing.toy import TOY, toy_kind

T0 = datetime(2025, 1, 1, tzinfo=UTC)


@pytest.fixture
def few(monkeypatch):
    """Five commits make a table due."""
    monkeypatch.setattr(upkeep, "COMMITS", 5)


def fill(place, table, n, start=0):
    for number in range(start, start + n):
        place.stores.lake.append(table, pl.DataFrame({"number": [number]}))


@pytest.mark.usefixtures("few")
def test_a_table_that_grew_is_compacted_by_a_round_and_loses_no_row_and_no_version(place, lease):
    fill(place, "labels/boiler", 8)
    lake = place.stores.lake
    before = lake.version("labels/boiler")
    loop = Loop(place, {TOY: toy_kind()}, [], [], list)
    loop.tick(T0, lease)
    after = lake.version("labels/boiler")
    assert after > before
    assert sorted(lake.read("labels/boiler")["number"]) == list(range(8))
    assert sorted(lake.read("labels/boiler", version=before - 3)["number"]) == list(range(5))
    loop.tick(T0, lease)
    assert lake.version("labels/boiler") == after


@pytest.mark.usefixtures("few")
def test_at_most_two_tables_a_round_the_most_grown_first_and_not_again_until_they_grow(place, lease):
    for table, n in (("labels/a", 6), ("labels/b", 8), ("sources/c", 7), ("datasets/d", 9), ("captures/e", 3)):
        fill(place, table, n)
    kept = upkeep.Upkeep(place)
    assert [kept.run(T0, lease, Failures()) for _ in range(3)] == [["labels/b", "sources/c"], ["labels/a"], []]
    fill(place, "labels/b", 5, start=8)
    assert upkeep.Upkeep(place).run(T0, lease, Failures()) == ["labels/b"]
    assert sorted(place.stores.lake.read("labels/b")["number"]) == list(range(13))


@pytest.mark.usefixtures("few")
def test_a_table_that_another_process_compacts_is_left_to_it(place, lease, monkeypatch):
    fill(place, "labels/a", 6)

    def busy(table):
        raise Conflict(f"{table} is being compacted.", hint="Try again.")

    failures = Failures()
    with monkeypatch.context() as patched:
        patched.setattr(place.stores.lake, "maintain", busy)
        assert upkeep.Upkeep(place).run(T0, lease, failures) == []
    assert failures.errors == []
    assert upkeep.Upkeep(place).run(T0, lease, failures) == ["labels/a"]
