"""What `perdure check` says of agents: what instructs them, what their tools are of, who may ask them, what their limits mean.

Called by `checks`, and before an agent is released. Whatever would hold a version back on a server is an error here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from perdure.assets.agent import PREFIX, Agent
from perdure.assets.scorer_specs import flattened
from perdure.assets.scorers import Judged
from perdure.assets.tools import AgentTool, FeaturesTool, FunctionTool, HttpTool, McpTools, PredictTool, SearchTool
from perdure.core.errors import BadAgent, nearest

if TYPE_CHECKING:
    from perdure.assets.graph import Graph
    from perdure.assets.project import Project
    from perdure.assets.team import Team
    from perdure.assets.tools import Tool
    from perdure.core.settings import Settings
    from perdure.surface.check_policies import Said

_ENOUGH = "task_success(over=days(1)) >= 0.8, tool_error_ratio(over=hours(6)) <= 0.05"
_OF_RUNS = frozenset({"task", "messages", "input", "expected", "user", "tags"})
"""Members of a run's request that are no variables."""


def agent_notes(agent: Agent, project: Project) -> Said:
    """An agent against the prompt, the tools, the teams and the libraries that there are, its limits, its objectives."""
    yield from _answering(agent, project)
    for tool in agent.tools:
        for level, text, hint in _tool(tool, agent, project):
            yield level, f"has the tool {tool.name!r}, which {text}", hint
    yield from _output(agent)
    yield from _callers(agent, project)
    yield from _limits(agent)
    yield from _circles(agent, project)
    yield from _health(agent, project)
    if find_spec("pydantic_ai") is None:
        yield "warning", "cannot be run here: pydantic-ai is not installed.", "pip install 'perdure[agents]'"


def approver_notes(asset: Any, kind: str, settings: Settings) -> Said:
    """Roles that must say yes to calls of tools, of an agent or in a graph, against those that people have."""
    if kind not in ("agent", "graph"):
        return
    tools = asset.tools if isinstance(asset, Agent) else [node.tool for node in asset.nodes if node.kind == "tool"]
    for name, role in dict.fromkeys((tool.name, terms.approve_by) for tool in tools for terms in _terms(tool)):
        if role is None or not settings.roles or settings.roles.get(role):
            continue
        yield (
            "error" if role not in settings.roles else "warning",
            f"asks for a yes of {role!r} before {name!r} is called, and nobody has that role.",
            f'Write under [roles] of perdure.toml: {role} = ["…"]. Declared: {", ".join(settings.roles)}.',
        )


def environment_notes(project: Project, environment: Mapping[str, str] | None) -> Iterator[tuple[str, str, str]]:
    """Agent and what it lacks of the environment: headers of HTTP tools, variables of MCP servers. None: it is not looked for them."""
    for agent in project.agents.values() if environment is not None else ():
        assert environment is not None
        for tool in agent.tools:
            for name in _variables(tool):
                if not environment.get(name):
                    yield (
                        agent.name,
                        f"has the tool {tool.name!r}, which needs the environment's variable {name!r}: it is not set.",
                        f"export {name}=…, where it is served.",
                    )


def _terms(tool: Tool) -> Iterator[Any]:
    yield tool.terms
    if isinstance(tool, McpTools):
        yield from tool.terms_of.values()


def _variables(tool: Tool) -> list[str]:
    if isinstance(tool, HttpTool):
        return [value[4:] for value in tool.headers.values() if value.startswith("env:")]
    return list(tool.env) if isinstance(tool, McpTools) else []


def _missing(what: str, name: str, known: Iterable[str], said: str) -> Said:
    names = sorted(known)
    if name in names:
        return
    near = nearest(name, names)
    there = f"{what}: {', '.join(names) or 'none'}."
    yield "error", f"{said} {name!r}, which is not declared.", f"Did you mean {near!r}?" if near else there


def _answering(agent: Agent, project: Project) -> Said:
    """Who instructs it, and who answers: always through the gateway."""
    yield from _missing("Prompts", agent.prompt, project.prompts, "is instructed by the prompt")
    if not project.routes:
        yield "error", "asks a model by the gateway, and no route is declared.", 'Write: Route("support", [Target(…)])'
    elif agent.route:
        yield from _missing("Routes", agent.route, project.routes, "is answered by the route")
    prompt = project.prompts.get(agent.prompt)
    if prompt is None:
        return
    definition = prompt.definition()
    if definition.get("output") and agent.tools:
        yield (
            "warning",
            f"is instructed by {prompt.name!r}, whose own output every answer must have: no tool would be called.",
            "Declare the output of the agent instead: Agent(…, output=…).",
        )
    variables = definition["variables"]
    taken = sorted(_OF_RUNS & set(variables.get("properties", ())))
    if taken:
        yield (
            "warning",
            f"is instructed by {prompt.name!r}, whose variables {', '.join(taken)} are members of a run's own request.",
            'They are given within `input` only: {"input": {…}}. Or rename them.',
        )
    needed = [name for name in variables.get("required", ()) if name not in taken]
    if needed:
        example = ", ".join(f'"{name}": …' for name in needed)
        yield (
            "note",
            f"needs {', '.join(needed)} for {prompt.name!r}: as a model of chat completions it has none to give.",
            f'Runs are asked with {{"input": {{{example}}}}}; defaults of variables do as well.',
        )


def _tool(tool: Tool, agent: Agent, project: Project) -> Said:
    if isinstance(tool, SearchTool):
        yield from _missing("Indexes", tool.index, project.indexes, "searches the index")
    elif isinstance(tool, PredictTool):
        yield from _missing("Models", tool.model, project.models, "asks the model")
    elif isinstance(tool, FeaturesTool):
        yield from _view(tool, project)
    elif isinstance(tool, AgentTool):
        yield from _missing("Agents", tool.agent, project.agents, "asks the agent")
    elif isinstance(tool, FunctionTool):
        yield from _function(tool)
    elif isinstance(tool, McpTools) and find_spec("mcp") is None:
        yield "warning", "speaks MCP, which cannot be spoken here: mcp is not installed.", "pip install 'perdure[mcp]'"
    for name in dict.fromkeys(name for terms in _terms(tool) for name in terms.teams):
        yield from _missing("Teams", name, project.teams, "is only for the team")
    longest = max(terms.timeout for terms in _terms(tool))
    if longest > agent.limits.wall:
        yield (
            "warning",
            f"may take {longest.total_seconds():g} s, longer than a run ({agent.limits.wall.total_seconds():g} s).",
            "Give it a shorter timeout, or the run a longer wall.",
        )


def _view(tool: FeaturesTool, project: Project) -> Said:
    stored = [name for name, view in project.views.items() if view.source is not None]
    if tool.view in project.views and tool.view not in stored:
        yield (
            "error",
            f"looks up the view {tool.view!r}, which is computed from a request and stored nowhere.",
            f"Stored views: {', '.join(sorted(stored)) or 'none'}.",
        )
        return
    yield from _missing("Stored views", tool.view, stored, "looks up the view")


def _function(tool: FunctionTool) -> Said:
    from perdure.serve.tools.calling_functions import hold_function

    if tool.function.__module__ == "__main__":
        yield (
            "error",
            "lives only in a notebook or a script: no other process can load it.",
            "Move it into the project's package.",
        )
    try:
        hold_function(tool)
    except BadAgent as error:
        yield "error", f"cannot be offered to a model: {error.message}", error.hint
    if tool.terms.effect == "once" and tool.happened is None and tool.terms.approve_by is None:
        yield (
            "note",
            "changes something without a key, and cannot tell whether it did: after a crash a person is asked.",
            "Take call.key along and say effect='keyed', or give happened=.",
        )


def _output(agent: Agent) -> Said:
    told = agent.definition()["output"]
    if told is None:
        return
    from perdure.serve.agents.bodies import OUTPUT_TOOL

    if json.loads(told).get("type", "object") != "object":
        yield "error", "gives what is no object.", 'Declare an output with {"type": "object"}.'
    if any(tool.name == OUTPUT_TOOL for tool in agent.tools):
        yield "error", f"has a tool named {OUTPUT_TOOL!r}, by which its output is given.", "Give it another name=."


def _callers(agent: Agent, project: Project) -> Said:
    """Whatever a run does is done as its caller may."""
    if not project.teams:  # that nobody can get a key is told once, of the project
        return
    teams = [team for team in project.teams.values() if team.may_call(PREFIX + agent.name)]
    if not teams:
        name = PREFIX + agent.name
        yield "warning", "can be asked by no team.", f'Write: Team(…, routes=("{name}", …)).'
    for team in teams:
        lacks = [name for name in _asked_as_caller(agent) if not team.may_call(name)]
        if lacks:
            yield (
                "warning",
                f"may be asked by the team {team.name!r}, which may not ask {', '.join(lacks)}: its runs fail there.",
                f"Write: {_routes(team, lacks)}",
            )


def _asked_as_caller(agent: Agent) -> list[str]:
    own = [agent.route or f"prompt:{agent.prompt}"]
    searched = [f"index:{tool.index}" for tool in agent.tools if isinstance(tool, SearchTool)]
    return [*own, *dict.fromkeys(searched)]


def _routes(team: Team, further: Iterable[str]) -> str:
    return f"Team({team.name!r}, routes=({', '.join(repr(each) for each in (*team.routes, *further))}))"


def _limits(agent: Agent) -> Said:
    if agent.tools and agent.limits.steps < 3:
        yield (
            "warning",
            f"may take {agent.limits.steps} steps: a question, a tool and an answer are three.",
            "Write: limits=RunLimits(steps=8)",
        )


def _circles(agent: Agent, project: Project) -> Said:
    """Agents that may ask themselves: allowed, and ended by their depth."""
    stack: list[tuple[str, tuple[str, ...]]] = [(agent.name, (agent.name,))]
    seen: set[str] = set()
    while stack:
        name, path = stack.pop()
        found = project.agents.get(name)
        below = [] if found is None else [each.agent for each in found.tools if isinstance(each, AgentTool)]
        for each in below:
            if each == agent.name:
                told = " → ".join((*path, each))
                yield "warning", f"may ask itself: {told}. Its depth ends that.", "Leave one of these tools out."
                return
            if each not in seen:
                seen.add(each)
                stack.append((each, (*path, each)))


def _health(agent: Agent, project: Project) -> Said:
    if not agent.healthy:
        yield "warning", "has no objectives: it can fail its tasks unseen.", f"Write: healthy=[{_ENOUGH}]"
    if not agent.success and any(each.spec.signal == "task_success" for each in agent.healthy):
        yield (
            "note",
            "is held to its success, and nothing judges it but feedback.",
            "Send feedback by run id, or declare success=[scorers.…].",
        )
    for scorer in flattened(agent.success):
        if isinstance(scorer, Judged):
            yield from _missing("Judges", scorer.judge, project.judges, "is judged by")
    yield from unasked_notes(agent, project)


def unasked_notes(declared: Agent | Graph, project: Project) -> Said:
    """Scorers of the `success` of an agent or a graph that its recorded runs are not judged by."""
    from perdure.loop.work.runs.outcomes import unasked

    for label, why in unasked(declared, project.judges):
        yield (
            "warning",
            f"is not judged by its scorer {label!r}: {why}.",
            "Send feedback by run id, or declare a scorer that computes (scorers.Custom takes a function), or a pointwise judge by itself.",
        )
