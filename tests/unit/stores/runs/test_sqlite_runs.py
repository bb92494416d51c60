"""What the file of runs does beside its Protocol: a full disk, other formats, damage, what is on the disk when."""

from __future__ import annotations

import sqlite3
import stat
from contextlib import closing

import pytest

from perdure.core.errors import Conflict, Corrupt, StoreError, StoreFull
from perdure.core.runs import Claim
from perdure.stores.runs.protocols import Progress, Wanted
from perdure.stores.runs.sqlite import SqliteRuns
from perdure.testing.conformance.runs import SECOND, a_run, a_step, a_wait, begun, claimed, ended, parked, yes


@pytest.fixture
def runs(tmp_path):
    runs = SqliteRuns(tmp_path / "runs.db")
    yield runs
    runs.close()


def test_a_full_disk_refuses_and_writes_nothing_then_all_goes_on(runs):
    """Of a call that holds many runs not one is written, and what was there is there."""
    small, large = begun(runs, a_run(1)), begun(runs, a_run(2))
    writer = runs._writer
    n_pages = writer.execute("PRAGMA page_count").fetchone()[0]
    writer.execute(f"PRAGMA max_page_count = {n_pages + 4}")
    both = [
        Progress(small, [a_step(small.run, 0)]),
        Progress(large, [a_step(large.run, 0, output=b"x" * 100_000)], run=ended(a_run(2))),
    ]
    with pytest.raises(StoreFull):
        runs.write(both)
    with pytest.raises(StoreFull):
        runs.begin(a_run(3, input=b"x" * 100_000), "one", SECOND)
    assert [len(runs.get(each.run).steps) for each in (small, large)] == [0, 0]
    assert len(runs.list(Wanted())) == 2
    writer.execute("PRAGMA max_page_count = 1000000")
    assert runs.write(both) == [True, True]
    assert runs.get(large.run).run.status == "done"


def test_a_file_of_a_newer_format_is_refused_in_words(tmp_path):
    SqliteRuns(tmp_path / "runs.db").close()
    with closing(sqlite3.connect(tmp_path / "runs.db")) as connection:
        connection.execute("PRAGMA user_version = 2")
    with pytest.raises(StoreError, match=r"The runs in .*runs\.db have format 2, but 1 was expected\. .*install it"):
        SqliteRuns(tmp_path / "runs.db")


def test_a_file_that_is_no_database_and_a_record_that_is_none_are_told(tmp_path, runs):
    (tmp_path / "other.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(Corrupt):
        SqliteRuns(tmp_path / "other.db")
    claim = begun(runs, a_run())
    runs.write([Progress(claim, [a_step(claim.run, 0)])])
    runs._writer.execute("UPDATE journal SET entries = x'93c1'")
    with pytest.raises(Corrupt, match=claim.run):
        runs.get(claim.run)


def test_runs_of_projects_do_not_meet(tmp_path, runs):
    """One file, one id, one caller's key, two projects."""
    other = SqliteRuns(tmp_path / "runs.db", project="other")
    parked(runs, a_run(idempotency="i"), a_wait("run_000001"))
    run, claim = other.begin(a_run(idempotency="i"), "one", SECOND)
    assert (run.status, claim) == ("running", Claim("run_000001", "one", 1, SECOND))
    assert other.write([Progress(claim, [a_step(run.id, 0)], [a_wait(run.id)], ended(run))]) == [True]
    assert (runs.get(run.id).run.status, len(runs.get(run.id).steps)) == ("waiting", 0)
    assert claimed(runs, SECOND) == []
    runs.answer("run_000001.wait.0", yes())
    assert other.get(run.id).waits[0].answer is None
    assert (other.prune(9 * SECOND, 10), len(runs.list(Wanted()))) == (1, 1)
    other.close()


def test_two_stores_of_one_file_see_each_other_at_once(tmp_path, runs):
    """As two processes do: what one wrote the other reads, and a claim that one lost the other has."""
    other = SqliteRuns(tmp_path / "runs.db")
    claim = begun(runs, a_run(), until_us=SECOND)
    runs.write([Progress(claim, [a_step(claim.run, 0)])])
    (new,) = other.claim("two", SECOND, 9 * SECOND, ["support"], 1)
    assert runs.write([Progress(claim, [a_step(claim.run, 1)])]) == [False]
    assert other.write([Progress(new, [a_step(claim.run, 1)])]) == [True]
    assert len(runs.get(claim.run).steps) == 2
    other.close()


def test_one_that_is_locked_for_too_long_is_a_conflict_and_reading_goes_on(runs):
    """Nothing is written; the same call succeeds later."""
    claim = begun(runs, a_run())
    runs._writer.execute("PRAGMA busy_timeout = 50")
    with closing(sqlite3.connect(runs._path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Conflict):
            runs.write([Progress(claim, [a_step(claim.run, 0)])])
        assert list(runs.get(claim.run).steps) == []
        other.execute("ROLLBACK")
    assert runs.write([Progress(claim, [a_step(claim.run, 0)])]) == [True]


@pytest.mark.parametrize(
    ("progress", "synced"),
    [
        ({"steps": [{}]}, False),
        ({"steps": [{}, {"state": "begun"}]}, True),
        ({"steps": [{"state": "unknown"}]}, True),
        ({"steps": [{"key": "k"}]}, True),
        ({"steps": [], "waits": True}, True),
    ],
)
def test_what_tells_of_effects_is_synced_and_the_rest_is_cheap(runs, progress, synced):
    """By SQLite's own word."""
    claim = begun(runs, a_run())
    steps = [a_step(claim.run, n, **changes) for n, changes in enumerate(progress["steps"])]
    runs.write([Progress(claim, steps, [a_wait(claim.run)] if "waits" in progress else [])])
    assert runs._writer.execute("PRAGMA synchronous").fetchone()[0] == (2 if synced else 1)


def test_answers_and_runs_under_a_caller_s_key_are_synced(runs):
    parked(runs, a_run(), a_wait("run_000001"))
    begun(runs, a_run(2))
    assert runs._writer.execute("PRAGMA synchronous").fetchone()[0] == 1
    runs.answer("run_000001.wait.0", yes())
    assert runs._writer.execute("PRAGMA synchronous").fetchone()[0] == 2
    begun(runs, a_run(3))
    assert runs._writer.execute("PRAGMA synchronous").fetchone()[0] == 1
    begun(runs, a_run(4, idempotency="i"))
    assert runs._writer.execute("PRAGMA synchronous").fetchone()[0] == 2


def test_the_file_is_for_its_owner_alone(runs):
    assert stat.S_IMODE(runs._path.stat().st_mode) == 0o600


def test_what_is_as_usual_takes_no_room(runs):
    """A step of a few bytes stays small, though it has twenty members."""
    claim = begun(runs, a_run())
    runs.write([Progress(claim, [a_step(claim.run, n) for n in range(100)])])
    (size,) = runs._writer.execute("SELECT sum(length(entries)) FROM journal").fetchone()
    assert size < 100 * 300
