"""What a graph is checked and drawn against: what the project's assets, its tools and its functions take and give, as JSON schemas.

Called by `check_graphs` and `graphing`. It reads declarations only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from perdure.assets.graph import Graph, PythonNode, ToolNode
from perdure.assets.tools import AgentTool, FeaturesTool, FunctionTool, HttpTool, McpTools, PredictTool, SearchTool
from perdure.core.errors import BadAgent
from perdure.engines.graphs.schemas import ANY, NULL, TEXT, WHOLE, Schema, as_given, inline, record, union
from perdure.engines.graphs.typed import HITS, Ends, Known

if TYPE_CHECKING:
    from perdure.assets.agent import Agent
    from perdure.assets.feature_view import FeatureView
    from perdure.assets.project import Project
    from perdure.assets.tools import Tool
    from perdure.serve.tools.calling_functions import HeldFunction

_FEATURES: Mapping[str, Schema] = {
    "number": {"type": "number"},
    "bool": {"type": "boolean"},
    "text": TEXT,
    "instant": TEXT,
    "null": NULL,
}
_TEXT_ANSWER = record({"text": TEXT})


def known_of(project: Project) -> Known:
    """The assets of a project that nodes may work with."""
    found: dict[str, Ends] = {}
    for name, prompt in project.prompts.items():
        told = prompt.definition()
        found[f"prompt:{name}"] = Ends(inline(told["variables"]), _answer(told["output"]))
    found |= {f"index:{name}": Ends(TEXT, HITS) for name in project.indexes}
    for name, model in project.models.items():
        found[f"model:{name}"] = Ends(inline(model.contract.model_json_schema()), ANY)
    for name, view in project.views.items():
        if view.source is not None:
            found[f"feature_view:{name}"] = _view(view)
    for name, agent in project.agents.items():
        found[f"agent:{name}"] = _agent(agent, found.get(f"prompt:{agent.prompt}"))
    return Known(found)


def known_nodes(graph: Graph, project: Project, known: Known) -> tuple[Known, dict[str, BadAgent]]:
    """The same with what the tools and functions of a graph take and give; and those whose signature cannot be read, by node."""
    found: dict[str, Ends] = {}
    wrong: dict[str, BadAgent] = {}
    for node in graph.nodes:
        if isinstance(node, ToolNode | PythonNode):
            try:
                found[node.name] = _function(node) if isinstance(node, PythonNode) else _tool(node.tool, project, known)
            except BadAgent as error:
                wrong[node.name] = error
    return Known(known.assets, found), wrong


def _answer(output: str | None) -> Schema:
    return _TEXT_ANSWER if output is None else inline(msgspec.json.decode(output))


def _view(view: FeatureView) -> Ends:
    fields = view.contract.model_json_schema()["properties"]
    keys = record({name: inline(fields[name]) for name in view.key})
    features = {name: union([_FEATURES[expr.type], NULL]) for name, expr in view.features.items()}
    return Ends(union([TEXT, WHOLE, keys]) if len(view.key) == 1 else keys, record({**features, "status": TEXT}))


def _agent(agent: Agent, prompt: Ends | None) -> Ends:
    """Its prompt's variables, and what is said to it."""
    output = agent.definition()["output"]
    told = {"task": TEXT, "messages": {"type": "array"}, "input": {"type": "object"}}
    if prompt is None:
        return Ends(ANY, _answer(output))
    variables = dict(prompt.takes.get("properties", {}))
    needed = {name: variables.pop(name) for name in prompt.takes.get("required", ()) if name in variables}
    return Ends(record(needed, {**told, **variables}), _answer(output))


def _function(node: PythonNode) -> Ends:
    from perdure.serve.graphs.loading import held

    return _ends(held(node.name, node.function))


def _ends(function: HeldFunction) -> Ends:
    gives = ANY if function.returns is None else inline(function.returns.json_schema(mode="serialization"))
    return Ends(inline(function.offered.schema), as_given(gives))


def _tool(tool: Tool, project: Project, known: Known) -> Ends:
    from perdure.serve.tools.calling_functions import hold_function
    from perdure.serve.tools.project_tools import held_of_project

    if isinstance(tool, FunctionTool):
        return _ends(hold_function(tool))
    if isinstance(tool, HttpTool):
        return Ends(_http(tool), ANY)
    if isinstance(tool, McpTools):
        return Ends({"type": "object"}, ANY)
    gives = known.assets.get(f"agent:{tool.agent}", Ends(ANY, ANY)).gives if isinstance(tool, AgentTool) else ANY
    _check_there(tool, known)
    return Ends(inline(held_of_project(tool, project.models, project.views).offered.schema), gives)


def _check_there(tool: SearchTool | AgentTool | PredictTool | FeaturesTool, known: Known) -> None:
    of = {
        SearchTool: ("index", "index"),
        AgentTool: ("agent", "agent"),
        PredictTool: ("model", "model"),
        FeaturesTool: ("view", "feature_view"),
    }
    member, kind = of[type(tool)]
    name = getattr(tool, member)
    if f"{kind}:{name}" not in known.assets:
        there = sorted(_named(known, kind))
        raise BadAgent(
            f"The tool {tool.name!r} is of the {kind.replace('_', ' ')} {name!r}, which is not declared.",
            hint=f"There are {', '.join(there)}." if there else "There is none.",
        )


def _named(known: Known, kind: str) -> Iterator[str]:
    return (each.partition(":")[2] for each in known.assets if each.startswith(f"{kind}:"))


def _http(tool: HttpTool) -> Schema:
    """Parameters of the URL are texts, unless it says otherwise."""
    from string import Formatter

    in_url = [name for _, name, _, _ in Formatter().parse(tool.url) if name]
    declared: dict[str, Any] = {name: _parameter(each) for name, each in tool.parameters.items()}
    plain = {"anyOf": [TEXT, {"type": "number"}]}
    taken = {**{name: declared.get(name, plain) for name in in_url}, **declared}
    optional = {name: each for name, each in taken.items() if "default" in each and name not in in_url}
    return record({name: each for name, each in taken.items() if name not in optional}, optional)


def _parameter(declared: Any) -> Schema:
    if isinstance(declared, Mapping):
        return inline(declared)
    from pydantic import TypeAdapter

    return inline(TypeAdapter(declared).json_schema())
