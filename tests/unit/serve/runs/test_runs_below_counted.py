"""What the journal above says of a run below: its time without waits, its tags without what was said of the run above."""

from __future__ import annotations

import asyncio

from acting import Tools, gave, offered
from processes import run, scripted, until

from perdure.assets.agent import RunLimits
from perdure.core.clock import machine_us
from perdure.core.runs import RunRecord, WaitAnswer
from perdure.engines.agents.timing import WAITED
from perdure.serve.runs.children import child_run
from perdure.serve.runs.journaling import InMemory, RunJournal
from perdure.serve.runs.limiting import Limiter
from perdure.serve.runs.protocols import ToolGave
from perdure.stores.runs.protocols import Wanted

PAUSE_S = 0.6


def test_the_time_in_which_a_run_below_waits_for_a_person_counts_in_no_limit_above(desk):
    """Another process that takes the run above over does not find it days old."""

    async def helped(asked, context):
        below = await desk.child("agent", "helper", {"script": [[["send", {}]]]}, context.run, asked.call)
        return ToolGave(below.output, below.status)

    desk.tools = Tools(
        [offered("help", uses="agent:helper"), offered("send", effect="keyed", approve_by="boss")],
        {"help": helped, "send": lambda a, c: gave("sent")},
    )

    async def drives():
        runtime = desk.process()
        runtime.start()
        await runtime.begin(scripted(["help", {}]))
        assert (await runtime.wait("run_1", 5)).status == "waiting"
        await asyncio.sleep(PAUSE_S)
        (below,) = await runtime.list(Wanted(parent="run_1"))
        (wait,) = (await runtime.get(below.id)).waits
        await runtime.answer(wait.id, WaitAnswer(actor="anna", approves=True, reason="", at_us=machine_us()))
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
    above = RunRecord(
        id="run_1",
        kind="agent",
        asset="desk",
        version="desk@1",
        arm="champion",
        status="running",
        input=b"{}",
        tags=tags,
    )
    assert child_run(above, ("agent", "helper", "helper@1", "champion"), {"task": "Look"}, "0.0").tags == {
        "shop": "north"
    }
