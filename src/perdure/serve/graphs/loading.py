"""Makes versions of graphs ready to be driven; what the watcher's loader calls for the kind `graph`.

A version says of Python code where it stands and a digest of its source. A process with other source would compute something else under
the version's name, so it refuses the version; `perdure apply` makes one of what is declared now.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import msgspec

from perdure.assets.agent import RunLimits
from perdure.assets.feature_view import FeatureView
from perdure.assets.graph import Graph, PythonNode, ToolNode
from perdure.assets.prompt import Prompt
from perdure.assets.tools import FunctionTool, ToolTerms, source_digest
from perdure.assets.version import Version
from perdure.core.errors import BadAgent, BadGraph, BadPrompt, not_found
from perdure.engines.graphs.compiled import CompiledGraph, compile_graph
from perdure.engines.graphs.planning import Plan, plan_graph
from perdure.engines.graphs.schemas import Schema, inline
from perdure.engines.prompts.variables import validator_of
from perdure.serve.runs.protocols import Json
from perdure.serve.tools.calling_functions import HeldFunction, hold_function

_MOST_ERRORS = 5


@dataclass(frozen=True, slots=True, eq=False)
class Form:
    """What a prompt must give."""

    accepts: Any
    """Its validator."""
    schema: Schema
    """Without references."""


@dataclass(frozen=True, slots=True, eq=False)
class LiveGraph:
    """A version of a graph, ready to be driven."""

    name: str
    version: str
    compiled: CompiledGraph
    plan: Plan
    tools: Sequence[Json]
    """What the version says of the tools of its nodes, as `assets.tools.tool_definition` does."""
    functions: Mapping[str, FunctionTool]
    """Of the tools of the kind `function`, by name: the functions that the version was made of."""
    code: Mapping[str, HeldFunction]
    """Functions of Python nodes, by the node's name."""
    outputs: Mapping[str, Form]
    """What prompts must give, by the prompt's name; text where there is none."""
    keys: Mapping[str, Sequence[str]]
    """Fields of the keys of feature views."""
    limits: RunLimits
    keeps: str
    accepts: Any
    """Validator of what a run is asked."""
    prompt: str = ""
    """What instructs whoever calls its tools: nothing, for its declaration calls them."""

    def check_input(self, given: Any) -> None:
        """See that a run may be asked this.

        Raises:
            BadGraph: it may not; the message names the members, and holds no value.
        """
        if self.accepts.is_valid(given):
            return
        errors = [f"{'.'.join(map(str, each.instance_path))}{': ' if each.instance_path else ''}{each.message}"
                  for each, _ in zip(self.accepts.iter_errors(given), range(_MOST_ERRORS), strict=False)]  # fmt: skip
        raise BadGraph(
            f"The input of a run of graph {self.name!r} is not what it takes: {'; '.join(errors)}.",
            hint=f"perdure graph show {self.name} tells what it takes.",
        )


@dataclass(frozen=True, slots=True, eq=False)
class GraphLoader:
    """Loads versions of the declared graphs.

    Args:
        graphs: as they are declared, by name.
        prompts: as they are declared: what they must give is read from their answers.
        views: as they are declared, for the fields of their keys.
    """

    graphs: Mapping[str, Graph] = field(default_factory=dict)
    prompts: Mapping[str, Prompt] = field(default_factory=dict)
    views: Mapping[str, FeatureView] = field(default_factory=dict)

    def load(self, version: Version, *, trusted: bool) -> LiveGraph:  # noqa: ARG002 - it runs declared code only
        """The graph of a version.

        Raises:
            NotFound: its asset is no declared graph.
            BadGraph: a function of it is not declared any more, or has other code; an expression cannot be read; nodes go in a circle.
        """
        if version.asset not in self.graphs:
            raise not_found("graph", version.asset, self.graphs)
        declared, told = self.graphs[version.asset], version.definition
        compiled = compile_graph(version.asset, told)
        tools = [node["tool"] for node in told["nodes"] if node["kind"] == "tool"]
        by_name = {_called(each): each for each in tools}
        if any(by_name[_called(each)] != each for each in tools):
            raise BadGraph(f"Version {version.id} has two tools of one name.", hint="Give one of them another name=.")
        return LiveGraph(
            name=version.asset,
            version=version.id,
            compiled=compiled,
            plan=plan_graph(compiled),
            tools=tuple(by_name.values()),
            functions={each["name"]: _tool(version, each, declared)
                       for each in by_name.values() if each["kind"] == "function"},
            code={node["name"]: _code(version, node, declared) for node in told["nodes"] if node["kind"] == "python"},
            outputs=self._outputs(compiled),
            keys={name: view.key for name, view in self.views.items()},
            limits=_limits(told["limits"]),
            keeps=told["keeps"],
            accepts=_validator(f"The input of graph {version.asset!r}", compiled.input),
        )  # fmt: skip

    def _outputs(self, compiled: CompiledGraph) -> dict[str, Any]:
        found = {}
        for name in (str(node.told["prompt"]) for node in compiled.nodes.values() if node.kind == "prompt"):
            output = self.prompts[name].definition()["output"] if name in self.prompts else None
            if output is not None:
                schema = msgspec.json.decode(output)
                found[name] = Form(_validator(f"The output of prompt {name!r}", schema), inline(schema))
        return found


def _called(told: Mapping[str, Any]) -> str:
    """By which name a node calls a tool; a server of tools may stand in several nodes, of which each calls one."""
    return f"{told['name']}_{told['only'][0]}" if told["kind"] == "mcp" else str(told["name"])


def _validator(what: str, schema: Any) -> Any:
    try:
        return validator_of(what, schema)
    except BadPrompt as error:
        raise BadGraph(error.message, hint=error.hint) from error


def _tool(version: Version, told: Mapping[str, Any], graph: Graph) -> FunctionTool:
    tools = (node.tool for node in graph.nodes if isinstance(node, ToolNode))
    declared = (each for each in tools if isinstance(each, FunctionTool))
    found = next((each for each in declared if _place(each.function) == told["function"]), None)
    if found is None:
        raise _gone(version, f"the tool {told['name']!r}", told["function"])
    _check_code(version, told, found.function)
    return found


def _code(version: Version, told: Mapping[str, Any], graph: Graph) -> HeldFunction:
    declared = (node.function for node in graph.nodes if isinstance(node, PythonNode))
    found = next((each for each in declared if _place(each) == told["function"]), None)
    if found is None:
        raise _gone(version, f"the node {told['name']!r}", told["function"])
    _check_code(version, told, found)
    return held(told["name"], found)


def held(name: str, function: Any) -> HeldFunction:
    """The function of a Python node, its signature read once.

    Raises:
        BadAgent: a parameter has no type, is `*` or `**`, or is of a type that JSON has not.
    """
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise BadAgent(
                f"The function of node {name!r} takes *{parameter.name}, and is given its parameters by name.",
                hint="Name each, with its type.",
            )
        if parameter.annotation is parameter.empty:
            raise BadAgent(
                f"The parameter {parameter.name!r} of the function of node {name!r} has no type.",
                hint=f"Write def …({parameter.name}: str).",
            )
    return hold_function(FunctionTool(function, name, f"The node {name}.", ToolTerms()))


def _place(function: Any) -> str:
    return f"{function.__module__}:{function.__qualname__}"


def _gone(version: Version, what: str, where: str) -> BadGraph:
    return BadGraph(
        f"Version {version.id} has {what} of {where}, which the graph does not declare any more.",
        hint="Declare it again, or release a version of what is declared: perdure apply.",
        version=version.id,
        other_code=True,
    )


def _check_code(version: Version, told: Mapping[str, Any], function: Any) -> None:
    if source_digest(function) != told["code"]:
        raise BadGraph(
            f"Version {version.id} was made of other code of {told['name']!r} ({told['function']}).",
            hint="Release a version of the code as it is: perdure apply.",
            version=version.id,
            other_code=True,
        )


def _limits(told: Mapping[str, Any]) -> RunLimits:
    own = {name: each for name, each in told.items() if name != "wall_s"}
    return RunLimits(**own, wall=timedelta(seconds=told["wall_s"]))
