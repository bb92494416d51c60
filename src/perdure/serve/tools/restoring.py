"""Tools as a version tells them, made into declarations again: a version is run as it was made, whatever is declared now."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from perdure.assets.tools import (
    AgentTool,
    FeaturesTool,
    FunctionTool,
    HttpTool,
    McpTools,
    PredictTool,
    SearchTool,
    Tool,
    ToolTerms,
)
from perdure.core.errors import BadAgent

_KINDS: Mapping[str, Callable[..., Tool]] = {
    "search": SearchTool, "predict": PredictTool, "features": FeaturesTool, "http": HttpTool, "mcp": McpTools, "agent": AgentTool,
}  # fmt: skip


def tool_of(told: Mapping[str, Any], functions: Mapping[str, FunctionTool]) -> Tool:
    """The tool of a definition; see `assets.tools.tool_definition`.

    Args:
        told: the definition.
        functions: by name, those that the version was made of.

    Raises:
        BadAgent: it is of a kind that is not known, or its function is not there.
    """
    own = {name: value for name, value in told.items() if name not in ("kind", "terms")}
    terms = terms_of(told.get("terms", {}))
    if told["kind"] == "function":
        return _function(told, functions, terms)
    made = _KINDS.get(told["kind"])
    if made is None:
        raise BadAgent(
            f"A version has a tool of the kind {told['kind']!r}, which is not known here.",
            hint="Serve it by the perdure that made it, or a later one.",
        )
    if told["kind"] == "mcp":
        own["terms_of"] = {name: terms_of(each) for name, each in own.get("terms_of", {}).items()}
    return made(**own, terms=terms)


def terms_of(told: Mapping[str, Any]) -> ToolTerms:
    """Terms of their definition."""
    own = dict(told)
    if "timeout" in own:
        own["timeout"] = timedelta(seconds=own["timeout"])
    return ToolTerms(**own)


def _function(told: Mapping[str, Any], functions: Mapping[str, FunctionTool], terms: ToolTerms) -> FunctionTool:
    found = functions.get(told["name"])
    if found is None:
        raise BadAgent(
            f"The function of the tool {told['name']!r} is not declared any more.",
            hint="Declare it again: perdure apply.",
        )
    return FunctionTool(found.function, told["name"], told["description"], terms, found.happened)
