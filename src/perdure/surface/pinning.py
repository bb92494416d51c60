"""What MCP servers offer, pinned when a version is made: by `apply`, which asks them; whoever only looks takes what it found last.

A server that changes the description of a tool changes what a model is told, so it is another version of the agent: nothing of
the change is in force until somebody applies it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from perdure.assets.agent import Agent
from perdure.assets.graph import Graph, ToolNode
from perdure.assets.project import Project
from perdure.assets.tools import McpTools, Tool, tool_definition

_Asset = TypeVar("_Asset")
Definitions = Mapping[tuple[str, str], Mapping[str, Any]]
"""Kind and name → definition, as the registry has it."""


def pinned_project(project: Project, known: Definitions, env: Mapping[str, str] | None) -> Project:
    """The project whose agents and graphs hold what their MCP servers offer; as it is where none has any.

    Args:
        project: as it is declared.
        known: the registry, with what was found last.
        env: environment, of which servers that are asked now get what is declared; None: none is asked, what was found last holds.

    Raises:
        MissingExtra: the extra `mcp` is not installed.
        UpstreamError: a server cannot be reached.
        BadAgent: it has none of the tools that are declared.
    """
    agents = {name: _pinned(each, known.get(("agent", name)), env) for name, each in project.agents.items()}
    graphs = {name: _pinned(each, known.get(("graph", name)), env) for name, each in project.graphs.items()}
    same = [*agents.values(), *graphs.values()] == [*project.agents.values(), *project.graphs.values()]
    return project if same else replace(project, agents=agents, graphs=graphs)


def pinned_as_known(asset: _Asset, before: Mapping[str, Any] | None) -> _Asset:
    """An asset with what the registry's definition of it says that its servers offer; any other as it is."""
    return _pinned(asset, before, None)


def _pinned(asset: _Asset, before: Mapping[str, Any] | None, env: Mapping[str, str] | None) -> _Asset:
    tools = _tools_of(asset)
    if not any(isinstance(each, McpTools) and (env is not None or not each.pinned) for each in tools):
        return asset
    if env is not None:
        from perdure.serve.tools.mcp_tools import pinned_tools

        found: Sequence[Tool] = pinned_tools(tools, env)
    else:
        found = [_found_last(each, before) for each in tools]
    made: _Asset = _with_tools(asset, found)
    return made


def _tools_of(asset: object) -> Sequence[Tool]:
    if isinstance(asset, Agent):
        return asset.tools
    if isinstance(asset, Graph):
        return [node.tool for node in asset.nodes if isinstance(node, ToolNode)]
    return ()


def _with_tools(asset: Any, tools: Sequence[Tool]) -> Any:
    if isinstance(asset, Agent):
        return replace(asset, tools=tools)
    given = iter(tools)
    nodes = [replace(node, tool=next(given)) if isinstance(node, ToolNode) else node for node in asset.nodes]
    return replace(asset, nodes=nodes)


def _found_last(tool: Tool, before: Mapping[str, Any] | None) -> Tool:
    """A server that is declared as it was then, with what it offered then."""
    if not isinstance(tool, McpTools) or before is None:
        return tool
    told = [*before.get("tools", ()), *(node["tool"] for node in before.get("nodes", ()) if "tool" in node)]
    wanted = tool_definition(tool)
    for each in told:
        if {**each, "pinned": wanted["pinned"]} == wanted:
            return replace(tool, pinned=each["pinned"])
    return tool
