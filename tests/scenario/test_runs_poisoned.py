"""A run whose tool takes the whole process down, among runs that do no harm: real processes die of it until it is ended."""

from __future__ import annotations

import asyncio
import os

from acting import Tools, gave, new_run, offered
from processes import Desk

from perdure.stores.runs.protocols import Wanted
from perdure.stores.runs.sqlite import SqliteRuns

INNOCENT = 10


async def work(path):
    """One process: it takes over what there is, until all is over or it dies."""
    store = SqliteRuns(path)

    async def look(asked, context):
        await asyncio.sleep(0.02)
        return gave("ok")

    tools = Tools([offered("look"), offered("crash")], {"look": look, "crash": lambda a, c: os._exit(9)})
    runtime = Desk(store, tools, ttl_s=0.4).process(ttl_s=0.4)
    runtime.start()
    while store.list(Wanted(statuses=("running", "waiting"))):  # noqa: ASYNC110 - others end them too
        await asyncio.sleep(0.02)
    await runtime.stop()


def lives(path):
    """Whether a process that works there comes to its end."""
    child = os.fork()
    if not child:
        code = 3
        try:
            asyncio.run(work(path))
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_run_that_takes_its_process_down_is_ended_and_the_others_come_to_their_ends(tmp_path):
    """The innocent ones are in every process that dies, from before their first entry on."""
    path = tmp_path / "runs.db"
    store = SqliteRuns(path)
    for n in range(INNOCENT):
        store.begin(new_run(f"run_{n}", [[["look", {"n": n}]], [["look", {"n": -n}]]]), "dead", 1)
    store.begin(new_run("run_bad", [[["crash", {}]]]), "dead", 1)
    store.close()
    n_died = 0
    while not lives(path):
        n_died += 1
        assert n_died < 20
    store = SqliteRuns(path)
    ended = {each.id: (each.status, each.why) for each in store.list(Wanted())}
    store.close()
    assert ended.pop("run_bad") == ("failed", "run.poisoned")
    assert set(ended.values()) == {("done", "")}
    assert 4 <= n_died <= 6
