"""What the journal above says of a run below: its time without waits, its tags without what was said of the run above."""

from __future__ import annotations

import asyncio

from acting import new_run
from processes import run, scripted, until, yes

from perdure.assets.agent import RunLimits
from perdure.engines.agents.timing import WAITED
from perdure.serve.runs.children import child_run
from perdure.serve.runs.journaling import InMemory, RunJournal
from perdure.serve.runs.limiting import Limiter
from perdure.stores.runs.protocols import Wanted

PAUSE_S = 0.6


def test_the_time_in_which_a_run_below_waits_for_a_person_counts_in_no_limit_above(desk):
    """Another process that takes the run above over does not find it days old."""

    desk.has_helper_who_asks()

    async def drives():
        runtime = desk.process()
        runtime.start()
        await runtime.begin(scripted(["help", {}]))
        assert (await runtime.wait("run_1", 5)).status == "waiting"
        await asyncio.sleep(PAUSE_S)
        (below,) = await runtime.list(Wanted(parent="run_1"))
        (wait,) = (await runtime.get(below.id)).waits
        await runtime.answer(wait.id, yes())
        await until(lambda: desk.store.get("run_1").run.ended)
        await runtime.stop()

    run(drives())
    told = desk.store.get("run_1")
    (child,) = [step for step in told.steps if step.kind == "child"]
    assert child.facts[WAITED] >= PAUSE_S * 1e6
    assert child.took_us < PAUSE_S * 1e6
    limiter = Limiter(RunLimits(), RunJournal("run_1", InMemory(), None, told.steps, told.waits))
    assert limiter.taken().wall_s < PAUSE_S


def test_what_is_expected_of_a_run_is_not_expected_of_those_below_it():
    """Tools that the run above should call, and what it should give, are nothing that one below is measured by."""
    tags = {"shop": "north", "expected_tools": "ask_helper", "expected": '"Köln"'}
    below = child_run(new_run(tags=tags), ("agent", "helper", "helper@1", "champion"), {"task": "Look"}, "0.0")
    assert below.tags == {"shop": "north"}
