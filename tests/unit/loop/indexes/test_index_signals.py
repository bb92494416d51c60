"""What censuses, searches and sentences say of an index."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest

from perdure.assets.documents import Folder
from perdure.assets.health import Finding, State
from perdure.assets.index import Index
from perdure.assets.index_objectives import (
    ghosts,
    lag_s,
    query_shift,
    sentinel_shift,
    skew_ratio,
    stale_answers,
    trouble_ratio,
    unanswered_ratio,
)
from perdure.assets.version import CHAMPION, Pointer, Version
from perdure.core.clock import to_us
from perdure.core.units import hours, minutes
from perdure.engines.retrieval.skew import Census, Skew, Waiting
from perdure.loop.work.captured_searches import COMPARED, SEARCHES, compared_table, searches_table
from perdure.loop.work.indexes.kept import keep_census
from perdure.loop.work.indexes.sentinels import Sentinels, find_sentinels, has_moved, look_at_sentinels
from perdure.loop.work.indexes.served import ServedDiffered
from perdure.loop.work.indexes.signals import index_signals
from perdure.loop.work.indexes.watched import source_down, watched_index
from perdure.stores.capture.events import Differing, Dropped, Searched
from perdure.stores.vectors.sqlite import SqliteIndex
from perdure.surface.compose import SIGNALS, kinds
from perdure.testing.conformance.capture import comparison

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
VERSION = "handbook@1"


class Opens:
    """Opens the world's one version."""

    def __init__(self, world):
        self.world = world

    def open(self, _name, _version):
        return nullcontext(self.world.opened)

    def open_store(self, _name, _version, *, read_only=False):
        return SqliteIndex(self.world.path, read_only=read_only)

    def versions(self, _name):
        return [VERSION]


@pytest.fixture
def asset(place):
    with place.transaction(NOW - hours(24), "test") as session:
        session.registry.put_version(Version(VERSION, "handbook", "index", {}, {}, {}, {}, NOW - hours(24)))
        session.pointers.set([Pointer("handbook", CHAMPION, VERSION)])
    return watched_index(Index("handbook", Folder("docs")))


def census(*skews, **told):
    given = {"n_source": 100, "n_documents": 100, "n_chunks": 300, "at_us": to_us(NOW - hours(0.5)), **told}
    return Census(index="handbook", version=VERSION, generation=1, skews=skews, **given)


def read(place, asset, spec, opens=None, at=NOW):
    return index_signals(opens)[spec.signal].observe(place, asset, spec, at)


def test_figures_of_a_census_are_read_within_the_window(place, asset):
    keep_census(place, census(Skew("ghost", "a"), Skew("stale", "b"), Skew("stale", "b", 3), troubles={"c": "empty"}))
    over = hours(1)
    assert read(place, asset, ghosts(over=over))[0].value == 1.0
    assert read(place, asset, skew_ratio(over=over))[0].value == 0.02
    assert read(place, asset, trouble_ratio(over=over))[0].value == 0.01
    by_kind = {each.slice: each.value for each in read(place, asset, skew_ratio(over=over, by="skew"))}
    assert by_kind["skew=stale"] == 0.01
    assert by_kind["skew=orphan"] == 0.0
    assert len(by_kind) == 8
    assert read(place, asset, ghosts(over=over), at=NOW + hours(2)) == []


def test_what_changed_just_now_is_on_its_way_and_no_skew_yet(place, asset):
    """Whoever follows the source is a second behind: a census that falls into it raises no alarm, the next one does."""
    first, second = to_us(NOW - hours(0.6)), to_us(NOW - hours(0.4))
    keep_census(place, census(at_us=first - 1))
    gone, edited = Skew("ghost", "a"), Skew("stale", "b", since_us=first - 1_000_000)
    keep_census(place, census(gone, edited, Skew("ghost", "c", 7, part="chunk"), at_us=first))
    assert read(place, asset, ghosts(over=hours(1)))[0].value == 1.0
    assert read(place, asset, skew_ratio(over=hours(1)))[0].value == 0.01
    keep_census(place, census(gone, edited, at_us=first))
    assert read(place, asset, ghosts(over=hours(1)))[0].value == 0.0
    keep_census(place, census(gone, edited, at_us=second))
    assert read(place, asset, ghosts(over=hours(1)))[0].value == 1.0
    assert read(place, asset, skew_ratio(over=hours(1)))[0].value == 0.02


def compared(place, *differing, at=NOW):
    event = comparison(*differing, served_us=to_us(at))
    place.stores.lake.append(COMPARED, compared_table([event]).with_columns(batch=pl.lit(1, pl.Int64)))


def test_what_a_server_had_in_memory_and_not_in_its_store_is_counted_for_a_quarter_of_an_hour(place, asset):
    """Beside what the census found; it is the server's to mend, and no resync's."""
    keep_census(place, census())
    compared(place, at=NOW - minutes(9))
    assert read(place, asset, ghosts(over=hours(1)))[0].value == 0.0
    rows = (Differing(8, "b.md", "ghost"), Differing(9, "b.md", "corrupt"), Differing(0, "c.md", "missing"))
    compared(place, *rows, at=NOW - minutes(8))
    compared(place, at=NOW - minutes(1))
    [found] = read(place, asset, ghosts(over=hours(1)))
    assert found.value == 1.0
    assert read(place, asset, skew_ratio(over=hours(1)))[0].value == 0.02
    broken = [Finding("handbook", "ghosts <= 0", State.BROKEN, found)]
    cause = ServedDiffered().weigh(place, asset, broken, NOW)
    assert cause.evidence == {"n_rows": 3, "servers": ["host:1"], "healed": True}
    assert "read it anew" in cause.text
    assert ServedDiffered().weigh(place, asset, [], NOW) is None
    later = NOW + minutes(8)
    assert read(place, asset, ghosts(over=hours(1)), at=later)[0].value == 0.0
    assert ServedDiffered().weigh(place, asset, broken, later) is None


def test_of_a_source_that_answered_in_part_what_was_not_found_is_unsure_and_what_was_is_told(place, asset):
    keep_census(place, census(Skew("corrupt", "a", 3, part="chunk"), whole=False, why_not="It is away."))
    assert read(place, asset, ghosts(over=hours(1)))[0].value is None
    assert read(place, asset, skew_ratio(over=hours(1)))[0].value == 0.01
    assert read(place, asset, source_down())[0].value == 1.0


def test_lag_is_of_what_changed_since_the_first_fill_and_of_what_waits(place, asset, built):
    opens, first_us = Opens(built), 1_000_000
    later = census(at_us=first_us + 60_000_000)
    at = datetime.fromtimestamp(100, UTC)
    keep_census(place, later)
    assert read(place, asset, lag_s(quantile=0.5, over=hours(1)), opens, at)[0].value == 0.0
    keep_census(place, census(at_us=first_us + 60_000_000, waiting=[Waiting("new.md", 40_000_000)]))
    [reading] = read(place, asset, lag_s(quantile=0.5, over=hours(1)), opens, at)
    assert reading.value == pytest.approx(60.0)
    assert reading.facts["n_waiting"] == 1


def test_sentences_that_moved_are_told_and_a_version_that_moved_is_known(place, asset, built):
    opened = built.with_(version=VERSION)
    look_at_sentinels(place, opened, to_us(NOW - hours(2)))
    spec = sentinel_shift(over=hours(4))
    assert read(place, asset, spec)[0].value == 0.0
    opened.embedder.seed = "another"
    Sentinels([opened.index], Opens(built)).run(place, NOW)
    [reading] = read(place, asset, spec)
    assert reading.value > 0.5
    assert has_moved(place, "handbook", VERSION)
    assert find_sentinels(place, "handbook", VERSION).before_us == to_us(NOW - hours(2))


def test_sentences_are_looked_at_once_an_hour(place, asset, built):
    built.with_(version=VERSION)
    sentinels = Sentinels([built.opened.index], Opens(built))
    sentinels.run(place, NOW)
    n = built.opened.embedder.n_embedded
    sentinels.run(place, NOW + hours(0.5))
    assert built.opened.embedder.n_embedded == n
    sentinels.run(place, NOW + hours(1))
    assert built.opened.embedder.n_embedded == n + 32


def searched(n, query="how long?", documents=("a0/00.md",), cosine=0.9, at=NOW - hours(0.2), dropped=(), **more):
    at_us = to_us(at)
    return Searched(
        id=f"s{n}", index="handbook", version=VERSION, arm="champion", generation=1, seen_us=at_us, served_us=at_us + n,
        recorded_us=at_us, latency_us=900, key="", team="", query=query, mode="hybrid", k=5, as_of_us=0,
        keys=[1] * len(documents), documents=list(documents), scores=[1.0] * len(documents),
        cosines=[cosine] * len(documents), dropped=list(dropped), **more,
    )  # fmt: skip


def capture(place, events):
    place.stores.lake.append(SEARCHES, searches_table(events).with_columns(batch=pl.lit(1, pl.Int64)))


def test_searches_that_gave_what_had_changed_or_gone_are_counted(place, asset, built):
    old = NOW - hours(0.3)
    keep_census(
        place, census(Skew("ghost", "a1/01.md", since_us=to_us(old)), waiting=[Waiting("a2/02.md", to_us(old))])
    )
    marked = Dropped(9, "a3/03.md", "stale", marked=True)
    left_out = Dropped(9, "a3/03.md", "stale")
    capture(
        place,
        [
            searched(1),
            searched(2, documents=("a0/00.md", "a1/01.md")),
            searched(3, documents=("a2/02.md",)),
            searched(4, documents=("a2/02.md",), at=NOW - hours(0.5)),
            searched(5, dropped=[marked]),
            searched(6, dropped=[left_out]),
        ],
    )
    [reading] = read(place, asset, stale_answers(over=hours(1)), Opens(built))
    assert reading.value == pytest.approx(3 / 6)
    assert reading.n == 6
    assert read(place, asset, stale_answers(over=hours(1)), Opens(built), NOW + hours(5)) == []


def test_searches_that_find_nothing_near_are_counted(place, asset, built):
    seen = look_at_sentinels(place, built.with_(version=VERSION), to_us(NOW - hours(1)))
    assert 0.0 < seen.near < 1.0
    near, far = seen.near + 0.05, seen.near - 0.05
    by_words = searched(4, cosine=None)
    capture(place, [searched(1, cosine=near), searched(2, cosine=far), searched(3, documents=()), by_words])
    [reading] = read(place, asset, unanswered_ratio(over=hours(1)))
    assert reading.value == pytest.approx(0.5)


def test_questions_of_another_kind_are_told(place, asset):
    rng = np.random.default_rng(3)
    usual = [f"how do I return parcel {i} to shop {rng.integers(99)}?" for i in range(80)]
    other = [f"qui peut annuler la facture {i} demain matin?" for i in range(30)]
    events = [searched(i, query=each, at=NOW - hours(5)) for i, each in enumerate(usual)]
    capture(place, [*events, *(searched(200 + i, query=each) for i, each in enumerate(other))])
    [reading] = read(place, asset, query_shift(over=hours(1)))
    assert reading.value > 0.9


def test_every_signal_that_may_be_declared_is_measured():
    assert {*SIGNALS["index"], "source_down", "blamed"} == set(kinds()["index"].signals)
