"""`check` tells of agents what would hold them back on a server, and what they mean otherwise than their author thinks."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from perdure import (
    Agent,
    AgentTool,
    FeaturesTool,
    HttpTool,
    Prompt,
    Route,
    RunLimits,
    SearchTool,
    Target,
    Team,
    ToolTerms,
    UnitPrices,
    Upstream,
    days,
    minutes,
    scorers,
    tool,
)
from perdure.assets.agent_objectives import task_success
from perdure.assets.graph import Graph, RuleNode
from perdure.assets.judge import Judge
from perdure.assets.project import Project
from perdure.assets.tools import McpTools, tool_definition
from perdure.core.errors import BadAgent
from perdure.core.settings import Settings
from perdure.surface.check_agents import agent_notes
from perdure.surface.check_graphs import graph_notes
from perdure.surface.checks import check_project
from perdure.surface.declaring import refuse_unready
from perdure.surface.definitions import definitions
from perdure.surface.pinning import pinned_project

UP = Upstream("up", "http://127.0.0.1:1/v1")
ROUTE = Route("main", [Target(UP, "m", prices=UnitPrices(input=1, output=1))])
PROMPT = Prompt("desk_prompt", [("system", "You are the desk.")], "main")


@tool
def find(parcel: str) -> str:
    """Where a parcel is."""
    return parcel


@tool(effect="once")
def send(text: str) -> str:
    """Send it."""
    return text


DESK = Agent(
    "desk",
    prompt="desk_prompt",
    tools=[find],
    healthy=[task_success(over=days(1)) >= 0.8],
    success=[scorers.Contains()],
)


COUNTER = Team("counter")


def said(agent, *others, prompt=PROMPT, teams=(COUNTER,)):
    project = Project.of("p", ROUTE, prompt, agent, *others, *teams)
    return [(level, text) for level, text, _ in agent_notes(agent, project)]


def test_an_agent_with_all_it_needs_is_not_spoken_of():
    """Nothing is told."""
    assert said(DESK) == []


@pytest.mark.parametrize(
    ("change", "level", "text"),
    [
        ({"prompt": "desk_promt"}, "error", "is instructed by the prompt 'desk_promt', which is not declared."),
        ({"route": "mian"}, "error", "is answered by the route 'mian', which is not declared."),
        ({"tools": [SearchTool("handbook")]}, "error", "which searches the index 'handbook', which is not declared."),
        ({"tools": [AgentTool("other", "x")]}, "error", "which asks the agent 'other', which is not declared."),
        ({"tools": [FeaturesTool("weather")]}, "error", "which looks up the view 'weather', which is not declared."),
        ({"tools": [replace(find, terms=ToolTerms(teams=("nobody",)))]}, "error", "is only for the team 'nobody'"),
        ({"tools": [replace(find, terms=ToolTerms(timeout=minutes(20)))]}, "warning", "may take 1200 s, longer than a run (600 s)."),
        ({"tools": [replace(find, name="final_result")], "output": {"type": "object"}}, "error", "has a tool named 'final_result'"),
        ({"output": {"type": "array"}}, "error", "gives what is no object."),
        ({"tools": [send]}, "note", "changes something without a key, and cannot tell whether it did"),
        ({"limits": RunLimits(steps=2)}, "warning", "may take 2 steps: a question, a tool and an answer are three."),
        ({"healthy": ()}, "warning", "has no objectives: it can fail its tasks unseen."),
        ({"success": ()}, "note", "is held to its success, and nothing judges it but feedback."),
        ({"success": [scorers.Judged("polite")]}, "error", "is judged by 'polite', which is not declared."),
        ({"tools": [AgentTool("desk", "itself")]}, "warning", "may ask itself: desk → desk. Its depth ends that."),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_level(change, level, text):
    """One thing at a time."""
    told = said(replace(DESK, **change))
    assert any(each == level and text in words for each, words in told), told


def test_teams_that_may_ask_it_and_not_what_it_asks_are_named():
    """Whatever a run does is done as its caller may."""
    [(level, text)] = said(DESK, teams=(Team("counter", routes=("agent:desk",)),))
    assert (level, text) == (
        "warning",
        "may be asked by the team 'counter', which may not ask prompt:desk_prompt: its runs fail there.",
    )
    assert said(DESK, teams=()) == [], "that nobody can get a key is told once, of the project"
    assert said(DESK, teams=(Team("counter", routes=("main",)),)) == [("warning", "can be asked by no team.")]


def test_variables_without_defaults_are_told_for_chat_completions_have_none():
    """And those whose names are members of a run's request."""
    prompt = replace(PROMPT, messages=[("system", "{{ tone }} {{ task }}")], variables={"tone": str, "task": str})
    told = said(DESK, prompt=prompt)
    assert any("needs tone for 'desk_prompt'" in text for _, text in told)
    assert any("whose variables task are members of a run's own request" in text for _, text in told)


def test_a_prompt_with_an_output_of_its_own_calls_no_tools():
    """The agent's own output is what is meant."""
    told = said(DESK, prompt=replace(PROMPT, output={"type": "object"}))
    assert any("whose own output every answer must have" in text for _, text in told)


def test_a_role_that_nobody_has_holds_every_call_back():
    """Where roles are declared at all."""
    agent = replace(DESK, tools=[replace(send, terms=ToolTerms(effect="once", approve_by="revewer"))])
    project = Project.of("p", ROUTE, PROMPT, agent, Team("counter"))
    told = check_project(project, {"agent": ["task_success"]}, Settings(roles={"reviewer": ("ann",)}))
    [note] = [each for each in told if "asks for a yes" in each.text]
    assert (note.level, note.text) == (
        "error",
        "Agent 'desk' asks for a yes of 'revewer' before 'send' is called, and nobody has that role.",
    )
    assert not [each for each in check_project(project, {"agent": ["task_success"]}) if "asks for a yes" in each.text]


def test_headers_from_an_environment_that_lacks_them_are_told():
    """By the variable's name."""
    http = HttpTool(
        "track", "https://api.example.com/{parcel}", "Where it is.", headers={"authorization": "env:TRACK_KEY"}
    )
    project = Project.of("p", ROUTE, PROMPT, replace(DESK, tools=[http]), Team("counter"))
    told = [each.text for each in check_project(project, {"agent": ["task_success"]}, environment={})]
    assert (
        "Agent 'desk' has the tool 'track', which needs the environment's variable 'TRACK_KEY': it is not set." in told
    )
    assert not any(
        "TRACK_KEY" in each.text
        for each in check_project(project, {"agent": ["task_success"]}, environment={"TRACK_KEY": "x"})
    )


def test_an_agent_that_no_server_could_run_is_not_released():
    """The same errors as `check` tells."""
    project = Project.of("p", ROUTE, PROMPT, replace(DESK, prompt="nope"), Team("counter"))
    with pytest.raises(BadAgent, match="Agent 'desk' is instructed by the prompt 'nope'"):
        refuse_unready(project, ["desk"])


def test_an_agent_s_definition_holds_success_objectives_and_policy_beside_what_its_version_is():
    """Only the latter makes another version."""
    found = definitions(Project.of("p", ROUTE, PROMPT, DESK))["agent", "desk"]
    assert all(found[each] for each in ("success", "healthy", "policy"))
    assert {name: found[name] for name in DESK.definition()} == DESK.definition()
    json.dumps(found)


def test_what_an_mcp_server_offered_last_stands_until_somebody_applies():
    """The declaration alone says nothing of it; another declaration of the server has nothing yet."""
    offer = {"name": "read_file", "description": "Read.", "schema": {"type": "object"}}
    server = McpTools("files", command=("python", "-m", "server"))
    agent = replace(DESK, tools=[server])
    known = {("agent", "desk"): {"tools": [tool_definition(replace(server, pinned=[offer]))]}}
    project = Project.of("p", ROUTE, PROMPT, agent)
    [found] = pinned_project(project, known, None).agents["desk"].tools
    assert list(found.pinned) == [offer]
    other = Project.of("p", ROUTE, PROMPT, replace(agent, tools=[replace(server, command=("other",))]))
    assert pinned_project(other, known, None).agents["desk"].tools[0].pinned == ()
    plain = Project.of("p", ROUTE, PROMPT, DESK)
    assert pinned_project(plain, known, None) is plain


@pytest.mark.parametrize(
    ("scorer", "why"),
    [
        (scorers.Similar(label="near"), "'near': Similar needs an embedder, and none is there"),
        (scorers.CodePasses(), "'code_passes': CodePasses needs a runner of code, and none is there"),
        (scorers.FitsSchema(), "'fits_schema': FitsSchema has no schema, and the prompt declares no `output`"),
        (
            scorers.Together([scorers.Exact(), scorers.Judged("tone")]),
            "'together': the judge 'tone' is put together with others, and asked of suites alone",
        ),
    ],
)
def test_every_scorer_of_success_that_runs_are_not_judged_by_is_told(scorer, why):
    """Else an agent is held to a success that nothing measures, and nobody knows."""
    told = said(replace(DESK, success=[scorers.Exact(), scorer]))
    assert [level for level, text in told if f"is not judged by its scorer {why}" in text] == ["warning"]


@pytest.mark.parametrize(
    ("form", "lacks"),
    [("pointwise", ""), ("reference", "is shown what was expected"), ("pairwise", "compares two answers")],
)
def test_a_pointwise_judge_by_itself_judges_runs_and_others_are_told(form, lacks):
    scale = ("first", "second", "tie") if form == "pairwise" else ("bad", "good")
    judge = Judge("tone", "It is polite.", ROUTE.name, form=form, scale=scale)
    told = [text for _, text in said(replace(DESK, success=[scorers.Judged("tone")]), judge)]
    assert [lacks in each for each in told if "is not judged by" in each] == ([True] if lacks else [])
    mute = said(replace(DESK, success=[scorers.Judged("tone")], keeps="none"), judge)
    assert any("is shown texts, and its records keep none" in text for _, text in mute)


def test_functions_of_the_project_judge_runs_and_are_not_spoken_of():
    own = scorers.Custom(lambda case, answer: bool(answer.text))
    assert said(replace(DESK, success=[own, scorers.Together([scorers.Exact(), own])])) == []


def test_a_graph_is_told_of_scorers_that_do_not_judge_it_too():
    schema = {"type": "object", "properties": {}}
    graph = Graph("g", schema, [RuleNode("told", [], otherwise="x")], "$told.value", success=[scorers.Similar()])
    texts = [text for _, text, _ in graph_notes(graph, Project.of("p", graph))]
    assert any("is not judged by its scorer 'similar'" in each for each in texts)


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        (len, "Write @tool above len."),
        (Agent("bags", prompt="desk_prompt"), "Write AgentTool('bags', …)."),
        ("handbook", "Give a function with @tool, or a SearchTool,"),
    ],
)
def test_what_is_no_tool_is_refused_with_what_makes_one_of_it(given, hint):
    with pytest.raises(BadAgent, match="which is no tool") as caught:
        Agent("desk", prompt="desk_prompt", tools=[given])

    assert caught.value.hint.startswith(hint)
