"""Agents run, answered, done again and compared by hand, without a server and through one."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime

import pytest
from gateway_upstream import Said, recorded
from msgspec.structs import replace
from typer.testing import CliRunner

from perdure import days, hours, open_project
from perdure.core.clock import machine_us, to_us
from perdure.core.errors import BadRequest, DeclarationError, NotFound, Refused
from perdure.core.runs import RunRecord
from perdure.stores.runs.protocols import Progress
from perdure.surface.cli.app import app
from perdure.surface.running import RunAsked

DECLARED = """
from pathlib import Path

from perdure import Agent, Policy, Prompt, Route, RunLimits, Target, Team, ToolCall, UnitPrices, Upstream, scorers, tool

up = Upstream("up", "{url}/v1")
main = Route("main", [Target(up, "m-1", prices=UnitPrices(input=1, output=4))])
instructions = Prompt("instructions", [("system", "You are the desk. {words}")], "main")
counter = Team("counter")


@tool
def where_is(parcel: str) -> dict:
    \"\"\"Where a parcel is.\"\"\"
    return {{"parcel": parcel, "place": "Bremen"}}


@tool(effect="keyed", approve_by="reviewer")
def send_notice(call: ToolCall, text: str) -> str:
    \"\"\"Send a notice.\"\"\"
    with Path(__file__).with_name("sent.log").open("a") as log:
        log.write(f"{{call.key}} {{text}}\\n")
    return "sent"


desk = Agent("desk", prompt="instructions", tools=[where_is, send_notice], limits=RunLimits(steps=8),
             success=[scorers.Contains()], policy=Policy.act(approve_by="reviewer", four_eyes={four_eyes}))
"""
ROLES = '\n[roles]\nreviewer = ["ann", "bob", "cleo"]\n'


async def model(wire, seen):
    """Looks the parcel up, tells who waits for it where it is asked to, and answers; more politely where it is told to."""
    messages = seen.body["messages"]
    task = [each["content"] for each in messages if each["role"] == "user"][-1]
    gave = [each["content"] for each in messages if each["role"] == "tool"]
    number = re.search(r"\d+", task)[0]
    place = "Kiel" if any("Kiel" in each for each in gave) else "Bremen"
    if not gave:
        said = Said(words=(), tools=(("where_is", {"parcel": number}),))
    elif "tell" in task and len(gave) == 1:
        said = Said(words=(), tools=(("send_notice", {"text": f"It is in {place}."}),))
    else:
        polite = any("polite" in each["content"] for each in messages if each["role"] == "system")
        said = Said(words=("Dear customer, it is" if polite else "It is", f" in {place}."))
    await recorded(said)(wire, seen)


def declare(folder, upstreams, words="Be short.", *, four_eyes=False):
    (folder / "declarations.py").write_text(DECLARED.format(url=upstreams.url, words=words, four_eyes=four_eyes))


@pytest.fixture
def folder(tmp_path, upstreams):
    """A desk that is released."""
    upstreams.usual = model
    (tmp_path / "perdure.toml").write_text(
        f'[project]\nname = "desk"\npackage = "declarations"\nactor = "ann"\n{ROLES}'
    )
    declare(tmp_path, upstreams)
    open_project(tmp_path).apply()
    for move in open_project(tmp_path).approvals():
        open_project(tmp_path, actor="bob").approve(move.id, reason="as declared")
    open_project(tmp_path).apply()
    return tmp_path


def sent(folder):
    log = folder / "sent.log"
    return [line.partition(" ")[2] for line in log.read_text().splitlines()] if log.exists() else []


def test_an_agent_runs_in_this_process_and_is_told_as_it_goes(folder):
    """Its text comes in pieces, its steps when they are over; the run is kept, and found by how its id begins."""
    heard = []
    told = open_project(folder).run_agent("desk", "Where is parcel 7?", hears=heard.append)
    assert told.run.status == "done"
    assert json.loads(told.run.output) == {"text": "It is in Bremen."}
    assert "".join(each.data["text"] for each in heard if each.name == "text") == "It is in Bremen."
    assert [each.data["node"] for each in heard if each.name == "step"] == [
        "prompt:instructions", "tool:where_is", "prompt:instructions",
    ]  # fmt: skip
    project = open_project(folder)
    assert project.agents.get(told.run.id[4:14]).run == told.run
    assert [run.id for run in project.agents.runs("desk")] == [told.run.id]
    assert told.run.team == "counter"


def test_a_run_that_was_told_yes_goes_on_and_does_it_once(folder):
    """The question stands in the inbox beside the others; the yes is in the ledger, with who said it and why."""
    waiting = open_project(folder).run_agent("desk", "Find parcel 8 and tell them.")
    assert waiting.run.status == "waiting"
    project = open_project(folder, actor="bob")
    [asked] = project.inbox().runs
    assert asked.wait.text.startswith("desk asks to call send_notice")
    project.approve(asked.wait.id, reason="it is right", value={"text": "Bremen, tomorrow."})
    assert not project.inbox().runs
    done = project.agents.resume(waiting.run.id)
    assert (done.run.status, sent(folder)) == ("done", ["Bremen, tomorrow."])
    project.agents.resume(waiting.run.id)
    assert len(sent(folder)) == 1
    [kept] = [each for each in project.approvals(open_only=False) if each.facts.get("run") == waiting.run.id]
    assert [(each.actor, each.reason) for each in kept.answers] == [("bob", "it is right")]


def test_a_no_is_read_by_the_model_and_nothing_is_done(folder):
    """The run goes on with what it was told."""
    waiting = open_project(folder).run_agent("desk", "Find parcel 8 and tell them.")
    project = open_project(folder, actor="bob")
    project.reject(waiting.waits[0].id, reason="not today")
    done = project.agents.resume(waiting.run.id)
    [refused] = [step for step in done.steps if step.state == "refused"]
    assert "not today" in refused.text
    assert (done.run.status, sent(folder)) == ("done", [])


def test_who_has_not_the_role_answers_nothing(folder):
    """And a reason is asked of everybody."""
    waiting = open_project(folder).run_agent("desk", "Find parcel 8 and tell them.")
    with pytest.raises(Refused, match="has not the role 'reviewer'"):
        open_project(folder, actor="mallory").approve(waiting.waits[0].id, reason="please")
    with pytest.raises(DeclarationError, match="reason"):
        open_project(folder, actor="bob").approve(waiting.waits[0].id, reason=" ")
    assert open_project(folder).agents.get(waiting.run.id).waits[0].answer is None


def test_with_four_eyes_two_people_let_a_run_act(folder, upstreams):
    """The first yes leaves it open; another person's decides."""
    declare(folder, upstreams, four_eyes=True)
    waiting = open_project(folder).run_agent("desk", "Find parcel 8 and tell them.")
    question = waiting.waits[0].id
    assert open_project(folder, actor="bob").approve(question, reason="yes").status == "open"
    assert open_project(folder, actor="bob").approve(question, reason="again").status == "open"
    assert open_project(folder).agents.get(waiting.run.id).waits[0].answer is None
    assert open_project(folder, actor="cleo").approve(question, reason="yes").status == "approved"
    assert open_project(folder).agents.get(waiting.run.id).waits[0].answer.actor == "bob, cleo"


def test_runs_of_a_while_are_those_that_were_asked_for_in_it_in_the_domains_time(folder):
    """A world that is played in the past has its runs there: the machine's clock finds none of them, and another one's."""
    from perdure.surface.runs_kept import opened_runs

    project = open_project(folder)
    past = datetime(2026, 3, 2, 12, tzinfo=UTC)
    with opened_runs(project, made=True) as runs:
        for n, served in enumerate((past, past - hours(3), past + hours(3))):
            run = RunRecord(
                id=f"run_{n}", kind="agent", asset="desk", version="desk@1", arm="champion", status="running", root=f"run_{n}",
                input=b"{}", served_us=to_us(served), began_us=machine_us() + n, ended_us=machine_us() + n,
            )  # fmt: skip
            _, claim = runs.begin(run, "worker", machine_us() + 1_000_000)
            runs.write([Progress(claim, (), (), replace(run, status="done"))])

    def told(at, since):
        return [each.run.id for each in project.agents.last("desk", since, at=at)]

    assert told(past, hours(1)) == ["run_0"]
    assert told("2026-03-02T12:00:00Z", days(1)) == ["run_0", "run_1"]
    assert told(past + hours(4), hours(2)) == ["run_2"]
    assert told(None, days(1)) == []
    found = CliRunner().invoke(
        app, ["agent", "replay", "desk", "--since", "1h", "--at", "2026-03-01", "--swap", "tool:where_is=live",
              "--project", str(folder)],
    )  # fmt: skip
    assert "No such option" not in found.output


def test_runs_are_done_again_with_another_wording(folder, upstreams):
    """Tools are answered by the record; what differs is told run by run, and what nobody judges is other."""
    project = open_project(folder)
    project.run_agent("desk", "Where is parcel 7?", RunAsked(expected="Bremen"))
    project.run_agent("desk", "Where is parcel 8?")
    declare(folder, upstreams, "Be polite.")
    project = open_project(folder)
    table = project.agents.replay(project.agents.last("desk", days(1)), {"prompt:instructions": "declared"})
    assert [row.verdict for row in table.rows] == ["same", "other"]
    assert json.loads(table.rows[0].replayed.run.output)["text"] == "Dear customer, it is in Bremen."
    tools = [step for step in table.rows[0].replayed.steps if step.kind == "tool"]
    assert tools[0].facts["recorded"]
    assert len(project.agents.runs("desk")) == 2, "a replay is no run of production"


def test_another_result_of_a_tool_makes_a_run_worse(folder):
    """Held against what was expected; and an effect that is in no record is not done."""
    project = open_project(folder)
    run = project.run_agent("desk", "Where is parcel 7?", RunAsked(expected="Bremen")).run.id
    table = project.agents.replay(run, {"tool:where_is": '{"place": "Kiel"}'})
    assert (table.rows[0].verdict, table.rows[0].success, table.rows[0].success_again) == ("worse", 1.0, 0.0)


def test_a_replay_changes_nothing_in_the_world(folder):
    """The notice that was sent is answered by the record; one with another text is not sent, and told as not known."""
    project = open_project(folder, actor="bob")
    run = project.run_agent("desk", "Find parcel 8 and tell them.").run.id
    project.approve(project.inbox().runs[0].wait.id, reason="yes")
    project.agents.resume(run)
    [same] = project.agents.replay(run, {"tool:where_is": "recorded"}).rows
    assert (same.verdict, same.replayed.unknown) == ("same", ())
    [other] = project.agents.replay(run, {"tool:where_is": '{"place": "Kiel"}'}).rows
    assert other.replayed.unknown == ("tool:send_notice",)
    assert len(sent(folder)) == 1


@pytest.mark.parametrize(
    ("swaps", "error", "text"),
    [
        ({"prompt:instructions": "nope"}, NotFound, "no version of instructions 'nope'"),
        ({"prompt:nope": "x"}, NotFound, "no prompt 'nope'"),
        ({"promt:instructions": "x"}, BadRequest, "Nothing can be swapped as"),
        ({"tool:where_is": "no json"}, BadRequest, "is no JSON"),
    ],
)
def test_a_swap_that_means_nothing_is_refused_before_anything_is_asked(folder, upstreams, swaps, error, text):
    """With what there is instead."""
    project = open_project(folder)
    run = project.run_agent("desk", "Where is parcel 7?").run.id
    n_asked = len(upstreams.seen)
    with pytest.raises(error, match=text):
        project.agents.replay(run, swaps)
    assert len(upstreams.seen) == n_asked


def test_a_version_that_was_never_released_can_be_run(folder, upstreams):
    """It is registered, so that a server could go on with the run; the champion stays."""
    declare(folder, upstreams, "Be short.")
    source = (folder / "declarations.py").read_text().replace("steps=8", "steps=7")
    (folder / "declarations.py").write_text(source)
    project = open_project(folder)
    told = project.run_agent("desk", "Where is parcel 7?", RunAsked(version="declared"))
    [row] = project.agents.list()
    assert told.run.version == row.declared != row.champion
    assert told.run.version in {each.id for each in project.versions("desk")}


def test_a_run_is_called_off_while_it_waits(folder):
    """With the reason."""
    project = open_project(folder)
    run = project.run_agent("desk", "Find parcel 8 and tell them.").run.id
    cancelled = project.agents.cancel(run, reason="found by phone")
    assert (cancelled.status, cancelled.text) == ("cancelled", "found by phone")
    assert not project.agents.waiting()


def test_a_server_is_asked_where_one_is_named(folder, monkeypatch):
    """The same records come back, with the answer as it came; questions are seen, and runs are called off."""
    from perdure.surface.keying import KeyTerms

    project = open_project(folder)
    monkeypatch.setenv("DESK_KEY", project.create_key("counter", KeyTerms(admin=True)).secret)
    (folder / "perdure.toml").write_text((folder / "perdure.toml").read_text() + '\n[agents]\nkey_env = "DESK_KEY"\n')
    project, server, heard = open_project(folder), open_project(folder).server(port=0), []
    url = server.start()
    try:
        told = project.agents.run("desk", "Where is parcel 7?", hears=heard.append, url=url)
        assert told.run.status == "done"
        assert "".join(each.data["text"] for each in heard if each.name == "text") == "It is in Bremen."
        kept = project.agents.get(told.run.id)
        assert [(s.node, s.output, s.usage, s.cost_pusd) for s in told.steps] == [
            (s.node, s.output, s.usage, s.cost_pusd) for s in kept.steps
        ]
        waiting = project.agents.run("desk", "Find parcel 8 and tell them.", url=url)
        assert [wait.run for _, wait in project.agents.waiting(url=url)] == [waiting.run.id]
        assert {run.id for run in project.agents.runs(url=url)} == {told.run.id, waiting.run.id}
        assert project.agents.cancel(waiting.run.id, reason="enough", url=url).status == "cancelled"
        with pytest.raises(NotFound):
            project.agents.get("run_nope", url=url)
    finally:
        server.stop()


def test_what_the_commands_print_reads_well(folder):
    """One run, its trace, the list, a replay and a comparison, as a person sees them."""

    def said(*words, code=0):
        found = CliRunner().invoke(app, ["agent", *words, "--project", str(folder)])
        assert found.exit_code == code, found.output
        return found.output

    shown = said("run", "desk", "Where is parcel 7?", "--expected", "Bremen")
    assert '✓ where_is {"parcel": "7"}' in shown
    assert "It is in Bremen.\n\ndone  run_" in shown
    run = re.search(r"run_\w+", shown)[0]
    tree = said("trace", run)
    assert "├── asked  Where is parcel 7?" in tree
    assert '│   └── calls where_is {"parcel": "7"}' in tree
    assert "└── gave  It is in Bremen." in tree
    assert "It is in Bremen." in said("runs", "desk", "--since", "1h", "--status", "done")
    table = said("replay", run, "--swap", 'tool:where_is={"place": "Kiel"}')
    assert re.search(r"▼  worse +1", table)
    assert "It is in Kiel." in table
    other = re.search(r"run_\w+", said("run", "desk", "Where is parcel 9?"))[0]
    assert '{"parcel": "9"}' in said("diff", run, other)
    assert "released  instructions  where_is, send_notice" in said("list")
    assert "needs a yes of reviewer" in said("show", "desk")
    parked = said("run", "desk", "Find parcel 8 and tell them.")
    assert "needs  a yes of reviewer" in parked
    assert "desk asks to call send_notice" in said("waiting")


def test_where_no_price_is_known_no_table_says_that_it_cost_nothing(folder):
    """`$0.00` would be read as free."""
    file = folder / "declarations.py"
    file.write_text(file.read_text().replace(", prices=UnitPrices(input=1, output=4)", ""))
    open_project(folder).apply()

    def said(*words):
        found = CliRunner().invoke(app, ["agent", *words, "--project", str(folder)])
        assert found.exit_code == 0, found.output
        return found.output

    run = re.search(r"run_\w+", said("run", "desk", "Where is parcel 7?"))[0]
    listed, table = said("list"), said("replay", run, "--swap", 'tool:where_is={"place": "Kiel"}')

    assert re.search(r"desk .* unknown", listed), listed
    assert re.search(r"cost a run +unknown +unknown", table), table
    assert "$0.00" not in listed + table
    rows = json.loads(said("replay", run, "--swap", 'tool:where_is={"place": "Kiel"}', "--json"))["rows"]
    assert [(each["cost_usd"], each["cost_again_usd"]) for each in rows] == [(None, None)]


@pytest.mark.parametrize("graph", ["desk", "track"])
def test_a_drawing_of_an_agents_run_says_whose_it_is_and_what_shows_it(folder, graph):
    """Whether the graph is named after the agent or there is none of the name: the run is there."""
    run = open_project(folder).agents.run("desk", "Where is parcel 7?").run.id

    found = CliRunner().invoke(app, ["graph", "draw", graph, "--run", run[:-2], "--project", str(folder)])

    assert isinstance(found.exception, NotFound), found.output
    assert found.exception.message == f"{run} is a run of the agent 'desk', not of the graph {graph!r}."
    assert found.exception.hint == f"It is shown by: perdure agent trace {run}"
