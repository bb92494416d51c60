"""Real processes spend under one budget in one SQLite file, and some are killed: it is never passed, and nothing is stuck."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from perdure.assets.team import Budget, Limits, Team
from perdure.core.clock import machine_us, monotonic_s, sleep_s
from perdure.core.settings import LimitSettings
from perdure.serve.gateway.allowance import Allowance
from perdure.stores.counters.sqlite import SqliteCounters
from perdure.stores.ledger.protocols import Key

CEILING = 40_000
TTL_S = 5.0
TEAM = Team("support", budgets=[Budget(CEILING * 1e-12, per="total")], limits=Limits(concurrency=6))
KEY = Key("k1", "support", "digest", "label", datetime(2026, 1, 1, tzinfo=UTC))

# Each call is written down before it is made (reserved) and after (settled); what is written survives kill -9.
WORKER = """
import os, random, sys
from pathlib import Path
from perdure.core.clock import machine_us, sleep_s
from perdure.core.errors import BudgetSpent, LimitReached
from perdure.core.settings import LimitSettings
from perdure.serve.gateway.allowance import Allowance
from perdure.stores.counters.sqlite import SqliteCounters
sys.path.insert(0, sys.argv[4])
from test_budgets_killed import KEY, TEAM, TTL_S
draw = random.Random(int(sys.argv[2]))
worker = Allowance(SqliteCounters(Path(sys.argv[1])), f"w{sys.argv[2]}", LimitSettings(hold_ttl_s=TTL_S))
log = os.open(sys.argv[3], os.O_CREAT | os.O_APPEND | os.O_WRONLY)
plan, spent, turn = worker.plan(TEAM, KEY, "chat"), 0, 0
while spent < 40:
    turn += 1
    if turn % 100 == 0:
        worker.sync(machine_us())
    try:
        call = worker.reserve(plan, machine_us(), 0, 20)
    except (BudgetSpent, LimitReached):
        spent += 1
        worker.sync(machine_us())
        sleep_s(0.01)
        continue
    cost = draw.randrange(21)
    os.write(log, f"{cost}\\n".encode())
    worker.settle(call, 0, cost, machine_us())
if sys.argv[5] == "close":
    worker.close(machine_us())
else:
    Path(sys.argv[3]).with_suffix(".done").touch()
    sleep_s(600)
"""


def started(folder, number, end="close"):
    words = [str(folder / "counters.db"), str(number), str(folder / f"log{number}"), str(__file__).rpartition("/")[0]]
    return subprocess.Popen([sys.executable, "-c", WORKER, *words, end])


def spent(folder):
    """What all workers wrote down."""
    return sum(int(line) for path in folder.glob("log?") for line in path.read_text().split())


def wait_until(condition):
    deadline_s = monotonic_s() + 60.0
    while not condition():
        assert monotonic_s() < deadline_s
        sleep_s(0.01)


def bucket(store, kind):
    return store.read([{"usd": "usd/team/support/*/total", "slots": "now/team/support"}[kind]])[0]


def test_processes_that_end_well_spend_the_budget_to_the_last_calls_and_count_it_exactly(tmp_path):
    workers = [started(tmp_path, number) for number in range(3)]
    assert [worker.wait(120) for worker in workers] == [0, 0, 0]

    store = SqliteCounters(tmp_path / "counters.db")
    level = bucket(store, "usd")
    assert (level.used, level.held) == (spent(tmp_path), 0)
    assert CEILING - 20 < level.used <= CEILING
    assert (bucket(store, "slots").used, bucket(store, "slots").held) == (0, 0)
    store.close()


def test_killed_processes_neither_pass_the_budget_nor_keep_it(tmp_path):
    """Used + held stays under the ceiling throughout; what the dead held is charged, their slots are free again."""
    workers = [started(tmp_path, number, "hang") for number in range(4)]
    wait_until(lambda: spent(tmp_path) > CEILING // 8)
    store = SqliteCounters(tmp_path / "counters.db")
    for worker in workers[:3]:
        worker.kill()
        worker.wait(60)
        assert (level := bucket(store, "usd")).used + level.held <= CEILING
    wait_until((tmp_path / "log3.done").exists)
    workers[3].kill()
    workers[3].wait(60)
    assert (level := bucket(store, "usd")).used + level.held <= CEILING

    living = Allowance(store, "living", LimitSettings(hold_ttl_s=TTL_S))
    later_us = machine_us() + 6_000_000
    ended = [each for turn in range(3) for each in living.sync(later_us + turn)]

    level = bucket(store, "usd")
    assert len(ended) >= 1
    assert level.held == 0
    assert spent(tmp_path) <= level.used <= CEILING
    assert bucket(store, "slots").held == 0
    store.close()


@pytest.mark.parametrize(("charge", "used"), [(True, 50), (False, 0)])
def test_a_hold_survives_the_death_of_its_owner_and_ends_by_policy(tmp_path, charge, used):
    program = """
import json, os, signal, sys
from pathlib import Path
from perdure.stores.counters.protocols import Claim
from perdure.stores.counters.sqlite import SqliteCounters
store = SqliteCounters(Path(sys.argv[1]))
granted = store.take("h", [Claim("a", 50, 100, 0), Claim("now/a", 1, 5, 0)], owner="dead", now_us=0, expires_us=1000)
print(json.dumps(granted.ok), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path / "c.db"], capture_output=True, text=True, check=False
    )
    assert (json.loads(done.stdout), done.returncode) == (True, -9)
    store = SqliteCounters(tmp_path / "c.db")
    assert (store.read(["a"])[0].used, store.read(["a"])[0].held) == (0, 50)

    (ended,) = store.expire(now_us=1000, charge=charge)

    assert (ended.owner, dict(ended.amounts), ended.charged) == ("dead", {"a": 50, "now/a": 1}, charge)
    assert [(each.used, each.held) for each in store.read(["a", "now/a"])] == [(used, 0), (0, 0)]
    store.close()
