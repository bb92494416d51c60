"""Durable jobs in real processes that are killed, stopped and resumed: one effect each, nothing lost."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from perdure.assets.version import CHALLENGER, CHAMPION
from perdure.core.clock import monotonic_s, sleep_s
from perdure.durable.engine import Durable
from perdure.durable.workflow import Workflow
from perdure.stores.ledger.protocols import Answer
from perdure.stores.ledger.sqlite import SqliteLedger
from perdure.stores.online.sqlite import SqliteOnline
from perdure.testing.conformance.ledger_records import AT, a_version

PROGRAM = Path(__file__).parent / "driving.py"
PATIENCE_S = 60.0
TTL_S = 0.4
N_KILLS = 32
KILLED = -signal.SIGKILL


class Workers:
    """Forks of one process that has loaded everything."""

    def __init__(self, zygote: subprocess.Popen[str], root: Path) -> None:
        self._root = root
        self._zygote = zygote

    def start(self, name, *given) -> int:
        return self._asked(name, *given)

    def wait(self, pid) -> int:
        """Its exit code; negative: the signal that killed it."""
        return self._asked("wait", pid)

    def kill(self, pid) -> None:
        os.kill(pid, signal.SIGKILL)
        assert self.wait(pid) == KILLED

    def run(self, name, *given) -> int:
        return self.wait(self.start(name, *given))

    def said(self, pid) -> list[str]:
        file = self._root / f"{pid}.said"
        return file.read_text().splitlines() if file.exists() else []

    def wait_for_word(self, pid, word) -> None:
        deadline_s = monotonic_s() + PATIENCE_S
        while word not in self.said(pid):
            assert monotonic_s() < deadline_s, f"{pid} never said {word!r}"
            sleep_s(0.002)

    def _asked(self, *words) -> int:
        self._zygote.stdin.write(json.dumps([str(self._root), *words]) + "\n")
        self._zygote.stdin.flush()
        return int(self._zygote.stdout.readline())


@pytest.fixture
def ledger(tmp_path):
    ledger = SqliteLedger(tmp_path / "ledger.db", project="test")
    yield ledger
    report = ledger.verify()
    ledger.close()
    assert report.intact, report.text


@pytest.fixture(scope="module")
def zygote():
    zygote = subprocess.Popen([sys.executable, PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    yield zygote
    zygote.stdin.close()
    zygote.wait(PATIENCE_S)
    zygote.stdout.close()


@pytest.fixture
def workers(tmp_path, ledger, zygote):
    """Workers in the folder of the ledger."""
    return Workers(zygote, tmp_path)


def assert_one_effect_each(root, ledger):
    """Every job is done, every commit took effect once, every piece of work was done at least once."""
    with ledger.read() as session:
        jobs = session.jobs.list(limit=10_000)
        effects = Counter(entry.facts["job"] for entry in session.audit.list(limit=100_000) if entry.action == "effect")
        assert {job.status for job in jobs} == {"done"}
        assert effects == {job.id: 1 for job in jobs}
        for job in jobs:
            names = [step.name for step in session.jobs.list_steps(job.id)]
            assert names == ["fit", "canary", "watched", "all"]
            moves = Counter((move.name, move.version) for move in session.pointers.history(job.subject))
            old, new = a_version(1, job.subject).id, a_version(2, job.subject).id
            assert moves == {(CHAMPION, old): 1, (CHALLENGER, new): 1, (CHAMPION, new): 1, (CHALLENGER, None): 1}
    fits = Counter((root / "fits").read_text().splitlines())
    assert fits.keys() == {f"{job.id}/fit" for job in jobs}
    return jobs, fits


@pytest.mark.slow
def test_a_job_killed_at_any_step_goes_on_with_one_effect_each(tmp_path, ledger, workers):
    """Before a transaction, before its commit, after it; before and after work and its checkpoint."""
    n_points = 0
    while workers.run("drive_until_killed", f"asset_{n_points}", n_points) == KILLED:
        assert workers.run("drive_until_killed", f"asset_{n_points}", -1) == 0
        n_points += 1
        assert n_points < 100
    jobs, fits = assert_one_effect_each(tmp_path, ledger)
    assert len(jobs) == n_points + 1
    assert n_points >= 20, "four steps, their parking and their end have at least so many points"
    assert max(fits.values()) == 2, "killed between effect and checkpoint, work is done again"


@pytest.mark.slow
def test_jobs_killed_at_random_instants_go_on_with_one_effect_each(tmp_path, ledger, workers):
    chance, sequences = random.Random(11), {0}
    for turn in range(N_KILLS):
        worker = workers.start("drive_for_ever", turn * 10_000)
        workers.wait_for_word(worker, "begun")
        sleep_s(chance.uniform(0.0, 0.2))
        workers.kill(worker)
        sequences.add(ledger.sequence())
    assert len(sequences) > N_KILLS / 2, "most of them had begun to work"
    assert workers.run("drive_until_killed", "last", -1) == 0
    assert_one_effect_each(tmp_path, ledger)


def begin(ledger, n_jobs=2):
    """Jobs that wait for a worker, and who did them."""
    durable = Durable(ledger, [Workflow("work", lambda steps, given: {}, "1")], actor="test")
    for number in range(n_jobs):
        durable.begin("work", str(number), "air_time", {}, AT)


def done_by(ledger):
    with ledger.read() as session:
        return [job.output.get("by") for job in session.jobs.list()]


def test_of_two_workers_one_is_killed_and_the_other_finishes(ledger, workers):
    begin(ledger)
    first = workers.start("drive_under_lease", "first", TTL_S, True)
    workers.wait_for_word(first, "at work")
    second = workers.start("drive_under_lease", "second", TTL_S, False)
    sleep_s(TTL_S)
    assert workers.said(second) == [], "the first one renews its lease"
    workers.kill(first)
    assert workers.wait(second) == 0
    assert done_by(ledger) == [["second", "second"]] * 2


def test_a_worker_that_was_stopped_past_its_lease_changes_nothing_any_more(tmp_path, ledger, workers):
    """Neither pointers nor online rows nor its job: each of them refuses its epoch."""
    begin(ledger, n_jobs=1)
    stale = workers.start("drive_under_lease", "stale", TTL_S, True)
    workers.wait_for_word(stale, "at work")
    os.kill(stale, signal.SIGSTOP)
    assert workers.run("drive_under_lease", "fresh", TTL_S, False) == 0
    (tmp_path / "go on").touch()
    os.kill(stale, signal.SIGCONT)
    assert workers.wait(stale) == 0
    assert workers.said(stale) == ["at work", "write_pointers refused", "write_online refused", "lost"]
    assert done_by(ledger) == [["fresh", "fresh"]]
    online = SqliteOnline(tmp_path / "online.db", read_only=True)
    assert online.get("weather@1", ["stale", "fresh"]).keys() == {"fresh"}
    assert online.views() == ["weather@1", "weather@1/fresh"]
    online.close()
    with ledger.read() as session:
        assert [pointer.name for pointer in session.pointers.list("fares")] == ["fresh"]


def test_a_question_outlives_the_processes_that_asked_it(ledger, workers):
    """Driven by one process after the other; two people answer in between, one of them twice."""
    for actor, status, n_answers in (
        (None, "parked", 0),
        ("ann", "parked", 1),
        ("ann", "parked", 1),
        ("bo", "done", 2),
    ):
        with ledger.transaction(actor=actor or "test", at=AT) as session:
            if actor is not None:
                (question,) = session.approvals.list(open_only=True)
                session.approvals.answer(question.id, Answer(actor, True, "fine", AT))
        assert workers.run("drive_approvals") == 0
        with ledger.read() as session:
            assert [job.status for job in session.jobs.list()] == [status]
            assert [len(each.answers) for each in session.approvals.list()] == [n_answers]
    with ledger.read() as session:
        assert session.jobs.list()[0].output == {"said": "approved"}


def test_a_schedule_fires_once_a_period_over_four_processes(workers):
    n_periods = 12
    pids = [workers.start("fire_schedule", n_periods) for _ in range(4)]
    assert [workers.wait(pid) for pid in pids] == [0] * 4
    fired = [int(period) for pid in pids for period in workers.said(pid)]
    assert sorted(fired) == list(range(n_periods))
