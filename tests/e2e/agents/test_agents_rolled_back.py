"""An agent and a graph are gone back from by hand: after the old version was loaded and did a recorded run again, and not where it cannot be."""

from __future__ import annotations

import pytest
from gateway_upstream import Said, recorded

from perdure import open_project
from perdure.core.errors import Refused

HEAD = """
from perdure import Agent, Graph, Prompt, Route, RunLimits, Target, Team, ToolNode, UnitPrices, Upstream, tool

up = Upstream("up", "{url}/v1")
main = Route("main", [Target(up, "m-1", prices=UnitPrices(input=1, output=4))])
instructions = Prompt("instructions", [("system", "You are the desk.")], "main")
counter = Team("counter")


@tool
def {name}(parcel: str) -> dict:
    \"\"\"Where a parcel is.\"\"\"
    return {{"parcel": parcel, "place": "Bremen"}}


desk = Agent("desk", prompt="instructions", tools=[{name}], limits=RunLimits(steps={steps}))
track = Graph(
    "track",
    input={{"type": "object", "properties": {{"parcel": {{"type": "string"}}}}, "required": ["parcel"]}},
    nodes=[ToolNode("found", {name}, arguments={{"parcel": "$input.parcel"}})],
    output={{"place": "$found.place"}},
    limits=RunLimits(steps={steps}),
)
"""


async def model(wire, seen):
    """Looks the parcel up, and answers."""
    gave = [each for each in seen.body["messages"] if each["role"] == "tool"]
    called = seen.body["tools"][0]["function"]["name"]
    said = Said(words=("In Bremen.",)) if gave else Said(words=(), tools=((called, {"parcel": "7"}),))
    await recorded(said)(wire, seen)


def declare(folder, upstreams, name, steps):
    (folder / "declarations.py").write_text(HEAD.format(url=upstreams.url, name=name, steps=steps))


def champion(folder, name):
    with open_project(folder).place.stores.ledger.read() as session:
        return next(each.version for each in session.pointers.list(name) if each.name == "champion")


@pytest.mark.parametrize("asset", ["desk", "track"])
def test_the_way_back_is_proven_by_the_old_version_itself(tmp_path, upstreams, asset):
    upstreams.usual = model
    (tmp_path / "perdure.toml").write_text('[project]\nname = "desk"\npackage = "declarations"\nactor = "ann"\n')
    declare(tmp_path, upstreams, "where_is", 8)
    open_project(tmp_path).apply()
    old = champion(tmp_path, asset)
    declare(tmp_path, upstreams, "where_is", 9)
    open_project(tmp_path).apply()
    new = champion(tmp_path, asset)
    assert new != old
    told = open_project(tmp_path).rollback(asset, reason="to see")
    assert (told.version, champion(tmp_path, asset)) == (old, old)
    open_project(tmp_path).rollback(asset, reason="and forth", to=new)

    declare(tmp_path, upstreams, "find", 9)
    with pytest.raises(Refused, match="run_loads") as refused:
        open_project(tmp_path).rollback(asset, reason="it is slow", to=old)
    assert "where_is" in str(refused.value), "whose code is gone"
    assert champion(tmp_path, asset) == new


def test_what_was_recorded_is_done_again_before_the_way_back(tmp_path, upstreams):
    """Its answers are in the record: the old version is asked nothing anew where it says the same."""
    upstreams.usual = model
    (tmp_path / "perdure.toml").write_text('[project]\nname = "desk"\npackage = "declarations"\nactor = "ann"\n')
    declare(tmp_path, upstreams, "where_is", 8)
    open_project(tmp_path).apply()
    old = champion(tmp_path, "desk")
    run = open_project(tmp_path).run_agent("desk", "Where is parcel 7?").run
    assert run.status == "done", run.text
    declare(tmp_path, upstreams, "where_is", 9)
    open_project(tmp_path).tick()
    open_project(tmp_path).apply()
    assert champion(tmp_path, "desk") != old
    n_asked = len(upstreams.seen)
    project = open_project(tmp_path)
    project.rollback("desk", reason="to see")
    assert champion(tmp_path, "desk") == old
    assert len(upstreams.seen) == n_asked
    with project.place.stores.ledger.read() as session:
        [move] = [each for each in session.pointers.history("desk") if each.facts.get("stage") == "rollback"]
    [verdict] = move.facts["verdicts"]
    assert verdict["text"] == f"{old} can be loaded, and answers 1 of 1 recorded runs."
