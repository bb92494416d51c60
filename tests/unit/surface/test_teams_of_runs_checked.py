"""What a check says of teams that may call agents, graphs and indexes."""

from __future__ import annotations

from perdure.assets.agent import Agent
from perdure.assets.graph import Graph, PromptNode
from perdure.assets.project import Project
from perdure.assets.prompt import Prompt
from perdure.assets.route import Route, Target
from perdure.assets.team import Team
from perdure.assets.upstream import Upstream
from perdure.surface.checks import check_project
from perdure.surface.compose import SIGNALS

main = Route("main", [Target(Upstream("local", "http://127.0.0.1:9/v1"), "small")])
answer = Prompt("answer", [("user", "{{ question }}")], route="main", variables={"question": str})
desk = Agent("desk", prompt="answer")
way = Graph(
    "way", {"type": "object"}, [PromptNode("said", "answer", variables={"question": "Where?"})], output="$said.text"
)


def named(*routes: str) -> list[str]:
    """What is said of the names of a team's routes."""
    found = check_project(Project.of("p", main, answer, desk, way, Team("help", routes=routes)), SIGNALS)
    return [f"{note.text} {note.hint}" for note in found if "names the route" in note.text]


def test_a_team_may_name_agents_and_graphs_that_are_declared():
    assert named("main", "prompt:answer", "agent:desk", "graph:way", "agent:*", "graph:w*") == []


def test_one_that_is_not_declared_is_told_with_the_nearest():
    [note] = named("agent:dsek", "main")
    assert "names the route 'agent:dsek', which is not declared" in note
    assert "Did you mean 'agent:desk'?" in note
