"""The form that a prompt asks answers to have, as OpenAI's `response_format` says it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_-]")


def response_format(name: str, output: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """`response_format` for a JSON schema; None for text.

    It is `strict` where the schema is as strict mode wants it: every object closed, and every member of it required.

    >>> response_format("a.b", {"type": "object", "properties": {}, "additionalProperties": False})["json_schema"]["strict"]
    True
    """
    if output is None:
        return None
    told: dict[str, Any] = {"name": _NOT_IN_NAMES.sub("_", name)[:64], "schema": dict(output)}
    return {"type": "json_schema", "json_schema": told | ({"strict": True} if _is_closed(output) else {})}


def _is_closed(schema: Any) -> bool:
    if isinstance(schema, list):
        return all(_is_closed(each) for each in schema)
    if not isinstance(schema, Mapping):
        return True
    if schema.get("type") == "object" or "properties" in schema:
        properties = schema.get("properties", {})
        if schema.get("additionalProperties") is not False or set(schema.get("required", ())) != set(properties):
            return False
    return all(_is_closed(each) for key, each in schema.items() if key not in ("default", "const", "enum", "examples"))
