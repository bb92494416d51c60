"""What a version must prove before the pointer moves to it, and what is proposed where."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime

import polars as pl
import pytest

from perdure.assets.documents import Folder
from perdure.assets.health import Comparison
from perdure.assets.index import Index
from perdure.assets.repair import Trial
from perdure.core.clock import to_us
from perdure.core.errors import BadIndex, Corrupt
from perdure.core.units import hours
from perdure.engines.retrieval.skew import Census, Skew
from perdure.loop.work.captured_searches import SEARCHES, searches_table
from perdure.loop.work.indexes.gates import index_gates
from perdure.loop.work.indexes.kept import keep_census
from perdure.loop.work.indexes.sentinels import look_at_sentinels
from perdure.loop.work.indexes.watched import watched_index
from perdure.stores.capture.events import Searched

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


class Opens:
    """Every version is the same store; those of `lost` embed questions by another model, those of `torn` cannot be read."""

    def __init__(self, world, lost=(), torn=()):
        self.world, self.lost, self.torn = world, lost, torn

    @contextmanager
    def open(self, _name, version):
        opened = self.world.opened
        if version in self.lost:
            other = type(opened.embedder)(seed="another")
            opened = replace(opened, embedder=other)
        if version in self.torn:
            opened = replace(opened, store=Torn())
        yield opened


class Torn:
    """A store that cannot be read."""

    resident = True

    def generation(self):
        raise Corrupt("It is torn.")


@pytest.fixture
def asset(tmp_path):
    lines = [
        {"query": f"document {i} paragraph 1 says word{i}x1", "relevant": [f"a{i % 4}/{i:02}.md"], "cluster": i}
        for i in range(40)
    ]
    (tmp_path / "golden.jsonl").write_text("\n".join(map(json.dumps, lines)), "utf-8")
    return watched_index(Index("handbook", Folder("docs"), golden=str(tmp_path / "golden.jsonl")))


def verdict(place, asset, opens, name, stage="verify", incumbent="handbook@old"):
    gate = next(each for each in index_gates(opens) if each.name == name)
    return gate.judge(place, asset, Trial("handbook@new", incumbent, stage), NOW)


def test_a_version_that_was_never_counted_or_is_not_whole_is_refused(place, asset):
    assert not verdict(place, asset, None, "index_whole").passed
    found = Census("handbook", "handbook@new", 1, 0, 10, 10, 30, skews=[Skew("missing", "a.md")])
    keep_census(place, found)
    refused = verdict(place, asset, None, "index_whole")
    assert not refused.passed
    assert "finds 1 missing" in refused.text
    assert verdict(place, asset, None, "index_whole", "rollback").passed
    keep_census(place, Census("handbook", "handbook@new", 1, 0, 10, 10, 30))
    assert verdict(place, asset, None, "index_whole").passed


def test_a_version_that_could_not_index_what_answers_now_is_refused(place, asset):
    """Such as one that was built while its embedder answered nobody; what nobody can read is no matter."""
    encrypted = {"locked.pdf": "encrypted"}
    keep_census(place, Census("handbook", "handbook@old", 1, 0, 10, 10, 30, troubles=encrypted))
    keep_census(place, Census("handbook", "handbook@new", 1, 0, 10, 10, 30, troubles=encrypted))
    assert verdict(place, asset, None, "index_whole").passed
    worse = {**encrypted, "a.md": "not_embedded"}
    keep_census(place, Census("handbook", "handbook@new", 2, 0, 10, 10, 0, troubles=worse))
    refused = verdict(place, asset, None, "index_whole")
    assert not refused.passed
    assert "1 documents that are in what answers could not be indexed in it (a.md for one)" in refused.text


def test_a_version_that_finds_the_same_is_no_worse(place, asset, built):
    told = verdict(place, asset, Opens(built), "index_golden")
    assert told.passed
    assert told.comparison is Comparison.EQUIVALENT
    assert "both find the same for every question" in told.text


def test_a_version_that_finds_less_is_refused_and_one_that_finds_more_passes(place, asset, built):
    worse = verdict(place, asset, Opens(built, lost=("handbook@new",)), "index_golden")
    assert (worse.passed, worse.comparison) == (False, Comparison.WORSE)
    assert not verdict(place, asset, Opens(built, lost=("handbook@new",)), "index_golden", "watch").passed
    better = verdict(place, asset, Opens(built, lost=("handbook@old",)), "index_golden")
    assert (better.passed, better.comparison) == (True, Comparison.BETTER)
    assert better.gain > 0.0


def test_what_answers_may_be_torn_and_the_candidate_may_not(place, asset, built):
    for gate in ("index_golden", "index_shadow"):
        assert verdict(place, asset, Opens(built, torn=("handbook@old",)), gate).passed
        assert not verdict(place, asset, Opens(built, torn=("handbook@new",)), gate).passed


def test_without_golden_questions_nothing_is_said_of_what_is_found(place, built):
    asset = watched_index(Index("handbook", Folder("docs")))
    told = verdict(place, asset, Opens(built), "index_golden")
    assert told.passed
    assert told.comparison is Comparison.NOT_ENOUGH_EVIDENCE


def test_golden_questions_that_cannot_be_read_are_an_error(place, built, tmp_path):
    (tmp_path / "none.jsonl").write_text("{}\n", "utf-8")
    asset = watched_index(Index("handbook", Folder("docs"), golden=str(tmp_path / "none.jsonl")))
    with pytest.raises(BadIndex, match="Line 1"):
        verdict(place, asset, Opens(built), "index_golden")


def test_what_people_asked_lately_is_asked_of_both(place, asset, built):
    """A version that leaves more of it unanswered is refused; what both agree on and what it costs is told."""
    asked = [f"document {i} paragraph 1 says word{i}x1" for i in range(40)]
    rows = searches_table([_searched(i, each) for i, each in enumerate(asked)])
    place.stores.lake.append(SEARCHES, rows.with_columns(batch=pl.lit(1, pl.Int64)))
    for version in ("handbook@new", "handbook@old"):
        look_at_sentinels(place, replace(built.opened, version=version), to_us(NOW))
    same = verdict(place, asset, Opens(built), "index_shadow")
    assert same.passed
    assert "Of 40 questions that people asked, 0 find nothing near, against 0; both share 100%" in same.text
    worse = verdict(place, asset, Opens(built, lost=("handbook@new",)), "index_shadow")
    assert (worse.passed, worse.comparison) == (False, Comparison.WORSE)
    assert verdict(place, asset, Opens(built, lost=("handbook@old",)), "index_shadow").passed


def _searched(n, query):
    at_us = to_us(NOW - hours(1)) + n
    return Searched(
        id=f"s{n}", index="handbook", version="handbook@old", arm="champion", generation=1, seen_us=at_us, served_us=at_us,
        recorded_us=at_us, latency_us=900, key="", team="", query=query, mode="hybrid", k=5, as_of_us=0, keys=[],
        documents=[], scores=[], cosines=[], dropped=[],
    )  # fmt: skip
