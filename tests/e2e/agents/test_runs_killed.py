"""Servers of a project in processes of their own: killed amid a run, stopped while one waits, two that share runs."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from agents_world import Desk, calls, says
from gateway_world import Gateway, World

from perdure import open_project
from perdure.core.clock import monotonic_s, sleep_s
from perdure.surface.keying import KeyTerms

DECLARED = """\
import time
from pathlib import Path

from perdure import Agent, Prompt, Route, Target, Team, ToolCall, UnitPrices, Upstream, tool

HERE = Path(__file__).parent
up = Upstream("up", "{url}/v1")
main = Route("main", [Target(up, "m-1", prices=UnitPrices(input=1, output=4))])
team = Team("team")
answer = Prompt("answer", [("system", "You are the desk.")], route="main")


def _do(name, key):
    with (HERE / name).open("a") as done:
        done.write(key + "\\n")
    while (HERE / "hold").exists():
        time.sleep(0.01)


@tool(effect="keyed")
def ship(call: ToolCall, parcel: int) -> str:
    "Ship a parcel."
    _do("shipped", call.key)
    return "shipped"


def _was_mailed(call):
    mailed = HERE / "mailed"
    return "mailed" if mailed.exists() and call.key in mailed.read_text() else None


@tool(effect="once", happened=_was_mailed)
def mail(call: ToolCall, text: str) -> str:
    "Mail the customer."
    _do("mailed", call.key)
    return "mailed"


@tool(effect="once")
def pay(call: ToolCall, usd: float) -> str:
    "Pay the customer."
    _do("paid", call.key)
    return "paid"


@tool(effect="once", approve_by="reviewer")
def close(call: ToolCall, case: int) -> str:
    "Close a case."
    _do("closed", call.key)
    return "closed"


desk = Agent("desk", prompt="answer", tools=[ship, mail, pay, close])
"""
SETTINGS = """\
[project]
name = "w"
package = "{package}"
[serve]
port = 0
[agents]
poll_s = 0.1
claim_ttl_s = 1.0
"""


class Served:
    """A project of which servers are started and killed."""

    def __init__(self, folder, url):
        self.folder = folder
        (folder / "perdure.toml").write_text(SETTINGS.format(package=folder.name))
        (folder / f"{folder.name}.py").write_text(DECLARED.format(url=url))
        project = open_project(folder)
        project.apply()
        self.key = project.create_key("team").secret
        self.admin = project.create_key("team", KeyTerms(admin=True)).secret
        self.world = World(folder / ".perdure", url)
        self.process = None

    def start(self, *more):
        command = [sys.executable, "-m", "perdure.surface.cli", "serve", "--json", *more]
        self.process = subprocess.Popen(command, cwd=self.folder, stdout=subprocess.PIPE)
        url = json.loads(self.process.stdout.readline())["url"]
        gateway = Gateway(self.world, url, self.key)
        gateway.wait_ready()
        desk = Desk(gateway)
        gateway.wait_for(lambda: desk.ask("GET", "/v1/agents/desk").json["served"])
        return desk

    def end(self, how=signal.SIGKILL):
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(30)
        if self.process is not None:
            self.process.stdout.close()
        self.process = None

    def hold(self, *, holds):
        if holds:
            (self.folder / "hold").touch()
        else:
            (self.folder / "hold").unlink()

    def done(self, name):
        path = self.folder / name
        return path.read_text().split() if path.exists() else []


async def obedient(wire, seen):
    """A model that calls the tool that its task names, once."""
    messages = seen.body["messages"]
    if messages[-1]["role"] == "tool":
        return await says("Done.")(wire, seen)
    task = next(each["content"] for each in messages if each["role"] == "user")
    return await calls(TASKS[task])(wire, seen)


def patient(gap_s=0.0):
    """A model that says the same to all but the tasks of the other server's runs, which may go on meanwhile."""

    async def answer(wire, seen):
        task = next(each["content"] for each in seen.body["messages"] if each["role"] == "user")
        return await (obedient if task in TASKS else says("Still", " here", gap_s=gap_s))(wire, seen)

    return answer


TASKS = {
    "mail": ("mail", {"text": "Late."}),
    "ship": ("ship", {"parcel": 7}),
    "pay": ("pay", {"usd": 20}),
    "close": ("close", {"case": 3}),
}


def awaited(check, seconds=20.0):
    deadline_s = monotonic_s() + seconds
    while not (found := check()) and monotonic_s() < deadline_s:
        sleep_s(0.02)
    return found


@pytest.fixture(scope="module")
def project(tmp_path_factory, every_upstream):
    made = Served(tmp_path_factory.mktemp("declared_desk"), every_upstream.url)
    yield made
    made.end()


@pytest.fixture
def other(tmp_path_factory, every_upstream):
    made = Served(tmp_path_factory.mktemp("declared_other"), every_upstream.url)
    yield made
    made.end()


@pytest.fixture(scope="module")
def killed(project, every_upstream):
    """A server that was killed −9 while tools of three runs were at work and one run waited; another one, and the runs by task."""
    every_upstream.reset()
    every_upstream.usual = obedient
    desk = project.start()
    project.hold(holds=True)
    runs = {task: desk.run(task=task, wait_s=0).json["id"] for task in TASKS}
    for name in ("mailed", "shipped", "paid"):
        assert awaited(lambda name=name: project.done(name))
    assert awaited(lambda: desk.get(runs["close"])["status"] == "waiting")
    project.end()
    project.hold(holds=False)
    return project.start(), runs


def test_an_effect_that_happened_before_a_kill_is_not_done_again(killed, project):
    desk, runs = killed
    found = desk.ended(runs["mail"])
    assert (found["status"], found["output"]) == ("done", {"text": "Done."})
    assert len(project.done("mailed")) == 1
    assert len(desk.calls_of(runs["mail"])) == 2, "what the model said before is not asked again"


def test_an_effect_under_a_key_goes_out_under_the_same_one(killed, project):
    desk, runs = killed
    assert desk.ended(runs["ship"])["status"] == "done"
    assert len(set(project.done("shipped"))) == 1


def test_where_nobody_knows_whether_it_happened_a_person_is_asked(killed, project):
    desk, runs = killed
    (wait,) = awaited(lambda: desk.waits(runs["pay"]))
    assert wait["question"] == "happened"
    body = {"approve": True, "reason": "The bank says so.", "value": "paid"}
    assert desk.as_(project.admin).ask("POST", f"/v1/runs/waits/{wait['id']}", body).status == 200
    assert desk.ended(runs["pay"])["status"] == "done"
    assert len(project.done("paid")) == 1


def test_a_run_that_waited_while_its_server_was_killed_goes_on_with_the_yes(killed, project):
    desk, runs = killed
    (wait,) = desk.waits(runs["close"])
    body = {"approve": True, "reason": "All said."}
    assert desk.as_(project.admin).ask("POST", f"/v1/runs/waits/{wait['id']}", body).status == 200
    assert desk.ended(runs["close"])["output"] == {"text": "Done."}
    assert len(project.done("closed")) == 1


def test_two_workers_share_runs_and_a_server_goes_on_with_those_of_one_that_stopped(other, every_upstream):
    every_upstream.usual = patient(gap_s=0.5)
    desk = other.start("--workers", "2")
    with ThreadPoolExecutor(8) as threads:
        told = list(threads.map(lambda n: desk.run(task=f"{n}?", wait_s=0).json["id"], range(8)))
    assert {desk.get(run)["status"] for run in told} <= {"running", "done"}, "each worker tells of all"
    other.end(signal.SIGTERM)
    every_upstream.usual = patient()
    again = other.start()
    assert {again.ended(run)["output"]["text"] for run in told} == {"Still here"}
