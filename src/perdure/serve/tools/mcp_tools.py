"""Tools of MCP servers, as they were when the agent's version was made.

A server may change what its tools say of themselves, and a model does what it is told: so a version holds names, descriptions and schemas,
a model only ever sees those, and a tool that says something else of itself today is not called until a version is made of it.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from perdure.assets.tools import McpTools
from perdure.core.errors import BadAgent, UpstreamError, UpstreamTimedOut
from perdure.serve.runs.protocols import Json, Offered, ToolAsked, ToolContext
from perdure.serve.tools.mcp_session import Session, digest_of_offer, server_of
from perdure.serve.tools.offering import Result, ToolFailure

_LONGEST = 1_000
_NOT_IN_NAMES = re.compile(r"[^a-z0-9_]")


@dataclass(frozen=True, slots=True, eq=False)
class HeldMcp:
    """One tool of a server."""

    session: Session
    theirs: str
    """Its own name."""
    digest: str
    """Of what it said of itself when the version was made."""
    offered: Offered
    is_outward = True

    async def work(self, asked: ToolAsked, context: ToolContext) -> Result:  # noqa: ARG002 - one shape for all
        """Call it, where it is still what it was."""
        seconds = self.offered.terms.timeout.total_seconds()
        try:
            await self._check()
            gave = await self.session.call(self.theirs, asked.arguments, seconds)
        except UpstreamTimedOut as error:
            raise ToolFailure("tool.timed_out", error.message, again=True) from error
        except UpstreamError as error:
            raise ToolFailure("tool.failed", error.message, again=True) from error
        text = "\n".join(gave.texts)
        if gave.is_error:
            raise ToolFailure("tool.failed", f"{self.offered.name} says that it failed.", quoted=text[:_LONGEST])
        value: Any = text if gave.structured is None else gave.structured
        if gave.n_other and not gave.texts and gave.structured is None:
            raise ToolFailure("tool.wrong_type", f"{self.offered.name} gave {gave.n_other} parts that are no text.")
        return Result(value)

    async def _check(self) -> None:
        """See that it says of itself what it said.

        Raises:
            ToolFailure: it does not.
            UpstreamError: the server cannot be reached.
        """
        known = await self.session.known()
        if known.get(self.theirs) != self.digest:
            what = (
                "is gone from its server" if self.theirs not in known else "says something else of itself than it did"
            )
            raise ToolFailure(
                "tool.changed",
                f"{self.offered.name} {what}. A new version of the agent takes it as it is.",
                undone=True,
            )


def hold_mcp(tool: McpTools, session: Session) -> list[HeldMcp]:
    """The tools of a declared server that its version pins.

    Raises:
        BadAgent: it pins none.
    """
    if not tool.pinned:
        raise BadAgent(
            f"What the MCP server {tool.name!r} offers is not in the version.",
            hint="Make one while it runs: perdure apply.",
        )
    return [HeldMcp(session, str(each["name"]), digest_of_offer(each), _offered(tool, each)) for each in tool.pinned]


def pinned_tools(tools: Sequence[Any], env: Mapping[str, str]) -> list[Any]:
    """Tools of which those of MCP servers hold what they offer now: for who makes a version. Starts the servers, and ends them.

    Args:
        tools: as they are declared; others come back as they are.
        env: environment, of which each server gets what is declared.

    Raises:
        MissingExtra: the extra `mcp` is not installed.
        UpstreamError: a server cannot be reached.
        BadAgent: it has none of the tools that are declared, or two would have one name.
    """

    async def all_of_them() -> list[Any]:
        return [await _pinned(each, env) if isinstance(each, McpTools) else each for each in tools]

    # On a thread: whoever makes a version may have a loop of his own.
    with ThreadPoolExecutor(1, "perdure-mcp") as thread:
        found: list[Any] = thread.submit(lambda: asyncio.run(all_of_them())).result()
    return found


async def _pinned(tool: McpTools, env: Mapping[str, str]) -> McpTools:
    session = Session(server_of(tool.name, tool.command, tool.url, tool.env, env))
    try:
        offers = {each["name"]: each for each in await session.tools()}
    finally:
        await session.close()
    wanted = tool.only or tuple(offers)
    missing = [name for name in (*wanted, *tool.terms_of) if name not in offers]
    if missing or not wanted:
        what = f"has no tool {missing[0]!r}" if missing else "offers no tool"
        raise BadAgent(f"The MCP server {tool.name!r} {what}.", hint=f"It has {', '.join(offers) or 'none'}.")
    names = [_name(tool, name) for name in wanted]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise BadAgent(
            f"Two tools of the MCP server {tool.name!r} would be {twice[0]!r}.", hint="Leave one out by only=."
        )
    return replace(tool, pinned=[offers[name] for name in sorted(wanted)])


def _offered(tool: McpTools, told: Mapping[str, Any]) -> Offered:
    terms = tool.terms_of.get(str(told["name"]), tool.terms)
    name = _name(tool, str(told["name"]))
    schema: Json = {"type": "object", **dict(told["schema"])}
    return Offered(name, str(told["description"]), schema, terms, f"tool:{name}")


def _name(tool: McpTools, theirs: str) -> str:
    return f"{tool.name}_{_NOT_IN_NAMES.sub('_', theirs.lower())}"[:64]
