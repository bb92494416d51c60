"""Workers that drive runs and take them from each other until they are killed, and a look at what they left.

python runs_killing.py PATH SEED KILLS    kills as many pairs, each at a random instant; tells what it found as JSON
"""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import sys
from collections import defaultdict
from pathlib import Path

from perdure.core.clock import machine_us, sleep_s
from perdure.core.runs import Claim
from perdure.stores.runs.protocols import Progress, Told, Wanted
from perdure.stores.runs.sqlite import SqliteRuns
from perdure.testing.conformance.runs import a_run, a_step, a_wait

LONGEST_S = 0.06
HELD_US = 3000
"""Claims run out while their worker is still at work: the next one takes over in the middle."""
N_RUNS = 6
Acknowledged = tuple[str, int, str]
"""Run, number of its first entry, and who wrote it under which claim."""


def work_for_ever(path: Path, worker: str, pipe: int) -> None:
    """Until somebody ends it. Each write holds two entries and a question, of up to three runs."""
    runs = SqliteRuns(path)
    while True:
        now_us = machine_us()
        claims = runs.claim(worker, now_us, now_us + HELD_US, ["support"], 3)
        written = {each.run: len(runs.get(each.run).steps) for each in claims}
        for _ in range(8):
            progress = [_progress(each, written[each.run]) for each in claims]
            for each, good in zip(progress, runs.write(progress), strict=True):
                line = [good, each.claim.run, written[each.claim.run], each.steps[0].text]
                os.write(pipe, json.dumps(line).encode() + b"\n")
                written[each.claim.run] += 2


def _progress(claim: Claim, n: int) -> Progress:
    said = f"{claim.epoch}/{claim.worker}"
    steps = [a_step(claim.run, n + i, text=said, key="k" if n % 4 else "") for i in range(2)]
    return Progress(claim, steps, [a_wait(claim.run, n, text=said)])


def kill(path: Path, round_: int, rng: random.Random) -> tuple[bool, list[tuple[bool, Acknowledged]]]:
    """Two workers, killed at a random instant each; whether both were at work till then, and what they were told."""
    children = [_start(path, f"w{round_}.{i}") for i in range(2)]
    at_work, told = True, []
    for child, pipe in children:
        sleep_s(rng.random() * LONGEST_S)
        os.kill(child, signal.SIGKILL)
        at_work = os.WIFSIGNALED(os.waitpid(child, 0)[1]) and at_work
        with os.fdopen(pipe, "rb") as lines:
            told += [json.loads(line) for line in lines.read().splitlines(keepends=True) if line.endswith(b"\n")]
    return at_work, [(good, (run, n, said)) for good, run, n, said in told]


def _start(path: Path, worker: str) -> tuple[int, int]:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reading)
            work_for_ever(path, worker, writing)
        finally:
            os._exit(1)
    os.close(writing)
    return child, reading


def wrong(runs: SqliteRuns, told: list[tuple[bool, Acknowledged]]) -> list[str]:
    """All that is not as it must be."""
    found: list[str] = []
    journals = {run.id: runs.get(run.id) for run in runs.list(Wanted())}
    for good, (run, n, said) in told:
        steps = journals[run].steps
        there = n < len(steps) and steps[n].text == said
        if there != good:
            found.append(f"{run} {n} of {said}: {'lost' if good else 'written though refused'}")
    return found + [f"{run}: {what}" for run, each in journals.items() for what in _broken(each)]


def _broken(told: Told) -> list[str]:
    epochs = [int(step.text.partition("/")[0]) for step in told.steps]
    workers = defaultdict(set)
    for step in told.steps:
        workers[step.text.partition("/")[0]].add(step.text)
    looks = {
        "a gap": [step.n for step in told.steps] == list(range(len(told.steps))),
        "half a write": len(told.steps) == 2 * len(told.waits)
        and all(told.steps[2 * i].text == told.steps[2 * i + 1].text == wait.text for i, wait in enumerate(told.waits)),
        "an old claim wrote after a new one": epochs == sorted(epochs),
        "two workers under one epoch": all(len(each) == 1 for each in workers.values()),
    }
    return [what for what, good in looks.items() if not good]


def main() -> None:
    """See the module."""
    path, rng, found, told = Path(sys.argv[1]), random.Random(int(sys.argv[2])), [], []
    runs = SqliteRuns(path)
    for n in range(N_RUNS):
        runs.begin(a_run(n), "first", 0)
    runs.close()
    for round_ in range(int(sys.argv[3])):
        at_work, new = kill(path, round_, rng)
        told += new
        runs = SqliteRuns(path)
        found += wrong(runs, told) + ([] if at_work else [f"a worker failed in round {round_}"])
        runs.close()
    connection = sqlite3.connect(path)
    found += [row[0] for row in connection.execute("PRAGMA integrity_check") if row[0] != "ok"]
    refused = sum(not good for good, _ in told)
    print(json.dumps({"wrong": found, "written": len(told) - refused, "refused": refused}))


if __name__ == "__main__":
    main()
