"""Agents driven by the runtime of a server, with journals in SQLite and tools as they are: approvals, limits, takeover."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from perdure.assets.agent import RunLimits
from perdure.assets.tools import ToolCall, tool
from perdure.core.clock import machine_us
from perdure.core.runs import ReplayAsked, Replayed, RunRecord, WaitAnswer
from perdure.serve.agents.driving import AgentDriver
from perdure.serve.retrieval.callers import Caller
from perdure.serve.runs.going import Parts, Prepared
from perdure.serve.runs.replaying import ReplayParts, replay
from perdure.serve.runs.running import Runtime, Served, Terms
from perdure.serve.tools.making import Toolmaker
from perdure.stores.runs.protocols import Told
from perdure.stores.runs.sqlite import SqliteRuns

DONE: list[tuple[str, str]] = []
"""Effects, with their keys."""


@tool
def track(parcel: str) -> str:
    """Say where a parcel is."""
    return f"{parcel} is in Bern."


@tool(effect="once", approve_by="desk")
def refund(call: ToolCall, parcel: str) -> str:
    """Give money back."""
    DONE.append((parcel, call.key))
    return f"Money goes back for {parcel}."


class Process:
    """One process of a server: a runtime over the store, which others may share."""

    def __init__(self, path: Path, live: Any, world: Any) -> None:
        box = Toolmaker().toolbox(live)

        async def prepare(run: RunRecord) -> Prepared:
            return Prepared(live, box, live.limits)

        parts = Parts({"agent": AgentDriver(lambda: None)}, prepare, lambda _: Caller("", None), world)
        served = Served(lambda: ["desk"], lambda *_: ("desk@1", "champion"))
        self.runtime = Runtime(SqliteRuns(path), parts, served, Terms(poll_s=0.02, ttl_s=1.0))

    async def __aenter__(self) -> Runtime:
        self.runtime.start()
        return self.runtime

    async def __aexit__(self, *_: object) -> None:
        await self.runtime.stop()
        self.runtime.runs.close()  # type: ignore[attr-defined]


def asked() -> RunRecord:
    return RunRecord(
        id="r1", kind="agent", asset="desk", version="desk@1", arm="champion", status="running",
        input=b'{"task": "Refund 7 and 8."}', root="r1", began_us=machine_us(),
    )  # fmt: skip


def test_three_calls_of_one_answer_wait_for_two_people_while_no_process_is_there(kit: Any, tmp_path: Path) -> None:
    """Both questions stand at once; another process goes on, does what was allowed once, and tells the model of the no."""
    DONE.clear()
    live = kit.live(tools=[track, refund])
    first = kit.calls(("refund", {"parcel": "7"}), ("track", {"parcel": "9"}), ("refund", {"parcel": "8"}))
    world = kit.world(first, kit.text("One of them."))

    async def begins() -> None:
        async with Process(tmp_path / "runs.db", live, world) as runtime:
            await runtime.begin(asked())
            assert (await runtime.wait("r1", 10)).status == "waiting"
            waits = (await runtime.get("r1")).waits
            assert [each.call for each in waits] == ["0.0", "0.2"]
            assert DONE == []
            for wait, approves in zip(waits, (True, False), strict=True):
                reason = "It was lost." if approves else "It came."
                answer = WaitAnswer(actor="ann", approves=approves, reason=reason, at_us=machine_us())
                runtime.runs.answer(wait.id, answer)

    async def goes_on() -> Told:
        async with Process(tmp_path / "runs.db", live, world) as runtime:
            for _ in range(500):
                told = await runtime.get("r1")
                if told.run.ended:
                    break
                await asyncio.sleep(0.02)
            return told

    asyncio.run(begins())
    told = asyncio.run(goes_on())
    assert (told.run.status, json.loads(told.run.output)) == ("done", {"text": "One of them."})
    assert [parcel for parcel, _ in DONE] == ["7"]
    assert len(world.bodies) == 2
    results = [each["content"] for each in world.bodies[1]["messages"] if each["role"] == "tool"]
    assert "Money goes back for 7." in results[0]
    assert "9 is in Bern." in results[1]
    assert "It came." in results[2]


def test_a_model_that_never_stops_is_ended_by_the_runs_own_limits(kit: Any, tmp_path: Path) -> None:
    """The same call that gives the same is a loop; other arguments each time come to the limit of steps."""
    number = iter(range(1000))

    async def other(body: Any) -> Any:
        return kit.calls(("track", {"parcel": str(next(number))}))

    async def ended(world: Any, name: str) -> RunRecord:
        async with Process(tmp_path / name, kit.live(tools=[track], limits=RunLimits(steps=9)), world) as runtime:
            await runtime.begin(asked())
            return await runtime.wait("r1", 10)

    looped = asyncio.run(ended(kit.world(kit.calls(("track", {"parcel": "7"}))), "looped.db"))
    assert (looped.status, looped.why) == ("limited", "limit.loop")
    told = "No answer was reached. What the tools gave:\ntrack: 7 is in Bern."
    assert json.loads(looped.output)["text"] == told
    endless = asyncio.run(ended(kit.world(other), "endless.db"))
    assert (endless.status, endless.why) == ("limited", "limit.steps")
    assert endless.n_steps == 9 + 1  # and the call that was refused


def test_a_replay_says_the_same_until_a_tool_gives_something_else(kit: Any, tmp_path: Path) -> None:
    """A tool that is asked anew and gives the same changes nothing; mistakes of the model are those of the record."""
    live = kit.live(tools=[track, refund])
    mistakes = kit.calls(("nope", {"a": 1}), ("track", "{no json"))
    world = kit.world(mistakes, kit.calls(("track", {"parcel": "7"})), kit.text("In Bern."))

    async def recorded() -> Told:
        async with Process(tmp_path / "runs.db", live, world) as runtime:
            await runtime.begin(asked())
            await runtime.wait("r1", 10)
            return await runtime.get("r1")

    told = asyncio.run(recorded())
    assert [each.error for each in told.steps] == ["", "tool.unknown", "tool.bad_arguments", "", "", ""]
    prepared = Prepared(live, Toolmaker().toolbox(live), live.limits)

    def again(**swaps: str) -> Replayed:
        anew = kit.world(kit.text("I do not know."))
        parts = ReplayParts(AgentDriver(lambda: None), prepared, Caller("", None), anew)
        named = {name.replace("_", ":"): each for name, each in swaps.items()}
        found = asyncio.run(replay(ReplayAsked(run=told.run, steps=tuple(told.steps), swaps=named), parts))
        assert found.run.status == "done"
        return found

    assert [again().diverged_at, again(tool_track="live").diverged_at] == [-1, -1]
    other = again(tool_track=json.dumps("Nobody knows."))
    assert (other.diverged_at, json.loads(other.run.output)) == (4, {"text": "I do not know."})
