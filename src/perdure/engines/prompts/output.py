"""The form that a prompt asks answers to have, as OpenAI's `response_format` says it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from perdure.engines.prompts.variables import validator_of

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_-]")


def response_format(name: str, output: str | None) -> dict[str, Any] | None:
    """`response_format` for a JSON schema as text; None for text.

    It is `strict` where the schema is as strict mode wants it: every object closed, and every member of it required.

    Raises:
        BadPrompt: it is no schema, or refers to another document.

    >>> response_format("a.b", '{"type": "object", "properties": {}, "additionalProperties": false}')["json_schema"]["strict"]
    True
    """
    if output is None:
        return None
    schema = msgspec.json.decode(output)
    validator_of(f"The output of prompt {name!r}", schema)
    told: dict[str, Any] = {"name": _NOT_IN_NAMES.sub("_", name)[:64], "schema": schema}
    return {"type": "json_schema", "json_schema": told | ({"strict": True} if _is_closed(schema) else {})}


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
