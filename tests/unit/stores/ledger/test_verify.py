"""Verifying says what is wrong, and where."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import timedelta

import pytest

from perdure.assets.version import CHAMPION, Pointer
from perdure.stores.ledger.sqlite import SqliteLedger
from perdure.testing.conformance.approvals import a_question
from perdure.testing.conformance.jobs import a_job, a_step
from perdure.testing.conformance.ledger_records import AT, a_version, put_versions

OTHERS = "at_us, recorded_us, project, actor, action, subject, reason, facts, hash, hash"
"""Columns that make a copy of an entry look as if it came next."""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ledger.sqlite"


@pytest.fixture
def ledger(path):
    ledger = SqliteLedger(path, project="flights")
    put_versions(ledger, 1, 2, 3)
    with ledger.transaction(actor="ana", at=AT) as session:
        session.pointers.set([Pointer("air_time", CHAMPION, a_version(1).id)])
        session.pointers.set([Pointer("air_time", CHAMPION, a_version(2).id)])
    yield ledger
    ledger.close()


def by_hand(path, *statements):
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


@pytest.mark.parametrize(
    ("statement", "broken_at", "said"),
    [
        ("UPDATE audit SET actor = 'eve' WHERE sequence = 2", 2, "Entry 2 was altered"),
        ("UPDATE audit SET facts = replace(facts, ',', ', ') WHERE sequence = 3", 3, "Entry 3 was altered"),
        ("DELETE FROM audit WHERE sequence = 3", 3, "Entry 3 is missing"),
        ("DELETE FROM audit WHERE sequence >= 4", 4, "Entry 4 is missing: the chain was cut off"),
        ("DELETE FROM audit", 1, "Entry 1 is missing"),
        ("DELETE FROM audit_head", 5, "newest link"),
        ("UPDATE audit_head SET sequence = 4", 5, "newest link"),
        (f"INSERT INTO audit SELECT 6, {OTHERS} FROM audit WHERE sequence = 5", 6, "Entry 6 was altered"),
        (f"INSERT INTO audit SELECT 0, {OTHERS} FROM audit WHERE sequence = 5", 0, "Entry 0 was slipped in"),
        ("UPDATE versions SET metrics = '{}' WHERE id LIKE '%2'", 2, "The row of versions that entry 2 wrote was altered"),
        ("UPDATE pointer_moves SET actor = 'eve' WHERE sequence = 4", 4, "The row of pointer_moves that entry 4 wrote"),
        ("UPDATE pointers SET version = 'air_time@000000000003'", 5, "The row of pointers that entry 5 wrote was altered"),
        ("UPDATE pointers SET version = CAST(x'ff' AS TEXT)", 5, "The row of pointers that entry 5 wrote was altered"),
        ("DELETE FROM audit_subjects WHERE sequence = 4", 4, "What entry 4 is about cannot be found"),
        ("UPDATE audit_subjects SET subject = 'fares' WHERE sequence = 2", 2, "What entry 2 is about cannot be found"),
        ("INSERT INTO audit_subjects VALUES ('flights', 'fares', 3)", 3, "What entry 3 is about cannot be found"),
        ("DELETE FROM versions WHERE id LIKE '%3'", 3, "The row of versions that entry 3 wrote is missing"),
        ("INSERT INTO pointers VALUES ('flights', 'air_time', 'shadow', 'air_time@000000000003', 1.0, 'eve', 5)", 5,
         "A row of pointers was slipped in: flights air_time shadow"),
    ],
)  # fmt: skip
def test_what_was_done_by_hand_is_found(ledger, path, statement, broken_at, said):
    by_hand(path, statement)
    report = ledger.verify()
    assert report.broken_at == broken_at, report.text
    assert said in report.text
    assert report.head == ""


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE jobs SET status = 'done'", "The row of jobs that entry 6 wrote was altered"),
        ("UPDATE job_steps SET result = '{}'", "The row of job_steps that entry 7 wrote was altered"),
        ("DELETE FROM job_steps", "The row of job_steps that entry 7 wrote is missing"),
        ("UPDATE approvals SET status = 'approved'", "The row of approvals that entry 8 wrote was altered"),
    ],
)
def test_what_was_done_by_hand_to_durable_work_is_found(ledger, path, statement, said):
    with ledger.transaction(actor="ana", at=AT) as session:
        session.jobs.put(a_job(1))
        session.jobs.put_step(a_step(0))
        session.approvals.ask(a_question(1))
    by_hand(path, statement)
    assert said in ledger.verify().text


def test_a_pruned_row_that_is_put_back_by_hand_is_found(ledger, path):
    with ledger.transaction(actor="ana", at=AT) as session:
        session.jobs.put(a_job(1, status="done", ended_at=AT))
    by_hand(path, "CREATE TABLE aside AS SELECT * FROM jobs")
    with ledger.transaction(actor="ana", at=AT) as session:
        assert session.jobs.prune(AT + timedelta(days=1)) == 1
    assert ledger.verify().intact
    by_hand(path, "INSERT INTO jobs SELECT * FROM aside")
    assert "A row of jobs was slipped in" in ledger.verify().text


def test_the_first_of_several_breaks_is_named(ledger, path):
    by_hand(path, "UPDATE pointers SET share = 0.5", "UPDATE versions SET actor = 'eve' WHERE id LIKE '%2'")
    assert ledger.verify().broken_at == 2


def test_the_chain_goes_on_after_a_break_and_the_break_stays_visible(ledger, path):
    by_hand(path, "UPDATE versions SET actor = 'eve' WHERE id LIKE '%2'")
    put_versions(ledger, 4)
    report = ledger.verify()
    assert (report.n_entries, report.broken_at) == (6, 2)


def test_a_reader_can_verify(ledger, path):
    reader = SqliteLedger.open_read_only(path, project="another")
    assert reader.verify() == ledger.verify()
    reader.close()


def test_who_verifies_is_told_how_far_it_is(ledger, monkeypatch):
    """Every batch of entries is told, in order."""
    monkeypatch.setattr("perdure.stores.ledger.verify._BATCH", 2)
    told: list[int] = []
    n_entries = ledger.verify(told.append).n_entries
    assert told == list(range(2, n_entries + 1, 2))
    assert told
