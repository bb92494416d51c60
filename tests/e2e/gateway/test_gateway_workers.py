"""`perdure serve --workers 2`: two processes behind one port are one gateway to callers, whatever happens to one of them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from gateway_upstream import recorded
from gateway_world import Gateway, World

from perdure import open_project
from perdure.core.clock import monotonic_s, sleep_s
from perdure.core.usage import PICO

DECLARED = """\
from perdure import Budget, Limits, Route, Target, Team, UnitPrices, Upstream

up = Upstream("up", "{url}/v1")
main = Route("main", [Target(up, "m-1", prices=UnitPrices(input=1, output=4))], bodies="none")
free = Team("free")
fast = Team("fast", limits=Limits(requests=20))
poor = Team("poor", budgets=[Budget(0.001)])
"""
BUDGET_PUSD = PICO // 1000


class Served:
    """The command in a process of its own, and a key for each team."""

    def __init__(self, folder, url):
        self.folder = folder
        (folder / "perdure.toml").write_text('[project]\nname = "w"\npackage = "declared_workers"\n[serve]\nport = 0\n')
        (folder / "declared_workers.py").write_text(DECLARED.format(url=url))
        project = open_project(folder)
        project.apply()
        self.keys = {team: project.create_key(team).secret for team in ("free", "fast", "poor")}
        self.world = World(folder / ".perdure", url)
        self.start()

    def start(self, *verb):
        command = [sys.executable, "-m", "perdure.surface.cli", *(verb or ("serve", "--workers", "2")), "--json"]
        self.process = subprocess.Popen(command, cwd=self.folder, stdout=subprocess.PIPE, env={**os.environ})
        self.url = json.loads(self.process.stdout.readline())["url"]
        self.as_team("free").wait_ready()

    def as_team(self, team):
        return Gateway(self.world, self.url, self.keys[team])

    def pids(self):
        """Workers by the segments that they captured into."""
        return {int(path.stem.split("-")[1]) for path in (self.folder / ".perdure" / "capture").glob("*.seg")}

    def ask(self, team, n):
        gateway = self.as_team(team)
        with ThreadPoolExecutor(8) as threads:
            return list(threads.map(lambda _: gateway.chat(max_tokens=10), range(n)))

    def children(self):
        told = subprocess.run(["ps", "-o", "pid=", "--ppid", str(self.process.pid)], capture_output=True, text=True)  # noqa: PLW1510
        return {int(each) for each in told.stdout.split()}

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=60)
        self.process.stdout.close()
        return code


@pytest.fixture(scope="module")
def every_worker(tmp_path_factory, every_upstream):
    found = Served(tmp_path_factory.mktemp("workers"), every_upstream.url)
    yield found
    found.stop()


@pytest.fixture
def served(every_worker, upstreams):
    """Running workers; started again where a test before has stopped them."""
    if every_worker.process.poll() is not None:
        every_worker.process.stdout.close()
        every_worker.start()
    return every_worker


def awaited(check):
    deadline_s = monotonic_s() + 60
    while not check() and monotonic_s() < deadline_s:
        sleep_s(0.05)
    return check()


def test_both_workers_answer_each_into_its_own_captures(served):
    workers = served.children()
    assert len(workers) == 2
    assert awaited(lambda: {each.status for each in served.ask("free", 16)} == {200} and workers <= served.pids())


def test_a_limit_of_requests_is_not_doubled(served):
    answers = served.ask("fast", 60)
    n = sum(each.status == 200 for each in answers)
    assert {each.status for each in answers} == {200, 429}
    assert 15 <= n <= 27, "at most 20 (1 + s / 60) in s seconds"


def test_a_budget_is_not_doubled(served):
    answers = served.ask("poor", 60)
    assert {each.status for each in answers} == {200, 429}
    spent = [call.cost_pusd for call in served.world.calls() if call.team == "poor" and call.cost_pusd]
    assert BUDGET_PUSD // 2 <= sum(spent) <= BUDGET_PUSD


def test_a_worker_that_is_killed_is_started_again_and_callers_go_on(served):
    before = served.children()
    killed = min(before)
    os.kill(killed, signal.SIGKILL)
    assert awaited(lambda: len(served.children()) == 2 and killed not in served.children())
    assert len(served.children() - before) == 1
    assert {each.status for each in served.ask("free", 8)} == {200}


def test_a_stop_lets_streams_end_and_leaves_no_worker(served, upstreams):
    upstreams.of_model("m-1", recorded(gap_s=0.3))
    answers = []
    gateway = served.as_team("free")
    asking = threading.Thread(target=lambda: answers.append(gateway.chat(stream=True, max_tokens=10)))
    asking.start()
    assert awaited(lambda: upstreams.seen)
    sleep_s(0.1)
    workers = served.children()
    assert served.stop() == 0
    asking.join(timeout=60)
    [answer] = answers
    assert (answer.status, answer.text) == (200, "Trains leave at noon.")
    assert not alive(workers)


def test_a_parent_that_is_killed_takes_its_workers_with_it(served):
    workers = served.children()
    served.process.kill()
    assert served.process.wait(timeout=60) == -signal.SIGKILL
    assert awaited(lambda: not alive(workers))


def alive(pids):
    return [pid for pid in pids if Path(f"/proc/{pid}").exists()]


def test_up_serves_in_as_many_processes_as_are_set_and_runs_the_loop_beside_them(served):
    served.stop()
    settings = served.folder / "perdure.toml"
    before = settings.read_text()
    settings.write_text(before + "workers = 2\n[loop]\ntick_s = 0.2\n")
    try:
        served.start("up")
        assert len(served.children()) == 2
        assert [answer.status for answer in served.ask("free", 8)] == [200] * 8
        assert json.loads(served.process.stdout.readline()), "a round was told"
        served.stop()
    finally:
        settings.write_text(before)
