"""Shadow versions of agents and graphs over HTTP: the run of production is answered as ever, and done again behind it as a replay."""

from __future__ import annotations

from dataclasses import replace

import pytest
from agents_world import AGENT, GRAPH, SENT, Desk, broken, calls, look_up, says, send_notice
from gateway_world import version_of

from perdure import RunLimits, Team, ToolNode
from perdure.assets.team import Limits
from perdure.assets.version import Pointer

LESS = replace(AGENT, tools=[look_up, send_notice], limits=RunLimits(steps=6))
"""The same agent without a tool: every request to a model is another one."""
TWICE = replace(
    GRAPH,
    nodes=[*GRAPH.nodes, ToolNode("again", broken, arguments={"parcel": "$input.parcel"}, fallback="found")],
    output={"found": "$found.value", "again": "$again.value"},
)


def shadowed(world, declared, kind, share=1.0):
    """Put a version beside the champion; its id."""
    version = version_of(declared.name, kind, declared.definition())
    world.register(version)
    world.point(Pointer(declared.name, "shadow", version.id, share))
    return version.id


def shadow_of(gateway, run):
    """The shadow of a run in the capture log, once it is there."""
    return gateway.wait_for(
        lambda: next((each for each in gateway.world.told() if each.run.replay_of == run), None), 20.0
    )


def counted(gateway, name):
    page = Desk(gateway).ask("GET", "/metrics").content.decode()
    return {line for line in page.splitlines() if line.startswith(name)}


def test_a_run_of_an_agent_is_done_again_by_its_shadow(world, upstreams):
    """Tools are answered by the record, effects are not done twice, and what is asked anew is billed to the team `evals`."""
    version = shadowed(world, LESS, "agent")
    upstreams.then(
        calls(("look_up", {"parcel": 7})), says("In Köln."), calls(("look_up", {"parcel": 7})), says("Köln!")
    )
    with world.serving() as gateway:
        desk = Desk(gateway)
        answer = desk.run(task="Where is parcel 7?", user="ann", tags={"of": "tests"})
        assert (answer.status, answer.json["output"]) == (200, {"text": "In Köln."})
        champion, told = desk.told(answer.json["id"]), shadow_of(gateway, answer.json["id"])
        run = told.run
        assert (run.arm, run.version, run.status, run.user, run.tags["of"]) == (
            "shadow",
            version,
            "done",
            "ann",
            "tests",
        )
        assert (run.parent, run.root, run.served_us) == ("", run.id, champion.run.served_us)
        assert b"K\xc3\xb6ln!" in run.output
        tool = next(step for step in told.steps if step.kind == "tool")
        assert tool.facts["recorded"]
        assert tool.took_us == next(step for step in champion.steps if step.kind == "tool").took_us
        made = desk.calls_of(run.id)
        assert {(call.team, call.arm, call.tags["shadow_of"]) for call in made} == {("evals", "eval", champion.run.id)}
        assert len(made) == 2
        assert {call.team for call in desk.calls_of(champion.run.id)} == {"team"}
        assert counted(gateway, "perdure_run_shadows_total") == {
            'perdure_run_shadows_total{asset="desk",kind="agent",outcome="done"} 1.0'
        }
        assert counted(gateway, "perdure_runs_total") == {
            'perdure_runs_total{asset="desk",kind="agent",status="done"} 1.0'
        }
        assert [each["id"] for each in desk.ask("GET", "/v1/runs").json["runs"]] == [champion.run.id]


def test_an_effect_of_a_shadow_is_the_recorded_one_or_none(world, upstreams):
    """What a person said yes to in the run of production holds for its shadow; what stands in no record is not done."""
    shadowed(world, LESS, "agent")
    upstreams.then(
        calls(("send_notice", {"text": "Late."})), says("Told."),
        calls(("send_notice", {"text": "Late."})), calls(("send_notice", {"text": "Very late."})), says("Told twice."),
    )  # fmt: skip
    admin = world.make_admin(world.key())
    with world.serving() as gateway:
        desk = Desk(gateway)
        run = desk.run(task="Tell them.").json["id"]
        (wait,) = desk.waits(run)
        desk.as_(admin).ask("POST", f"/v1/runs/waits/{wait['id']}", {"approve": True, "reason": "So."})
        desk.ended(run)
        steps = [step for step in shadow_of(gateway, run).steps if step.kind == "tool"]
        assert [step.error for step in steps] == ["", "tool.not_in_record"]
        assert SENT == ["Late."]
        assert desk.waits() == []


def test_a_run_of_a_graph_is_done_again_by_its_shadow(world):
    version = shadowed(world, TWICE, "graph")
    world.graphs = {**world.graphs, "track": TWICE}
    with world.serving() as gateway:
        desk = Desk(gateway)
        answer = desk.run("track", "graph", input={"parcel": 3})
        assert answer.json["output"] == "Parcel 3 is in Köln."
        told = shadow_of(gateway, answer.json["id"])
        assert (told.run.version, told.run.status) == (version, "done")
        assert {step.node: (step.state, bool(step.facts.get("recorded"))) for step in told.steps if step.kind == "tool"} == {
            "tool:look_up": ("done", True), "tool:broken": ("failed", False),
        }  # fmt: skip


def test_what_evals_may_not_spend_leaves_the_run_alone_and_is_counted(world, upstreams):
    """The caller's own limits are not touched by a shadow, and one without room is told nowhere."""
    world.teams = {**world.teams, "evals": Team("evals", limits=Limits(requests=1), unpriced="allow")}
    shadowed(world, LESS, "agent")
    upstreams.then(says("One."), says("One more."), says("Two."))
    with world.serving() as gateway:
        desk = Desk(gateway)
        first = desk.run(task="One?").json["id"]
        assert shadow_of(gateway, first).run.status == "done"
        second = desk.run(task="Two?")
        assert (second.status, second.json["status"]) == (200, "done")
        wanted = 'perdure_run_shadows_total{asset="desk",kind="agent",outcome="refused"} 1.0'
        gateway.wait_for(lambda: wanted in counted(gateway, "perdure_run_shadows_total"), 20.0)
        assert [each.run.replay_of for each in world.told() if each.run.arm == "shadow"] == [first]


@pytest.mark.parametrize("share", [0.0, 1e-9])
def test_only_the_share_of_callers_that_a_shadow_has_is_done_again(world, upstreams, share):
    shadowed(world, LESS, "agent", share)
    upstreams.then(says("One."))
    with world.serving() as gateway:
        desk = Desk(gateway)
        assert desk.run(task="One?", user="ann").status == 200
        assert counted(gateway, "perdure_run_shadows_total{") == set()
    assert [each.run.arm for each in world.told()] == ["champion"]


def test_what_comes_above_so_many_at_a_time_is_left_out(world, upstreams):
    world.own = replace(world.own, shadows_at_once=0)
    shadowed(world, LESS, "agent")
    upstreams.then(says("One."))
    with world.serving() as gateway:
        assert Desk(gateway).run(task="One?").status == 200
        wanted = 'perdure_run_shadows_total{asset="desk",kind="agent",outcome="left_out"} 1.0'
        gateway.wait_for(lambda: wanted in counted(gateway, "perdure_run_shadows_total"), 20.0)


def test_a_run_that_waits_keeps_its_version_when_pointers_move(world, upstreams):
    """A challenger's share sticks to the user; who waits goes on with the version that asked, though nothing points at it any more."""
    challenger = version_of("desk", "agent", replace(AGENT, limits=RunLimits(steps=5)).definition())
    world.register(challenger)
    world.point(Pointer("desk", "challenger", challenger.id, 0.999999))
    upstreams.then(calls(("send_notice", {"text": "Late."})), says("Told."), says("Three."))
    admin = world.make_admin(world.key())
    with world.serving() as gateway:
        desk = Desk(gateway)
        began = desk.run(task="Tell them.", user="ann").json
        assert (began["version"], began["arm"], began["status"]) == (challenger.id, "challenger", "waiting")
        less = version_of("desk", "agent", LESS.definition())
        world.register(less)
        generation = world.point(Pointer("desk", "challenger", less.id, 0.999999), Pointer("desk", "champion", less.id))
        gateway.wait_for(lambda: desk.ask("GET", "/readyz").json.get("generation") == generation, 20.0)
        desk.as_(admin).ask(
            "POST", f"/v1/runs/waits/{desk.waits(began['id'])[0]['id']}", {"approve": True, "reason": "So."}
        )
        ended = desk.ended(began["id"])
        assert (ended["version"], ended["arm"], ended["output"]) == (challenger.id, "challenger", {"text": "Told."})
        assert SENT == ["Late."]
        assert desk.run(task="Three?", user="ann").json["version"] == less.id
