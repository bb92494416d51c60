"""What the ledger's registry, incidents, runs and cursors guarantee, as tests; part of `LedgerConformance`.

The examples that the other parts use are here too.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from perdure.assets.version import Version
from perdure.core.canonical import content_hash
from perdure.core.errors import NotFound, Refused
from perdure.stores.ledger.protocols import Incident, Ledger, Run

AT = datetime(2013, 3, 1, 6, 30, tzinfo=UTC)
"""Domain time of everything the suite writes."""

DIGEST = "ab" * 32
"""A blob digest that the suite's versions hold."""


def a_version(number: int, asset: str = "air_time", **changes: Any) -> Version:
    """A version whose id and content depend on `number`."""
    version = Version(
        id=f"{asset}@{number:012x}",
        asset=asset,
        kind="model",
        definition={"features": ["wind", "hour"], "number": number},
        artifacts={"onnx": DIGEST},
        lineage={"seed": 7},
        metrics={"mae": 9.5},
        created_at=AT + timedelta(hours=number),
        actor="ana",
    )
    return replace(version, **changes)


def a_run(number: int, **changes: Any) -> Run:
    """A finished run whose id and start depend on `number`."""
    started_at = AT + timedelta(hours=number)
    run = Run(
        id=f"run_{number:04}",
        kind="train",
        asset="air_time",
        status="done",
        started_at=started_at,
        finished_at=started_at + timedelta(minutes=2, microseconds=1),
        params={"n_trees": 200, "rate": 0.1},
        metrics={"mae": 9.25},
        facts={"curve": [12.0, 10.5], "note": "première"},
        actor="ana",
    )
    return replace(run, **changes)


def version_id(number: int) -> str:
    """Id of `a_version(number)`."""
    return a_version(number).id


def put_versions(ledger: Ledger, *numbers: int) -> None:
    """Put a few versions in one transaction: an audit entry each."""
    with ledger.transaction(actor="ana", at=AT) as session:
        for number in numbers:
            session.registry.put_version(a_version(number))


class LedgerFixture:
    """Asks a subclass for its ledger."""

    @pytest.fixture
    def ledger(self) -> Ledger:
        """An empty ledger."""
        pytest.fail("Override the fixture `ledger` with one that returns an empty ledger.")


class RegistryConformance(LedgerFixture):
    """Assets and versions."""

    def test_an_asset_keeps_its_newest_definition(self, ledger: Ledger) -> None:
        """Putting an asset again replaces its definition."""
        with ledger.transaction(actor="ana", at=AT) as session:
            session.registry.put_asset("model", "air_time", {"label": "air_time_min"})
        with ledger.transaction(actor="ana", at=AT + timedelta(hours=1)) as session:
            put = session.registry.put_asset("model", "air_time", {"label": "minutes"})
        with ledger.read() as session:
            assert session.registry.list_assets() == [put]
        assert put.definition == {"label": "minutes"}
        assert put.digest == content_hash({"label": "minutes"})
        assert put.at == AT + timedelta(hours=1)

    def test_an_equal_definition_is_no_change(self, ledger: Ledger) -> None:
        """Putting an equal asset again writes nothing."""
        with ledger.transaction(actor="ana", at=AT) as session:
            first = session.registry.put_asset("model", "air_time", {"a": 1, "b": 2})
        before = ledger.sequence()
        with ledger.transaction(actor="ana", at=AT + timedelta(hours=1)) as session:
            assert session.registry.put_asset("model", "air_time", {"b": 2, "a": 1}) == first
        assert ledger.sequence() == before

    def test_assets_are_listed_by_kind(self, ledger: Ledger) -> None:
        """Two kinds may use one name; a list can be of one kind."""
        with ledger.transaction(actor="ana", at=AT) as session:
            session.registry.put_asset("source", "flights", {})
            session.registry.put_asset("feature_view", "flights", {})
        with ledger.read() as session:
            assert [asset.kind for asset in session.registry.list_assets()] == ["feature_view", "source"]
            assert [asset.kind for asset in session.registry.list_assets("source")] == ["source"]

    def test_a_version_comes_back_as_it_was_put(self, ledger: Ledger) -> None:
        """Every field survives."""
        version = a_version(1, metrics={"mae": 0.1 + 0.2}, created_at=AT + timedelta(microseconds=1))
        with ledger.transaction(actor="ana", at=AT) as session:
            assert session.registry.put_version(version) == version
        with ledger.read() as session:
            assert session.registry.get_version(version.id) == version

    def test_a_version_never_changes(self, ledger: Ledger) -> None:
        """The same content again is a no-op; other content under the id is refused."""
        first = a_version(1)
        with ledger.transaction(actor="ana", at=AT) as session:
            session.registry.put_version(first)
        before = ledger.sequence()
        with ledger.transaction(actor="bo", at=AT) as session:
            assert session.registry.put_version(replace(first, metrics={"mae": 1.0}, actor="bo")) == first
        with pytest.raises(Refused, match="definition"), ledger.transaction(actor="bo", at=AT) as session:
            session.registry.put_version(replace(first, definition={}))
        with ledger.read() as session:
            assert session.registry.list_versions("air_time") == [first]
        assert ledger.sequence() == before

    def test_versions_are_listed_oldest_first(self, ledger: Ledger) -> None:
        """By the domain time at which they were made, not by the order of putting."""
        with ledger.transaction(actor="ana", at=AT) as session:
            for number in (3, 1, 2):
                session.registry.put_version(a_version(number))
            session.registry.put_version(a_version(9, asset="fares"))
        with ledger.read() as session:
            assert session.registry.list_versions("air_time") == [a_version(1), a_version(2), a_version(3)]
            assert session.registry.list_versions("air_time", limit=2) == [a_version(2), a_version(3)]

    def test_an_unknown_version_names_the_nearest(self, ledger: Ledger) -> None:
        """The error helps."""
        with ledger.transaction(actor="ana", at=AT) as session:
            session.registry.put_version(a_version(1))
        with ledger.read() as session, pytest.raises(NotFound) as caught:
            session.registry.get_version("air_tme@000000000001")
        assert caught.value.facts["nearest"] == "air_time@000000000001"

    def test_an_artifact_is_known_only_by_its_whole_digest(self, ledger: Ledger) -> None:
        """Part of a digest, or a digest that no version holds, is not to be trusted."""
        with ledger.transaction(actor="ana", at=AT) as session:
            session.registry.put_version(a_version(1))
        with ledger.read() as session:
            assert session.registry.find_artifact(DIGEST) == a_version(1).id
            assert session.registry.find_artifact("cd" * 32) is None
            assert session.registry.find_artifact(DIGEST[:12]) is None
            assert session.registry.find_artifact("onnx") is None
            assert session.registry.find_artifact("%") is None


class IncidentsConformance(LedgerFixture):
    """Incidents."""

    def test_one_open_incident_an_asset_and_kind(self, ledger: Ledger) -> None:
        """Opening again returns the one that is open."""
        first = _open_incident(ledger)
        before = ledger.sequence()
        assert _open_incident(ledger) == first
        assert ledger.sequence() == before
        with ledger.read() as session:
            assert session.incidents.list(open_only=True) == [first]
        assert (first.asset, first.opened_at, first.closed_at) == ("air_time", AT, None)

    def test_a_closed_incident_keeps_how_it_began_and_ended(self, ledger: Ledger) -> None:
        """And the next one of its kind is another."""
        first = _open_incident(ledger)
        with ledger.transaction(actor="bo", at=AT + timedelta(hours=1)) as session:
            closed = session.incidents.close(first.id, "disk freed")
        assert closed == replace(first, closed_at=AT + timedelta(hours=1), closing="disk freed")
        second = _open_incident(ledger)
        assert second.id != first.id
        with ledger.read() as session:
            assert session.incidents.list(open_only=True) == [second]
            assert sorted(session.incidents.list(), key=lambda each: each.id) == sorted(
                [closed, second], key=lambda each: each.id
            )

    def test_incidents_are_listed_oldest_first_of_one_asset_and_the_newest_of_many(self, ledger: Ledger) -> None:
        """A limit keeps the newest, in the same order; one is had by its id."""
        with ledger.transaction(actor="ana", at=AT) as session:
            for asset, kind in (("fares", "decay"), ("air_time", "decay")):
                session.incidents.open(asset, kind, "mae", {})
        with ledger.transaction(actor="ana", at=AT + timedelta(hours=1)) as session:
            newest = session.incidents.open("fares", "drift", "it moved", {})
        with ledger.read() as session:
            assert [each.kind for each in session.incidents.list(asset="fares")] == ["decay", "drift"]
            assert session.incidents.list(limit=1) == [newest]
            assert session.incidents.list(asset="air_time", limit=5) == session.incidents.list(asset="air_time")
            assert session.incidents.get(newest.id) == newest
            with pytest.raises(NotFound, match="inc_nope"):
                session.incidents.get("inc_nope")

    def test_an_open_incident_is_told_further(self, ledger: Ledger) -> None:
        """Facts are merged by name, the summary is replaced where one is given; the rest stays."""
        first = _open_incident(ledger)
        with ledger.transaction(actor="bo", at=AT + timedelta(hours=1)) as session:
            told = session.incidents.update(first.id, facts={"n_lost": 40, "jobs": ["job_1"]})
            assert told == replace(first, facts={"n_lost": 40, "jobs": ["job_1"]})
        with ledger.transaction(actor="bo", at=AT + timedelta(hours=2)) as session:
            again = session.incidents.update(first.id, summary="disk still full", facts={"jobs": ["job_1", "job_2"]})
        assert again == replace(first, summary="disk still full", facts={"n_lost": 40, "jobs": ["job_1", "job_2"]})
        with ledger.read() as session:
            assert session.incidents.list() == [again]
        assert ledger.verify().intact

    def test_an_incident_takes_on_another_kind(self, ledger: Ledger) -> None:
        """Under the new kind it is found again, under the old one another may open; a kind that is open already is left."""
        first = _open_incident(ledger)
        with ledger.transaction(actor="bo", at=AT) as session:
            told = session.incidents.update(first.id, kind="disk_full", facts={})
            assert told == replace(first, kind="disk_full")
            assert session.incidents.open(first.asset, "disk_full", "again", {}) == told
        second = _open_incident(ledger)
        assert second.id != first.id
        with ledger.transaction(actor="bo", at=AT) as session:
            assert session.incidents.update(second.id, kind="disk_full", facts={}) == second
        with ledger.read() as session:
            kinds = {each.id: each.kind for each in session.incidents.list()}
        assert kinds == {first.id: "disk_full", second.id: first.kind}
        assert ledger.verify().intact

    def test_telling_the_same_of_an_incident_changes_nothing(self, ledger: Ledger) -> None:
        """A round that finds what it found before writes nothing."""
        first = _open_incident(ledger)
        before = ledger.sequence()
        with ledger.transaction(actor="bo", at=AT) as session:
            assert session.incidents.update(first.id, summary=first.summary, facts={"n_lost": 12}) == first
            assert session.incidents.update(first.id, facts={}) == first
        assert ledger.sequence() == before

    def test_a_closed_or_unknown_incident_is_told_no_further(self, ledger: Ledger) -> None:
        """Its end is its last word."""
        incident = _open_incident(ledger)
        with ledger.transaction(actor="bo", at=AT) as session:
            session.incidents.close(incident.id, "disk freed")
        with pytest.raises(Refused, match="closed"), ledger.transaction(actor="bo", at=AT) as session:
            session.incidents.update(incident.id, facts={"n_lost": 13})
        with pytest.raises(NotFound), ledger.transaction(actor="bo", at=AT) as session:
            session.incidents.update("inc_0", facts={})

    def test_closing_twice_changes_nothing(self, ledger: Ledger) -> None:
        """The first end stands."""
        incident = _open_incident(ledger)
        with ledger.transaction(actor="bo", at=AT) as session:
            closed = session.incidents.close(incident.id, "disk freed")
            assert session.incidents.close(incident.id, "again") == closed

    def test_closing_an_unknown_incident_fails(self, ledger: Ledger) -> None:
        """There is nothing to close."""
        with pytest.raises(NotFound), ledger.transaction(actor="bo", at=AT) as session:
            session.incidents.close("inc_0", "never was")


class RunsConformance(LedgerFixture):
    """Runs."""

    def test_a_run_comes_back_as_it_was_put(self, ledger: Ledger) -> None:
        """Every field survives, text beyond ASCII and microseconds too."""
        with ledger.transaction(actor="ana", at=AT) as session:
            session.runs.put(a_run(1))
        with ledger.read() as session:
            assert session.runs.get("run_0001") == a_run(1)

    def test_a_run_moves_on(self, ledger: Ledger) -> None:
        """Putting it again replaces its state; an equal state is no change."""
        running = a_run(1, status="running", finished_at=None, metrics={})
        for run in (running, a_run(1)):
            with ledger.transaction(actor="ana", at=AT) as session:
                session.runs.put(run)
        before = ledger.sequence()
        with ledger.transaction(actor="ana", at=AT) as session:
            session.runs.put(a_run(1))
        with ledger.read() as session:
            assert session.runs.list() == [a_run(1)]
        assert ledger.sequence() == before

    def test_runs_are_listed_newest_first(self, ledger: Ledger) -> None:
        """Of one asset or all, the newest `limit`."""
        with ledger.transaction(actor="ana", at=AT) as session:
            for number in (2, 1, 3):
                session.runs.put(a_run(number))
            session.runs.put(a_run(4, asset="fares"))
        with ledger.read() as session:
            assert [run.id for run in session.runs.list("air_time")] == ["run_0003", "run_0002", "run_0001"]
            assert [run.id for run in session.runs.list(limit=2)] == ["run_0004", "run_0003"]

    def test_runs_are_paged_by_the_last_one_seen_and_by_kind(self, ledger: Ledger) -> None:
        """Runs that began at one instant are told apart by their ids, so that none is seen twice or missed."""
        with ledger.transaction(actor="ana", at=AT) as session:
            for number in (1, 2, 3):
                session.runs.put(a_run(number, started_at=AT, kind="tune" if number == 2 else "train"))
        with ledger.read() as session:
            pages, before = [], None
            while page := session.runs.list(before=before, limit=1):
                before = (page[0].started_at, page[0].id)
                pages.append(page[0].id)
            assert pages == ["run_0003", "run_0002", "run_0001"]
            assert [run.id for run in session.runs.list(kind="train")] == ["run_0003", "run_0001"]
            assert session.runs.list("fares", kind="train") == []

    def test_the_runs_that_made_a_version_are_found(self, ledger: Ledger) -> None:
        """Their facts name it; a run that made none is not among them."""
        with ledger.transaction(actor="ana", at=AT) as session:
            for number in (1, 2, 3):
                session.runs.put(a_run(number, facts={"version": f"air_time@{number % 2}"}))
            session.runs.put(a_run(4))
        with ledger.read() as session:
            assert [run.id for run in session.runs.list("air_time", version="air_time@1")] == ["run_0003", "run_0001"]
            assert session.runs.list(version="air_time@9") == []

    def test_runs_are_told_without_their_facts_as_they_change(self, ledger: Ledger) -> None:
        """One that changed comes again, under the entry that changed it."""
        with ledger.transaction(actor="ana", at=AT) as session:
            session.runs.put(a_run(1, status="running", finished_at=None))
            session.runs.put(a_run(2, facts={"version": "air_time@000000000001"}))
        with ledger.read() as session:
            first, second = session.runs.lines()
            assert (first.id, first.sequence, first.seconds, first.version) == ("run_0001", 1, None, "")
            assert (second.version, second.seconds) == ("air_time@000000000001", 120.000001)
            assert (second.params, second.metrics) == (a_run(2).params, a_run(2).metrics)
            assert session.runs.lines(after=second.sequence) == []
        with ledger.transaction(actor="ana", at=AT) as session:
            session.runs.put(a_run(1))
        with ledger.read() as session:
            [changed] = session.runs.lines(after=second.sequence)
            assert (changed.id, changed.status, changed.started_at) == ("run_0001", "done", a_run(1).started_at)

    def test_an_unknown_run_names_the_nearest(self, ledger: Ledger) -> None:
        """The error helps."""
        with ledger.transaction(actor="ana", at=AT) as session:
            session.runs.put(a_run(1))
        with ledger.read() as session, pytest.raises(NotFound, match="run_0001"):
            session.runs.get("run_001")


class CursorsConformance(LedgerFixture):
    """Cursors."""

    def test_cursors_are_overwritten_and_leave_no_trace_in_the_chain(self, ledger: Ledger) -> None:
        """They are watermarks, not history."""
        for value in ({"batch": 1}, {"batch": 2, "spans": [["a", 0, 9]]}):
            with ledger.transaction(actor="drain", at=AT) as session:
                session.cursors.put("drain/intent", value)
        with ledger.read() as session:
            assert session.cursors.get("drain/intent") == {"batch": 2, "spans": [["a", 0, 9]]}
            assert session.cursors.get("drain/other") is None
        assert ledger.sequence() == 0

    def test_many_cursors_are_put_at_once(self, ledger: Ledger) -> None:
        """Known ones are overwritten, new ones added, all others left; also more than a statement takes."""
        many = {f"observed/{number}": number for number in range(1200)}
        with ledger.transaction(actor="ann", at=AT) as session:
            session.cursors.put("observed/1", "old")
            session.cursors.put("other", 1)
            session.cursors.put_all({"observed/1": "new", "observed/2": [2]})
            session.cursors.put_all({})
        with ledger.read() as session:
            assert session.cursors.list("observed/") == {"observed/1": "new", "observed/2": [2]}
        with ledger.transaction(actor="ann", at=AT) as session:
            session.cursors.put_all(many)
        with ledger.read() as session:
            assert session.cursors.list("observed/") == many
            assert session.cursors.get("other") == 1

    def test_cursors_are_listed_by_prefix(self, ledger: Ledger) -> None:
        """The prefix is text, not a pattern."""
        with ledger.transaction(actor="drain", at=AT) as session:
            for name in ("a_b/1", "a_b/2", "axb/3", "A_b/4"):
                session.cursors.put(name, name[-1])
        with ledger.read() as session:
            assert session.cursors.list("a_b/") == {"a_b/1": "1", "a_b/2": "2"}


def _open_incident(ledger: Ledger) -> Incident:
    with ledger.transaction(actor="ana", at=AT) as session:
        return session.incidents.open("air_time", "capture_loss", "disk full", {"n_lost": 12})
