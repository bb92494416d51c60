"""Graphs: a declared flow of nodes, each of them an asset's version or plain code, with one trace and pointers of its own.

    desk = Graph(
        "desk",
        input=Ticket,
        nodes=[
            PromptNode("sort", "ticket_kind", variables={"text": "$input.text"}),
            SearchNode("found", "handbook", query="$input.text", k=4),
            PromptNode("answer", "support_answer", variables={"question": "$input.text", "sources": "$found.hits"},
                       when="$sort.text == 'question'", fallback="apology"),
            PythonNode("apology", say_sorry, inputs={"text": "$input.text"}, only_as_fallback=True),
        ],
        output="$answer",
    )

`$node.member` is what another node gave; a text without `$` is itself. Nodes run as soon as what they name is there, side by side where
they can. `engines.graphs` checks types between nodes before anything runs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import timedelta
from typing import Any

from pydantic import BaseModel

from perdure.assets.agent import Keeps, RunLimits, settle
from perdure.assets.objective import Objective
from perdure.assets.policy import Policy
from perdure.assets.prompt_variables import model_schema
from perdure.assets.scorers import Scorer
from perdure.assets.tools import (
    AgentTool,
    FeaturesTool,
    McpTools,
    PredictTool,
    SearchTool,
    Tool,
    source_digest,
    tool_definition,
)
from perdure.core.canonical import plain
from perdure.core.errors import BadGraph, BadPrompt
from perdure.core.units import seconds

PREFIX = "graph:"
"""Before a graph's name where it is called as a model, and in `Team.routes`."""
INPUT = "input"
"""What a run was asked, as expressions name it."""
_NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeTerms:
    """What every node may say.

    Args:
        when: an expression that must be true, such as `$sort.text == 'question'`; else the node is skipped, and gives null.
        each: a list that the node is computed over, an item at a time: `$each` is the item, what it gives is a list.
        side_by_side: items at a time.
        after: nodes that must be over before it, though it reads nothing of them.
        fallback: node that stands in when this one fails.
        only_as_fallback: it runs only when it stands in.
        cache: how long what it gave is given again for the same input; None: never.
        timeout: of one try.
        tries: where it failed for now.
    """

    when: str = ""
    each: str = ""
    side_by_side: int = 4
    after: Sequence[str] = ()
    fallback: str = ""
    only_as_fallback: bool = False
    cache: timedelta | None = None
    timeout: timedelta = field(default_factory=lambda: seconds(60))
    tries: int = 2


@dataclass(frozen=True, slots=True)
class PromptNode(NodeTerms):
    """Asks a prompt's route; gives `text`, or what the prompt's `output` says."""

    name: str
    prompt: str
    variables: Mapping[str, Any] = field(default_factory=dict)

    kind = "prompt"


@dataclass(frozen=True, slots=True)
class SearchNode(NodeTerms):
    """Searches an index; gives `hits`, `generation` and `seen_at`."""

    name: str
    index: str
    query: str
    k: int = 5
    mode: str = "hybrid"

    kind = "search"


@dataclass(frozen=True, slots=True)
class PredictNode(NodeTerms):
    """Asks a model about a row; gives `prediction`, and with `explain` `contributions`: `{feature, adds}`, largest first."""

    name: str
    model: str
    row: Mapping[str, Any] | str
    explain: bool = False

    kind = "predict"


@dataclass(frozen=True, slots=True)
class FeaturesNode(NodeTerms):
    """Looks up a stored feature view by its key, or by an object of the fields of its key; gives its features by name, and `status`."""

    name: str
    view: str
    key: str | Mapping[str, Any]

    kind = "features"


@dataclass(frozen=True, slots=True)
class AgentNode(NodeTerms):
    """A run of an agent below this one; gives its output, a text as `text`."""

    name: str
    agent: str
    input: Mapping[str, Any] = field(default_factory=dict)

    kind = "agent"


@dataclass(frozen=True, slots=True)
class ToolNode(NodeTerms):
    """Calls a tool, on its terms: approvals and effects as with an agent."""

    name: str
    tool: Tool
    arguments: Mapping[str, Any] = field(default_factory=dict)

    kind = "tool"


@dataclass(frozen=True, slots=True)
class RuleNode(NodeTerms):
    """The first rule whose expression is true gives its value, as `value`; else `otherwise`."""

    name: str
    rules: Sequence[tuple[str, Any]]
    otherwise: Any = None

    kind = "rule"


@dataclass(frozen=True, slots=True)
class PythonNode(NodeTerms):
    """A Python function without side effects, of typed parameters; gives what it returns, no object as `value`."""

    name: str
    function: Callable[..., Any]
    inputs: Mapping[str, Any] = field(default_factory=dict)

    kind = "python"


Node = PromptNode | SearchNode | PredictNode | FeaturesNode | AgentNode | ToolNode | RuleNode | PythonNode


@dataclass(frozen=True, slots=True, eq=False)
class Graph:
    """A flow of nodes.

    Args:
        name: lower case with underscores.
        input: a Pydantic class or JSON schema of what a run is asked.
        nodes: in any order.
        output: an expression, or name → expression: what a run gives.
        limits: of one run.
        success: scorers of what it gave; see `Agent`.
        keeps: what records hold of texts.
        healthy: objectives.
        policy: how far the loop may go alone.
    """

    name: str
    input: type[BaseModel] | Mapping[str, Any]
    nodes: Sequence[Node]
    output: str | Mapping[str, Any]
    limits: RunLimits = field(default_factory=RunLimits)
    success: Sequence[Scorer] = ()
    keeps: Keeps = "redacted"
    healthy: Sequence[Objective] = ()
    policy: Policy = field(default_factory=Policy.observe)

    def __post_init__(self) -> None:
        settle(self, "graph", BadGraph, "nodes")
        if not self.nodes:
            raise BadGraph(f"Graph {self.name!r} has no node.", hint="Give it one.")
        names = [INPUT, "each", *(node.name for node in self.nodes)]
        for node in self.nodes:
            if isinstance(node, ToolNode) and isinstance(node.tool, McpTools) and len(node.tool.only) != 1:
                raise BadGraph(
                    f"Node {node.name!r} of graph {self.name!r} calls a whole server of tools.",
                    hint="Name the one that it calls: McpTools(…, only=('read_file',)).",
                )
        wrong = [name for name in names if not _NAME.fullmatch(name) or names.count(name) > 1]
        if wrong:
            raise BadGraph(
                f"Graph {self.name!r} has nodes named {', '.join(dict.fromkeys(wrong))}.",
                hint="Each name once, of a-z, 0-9 and _; not input, and not each.",
            )
        self.definition()

    def uses(self) -> tuple[str, ...]:
        """What of the project it works with, as `kind:name`."""
        return tuple(dict.fromkeys(each for node in self.nodes for each in _used(node)))

    def definition(self) -> dict[str, Any]:
        """What its versions are: JSON-compatible; code by its digest."""
        found: dict[str, Any] = plain(
            {
                "input": self.input_schema(),
                "nodes": [_node_definition(each) for each in self.nodes],
                "output": self.output,
                "limits": self.limits.definition(),
                "keeps": self.keeps,
            }
        )
        return found

    def input_schema(self) -> dict[str, Any]:
        """JSON schema of what a run is asked."""
        if isinstance(self.input, Mapping):
            return dict(self.input)
        try:
            return dict(model_schema(self.name, self.input, "input"))
        except BadPrompt as error:
            raise BadGraph(f"Graph {self.name!r}: {error.message}", hint=error.hint) from error


def _node_definition(node: Node) -> dict[str, Any]:
    usual = NodeTerms()
    terms = {each.name for each in fields(NodeTerms)}
    told: dict[str, Any] = {"kind": node.kind}
    for each in fields(node):
        value = getattr(node, each.name)
        if each.name in terms and value == getattr(usual, each.name):
            continue
        if isinstance(value, timedelta):
            value = value.total_seconds()
        if isinstance(node, PythonNode) and each.name == "function":
            told["code"] = source_digest(node.function)
            value = f"{node.function.__module__}:{node.function.__qualname__}"
        if isinstance(node, ToolNode) and each.name == "tool":
            value = tool_definition(node.tool)
        told[each.name] = value
    return told


def _used(node: Node) -> tuple[str, ...]:
    if isinstance(node, PromptNode):
        return (f"prompt:{node.prompt}",)
    if isinstance(node, SearchNode):
        return (f"index:{node.index}",)
    if isinstance(node, PredictNode):
        return (f"model:{node.model}",)
    if isinstance(node, FeaturesNode):
        return (f"feature_view:{node.view}",)
    if isinstance(node, ToolNode):
        return _used_by_tool(node.tool)
    return (f"agent:{node.agent}",) if isinstance(node, AgentNode) else ()


def _used_by_tool(declared: Tool) -> tuple[str, ...]:
    if isinstance(declared, SearchTool):
        return (f"index:{declared.index}",)
    if isinstance(declared, PredictTool):
        return (f"model:{declared.model}",)
    if isinstance(declared, FeaturesTool):
        return (f"feature_view:{declared.view}",)
    return (f"agent:{declared.agent}",) if isinstance(declared, AgentTool) else ()
