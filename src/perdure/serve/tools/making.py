"""Toolboxes of versions, made once each; what they share in a process: sessions with MCP servers, the environment, what is declared."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from perdure.assets.feature_view import FeatureView
from perdure.assets.guard import Guard, Secrets
from perdure.assets.model import Model
from perdure.assets.tools import FunctionTool, HttpTool, McpTools, Tool
from perdure.core.errors import BadAgent
from perdure.engines.guards.compiling import compile_guard
from perdure.engines.guards.protocols import Compiled
from perdure.serve.tools.calling_functions import hold_function
from perdure.serve.tools.calling_http import HeldHttp, hold_http
from perdure.serve.tools.mcp_session import Server, Session, server_of
from perdure.serve.tools.mcp_tools import hold_mcp
from perdure.serve.tools.offering import Held
from perdure.serve.tools.project_tools import held_of_project
from perdure.serve.tools.restoring import tool_of
from perdure.serve.tools.toolbox import Box


class Tooled(Protocol):
    """A version with tools, as its loader made it."""

    @property
    def version(self) -> str:
        """Its id."""
        ...

    @property
    def prompt(self) -> str:
        """Name of the prompt that instructs it; empty without one."""
        ...

    @property
    def tools(self) -> Sequence[Mapping[str, Any]]:
        """As `assets.tools.tool_definition` tells them."""
        ...

    @property
    def functions(self) -> Mapping[str, FunctionTool]:
        """By name, of its tools of that kind."""
        ...

    @property
    def keeps(self) -> str:
        """As `Agent.keeps`."""
        ...


@dataclass(slots=True, eq=False)
class Toolmaker:
    """Makes toolboxes; one a process. Made anywhere, used on the serving loop.

    Args:
        models: declared, by name.
        views: declared feature views, by name.
        env: the environment: headers of HTTP tools, variables of MCP servers.
        instructions: texts of a prompt, by its name, which no call may send; `Reaching.instructions`.
    """

    models: Mapping[str, type[Model]] = field(default_factory=dict)
    views: Mapping[str, FeatureView] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    instructions: Callable[[str], Sequence[str]] = lambda _: ()
    _boxes: dict[str, Box] = field(default_factory=dict)
    _sessions: dict[Server, Session] = field(default_factory=dict)

    def toolbox(self, tooled: Tooled) -> Box:
        """The toolbox of a version: the same one for all of its runs.

        Raises:
            BadAgent: a tool is of what is not declared any more, or two have one name.
            NotReady: a variable of the environment is missing.
            MissingExtra: it has tools of an MCP server, and the extra is not installed.
        """
        found = self._boxes.get(tooled.version)
        if found is None:
            tools = [tool_of(each, tooled.functions) for each in tooled.tools]
            found = self._boxes[tooled.version] = self.box(tools, tooled.prompt, tooled.keeps)
        return found

    def box(self, tools: Sequence[Tool], prompt: str = "", keeps: str = "redacted") -> Box:
        """A toolbox of declared tools, apart from any version; raises as `toolbox`."""
        held: dict[str, Held] = {}
        for each in (one for tool in tools for one in self._held(tool)):
            if each.offered.name in held:
                raise BadAgent(f"Two tools are named {each.offered.name!r}.", hint="Give one of them another name=.")
            held[each.offered.name] = each
        masker = None if keeps == "full" else _masker()
        return Box(held, masker, lambda: self.instructions(prompt) if prompt else ())

    async def close(self) -> None:
        """After the last run: end sessions and connections."""
        https = [each for box in self._boxes.values() for each in box.held.values() if isinstance(each, HeldHttp)]
        closing = [*(each.close() for each in self._sessions.values()), *(each.close() for each in https)]
        await asyncio.gather(*closing, return_exceptions=True)
        self._boxes.clear()
        self._sessions.clear()

    def _held(self, tool: Tool) -> Sequence[Held]:
        if isinstance(tool, FunctionTool):
            return [hold_function(tool)]
        if isinstance(tool, HttpTool):
            return [hold_http(tool, self.env)]
        if isinstance(tool, McpTools):
            server = server_of(tool.name, tool.command, tool.url, tool.env, self.env)
            return hold_mcp(tool, self._sessions.setdefault(server, Session(server)))
        return [held_of_project(tool, self.models, self.views)]


def _masker() -> Compiled:
    return compile_guard("tool_results", "", Guard("tool_results", [Secrets()], mode="redact").definition(), {})
