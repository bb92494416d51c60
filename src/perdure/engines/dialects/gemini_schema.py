"""JSON schemas as Gemini takes them: a subset, and a request that holds more of it than that is refused as a whole.

`parametersJsonSchema` and `responseJsonSchema` know more than the older `parameters` and `responseSchema` (references,
`anyOf`, `additionalProperties`), so schemas stay schemas here. Source: ai.google.dev, "Structured outputs", JSON schema
support. Called by `gemini_request`.
"""

from __future__ import annotations

from typing import Any

from perdure.core.errors import BadRequest

Json = dict[str, Any]
MAX_DEPTH = 64
_KEPT = frozenset(
    {
        "$id", "$anchor", "type", "title", "description", "enum", "minItems", "maxItems", "minimum", "maximum",
        "required", "propertyOrdering",
    }
)  # fmt: skip
_ONE = ("items", "additionalProperties")
_LISTS = {"anyOf": "anyOf", "oneOf": "anyOf", "prefixItems": "prefixItems"}
_NAMED = {"properties": "properties", "$defs": "$defs", "definitions": "$defs"}
_FORMATS = frozenset({"date-time", "date", "time", "float", "double", "int32", "int64"})


def cleaned(schema: Any, depth: int = 0) -> Any:
    """The schema without what Gemini refuses; what it asks of a value is never made narrower.

    `oneOf` becomes `anyOf`, a constant an enumeration of one, `definitions` `$defs`; of `allOf` the members are laid
    over one another. Patterns, lengths, defaults and unknown formats are left out.

    Raises:
        BadRequest: more than `MAX_DEPTH` schemas within one another.

    >>> cleaned({"$schema": "…", "type": "string", "const": "a", "pattern": "a+", "format": "email"})
    {'type': 'string', 'enum': ['a']}
    """
    if not isinstance(schema, dict):
        return schema
    if depth > MAX_DEPTH:
        raise BadRequest(f"A JSON schema is nested more than {MAX_DEPTH} deep.", hint="Use `$defs` and `$ref`.")
    if isinstance(schema.get("$ref"), str):  # beside a reference nothing but members with a dollar is taken
        return _with_definitions({"$ref": schema["$ref"].replace("#/definitions/", "#/$defs/")}, schema, depth)
    told: Json = {}
    for part in schema.get("allOf") or ():
        _overlay(told, cleaned(part, depth + 1))
    for name, value in schema.items():
        _overlay(told, _member(name, value, depth))
    if schema.get("nullable") is True and isinstance(told.get("type"), str):
        told["type"] = [told["type"], "null"]
    return told


def _member(name: str, value: Any, depth: int) -> Json:
    if name in _KEPT or (name == "format" and value in _FORMATS):
        return {name: value}
    if name == "const":
        return {"enum": [value]}
    if name in _ONE:
        return {name: cleaned(value, depth + 1)}
    if name in _LISTS and isinstance(value, list):
        return {_LISTS[name]: [cleaned(each, depth + 1) for each in value]}
    if name in _NAMED and isinstance(value, dict):
        return {_NAMED[name]: {key: cleaned(each, depth + 1) for key, each in value.items()}}
    return {}


def _with_definitions(told: Json, schema: Json, depth: int) -> Json:
    for name in ("$defs", "definitions"):
        if isinstance(schema.get(name), dict):
            found = {key: cleaned(each, depth + 1) for key, each in schema[name].items()}
            told["$defs"] = {**told.get("$defs", {}), **found}
    return told


def _overlay(told: Json, part: Any) -> None:
    for name, value in part.items() if isinstance(part, dict) else ():
        if name in ("properties", "$defs"):
            told[name] = {**told.get(name, {}), **value}
        elif name == "required" and isinstance(value, list):
            told[name] = list(dict.fromkeys([*told.get(name, ()), *value]))
        else:
            told[name] = value
