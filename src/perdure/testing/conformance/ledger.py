"""What every `Ledger` guarantees, as tests. Subclass `LedgerConformance` and give the fixture `ledger`:

    class TestMyLedger(LedgerConformance):
        @pytest.fixture
        def ledger(self, tmp_path):
            return MyLedger(tmp_path / "ledger", project="conformance")

The ledger must be empty. Needs pytest only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from perdure.assets.version import CHALLENGER, CHAMPION, Pointer
from perdure.core.canonical import content_hash
from perdure.core.errors import DeclarationError, NotFound, Refused
from perdure.stores.ledger.protocols import AuditEntry, Ledger, LedgerSession
from perdure.testing.conformance.approvals import ApprovalsConformance, a_question, an_answer
from perdure.testing.conformance.jobs import JobsConformance, a_job, a_step
from perdure.testing.conformance.keys import KeysConformance, a_key
from perdure.testing.conformance.ledger_records import (
    AT,
    CursorsConformance,
    IncidentsConformance,
    LedgerFixture,
    RegistryConformance,
    RunsConformance,
    a_run,
    a_version,
    put_versions,
    version_id,
)
from perdure.testing.conformance.people import PeopleConformance, a_person
from perdure.testing.conformance.reviews import ReviewsConformance, a_label, a_review


class PointersConformance(LedgerFixture):
    """Pointers and their history."""

    def test_a_set_of_moves_has_one_sequence_number(self, ledger: Ledger) -> None:
        """Two pointers set together are one event, and that is the new generation."""
        put_versions(ledger, 1, 2)
        pointers = [Pointer("air_time", CHALLENGER, version_id(2), 0.25), Pointer("air_time", CHAMPION, version_id(1))]
        generation = _set(ledger, *pointers)
        with ledger.read() as session:
            assert session.pointers.list("air_time") == pointers
            assert session.pointers.generation() == generation == ledger.sequence()
            assert {move.sequence for move in session.pointers.history("air_time")} == {generation}

    def test_history_keeps_every_move(self, ledger: Ledger) -> None:
        """Moves are events: who, when, why and on which evidence; a removal too."""
        put_versions(ledger, 1, 2)
        with ledger.transaction(actor="ana", at=AT, reason="first release") as session:
            first = session.pointers.set([Pointer("air_time", CHAMPION, version_id(1))], facts={"verdict": "better"})
        second = _set(ledger, Pointer("air_time", CHAMPION, version_id(2)))
        with ledger.transaction(actor="bo", at=AT + timedelta(hours=2)) as session:
            third = session.pointers.remove("air_time", CHAMPION)
        with ledger.read() as session:
            moves = session.pointers.history("air_time")
            assert session.pointers.list() == []
            assert session.pointers.generation() == third
        assert [(move.version, move.sequence) for move in moves] == [
            (version_id(1), first),
            (version_id(2), second),
            (None, third),
        ]
        assert (moves[0].actor, moves[0].at, moves[0].reason) == ("ana", AT, "first release")
        assert moves[0].facts == {"verdict": "better"}
        assert first < second < third

    def test_a_pointer_that_stands_so_already_does_not_move(self, ledger: Ledger) -> None:
        """A step that is done twice moves once."""
        put_versions(ledger, 1)
        generation = _set(ledger, Pointer("air_time", CHAMPION, version_id(1)))
        assert _set(ledger, Pointer("air_time", CHAMPION, version_id(1))) == generation
        assert ledger.sequence() == generation
        assert _set(ledger, Pointer("air_time", CHAMPION, version_id(1), 0.5)) > generation

    def test_a_pointer_needs_a_version_of_its_asset(self, ledger: Ledger) -> None:
        """Neither an unknown version nor another asset's; then no pointer of the set moves."""
        put_versions(ledger, 1)
        with ledger.transaction(actor="ana", at=AT) as session:
            session.registry.put_version(a_version(5, asset="fares"))
        for version in (version_id(9), "fares@000000000005"):
            moves = [Pointer("air_time", CHAMPION, version_id(1)), Pointer("air_time", CHALLENGER, version)]
            with pytest.raises(NotFound), ledger.transaction(actor="ana", at=AT) as session:
                session.pointers.set(moves)
        with ledger.read() as session:
            assert session.pointers.list() == []
            assert session.pointers.generation() == 0

    @pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
    def test_a_share_is_between_nothing_and_all(self, ledger: Ledger, share: float) -> None:
        """Anything else is refused."""
        put_versions(ledger, 1)
        with pytest.raises(DeclarationError):
            _set(ledger, Pointer("air_time", CHAMPION, version_id(1), share))

    def test_one_set_cannot_point_a_pointer_twice(self, ledger: Ledger) -> None:
        """It would depend on their order."""
        put_versions(ledger, 1, 2)
        with pytest.raises(DeclarationError):
            _set(ledger, Pointer("air_time", CHAMPION, version_id(1)), Pointer("air_time", CHAMPION, version_id(2)))

    def test_pointers_are_set_and_taken_away_as_one_move(self, ledger: Ledger) -> None:
        """One sequence number, one reason, the same evidence: a challenger becomes the champion in one step."""
        put_versions(ledger, 1, 2)
        _set(ledger, Pointer("air_time", CHAMPION, version_id(1)), Pointer("air_time", CHALLENGER, version_id(2), 0.2))
        promoted, facts = Pointer("air_time", CHAMPION, version_id(2)), {"job": "job_1", "stage": "all"}
        before = ledger.sequence()
        with ledger.transaction(actor="bo", at=AT, reason="better") as session:
            generation = session.pointers.set([promoted], remove=[("air_time", CHALLENGER)], facts=facts)
        assert generation == ledger.sequence() == before + 1
        with ledger.read() as session:
            assert session.pointers.list() == [promoted]
            moves = [move for move in session.pointers.history("air_time") if move.sequence == generation]
        assert [(move.name, move.version, move.share) for move in moves] == [
            (CHALLENGER, None, 0.0),
            (CHAMPION, version_id(2), 1.0),
        ]
        assert all((move.actor, move.reason, move.facts) == ("bo", "better", facts) for move in moves)
        assert ledger.verify().intact

    def test_taking_away_what_is_gone_changes_nothing(self, ledger: Ledger) -> None:
        """A step that is done twice moves once; taking away alone is a move, too."""
        put_versions(ledger, 1)
        generation = _set(ledger, Pointer("air_time", CHAMPION, version_id(1)))
        for _ in range(2):
            with ledger.transaction(actor="ana", at=AT) as session:
                gone = session.pointers.set(
                    [Pointer("air_time", CHAMPION, version_id(1))],
                    remove=[("air_time", CHALLENGER), ("fares", CHAMPION)],
                )
            assert gone == generation
        assert ledger.sequence() == generation
        for _ in range(2):
            with ledger.transaction(actor="ana", at=AT) as session:
                assert session.pointers.set([], remove=[("air_time", CHAMPION)]) == generation + 1
        with ledger.read() as session:
            assert session.pointers.list() == []

    def test_one_move_cannot_set_a_pointer_and_take_it_away(self, ledger: Ledger) -> None:
        """Nor take it away twice; and nothing of it moves."""
        put_versions(ledger, 1)
        champion = Pointer("air_time", CHAMPION, version_id(1))
        generation = _set(ledger, champion)
        key = ("air_time", CHAMPION)
        for pointers, remove in (([champion], [key]), ([], [key, key])):
            with pytest.raises(DeclarationError), ledger.transaction(actor="ana", at=AT) as session:
                session.pointers.set(pointers, remove=remove)
        assert ledger.sequence() == generation

    def test_removing_an_unknown_pointer_names_the_nearest(self, ledger: Ledger) -> None:
        """The error helps."""
        put_versions(ledger, 1)
        _set(ledger, Pointer("air_time", CHAMPION, version_id(1)))
        with pytest.raises(NotFound, match="champion"), ledger.transaction(actor="ana", at=AT) as session:
            session.pointers.remove("air_time", "champoin")


class AuditConformance(LedgerFixture):
    """The chain."""

    def test_every_change_of_a_record_is_an_entry(self, ledger: Ledger) -> None:
        """With actor, domain time, reason and what was changed."""
        put_versions(ledger, 1)
        _set(ledger, Pointer("air_time", CHAMPION, version_id(1)))
        with ledger.transaction(actor="bo", at=AT, reason="a try") as session:
            session.registry.put_asset("model", "air_time", {})
            session.runs.put(a_run(1))
            incident = session.incidents.open("air_time", "capture_loss", "full", {})
            session.incidents.close(incident.id, "freed")
            session.pointers.remove("air_time", CHAMPION)
        with ledger.read() as session:
            entries = session.audit.list()
        assert [entry.sequence for entry in entries] == list(range(1, 8))
        assert {entry.subject for entry in entries} == {"air_time"}
        assert all((entry.actor, entry.at, entry.reason) == ("bo", AT, "a try") for entry in entries[2:])
        assert all(entry.recorded_at.tzinfo is not None for entry in entries)

    def test_entries_form_a_chain_that_anyone_can_recompute(self, ledger: Ledger) -> None:
        """The hash is the content hash of the other fields."""
        put_versions(ledger, 1, 2, 3)
        with ledger.read() as session:
            entries = session.audit.list()
        for before, entry in pairwise(entries):
            assert entry.previous == before.hash
        for entry in entries:
            others = {each.name: getattr(entry, each.name) for each in fields(AuditEntry) if each.name != "hash"}
            assert entry.hash == content_hash(others)
        assert len({entry.hash for entry in entries}) == len(entries)

    def test_an_entry_of_ones_own_joins_the_chain(self, ledger: Ledger) -> None:
        """Such as a decision, next to the moves that it explains."""
        put_versions(ledger, 1)
        facts = {"reading": {"mae": 12.5, "n": 4000, "at": AT}, "sure": True, "note": "été"}
        with ledger.transaction(actor="loop", at=AT, reason="it decayed") as session:
            entry = session.audit.append("decide", "air_time", facts)
            session.pointers.set([Pointer("air_time", CHAMPION, version_id(1))])
        with ledger.read() as session:
            assert session.audit.list(after=entry.sequence - 1)[0] == entry
        assert entry.facts == {**facts, "reading": {"mae": 12.5, "n": 4000, "at": "2013-03-01T06:30:00Z"}}
        assert ledger.verify().intact

    @pytest.mark.parametrize("facts", [{"records": []}, {"value": float("nan")}])
    def test_facts_without_a_place_in_the_chain_are_refused(self, ledger: Ledger, facts: Mapping[str, Any]) -> None:
        """The ledger's own key, and what has no canonical form."""
        with pytest.raises(DeclarationError), ledger.transaction(actor="ana", at=AT) as session:
            session.audit.append("note", "air_time", facts)
        assert ledger.sequence() == 0

    def test_entries_are_found_by_subject_also_among_several(self, ledger: Ledger) -> None:
        """One set of moves may concern several assets; names are compared whole."""
        with ledger.transaction(actor="ana", at=AT) as session:
            for asset in ("air_time", "fares", "air"):
                session.registry.put_version(a_version(1, asset=asset))
            session.pointers.set([Pointer(asset, CHAMPION, f"{asset}@000000000001") for asset in ("fares", "air_time")])
        with ledger.read() as session:
            assert [entry.sequence for entry in session.audit.list(subject="air_time")] == [1, 4]
            assert [entry.sequence for entry in session.audit.list(subject="fares")] == [2, 4]
            assert [entry.sequence for entry in session.audit.list(subject="air")] == [3]
            assert [entry.sequence for entry in session.audit.list(subject="air%")] == []

    def test_entries_are_read_in_pages(self, ledger: Ledger) -> None:
        """Oldest first, from after a sequence number."""
        put_versions(ledger, 1, 2, 3, 4)
        with ledger.read() as session:
            assert [entry.sequence for entry in session.audit.list(after=1, limit=2)] == [2, 3]
            assert session.audit.list(after=4) == []

    def test_entries_are_found_by_action_and_from_the_newest_on(self, ledger: Ledger) -> None:
        """Subject, actions and both bounds go together, in either order."""
        with ledger.transaction(actor="ana", at=AT) as session:
            for action, subject in (
                ("note", "air_time"),
                ("decide", "air_time"),
                ("note", "fares"),
                ("act", "air_time"),
            ):
                session.audit.append(action, subject, {})
        with ledger.read() as session:

            def found(**wanted: Any) -> list[int]:
                return [entry.sequence for entry in session.audit.list(**wanted)]

            assert found(actions=["note"]) == [1, 3]
            assert found(actions=["decide", "act"], subject="air_time") == [2, 4]
            assert found(newest=True, limit=2) == [4, 3]
            assert found(newest=True, before=4, subject="air_time", limit=1) == [2]
            assert found(after=1, before=4) == [2, 3]
            assert found(actions=["nothing"]) == []

    def test_an_untouched_chain_verifies(self, ledger: Ledger) -> None:
        """An empty one too; the report counts the entries and names the newest hash."""
        empty = ledger.verify()
        assert (empty.n_entries, empty.broken_at) == (0, None)
        put_versions(ledger, 1, 2)
        report = ledger.verify()
        with ledger.read() as session:
            newest = session.audit.list()[-1]
        assert (report.n_entries, report.broken_at, report.intact) == (2, None, True)
        assert report.head == newest.hash


class TransactionConformance(LedgerFixture):
    """All or nothing, snapshots, threads."""

    def test_a_failed_block_writes_nothing(self, ledger: Ledger) -> None:
        """Whatever it did before it failed."""
        with pytest.raises(RuntimeError, match="half-way"), ledger.transaction(actor="ana", at=AT) as session:
            _do_everything_and_fail(session)
        assert ledger.sequence() == 0
        with ledger.read() as session:
            assert session.registry.list_assets() == []
            assert session.registry.list_versions("air_time") == []
            assert session.pointers.history("air_time") == []
            assert session.incidents.list() == []
            assert session.runs.list() == []
            assert session.jobs.list() == []
            assert session.approvals.list() == []
            assert session.keys.list() == []
            assert session.reviews.list() == []
            assert session.cursors.list("") == {}
        assert ledger.verify().intact

    def test_a_transaction_reads_its_own_writes(self, ledger: Ledger) -> None:
        """Before anyone else does."""
        with ledger.transaction(actor="ana", at=AT) as session:
            session.registry.put_version(a_version(1))
            assert session.registry.get_version(version_id(1)) == a_version(1)
            with ledger.read() as other:
                assert other.registry.list_versions("air_time") == []
        with ledger.read() as other:
            assert other.registry.list_versions("air_time") == [a_version(1)]

    def test_a_snapshot_stays_as_it_was(self, ledger: Ledger) -> None:
        """A reader sees one state, also when a writer commits meanwhile, and never waits for it."""
        put_versions(ledger, 1)
        with ledger.read() as session:
            assert len(session.registry.list_versions("air_time")) == 1
            put_versions(ledger, 2)
            assert len(session.registry.list_versions("air_time")) == 1
            assert session.audit.list()[-1].sequence == 1

    def test_a_snapshot_cannot_be_written(self, ledger: Ledger) -> None:
        """Any write through it is refused, and nothing is written."""
        with ledger.read() as session:
            writes: list[Callable[[], object]] = [
                lambda: session.registry.put_asset("model", "air_time", {}),
                lambda: session.registry.put_version(a_version(1)),
                lambda: session.pointers.set([]),
                lambda: session.pointers.remove("air_time", CHAMPION),
                lambda: session.incidents.open("air_time", "loss", "", {}),
                lambda: session.incidents.update("inc_0", facts={}),
                lambda: session.incidents.close("inc_0", ""),
                lambda: session.runs.put(a_run(1)),
                lambda: session.jobs.put(a_job(1)),
                lambda: session.jobs.put_step(a_step(1)),
                lambda: session.jobs.prune(AT),
                lambda: session.approvals.ask(a_question(1)),
                lambda: session.approvals.answer("apr_0001", an_answer("ann")),
                lambda: session.approvals.withdraw("apr_0001"),
                lambda: session.keys.put(a_key(1)),
                lambda: session.reviews.ask([a_review(1)]),
                lambda: session.reviews.label([a_label(1)]),
                lambda: session.reviews.close("rev_0001", "done"),
                lambda: session.cursors.put("a", 1),
                lambda: session.audit.append("note", "air_time", {}),
            ]
            for write in writes:
                with pytest.raises(Refused):
                    write()
        assert ledger.sequence() == 0

    def test_an_instant_without_a_zone_is_refused(self, ledger: Ledger) -> None:
        """Domain time has no default zone."""
        with pytest.raises(DeclarationError), ledger.transaction(actor="ana", at=AT.replace(tzinfo=None)) as session:
            session.registry.put_version(a_version(1))
        assert ledger.sequence() == 0

    def test_threads_share_a_ledger(self, ledger: Ledger) -> None:
        """Each transaction of each thread is a whole link of one chain."""

        def put_five(worker: int) -> None:
            for number in range(5):
                with ledger.transaction(actor=f"worker {worker}", at=AT) as session:
                    session.registry.put_version(a_version(worker * 5 + number))
                    assert session.registry.get_version(version_id(worker * 5 + number)).asset == "air_time"

        with ThreadPoolExecutor(4) as threads:
            list(threads.map(put_five, range(4)))
        report = ledger.verify()
        assert (report.n_entries, report.intact) == (20, True)
        assert ledger.sequence() == 20


class LedgerConformance(
    RegistryConformance,
    PointersConformance,
    IncidentsConformance,
    RunsConformance,
    JobsConformance,
    ApprovalsConformance,
    KeysConformance,
    PeopleConformance,
    ReviewsConformance,
    CursorsConformance,
    AuditConformance,
    TransactionConformance,
):
    """All that a ledger guarantees."""


def _set(ledger: Ledger, *pointers: Pointer) -> int:
    with ledger.transaction(actor="ana", at=AT) as session:
        return session.pointers.set(pointers)


def _do_everything_and_fail(session: LedgerSession) -> None:
    session.registry.put_asset("model", "air_time", {})
    session.registry.put_version(a_version(1))
    session.pointers.set([Pointer("air_time", CHAMPION, version_id(1))])
    session.incidents.open("air_time", "capture_loss", "disk full", {})
    session.runs.put(a_run(1))
    session.jobs.put(a_job(1))
    session.jobs.put_step(a_step(0))
    session.approvals.ask(a_question(1))
    session.keys.put(a_key(1))
    session.people.put(a_person("ann"))
    session.reviews.ask([a_review(1)])
    session.reviews.label([a_label(1)])
    session.cursors.put("a", 1)
    session.audit.append("note", "air_time", {})
    raise RuntimeError("half-way")
