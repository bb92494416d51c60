"""The model calls no other tools than these, with arguments that are a JSON object."""

from __future__ import annotations

import json
from collections.abc import Sequence

from perdure.engines.guards.checks import Finding, Json
from perdure.engines.guards.conversation import calls_of, custom_calls_of


class ToolCallsCheck:
    """Judges the tool calls of an answer.

    >>> call = {"function": {"name": "rm", "arguments": "{}"}}
    >>> ToolCallsCheck(["search"]).judge([{"tool_calls": [call]}], []).kind
    'tool_not_allowed'
    """

    name = "tool_calls"

    def __init__(self, allowed: Sequence[str]) -> None:
        self._allowed = frozenset(allowed)

    def judge(self, answers: Sequence[Json], messages: Sequence[Json]) -> Finding | None:  # noqa: ARG002 - one shape for all
        """A finding where a tool is not allowed, or its arguments are no JSON object (none at all is an empty one)."""
        for answer in answers:
            for index, (name, arguments) in enumerate(calls_of(answer)):
                if name not in self._allowed:
                    return Finding("tool_not_allowed", evidence={"call": index})
                if arguments.strip() and not _is_object(arguments):
                    return Finding("arguments_not_json", evidence={"call": index, "tool": name})
            for index, (name, _) in enumerate(custom_calls_of(answer)):
                if name not in self._allowed:
                    return Finding("tool_not_allowed", evidence={"call": index})
        return None


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False
