"""The engine of durable work: steps are done once, what waits is parked, and every end is written down."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta

import pytest

from perdure.core.clock import iso, machine_now, sleep_s
from perdure.core.errors import (
    BadWorkflow,
    Cancelled,
    Conflict,
    DeclarationError,
    LostLease,
    NotFound,
    NotReady,
    Refused,
    StepFailed,
)
from perdure.durable import steps as steps_module
from perdure.durable.engine import Durable
from perdure.durable.workflow import Retry, Workflow
from perdure.stores.ledger.protocols import Answer, Approval
from perdure.stores.ledger.sqlite import SqliteLedger
from perdure.testing.conformance.ledger_records import AT

HOUR = timedelta(hours=1)
QUICK = Retry(tries=3, first_s=0.001, longest_s=0.001)


@pytest.fixture
def ledger(tmp_path):
    ledger = SqliteLedger(tmp_path / "ledger.sqlite", project="flights")
    yield ledger
    report = ledger.verify()
    ledger.close()
    assert report.intact, report.text


class Bench:
    """One engine over one ledger, with a workflow named `work` that may be exchanged."""

    def __init__(self, ledger, run, code="1", continues=()):
        self.ledger = ledger
        self.durable = Durable(ledger, [Workflow("work", run, code, continues)], actor="loop")

    def begin(self, key="first", subject="air_time", given=None):
        return self.durable.begin("work", key, subject, given or {}, AT)

    def drive(self, after=timedelta(0), **options):
        return self.durable.drive(AT + after, **options)

    def job(self, job_id):
        with self.ledger.read() as session:
            return session.jobs.get(job_id)

    def step_names(self, job_id):
        with self.ledger.read() as session:
            return [step.name for step in session.jobs.list_steps(job_id)]

    def notes(self):
        with self.ledger.read() as session:
            return [entry.facts["text"] for entry in session.audit.list() if entry.action == "note"]


def noted(text):
    return lambda session: session.audit.append("note", "air_time", {"text": text}).sequence


def question(**changes):
    asked = Approval("", "air_time", "", "Release it?", "reviewer", 1, "loop", AT, "open")
    return replace(asked, **changes)


def soon(message="loading"):
    return NotReady(message, delay_s=0.0)


# Steps


def test_a_job_is_begun_once_under_its_key(ledger):
    bench = Bench(ledger, lambda steps, given: given)
    first = bench.begin(given={"days": (30, 60), "at": AT})
    assert first.input == {"days": [30, 60], "at": iso(AT)}
    assert bench.begin(given={"days": 90}) == first
    assert [job.output for job in bench.drive()] == [first.input]
    assert bench.begin().status == "done"
    assert bench.drive() == []


def test_an_unknown_workflow_names_the_nearest(ledger):
    with pytest.raises(NotFound, match="'work'"):
        Bench(ledger, lambda steps, given: {}).durable.begin("wrok", "k", "air_time", {}, AT)


def test_two_workflows_of_one_name_are_refused(ledger):
    work = Workflow("work", lambda steps, given: {}, "1")
    with pytest.raises(BadWorkflow, match="work"):
        Durable(ledger, [work, work], actor="loop")


def test_recorded_steps_give_what_they_gave_and_are_not_done_again(ledger):
    done = []

    def run(steps, given):
        made = steps.do("make", lambda key: done.append(key) or ("a", {"n": 1}))
        sequence = steps.commit("tell", "made", noted("made"))
        steps.wait_until("rest", steps.at("make") + HOUR)
        return {"made": made, "sequence": sequence, "made_at": steps.at("make"), "job": steps.job.status}

    bench = Bench(ledger, run)
    job = bench.begin()
    assert [each.status for each in bench.drive()] == ["parked"]
    assert bench.drive(HOUR / 2) == []
    ended = bench.drive(HOUR)
    assert done == [f"{job.id}/make"]
    assert bench.notes() == ["made"]
    assert ended[0].output["made"] == ["a", {"n": 1}]
    assert ended[0].output["made_at"] == iso(AT)
    assert (ended[0].status, ended[0].ended_at) == ("done", AT + HOUR)
    assert bench.step_names(job.id) == ["make", "tell", "rest"]


def test_a_step_gives_the_same_live_as_recorded(ledger):
    """A tuple is a list at once, not only after a crash."""
    seen = []

    def run(steps, given):
        seen.append(steps.do("make", lambda key: (1, (2,))))
        seen.append(steps.commit("tell", "", lambda session: {"at": AT}))
        steps.wait_until("rest", AT + HOUR)
        return {}

    bench = Bench(ledger, run)
    bench.begin()
    bench.drive()
    bench.drive(HOUR)
    assert seen == [[1, [2]], {"at": iso(AT)}] * 2


def test_a_step_carries_the_lease_s_epoch_and_its_instants_stay(ledger):
    def run(steps, given):
        steps.do("make", lambda key: None)
        steps.wait_until("rest", AT + HOUR)
        steps.do("tell", lambda key: iso(steps.began_at("tell")))
        return {name: iso(steps.began_at(name)) for name in ("make", "rest", "tell", "later")}

    bench = Bench(ledger, run)
    lease = ledger.leases.acquire("loop", "ana", 600.0)
    job = bench.begin()
    bench.drive(HOUR / 4, lease=lease)
    (done,) = bench.drive(2 * HOUR, lease=lease)
    first, over = iso(AT + HOUR / 4), iso(AT + 2 * HOUR)
    assert done.output == {"make": iso(AT), "rest": first, "tell": over, "later": over}
    with ledger.read() as session:
        assert [(step.position, step.epoch) for step in session.jobs.list_steps(job.id)] == [
            (0, lease.epoch),
            (1, lease.epoch),
            (2, lease.epoch),
        ]


def test_an_instant_of_a_step_that_is_not_done_is_not_found(ledger):
    bench = Bench(ledger, lambda steps, given: {"at": steps.at("shadow")})
    bench.begin()
    assert "shadow" in bench.drive()[0].error


def test_what_a_commit_wrote_is_undone_with_its_record(ledger):
    def write(session):
        session.audit.append("note", "air_time", {"text": "half"})
        raise ValueError("half-way")

    bench = Bench(ledger, lambda steps, given: steps.commit("tell", "", write))
    job = bench.begin()
    assert bench.drive()[0].status == "failed"
    assert bench.notes() == []
    assert "ValueError: half-way" in bench.job(job.id).error


# Waiting


def test_a_question_is_asked_once_and_parks_the_job_until_it_is_decided(ledger):
    bench = Bench(ledger, lambda steps, given: {"said": steps.ask("ok", question()).status})
    job = bench.begin()
    (parked,) = bench.drive()
    assert (parked.status, parked.due_at) == ("parked", None)
    assert bench.drive(timedelta(days=9)) == []
    with ledger.read() as session:
        assert [(each.key, each.status) for each in session.approvals.list()] == [(f"{job.id}/ok", "open")]
    with ledger.transaction(actor="ann", at=AT) as session:
        session.approvals.answer(parked.waits_for, Answer("ann", True, "fine", AT))
    assert bench.drive(timedelta(days=9))[0].output == {"said": "approved"}


def test_a_withdrawn_question_is_decided_too(ledger):
    bench = Bench(ledger, lambda steps, given: {"said": steps.ask("ok", question(key="mine")).status})
    bench.begin()
    (parked,) = bench.drive()
    with ledger.transaction(actor="ann", at=AT) as session:
        session.approvals.withdraw(parked.waits_for)
    assert bench.drive()[0].output == {"said": "withdrawn"}


def test_driving_with_nothing_due_only_polls(ledger, monkeypatch):
    """And a change by another process is seen at once."""
    bench = Bench(ledger, lambda steps, given: steps.wait_until("rest", AT + HOUR) or {})
    bench.begin()
    bench.drive()
    bench.drive()
    with monkeypatch.context() as patch:
        patch.setattr(ledger, "read", lambda: pytest.fail("It read the ledger."))
        patch.setattr(ledger, "transaction", lambda **_: pytest.fail("It wrote to the ledger."))
        assert bench.drive() == []
        assert bench.drive(subject="air_time") == []
        assert bench.drive(subject="fares") == []
    Bench(ledger, lambda steps, given: {}).begin("second", "fares")
    assert [job.key for job in bench.drive(subject="fares")] == ["second"]


def test_jobs_are_driven_oldest_first_and_by_subject(ledger):
    order = []
    bench = Bench(ledger, lambda steps, given: order.append(steps.job.key) or {})
    for key, subject in (("b", "fares"), ("c", "air_time"), ("a", "fares")):
        bench.begin(key, subject)
    assert [job.key for job in bench.drive(subject="air_time")] == ["c"]
    bench.drive()
    assert order == ["c", "a", "b"]


def test_jobs_of_unknown_workflows_are_left_to_whoever_knows_them(ledger):
    job = Bench(ledger, lambda steps, given: {}).begin()
    other = Durable(ledger, [Workflow("other", lambda steps, given: {}, "1")], actor="loop")
    assert other.drive(AT) == []
    assert Bench(ledger, lambda steps, given: {}).job(job.id).status == "running"


# Failures


def test_a_temporary_failure_is_tried_again_in_place(ledger):
    tried = []

    def work(key):
        tried.append(key)
        if len(tried) < 3:
            raise soon()
        return len(tried)

    bench = Bench(ledger, lambda steps, given: {"n": steps.do("make", work, retry=QUICK)})
    bench.begin()
    assert bench.drive()[0].output == {"n": 3}
    assert len(set(tried)) == 1


def test_a_long_wait_parks_the_job_on_the_machine_s_clock(ledger, monkeypatch):
    """Its failed tries are counted over drives, and it fails when there are no more."""
    monkeypatch.setattr(steps_module, "_IN_PLACE_S", 0.0)
    retry = Retry(tries=3, first_s=0.01, longest_s=0.01)

    def work(key):
        raise soon("still loading")

    bench = Bench(ledger, lambda steps, given: steps.do("make", work, retry=retry))
    job = bench.begin()
    for n_failed in (1, 2):
        (parked,) = bench.drive()
        assert (parked.status, parked.tries) == ("parked", n_failed)
        assert "still loading" in parked.waits_for
        assert parked.retry_at > machine_now() - timedelta(seconds=5)
        sleep_s(0.02)
    (failed,) = bench.drive()
    assert (failed.status, failed.tries) == ("failed", 0)
    assert "NotReady: still loading" in failed.error
    assert bench.step_names(job.id) == ["make"]


def test_a_parked_try_waits_for_its_instant_and_success_forgets_the_failures(ledger, monkeypatch):
    monkeypatch.setattr(steps_module, "_IN_PLACE_S", 0.0)
    ready = []

    def work(key):
        if not ready:
            raise NotReady("loading", delay_s=0.4)
        return 1

    def run(steps, given):
        steps.do("make", work, retry=QUICK)
        steps.wait_until("rest", AT + HOUR)
        return {}

    bench = Bench(ledger, run)
    job = bench.begin()
    bench.drive()
    ready.append(True)
    assert bench.drive(HOUR / 2) == []
    sleep_s(0.45)
    assert [each.tries for each in bench.drive(HOUR / 2)] == [0]
    assert bench.job(job.id).waits_for.startswith("rest")


@pytest.mark.parametrize("error", [Refused("not like this"), KeyError("x"), DeclarationError("wrong")])
def test_any_other_failure_fails_the_job_at_once_and_no_other_job(ledger, error):
    tried = []

    def run(steps, given):
        if steps.job.key == "good":
            return {}
        return steps.do("make", lambda key: tried.append(key) or (_ for _ in ()).throw(error))

    bench = Bench(ledger, run)
    bench.begin("bad")
    bench.begin("good")
    bad, good = bench.drive()
    assert (bad.status, good.status, len(tried)) == ("failed", "done", 1)
    assert type(error).__name__ in bad.error
    assert bad.ended_at == AT
    assert bench.drive() == []


def test_a_workflow_that_handles_a_failure_takes_the_same_way_after_a_crash(ledger):
    """The failure is recorded: the step is not tried again, even if it would succeed now."""
    fails = [True, False]

    def work(key):
        if fails.pop(0):
            raise ValueError("no rows")
        return "made after all"

    def run(steps, given):
        try:
            return {"made": steps.do("make", work)}
        except StepFailed as error:
            steps.wait_until("rest", AT + HOUR)
            return {"lost": error.facts["type"], "said": error.message}

    bench = Bench(ledger, run)
    bench.begin()
    bench.drive()
    (done,) = bench.drive(HOUR)
    assert done.output["lost"] == "ValueError"
    assert "no rows" in done.output["said"]
    assert fails == [False]


def test_a_failure_outside_of_any_step_fails_the_job_and_a_temporary_one_parks_it(ledger):
    def run(steps, given):
        if steps.job.key == "bad":
            raise ZeroDivisionError("outside")
        if not steps.job.tries:
            raise soon()
        return {}

    bench = Bench(ledger, run)
    bench.begin("bad")
    bench.begin("soon")
    bad, parked = bench.drive()
    assert (bad.status, bad.error) == ("failed", "ZeroDivisionError: outside")
    assert (parked.status, parked.tries) == ("parked", 1)
    sleep_s(0.6)
    assert [job.status for job in bench.drive()] == ["done"]


def test_an_output_or_result_without_a_plain_form_fails_the_job(ledger):
    bench = Bench(ledger, lambda steps, given: {"x": steps.do("make", lambda key: object())})
    bench.begin()
    assert "no canonical form" in bench.drive()[0].error
    other = Bench(ledger, lambda steps, given: {"x": object()})
    other.begin("second")
    assert "no canonical form" in other.drive()[0].error


def test_a_conflict_of_the_checkpoint_repeats_the_checkpoint_and_not_the_work(ledger, monkeypatch):
    done, real, conflicts = [], ledger.transaction, [Conflict("locked")]
    monkeypatch.setattr(Conflict, "delay_s", 0.0)

    def transaction(*, reason, **options):
        if reason == "step make" and conflicts:
            raise conflicts.pop()
        return real(reason=reason, **options)

    bench = Bench(ledger, lambda steps, given: {"n": steps.do("make", lambda key: done.append(1))})
    bench.begin()
    with monkeypatch.context() as patch:
        patch.setattr(ledger, "transaction", transaction)
        assert [job.status for job in bench.drive()] == ["done"]
    assert done == [1]
    assert not conflicts


def test_a_step_that_takes_too_long_is_a_temporary_failure(ledger):
    """Its thread cannot be killed; what it gives is thrown away."""
    release, tried = threading.Event(), []

    def work(key):
        tried.append(key)
        if len(tried) == 1:
            release.wait(10.0)
            return "too late"
        return "in time"

    bench = Bench(ledger, lambda steps, given: {"made": steps.do("make", work, retry=QUICK, timeout_s=0.1)})
    bench.begin()
    done = [job.output for job in bench.drive()]
    release.set()
    assert done == [{"made": "in time"}]


def test_a_failure_within_a_time_out_keeps_its_type(ledger):
    def work(key):
        raise LookupError("no blob")

    bench = Bench(ledger, lambda steps, given: steps.do("make", work, timeout_s=5.0))
    bench.begin()
    assert "LookupError: no blob" in bench.drive()[0].error


@pytest.mark.parametrize(
    "changes", [{"tries": 0}, {"first_s": -1.0}, {"factor": 0.5}, {"first_s": 9.0, "longest_s": 1.0}]
)
def test_a_retry_that_means_nothing_is_refused(changes):
    with pytest.raises(DeclarationError):
        Retry(**changes)


def test_waits_grow_up_to_the_longest_and_differ(ledger):
    waits = [[Retry(first_s=1.0, longest_s=5.0).wait_s(n, soon()) for _ in range(50)] for n in (1, 2, 3, 4, 9)]
    for longest, drawn in zip((1, 2, 4, 5, 5), waits, strict=True):
        assert all(longest / 2 <= wait <= longest for wait in drawn)
        assert len(set(drawn)) > 1


# Leases


def test_a_lost_lease_ends_the_drive_and_records_nothing(ledger):
    old = ledger.leases.acquire("loop", "ana", 600.0)
    done = []

    def run(steps, given):
        steps.do("make", done.append)
        ledger.leases.release(old)
        steps.do("tell", done.append)
        return {}

    bench = Bench(ledger, run)
    job = bench.begin()
    with pytest.raises(LostLease):
        bench.drive(lease=old)
    assert bench.step_names(job.id) == ["make"]
    assert bench.job(job.id).status == "running"
    new = ledger.leases.acquire("loop", "bo", 600.0)
    assert [each.status for each in bench.drive(lease=new)] == ["done"]


def test_a_step_that_raises_a_lost_lease_is_not_tried_again(ledger):
    tried = []

    def work(key):
        tried.append(key)
        raise LostLease("gone")

    bench = Bench(ledger, lambda steps, given: steps.do("make", work))
    job = bench.begin()
    with pytest.raises(LostLease):
        bench.drive()
    assert len(tried) == 1
    assert bench.step_names(job.id) == []


def test_the_check_is_made_before_each_step(ledger):
    left = [True, True]

    def check():
        if not left:
            raise LostLease("gone")
        left.pop()

    def run(steps, given):
        for number in range(3):
            steps.do(f"step {number}", lambda key: None)
        return {}

    bench = Bench(ledger, run)
    job = bench.begin()
    with pytest.raises(LostLease):
        bench.drive(check=check)
    assert bench.step_names(job.id) == ["step 0"]


def test_a_job_that_ended_elsewhere_is_left_alone(ledger):
    """Without a lease two drives may meet: the second one sees what the first wrote."""
    inner = []

    def run(steps, given):
        if not inner:
            inner.append(True)
            other.drive()
        steps.commit("tell", "", noted("told"))
        return {}

    bench, other = Bench(ledger, run), Bench(ledger, run)
    bench.begin()
    assert [job.status for job in bench.drive()] == ["done"]
    assert bench.notes() == ["told"]


# Cancelling


def test_a_parked_job_is_cancelled_by_the_next_drive(ledger):
    bench = Bench(ledger, lambda steps, given: steps.wait_until("rest", AT + HOUR) or {})
    job = bench.begin()
    bench.drive()
    bench.durable.cancel(job.id, AT, "not needed")
    (cancelled,) = bench.drive()
    assert (cancelled.status, cancelled.ended_at) == ("cancelled", AT)
    assert "not needed" in cancelled.error
    assert bench.durable.cancel(job.id, AT, "again") == cancelled
    assert bench.drive(HOUR) == []


def test_cancelling_withdraws_the_question_that_the_job_waits_for(ledger):
    bench = Bench(ledger, lambda steps, given: {"said": steps.ask("ok", question()).status})
    job = bench.begin()
    bench.drive()
    bench.durable.cancel(job.id, AT, "not needed")
    with ledger.read() as session:
        assert [each.status for each in session.approvals.list()] == ["withdrawn"]
    assert [each.status for each in bench.drive()] == ["cancelled"]


def test_a_workflow_may_clean_up_and_is_told_once_also_after_a_crash(ledger):
    crash, told = [True], []

    def run(steps, given):
        try:
            steps.do("make", lambda key: None)
            steps.wait_until("rest", AT + HOUR)
        except Cancelled as error:
            told.append(error.facts["job"])
            steps.commit("undo", "cancelled", noted("undone"))
            if crash:
                crash.clear()
                raise KeyboardInterrupt from None
            steps.do("tell", lambda key: None)
        return {"clean": True}

    bench = Bench(ledger, run)
    job = bench.begin()
    bench.drive()
    bench.durable.cancel(job.id, AT, "not needed")
    with pytest.raises(KeyboardInterrupt):
        bench.drive()
    (cancelled,) = bench.drive()
    assert (cancelled.status, cancelled.output) == ("cancelled", {"clean": True})
    assert told == [job.id, job.id]
    assert bench.notes() == ["undone"]


def test_a_running_job_is_cancelled_at_its_next_step_and_is_not_parked(ledger):
    def run(steps, given):
        steps.do("make", lambda key: bench.durable.cancel(steps.job.id, AT, "stop") and None)
        if given["parks"]:
            steps.wait_until("rest", AT + HOUR)
        else:
            steps.do("tell", lambda key: pytest.fail("It went on."))
        return {}

    bench = Bench(ledger, run)
    for key in ("steps", "parks"):
        bench.begin(key, given={"parks": key == "parks"})
    assert [job.status for job in bench.drive()] == ["cancelled", "cancelled"]


def test_a_job_that_is_done_before_it_hears_of_it_is_done(ledger):
    bench = Bench(ledger, lambda steps, given: bench.durable.cancel(steps.job.id, AT, "stop") and {})
    bench.begin()
    assert [job.status for job in bench.drive()] == ["done"]


# Code


def test_a_job_of_other_code_goes_on_only_where_the_workflow_says_so(ledger):
    def run(steps, given):
        steps.wait_until("rest", AT + HOUR)
        return {}

    job = Bench(ledger, run, code="1").begin()
    Bench(ledger, run, code="1").begin("second")
    Bench(ledger, run, code="1").drive()
    with_word = Bench(ledger, run, code="2", continues=("1",))
    assert [each.status for each in with_word.drive(HOUR, subject="air_time")] == ["done", "done"]
    assert with_word.job(job.id).code == "1"
    Bench(ledger, run, code="1").begin("third")
    (stopped,) = Bench(ledger, run, code="2").drive(HOUR)
    assert stopped.status == "stopped"
    assert "'1'" in stopped.error
    assert "'2'" in stopped.error


def test_a_step_asked_for_twice_is_an_error(ledger):
    def run(steps, given):
        steps.do("make", lambda key: None)
        steps.do("make", lambda key: None)

    bench = Bench(ledger, run)
    bench.begin()
    (failed,) = bench.drive()
    assert "'make' twice" in failed.error


@pytest.mark.parametrize("later", [["other"], ["second", "first"], []])
def test_steps_that_are_recorded_must_be_asked_for_in_their_order(ledger, later):
    names = ["first", "second"]

    def run(steps, given):
        for name in names:
            steps.do(name, lambda key: None)
        steps.wait_until("rest", AT + HOUR)
        return {}

    bench = Bench(ledger, run)
    bench.begin()
    bench.drive()
    names[:] = later
    (failed,) = bench.drive(HOUR)
    assert failed.status == "failed"
    assert "first" in failed.error


def test_a_workflow_that_ends_without_its_recorded_steps_says_which(ledger):
    asks = [True]

    def run(steps, given):
        if asks:
            steps.do("make", lambda key: None)
            raise KeyboardInterrupt
        return {}

    bench = Bench(ledger, run)
    bench.begin()
    with pytest.raises(KeyboardInterrupt):
        bench.drive()
    asks.clear()
    assert "did not ask for: make" in bench.drive()[0].error


@pytest.mark.parametrize("name", ["", "!cancel"])
def test_a_step_needs_a_name_of_its_own(ledger, name):
    bench = Bench(ledger, lambda steps, given: steps.do(name, lambda key: None))
    bench.begin()
    assert "no name for a step" in bench.drive()[0].error


def test_a_step_inside_of_a_step_is_an_error(ledger):
    bench = Bench(ledger, lambda steps, given: steps.do("a", lambda key: steps.do("b", lambda key: None)))
    bench.begin()
    assert "inside of the step 'a'" in bench.drive()[0].error


# Upkeep


def test_pruning_forgets_what_ended_and_keeps_what_is_open(ledger):
    def run(steps, given):
        if given:
            steps.wait_until("rest", AT + timedelta(days=99))
        return {}

    bench = Bench(ledger, run)
    bench.begin("short")
    open_one = bench.begin("long", given={"waits": True})
    bench.drive()
    assert bench.durable.prune(AT) == 0
    assert bench.durable.prune(AT + HOUR) == 1
    with ledger.read() as session:
        assert [job.id for job in session.jobs.list()] == [open_one.id]


def test_a_job_can_be_begun_with_the_decision_that_it_carries_out(ledger):
    """In one transaction of the caller's."""
    bench = Bench(ledger, lambda steps, given: {})
    with ledger.transaction(actor="loop", at=AT) as session:
        noted("decided")(session)
        begun = session.jobs.put(bench.durable.new_job("work", "first", "air_time", {}, AT))
    assert bench.begin() == begun
    assert bench.notes() == ["decided"]
