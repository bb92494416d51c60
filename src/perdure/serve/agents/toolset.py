"""pydantic-ai's toolset of all drives: each call goes to `Drive.call`, which knows its name and arguments by its id.

Arguments are not looked at here: the toolbox holds them against their schema, so that a mistake stands in the journal like any result.
"""

from __future__ import annotations

from typing import Any

from pydantic_ai import RunContext
from pydantic_ai.tools import ToolDefinition
from pydantic_ai.toolsets import AbstractToolset, ToolsetTool
from pydantic_core import SchemaValidator, core_schema

from perdure.serve.agents.chatting import MISTAKE_TOOL
from perdure.serve.agents.drives import Drive

_ANYTHING = SchemaValidator(core_schema.dict_schema())


class DrivenToolset(AbstractToolset[Drive]):
    """The tools that a run's toolbox offers, and one for calls of what is none of them."""

    def __init__(self) -> None:
        self._known: dict[str, ToolsetTool[Drive]] = {}

    @property
    def id(self) -> str:
        """Of the only one."""
        return "perdure"

    async def get_tools(self, ctx: RunContext[Drive]) -> dict[str, ToolsetTool[Drive]]:
        """By name, made once for all runs."""
        names = (*(each.name for each in ctx.deps.driven.toolbox.offered), MISTAKE_TOOL)
        return {name: self._known.get(name) or self._made(name) for name in names}

    def _made(self, name: str) -> ToolsetTool[Drive]:
        definition = ToolDefinition(name=name, parameters_json_schema={"type": "object", "properties": {}})
        made = self._known[name] = ToolsetTool(
            toolset=self, tool_def=definition, max_retries=0, args_validator=_ANYTHING
        )
        return made

    async def call_tool(
        self,
        name: str,  # noqa: ARG002 - the drive has it
        tool_args: dict[str, Any],  # noqa: ARG002 - the drive has them
        ctx: RunContext[Drive],
        tool: ToolsetTool[Drive],  # noqa: ARG002 - all are called alike
    ) -> str:
        """What it gives, as the model reads it.

        Raises:
            LostLease: another worker drives this run now.
        """
        return await ctx.deps.call(ctx.tool_call_id or "")
