"""JSON schemas as Anthropic's structured output takes them: it refuses what it cannot constrain.

Every object must be closed, and bounds on numbers, texts and long lists are not known: they move into the description, where
the model reads them. The same is done by Anthropic's own SDKs. Called by `anthropic_out`.
"""

from __future__ import annotations

from typing import Any

import msgspec

Json = dict[str, Any]
_KNOWN = frozenset(
    {
        "type", "enum", "const", "anyOf", "allOf", "$ref", "$defs", "definitions", "properties", "required", "items",
        "additionalProperties", "description", "title", "default",
    }
)  # fmt: skip
_SILENT = frozenset({"$schema", "$id", "examples"})
"""Say nothing that a model could keep to."""
_FORMATS = frozenset({"date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"})


def constrained(schema: Any) -> Any:
    """The schema with closed objects, and with its unsupported bounds as words.

    >>> constrained({"type": "integer", "minimum": 1})
    {'type': 'integer', 'description': '{"minimum":1}'}
    """
    if not isinstance(schema, dict):
        return schema
    told: Json = {}
    words: Json = {}
    for name, value in schema.items():
        if name in ("properties", "$defs", "definitions") and isinstance(value, dict):
            told[name] = {key: constrained(inner) for key, inner in value.items()}
        elif name in ("anyOf", "oneOf", "allOf") and isinstance(value, list):
            told["anyOf" if name == "oneOf" else name] = [constrained(inner) for inner in value]
        elif name == "items":
            told[name] = constrained(value)
        elif _is_known(name, value):
            told[name] = value
        elif name not in _SILENT:
            words[name] = value
    if told.get("type") == "object" or "properties" in told:
        told["additionalProperties"] = False
    if words:
        said = msgspec.json.encode(words).decode()
        told["description"] = f"{told['description']}\n\n{said}" if told.get("description") else said
    return told


def _is_known(name: str, value: Any) -> bool:
    return name in _KNOWN or (name == "format" and value in _FORMATS) or (name == "minItems" and value in (0, 1))
