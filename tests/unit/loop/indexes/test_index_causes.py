"""What may be behind an index's ill health, by what a census found."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from perdure.assets.documents import Folder
from perdure.assets.health import Finding, State
from perdure.assets.index import Index
from perdure.assets.index_objectives import ghosts
from perdure.assets.version import CHAMPION, Pointer, Version
from perdure.core.clock import to_us
from perdure.core.units import hours
from perdure.engines.retrieval.skew import Census, Skew, Waiting
from perdure.loop.diagnose import diagnose
from perdure.loop.work.indexes.kept import keep_census
from perdure.loop.work.indexes.kind import index_kind
from perdure.loop.work.indexes.watched import watched_index
from perdure.loop.work.readings import exactly, reading_of

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
AT_US = to_us(NOW)
LONG_US, SHORT_US = AT_US - 7_200_000_000, AT_US - 60_000_000


@pytest.fixture
def asset(place):
    with place.transaction(NOW - hours(24), "test") as session:
        session.registry.put_version(Version("handbook@1", "handbook", "index", {}, {}, {}, {}, NOW - hours(24)))
        session.pointers.set([Pointer("handbook", CHAMPION, "handbook@1")])
    return watched_index(Index("handbook", Folder("docs")))


def causes(place, asset, *skews, sick="ghosts", **told):
    given = {"n_source": 100, "n_documents": 100, "n_chunks": 300, "at_us": AT_US, "n_embedded": 8, **told}
    keep_census(place, Census(index="handbook", version="handbook@1", generation=1, skews=skews, **given))
    spec = ghosts(over=hours(1))
    reading = replace(reading_of(asset, spec, NOW, exactly(1.0, 100), unit=""), signal=sick)
    broken = Finding("handbook", spec.text(), State.BROKEN, reading)
    return [each.name for each in diagnose(place, index_kind(), asset, [broken], NOW)]


def chunk(kind, document="a.md", key=3):
    return Skew(kind, document, key, part="chunk")


@pytest.mark.parametrize(
    ("skews", "told", "expected"),
    [
        ([Skew("stale", "a", since_us=LONG_US)], {}, ["sync_stopped"]),
        ([Skew("stale", "a", since_us=SHORT_US)], {}, ["source_changed"]),
        ([Skew("ghost", "a")], {}, ["source_changed"]),
        ([chunk("missing")], {}, ["outside_write"]),
        ([chunk("duplicate"), chunk("corrupt")], {}, ["store_damaged", "outside_write"]),
        ([Skew("missing", "", part="words")], {}, ["store_damaged"]),
        ([Skew("wrong_chunker", "a")], {}, ["chunker_changed"]),
        ([chunk("wrong_embedder")], {}, ["outside_write"]),
        ([chunk("wrong_embedder", f"{i}.md", i + 1) for i in range(8)], {}, ["embedder_changed"]),
        ([Skew("ghost", f"{i}.md") for i in range(60)], {}, ["source_shrank", "source_changed"]),
        ([], {"whole": False, "why_not": "It is away."}, ["source_down"]),
        ([], {"sick": "trouble_ratio", "troubles": {"a": "encrypted"}}, ["documents_unreadable"]),
        ([], {"sick": "golden_recall_at_10"}, ["questions_moved"]),
        ([], {"sick": "lag_s_p99"}, ["found_late"]),
        ([], {"sick": "lag_s_p99", "waiting": [Waiting("a", LONG_US)]}, []),
        ([], {}, []),
    ],
)
def test_what_a_census_found_says_what_is_behind_it(place, asset, skews, told, expected):
    assert causes(place, asset, *skews, **told) == expected


def test_nothing_is_said_while_nothing_is_broken(place, asset):
    keep_census(place, Census("handbook", "handbook@1", 1, AT_US, 9, 9, 9, skews=[chunk("missing")]))
    assert diagnose(place, index_kind(), asset, [], NOW) == ()
