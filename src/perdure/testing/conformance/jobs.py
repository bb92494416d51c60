"""What the ledger's jobs guarantee, as tests; part of `LedgerConformance`, and usable alone.

class TestMyJobs(JobsConformance):
    @pytest.fixture
    def ledger(self, tmp_path): return MyLedger(tmp_path / "ledger", project="conformance")
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from perdure.core.errors import NotFound, Refused
from perdure.stores.ledger.protocols import Job, JobStep, Ledger
from perdure.testing.conformance.ledger_records import AT, LedgerFixture


def a_job(number: int, **changes: Any) -> Job:
    """A running job whose id, key and start depend on `number`."""
    job = Job(
        id=f"job_{number:04}",
        workflow="repair",
        key=f"incident {number}",
        subject="air_time",
        status="running",
        code="3f2a",
        started_at=AT + timedelta(hours=number),
        input={"days": [30, 60], "note": "première"},
    )
    return replace(job, **changes)


def a_step(number: int, job: str = "job_0001", **changes: Any) -> JobStep:
    """A step of a job."""
    step = JobStep(
        job, f"step {number}", number, {"mae": 9.25, "made": [None, True]}, AT + timedelta(minutes=number), 3
    )
    return replace(step, **changes)


def put_jobs(ledger: Ledger, *jobs: Job) -> None:
    """Put a few jobs, a transaction each."""
    for job in jobs:
        with ledger.transaction(actor="ana", at=AT) as session:
            session.jobs.put(job)


class JobsConformance(LedgerFixture):
    """Jobs and their steps."""

    def test_a_job_comes_back_as_it_was_put(self, ledger: Ledger) -> None:
        """Every field survives, empty ones too."""
        parked = a_job(
            2,
            status="parked",
            due_at=AT + timedelta(days=2, microseconds=1),
            waits_for="apr_1",
            tries=2,
            retry_at=AT + timedelta(seconds=1),
            output={"outcome": "released"},
            error="Conflict: locked",
            ended_at=AT,
        )
        put_jobs(ledger, a_job(1), parked)
        with ledger.read() as session:
            assert session.jobs.get("job_0001") == a_job(1)
            assert session.jobs.get("job_0002") == parked

    def test_a_job_moves_on(self, ledger: Ledger) -> None:
        """Putting it again replaces its state; an equal state is no change."""
        done = a_job(1, status="done", ended_at=AT, output={"n": 1})
        put_jobs(ledger, a_job(1), done)
        before = ledger.sequence()
        put_jobs(ledger, done)
        assert ledger.sequence() == before
        with ledger.read() as session:
            assert session.jobs.list() == [done]

    def test_of_two_jobs_with_one_key_the_first_is_the_job(self, ledger: Ledger) -> None:
        """Also when it has ended; another workflow has keys of its own."""
        first = a_job(1, status="done", ended_at=AT)
        put_jobs(ledger, first)
        before = ledger.sequence()
        with ledger.transaction(actor="bo", at=AT) as session:
            assert session.jobs.put(a_job(2, key=first.key)) == first
        assert ledger.sequence() == before
        put_jobs(ledger, a_job(3, key=first.key, workflow="backtest"))
        with ledger.read() as session:
            assert [job.id for job in session.jobs.list()] == ["job_0003", "job_0001"]

    def test_a_job_keeps_its_workflow_and_key(self, ledger: Ledger) -> None:
        """Another one under its id is refused."""
        put_jobs(ledger, a_job(1))
        for other in (a_job(1, key="another"), a_job(1, workflow="another")):
            with pytest.raises(Refused, match="job_0001"):
                put_jobs(ledger, other)

    def test_jobs_are_listed_newest_first(self, ledger: Ledger) -> None:
        """Of one subject or all, open ones or all, the newest `limit`."""
        statuses = ["running", "parked", "done", "failed", "cancelled", "stopped"]
        put_jobs(ledger, *(a_job(number, status=status) for number, status in enumerate(statuses)))
        put_jobs(ledger, a_job(9, subject="fares"))
        with ledger.read() as session:
            assert [job.id for job in session.jobs.list(limit=2)] == ["job_0009", "job_0005"]
            assert [job.id for job in session.jobs.list(open_only=True)] == ["job_0009", "job_0001", "job_0000"]
            assert [job.id for job in session.jobs.list(subject="air_time", open_only=True, limit=1)] == ["job_0001"]
            assert len(session.jobs.list(subject="air_time")) == 6

    def test_an_unknown_job_names_the_nearest(self, ledger: Ledger) -> None:
        """The error helps; a step of an unknown job is refused as well."""
        put_jobs(ledger, a_job(1))
        with ledger.read() as session, pytest.raises(NotFound, match="job_0001"):
            session.jobs.get("job_001")
        with pytest.raises(NotFound), ledger.transaction(actor="ana", at=AT) as session:
            session.jobs.put_step(a_step(0, job="job_001"))

    def test_a_step_is_kept_once(self, ledger: Ledger) -> None:
        """What it gave first stays, also when it is done again; and comes back as it was put."""
        put_jobs(ledger, a_job(1), a_job(2))
        with ledger.transaction(actor="ana", at=AT) as session:
            assert session.jobs.put_step(a_step(0)) == a_step(0)
        before = ledger.sequence()
        with ledger.transaction(actor="bo", at=AT) as session:
            assert session.jobs.put_step(a_step(0, result="another", epoch=9)) == a_step(0)
        assert ledger.sequence() == before
        with ledger.transaction(actor="bo", at=AT) as session:
            session.jobs.put_step(a_step(0, job="job_0002", result=None))
        with ledger.read() as session:
            assert session.jobs.list_steps("job_0001") == [a_step(0)]
            assert session.jobs.list_steps("job_0002") == [a_step(0, job="job_0002", result=None)]
            assert session.jobs.list_steps("job_0003") == []

    def test_steps_are_listed_in_the_order_in_which_they_were_done(self, ledger: Ledger) -> None:
        """Not by name."""
        put_jobs(ledger, a_job(1))
        names = ["watch", "all", "shadow"]
        for position, name in enumerate(names):
            with ledger.transaction(actor="ana", at=AT) as session:
                session.jobs.put_step(a_step(position, name=name))
        with ledger.read() as session:
            assert [step.name for step in session.jobs.list_steps("job_0001")] == names

    def test_pruning_removes_what_ended_and_the_chain_still_verifies(self, ledger: Ledger) -> None:
        """With its steps; open jobs stay, however old, and so does what ended at the instant itself."""
        ended = AT + timedelta(days=1)
        put_jobs(ledger, *(a_job(number, status="done", ended_at=ended) for number in range(130)))
        put_jobs(ledger, a_job(200), a_job(201, status="parked"), a_job(202, status="failed", ended_at=AT))
        with ledger.transaction(actor="ana", at=AT) as session:
            session.jobs.put_step(a_step(0, job="job_0007"))
            session.jobs.put_step(a_step(0, job="job_0200"))
        with ledger.transaction(actor="ana", at=ended) as session:
            assert session.jobs.prune(ended) == 1
            assert session.jobs.prune(ended + timedelta(microseconds=1)) == 130
        before = ledger.sequence()
        with ledger.transaction(actor="ana", at=ended) as session:
            assert session.jobs.prune(ended + timedelta(microseconds=1)) == 0
        assert ledger.sequence() == before
        with ledger.read() as session:
            assert [job.id for job in session.jobs.list(limit=1000)] == ["job_0201", "job_0200"]
            assert session.jobs.list_steps("job_0007") == []
            assert session.jobs.list_steps("job_0200") == [a_step(0, job="job_0200")]
        report = ledger.verify()
        assert report.intact, report.text

    def test_a_pruned_job_s_key_is_free(self, ledger: Ledger) -> None:
        """And its rows fit the chain again."""
        put_jobs(ledger, a_job(1, status="done", ended_at=AT))
        with ledger.transaction(actor="ana", at=AT) as session:
            session.jobs.prune(AT + timedelta(seconds=1))
        put_jobs(ledger, a_job(1))
        with ledger.read() as session:
            assert session.jobs.list() == [a_job(1)]
        assert ledger.verify().intact

    def test_every_change_of_a_job_is_an_entry_about_its_subject(self, ledger: Ledger) -> None:
        """With what it waits for and why it failed."""
        put_jobs(ledger, a_job(1), a_job(1, status="parked", waits_for="apr_1"), a_job(1, status="failed", error="why"))
        with ledger.transaction(actor="ana", at=AT) as session:
            session.jobs.put_step(a_step(0))
        with ledger.read() as session:
            entries = session.audit.list(subject="air_time")
        assert len(entries) == 4
        assert (entries[1].facts["waits_for"], entries[2].facts["error"]) == ("apr_1", "why")
        assert ledger.verify().intact
