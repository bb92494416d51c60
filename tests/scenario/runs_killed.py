"""Runs under kill −9: real processes share one store and die at random instants; a person answers; the world is looked at in the end.

Run as a program with a folder, a number of kills and a seed, it prints what came of it. Processes are forked from one that has loaded
everything, so that a kill costs milliseconds. This one opens a file only between forks, and closes it again.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import sqlite3
import sys
from collections import Counter
from pathlib import Path

from acting import NOBODY, Scripted, Tools, gave, new_run, offered

from perdure.assets.agent import RunLimits
from perdure.core.canonical import bytes_hash
from perdure.core.clock import machine_us, monotonic_s, sleep_s
from perdure.core.runs import WaitAnswer
from perdure.serve.runs.going import Parts, Prepared
from perdure.serve.runs.protocols import ToolGave
from perdure.serve.runs.running import Runtime, Served, Terms
from perdure.stores.runs.protocols import Wanted
from perdure.stores.runs.sqlite import SqliteRuns

TERMS = {
    "look": {"effect": "none"},
    "keyed": {"effect": "keyed"},
    "once": {"effect": "once"},
    "known": {"effect": "once"},
    "asked": {"effect": "once", "approve_by": "boss"},
    "help": {"effect": "none"},
}
TTL_S = 1.5
N_WORKERS = 3
LEAST_GOING = 24
LIMITS = RunLimits(steps=1000, same_calls=1000)
_KINDS = ("look", "keyed", "keyed", "once", "known", "asked", "help")


class World:
    """What tools change: a file that counts each effect, written as another system would."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextlib.contextmanager
    def opened(self):
        connection = sqlite3.connect(self.path, timeout=30, isolation_level=None)
        try:
            connection.execute("CREATE TABLE IF NOT EXISTS done (run TEXT, call TEXT, key TEXT UNIQUE)")
            yield connection
        finally:
            connection.close()

    def change(self, run, call, key):
        """An effect; one whose key is known changes nothing more."""
        with self.opened() as connection:
            connection.execute("INSERT OR IGNORE INTO done VALUES (?, ?, ?)", (run, call, key))

    def happened(self, run, call):
        with self.opened() as connection:
            return connection.execute("SELECT count(*) FROM done WHERE run = ? AND call = ?", (run, call)).fetchone()[0]

    def counts(self):
        with self.opened() as connection:
            rows = connection.execute("SELECT run, call, count(*) FROM done GROUP BY run, call").fetchall()
            return {(run, call): n for run, call, n in rows}


class Told:
    """The capture log of a process: one line a run."""

    def __init__(self, path: Path) -> None:
        self.file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def append(self, event):
        os.write(self.file, f"{event.run.id}\n".encode())
        return True


def refuses(wait):
    """Some approvals are refused, always the same ones."""
    return bytes_hash(f"{wait.run}{wait.call}".encode())[0] in "01"


async def work(root: Path, seed: int) -> None:
    """One process: drives runs until it is killed."""
    world, draw = World(root / "world.db"), random.Random(seed)
    runtime: Runtime

    async def act(asked, context):
        await asyncio.sleep(draw.random() * 0.01)
        effect = TERMS[asked.name]["effect"]
        if effect != "none":
            key = context.key if effect == "keyed" else f"{context.run.id} {asked.call} {draw.random()}"
            await asyncio.to_thread(world.change, context.run.id, asked.call, key)
        await asyncio.sleep(draw.random() * 0.01)
        return gave([asked.name, asked.arguments])

    async def helped(asked, context):
        below = await runtime.child("agent", "helper", {"script": asked.arguments["script"]}, context.run, asked.call)
        return ToolGave(below.output, below.status, "" if below.status == "done" else "tool.failed")

    def known(asked, context):
        return gave(["known", asked.arguments]) if world.happened(context.run.id, asked.call) else None

    does = {**dict.fromkeys(TERMS, act), "help": helped}
    tools = Tools(
        [offered(name, "agent:helper" if name == "help" else "", **terms) for name, terms in TERMS.items()],
        does,
        {"known": known},
    )

    async def prepare(run):
        return Prepared(None, tools, LIMITS)

    parts = Parts({"agent": Scripted(0.003)}, prepare, lambda run: NOBODY, None, Told(root / "told"))
    served = Served(lambda: ["desk", "helper"], lambda kind, asset, parent: (f"{asset}@1", "champion"))
    runtime = Runtime(SqliteRuns(root / "runs.db"), parts, served, Terms(poll_s=0.02, ttl_s=TTL_S))
    runtime.start()
    await asyncio.Event().wait()


class Chaos:
    """One trial.

    Args:
        root: an empty folder.
        n_kills: processes that are killed.
        seed: of scripts and instants.
    """

    work = staticmethod(work)
    """What each of its processes does."""

    def __init__(self, root: Path, n_kills: int, seed: int) -> None:
        self.root, self.n_kills, self.draw = root, n_kills, random.Random(seed)
        self.world = World(root / "world.db")
        self.scripts = {}
        self.workers = []
        self.killed = self.answered = 0
        self.questions = Counter()
        self.took_s = 0.0

    def run(self, most_s: float = 300.0) -> None:
        """Begin runs and kill processes, then let the rest come to an end."""
        began_s = monotonic_s()
        self.look()
        while len(self.workers) < N_WORKERS:
            self.fork()
        try:
            while self.killed < self.n_kills or self.going():
                assert monotonic_s() - began_s < most_s, "runs do not come to an end"
                sleep_s(0.02 + self.draw.random() * 0.1)
                if self.killed < self.n_kills:
                    self.kill(self.draw.randrange(N_WORKERS))
                self.look()
                while len(self.workers) < N_WORKERS:
                    self.fork()
        finally:
            while self.workers:
                self.kill(0)
                self.killed -= 1
        self.took_s = monotonic_s() - began_s

    def going(self):
        with self.store() as store:
            return len(store.list(Wanted(statuses=("running", "waiting"), limit=1000)))

    @contextlib.contextmanager
    def store(self):
        store = SqliteRuns(self.root / "runs.db")
        try:
            yield store
        finally:
            store.close()

    def look(self):
        """Begin runs where few go on, and answer what waits, after looking at the world."""
        with self.store() as store:
            going = len(store.list(Wanted(statuses=("running", "waiting"), limit=1000)))
            for _ in range(max(0, LEAST_GOING - going) if self.killed < self.n_kills else 0):
                self.begin(store)
            for run in store.list(Wanted(waiting=True, limit=1000)):
                for wait in store.get(run.id).waits:
                    if wait.answer is None:
                        self.answer(store, wait)

    def begin(self, store):
        id_ = f"run_{len(self.scripts):05}"
        self.scripts[id_] = script = self.script(below=True)
        store.begin(new_run(id_, script), "nobody", 0)

    def script(self, *, below):
        names = _KINDS if below else _KINDS[:-1]
        made = []
        for _ in range(self.draw.randint(1, 3)):
            drawn = [self.draw.choice(names) for _ in range(self.draw.randint(1, 2))]
            made.append(
                [[name, {"script": self.script(below=False)} if name == "help" else {"n": 1}] for name in drawn]
            )
        return made

    def answer(self, store, wait):
        yes, value = not refuses(wait), b""
        if wait.question == "happened":
            yes = bool(self.world.happened(wait.run, wait.call))
            value = json.dumps([wait.tool, json.loads(wait.arguments)]).encode() if yes else b""
        said = WaitAnswer(actor="anna", approves=yes, reason="", at_us=machine_us(), value=value)
        store.answer(wait.id, said)
        self.questions[wait.question] += 1

    def fork(self):
        seed = self.draw.randrange(2**31)
        pid = os.fork()
        if pid == 0:
            try:
                asyncio.run(self.work(self.root, seed))
            finally:
                os._exit(1)
        self.workers.append(pid)

    def kill(self, place):
        pid = self.workers.pop(place)
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        assert os.WIFSIGNALED(status), "a process ended by itself"
        self.killed += 1


def failures(trial: Chaos) -> list[str]:
    """What is not as promised, in words."""
    counts, wrong = trial.world.counts(), []
    told = Counter((trial.root / "told").read_text().split())
    with trial.store() as store:
        runs = store.list(Wanted(limit=100_000))
        wrong += [f"{run.id} is {run.status}: {run.why}" for run in runs if run.status != "done"]
        wrong += [f"{run.id} was not told" for run in runs if not told[run.id]]
        for run in runs:
            wrong += _differing(store.get(run.id), counts)
    wrong += [f"{key} was done {n} times" for key, n in counts.items() if n != 1]
    wrong += [f"{id_} is not there" for id_ in set(trial.scripts) - {run.id for run in runs}]
    return wrong


def _differing(told, counts):
    """Each call of the run's script has one end, and its effect happened if and only if it was not refused."""
    ends = {
        step.call: step for step in told.steps if step.kind == "tool" and step.state in ("done", "failed", "refused")
    }
    refused = {wait.call for wait in told.waits if wait.question == "approve" and not wait.answer.approves}
    wrong = []
    for number, calls in enumerate(json.loads(told.run.input)["script"]):
        for place, (name, arguments) in enumerate(calls):
            call = f"{number}.{place}"
            n_done = counts.get((told.run.id, call), 0)
            changes = TERMS[name]["effect"] != "none" and call not in refused
            state = "refused" if call in refused else "done"
            if call not in ends or ends[call].state != state or n_done != int(changes):
                wrong.append(f"{told.run.id} {call} {name}: {ends.get(call)} and {n_done} effects")
            elif state == "done" and name != "help" and json.loads(ends[call].output) != [name, arguments]:
                wrong.append(f"{told.run.id} {call} {name} gave {ends[call].output!r}")
    n_ends = sum(step.kind == "tool" and step.state in ("done", "failed", "refused") for step in told.steps)
    return wrong if n_ends == len(ends) else [*wrong, f"{told.run.id} has {n_ends} ends of {len(ends)} calls"]


def summary(trial: Chaos) -> dict[str, float]:
    """The trial in figures."""
    counts = trial.world.counts()
    with trial.store() as store:
        runs = store.list(Wanted(limit=100_000))
    return {
        "kills": trial.killed,
        "runs": len(runs),
        "runs below": sum(bool(run.parent) for run in runs),
        "effects": len(counts),
        "approvals": trial.questions["approve"],
        "asked whether it happened": trial.questions["happened"],
        "seconds": round(trial.took_s, 1),
    }


def main(chaos=Chaos, failures=failures, summary=summary) -> int:
    """A trial as a program: figures as JSON, then what is wrong, a line each."""
    trial = chaos(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
    trial.run()
    wrong = failures(trial)
    print(json.dumps(summary(trial)))
    print("\n".join(wrong[:20]))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
