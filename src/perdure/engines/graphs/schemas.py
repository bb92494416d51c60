"""Types between nodes: the part of JSON schema that says what one value can be, and whether what is given fits what is wanted.

Schemas are told apart only where no value could fit: `text` where one of two words is wanted may fit, and passes. What a schema says in
ways that are not read here (patterns, lengths, `not`) passes too.

What surprised us: Pydantic writes a class that holds itself as a `$ref` in a circle; it becomes *anything* where it comes round.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Schema = Mapping[str, Any]

ANY: Schema = {}
TEXT: Schema = {"type": "string"}
NUMBER: Schema = {"type": "number"}
WHOLE: Schema = {"type": "integer"}
NULL: Schema = {"type": "null"}
_WORDS: Mapping[str, str] = {
    "string": "text",
    "number": "number",
    "integer": "whole number",
    "boolean": "true or false",
    "null": "null",
}
_SHOWN = 4
_DEEPEST = 12


def record(
    required: Mapping[str, Schema], optional: Mapping[str, Schema] | None = None, *, closed: bool = True
) -> Schema:
    """An object of these members."""
    properties = {**required, **(optional or {})}
    told = {"type": "object", "properties": properties, "required": list(required)}
    return told | ({"additionalProperties": False} if closed else {})


def list_of(item: Schema) -> Schema:
    """A list of such items."""
    return {"type": "array", "items": item}


def as_given(schema: Schema) -> Schema:
    """What a node gives whose function or tool gives this: an object as it is, everything else as its member `value`."""
    kinds = {each.get("type") for each in options(schema)}
    return schema if kinds <= {"object"} or None in kinds else record({"value": schema})


def inline(schema: Schema) -> Schema:
    """A schema that stands on its own, without `$ref`.

    >>> inline({"$defs": {"A": {"type": "string"}}, "properties": {"a": {"$ref": "#/$defs/A"}}})["properties"]["a"]
    {'type': 'string'}
    """
    found = _inlined(schema, schema, ())
    return {name: each for name, each in found.items() if name not in ("$defs", "definitions")}


def _inlined(part: Any, whole: Schema, way: tuple[str, ...]) -> Any:
    if isinstance(part, list | tuple):
        return [_inlined(each, whole, way) for each in part]
    if not isinstance(part, Mapping):
        return part
    address = part.get("$ref")
    if not isinstance(address, str):
        return {name: each if name in ("$defs", "definitions") else _inlined(each, whole, way)
                for name, each in part.items()}  # fmt: skip
    if address in way or len(way) > _DEEPEST:
        return {}
    target = _found(address, whole)
    beside = {name: each for name, each in part.items() if name != "$ref"}
    return {**_inlined(target, whole, (*way, address)), **_inlined(beside, whole, way)}


def _found(address: str, whole: Any) -> Any:
    for step in address.removeprefix("#").strip("/").split("/"):
        name = step.replace("~1", "/").replace("~0", "~")
        whole = whole.get(name) if isinstance(whole, Mapping) and name else whole
    return whole if address.startswith("#") and isinstance(whole, Mapping) else {}


def options(schema: Schema) -> list[Schema]:
    """The types that it allows, each with one `type` or none.

    >>> options({"anyOf": [{"type": ["string", "null"]}, {"type": "integer"}]})
    [{'type': 'string'}, {'type': 'null'}, {'type': 'integer'}]
    """
    for key in ("anyOf", "oneOf"):
        if isinstance(schema.get(key), Sequence):
            return [each for part in schema[key] for each in options(part)]
    if isinstance(schema.get("allOf"), Sequence):
        merged: dict[str, Any] = {name: each for name, each in schema.items() if name != "allOf"}
        for part in schema["allOf"]:
            merged = {**part, **merged}
        return options(merged)
    types = schema.get("type")
    if isinstance(types, list | tuple):
        return [{**schema, "type": each} for each in types]
    if types is None and "const" in schema:
        return [{"type": _type_of(schema["const"]), "const": schema["const"]}]
    if types is None and isinstance(schema.get("enum"), Sequence):
        kinds = dict.fromkeys(_type_of(each) for each in schema["enum"])
        return [{"type": kind, "enum": [each for each in schema["enum"] if _type_of(each) == kind]} for kind in kinds]
    if types is None and "properties" in schema:
        return [{**schema, "type": "object"}]
    return [schema]


def union(schemas: Sequence[Schema]) -> Schema:
    """What is one of these, each told once."""
    found: list[Schema] = []
    for each in (option for schema in schemas for option in options(schema)):
        if each not in found:
            found.append(each)
    if any("type" not in each for each in found):
        return ANY
    return found[0] if len(found) == 1 else {"anyOf": found}


def may_be_null(schema: Schema) -> bool:
    """Whether null is among what it allows, said so; *anything* is not."""
    return any(each.get("type") == "null" for each in options(schema))


def without_null(schema: Schema) -> Schema:
    """The same without null."""
    left = [each for each in options(schema) if each.get("type") != "null"]
    return union(left) if left else NULL


def schema_of(value: Any) -> Schema:
    """The narrowest schema of a value."""
    if isinstance(value, Mapping):
        return record({str(name): schema_of(each) for name, each in value.items()})
    if isinstance(value, list | tuple):
        return list_of(union([schema_of(each) for each in value]) if value else ANY)
    return NULL if value is None else {"type": _type_of(value), "const": value}


@dataclass(frozen=True, slots=True)
class Part:
    """A member or an item of a value."""

    schema: Schema | None
    """None: there can be none."""
    known: Sequence[str] = ()
    """Names of the members that there are."""
    optional: bool = False
    """It may be missing."""


def part_of(schema: Schema, step: str | int) -> Part:
    """What a member or a place of such a value is; of null it is null, which is left to the caller."""
    found: list[Part] = [_part(each, step) for each in options(schema) if each.get("type") != "null"]
    there = [each for each in found if each.schema is not None]
    if not there:
        return Part(None, tuple(dict.fromkeys(name for each in found for name in each.known)))
    optional = len(there) < len(found) or any(each.optional for each in there)
    return Part(union([each.schema for each in there if each.schema is not None]), (), optional)


def _part(schema: Schema, step: str | int) -> Part:
    kind = schema.get("type")
    if kind is None:
        return Part(ANY)
    if isinstance(step, int):
        return Part(schema.get("items", ANY), (), optional=True) if kind == "array" else Part(None)
    if kind != "object":
        return Part(None)
    properties: Mapping[str, Any] = schema.get("properties", {})
    if step in properties:
        declared = properties[step]
        return Part(declared, (), step not in schema.get("required", ()) and "default" not in declared)
    others = schema.get("additionalProperties", not properties)
    if others is False or (properties and others is True):
        return Part(None, tuple(properties))
    return Part(others if isinstance(others, Mapping) else ANY, (), optional=bool(properties))


def with_defaults(schema: Schema, value: Any) -> Any:
    """A value with the defaults of members that are missing from it: what `part_of` takes to be there. Of a union only a single object's.

    >>> with_defaults({"type": "object", "properties": {"n": {"type": "integer", "default": 1}, "m": {}}}, {})
    {'n': 1}
    """
    if isinstance(value, list):
        items = _only(schema, "array").get("items")
        return [with_defaults(items, each) for each in value] if isinstance(items, Mapping) else value
    if not isinstance(value, dict):
        return value
    found = dict(value)
    for name, declared in _only(schema, "object").get("properties", {}).items():
        if name in value:
            found[name] = with_defaults(declared, value[name])
        elif "default" in declared:
            found[name] = declared["default"]
    return found


def _only(schema: Schema, kind: str) -> Schema:
    found = [each for each in options(schema) if each.get("type") == kind]
    return found[0] if len(found) == 1 else {}


def misfit(given: Schema, wanted: Schema, depth: int = 0) -> str:
    """Why no value of one schema fits another; empty where one may.

    >>> misfit({"type": "string"}, {"type": "integer"})
    'it is text, and whole number is wanted'
    >>> misfit({"type": "integer"}, {"type": "number"})
    ''
    """
    if depth > _DEEPEST:
        return ""
    allowed = options(wanted)
    for each in options(given):
        whys = [_misfit(each, option, depth) for option in allowed]
        if all(whys):
            same = [why for why, option in zip(whys, allowed, strict=True) if option.get("type") == each.get("type")]
            return same[0] if len(same) == 1 else f"it is {told(each)}, and {told(wanted)} is wanted"
    return ""


def _misfit(given: Schema, wanted: Schema, depth: int) -> str:
    mine, theirs = given.get("type"), wanted.get("type")
    if mine is None or theirs is None:
        return ""
    if mine != theirs and not (mine == "integer" and theirs == "number"):
        whole = mine == "number" and theirs == "integer" and isinstance(given.get("const"), float)
        if not (whole and given["const"].is_integer()):
            return f"it is {told(given)}, and {told(wanted)} is wanted"
    values, choices = _values(given), _values(wanted)
    if values is not None and choices is not None and not set(map(repr, values)) <= set(map(repr, choices)):
        return f"it is {told(given)}, and {told(wanted)} is wanted"
    if mine == "array":
        why = misfit(given.get("items", ANY), wanted.get("items", ANY), depth + 1)
        return f"of its items: {why}" if why else ""
    return _object_misfit(given, wanted, depth) if mine == "object" else ""


def _object_misfit(given: Schema, wanted: Schema, depth: int) -> str:
    mine: Mapping[str, Any] = given.get("properties", {})
    theirs: Mapping[str, Any] = wanted.get("properties", {})
    if not mine:
        return ""
    for name in wanted.get("required", ()):
        if name not in mine:
            return f"it has no member {name!r}"
    for name, each in mine.items():
        if name in theirs:
            why = misfit(each, theirs[name], depth + 1)
            if why:
                return f"of its member {name!r}: {why}"
        elif wanted.get("additionalProperties") is False and name in given.get("required", ()):
            return f"it has the member {name!r}, which is not wanted"
    return ""


def values_of(schema: Schema) -> list[Any] | None:
    """Every value that it can be, where they are counted; None where they are not."""
    found: list[Any] = []
    for each in options(schema):
        values = [None] if each.get("type") == "null" else _values(each)
        if values is None:
            return None
        found += values
    return found


def _values(schema: Schema) -> list[Any] | None:
    if "const" in schema:
        return [schema["const"]]
    return list(schema["enum"]) if isinstance(schema.get("enum"), Sequence) else None


def told(schema: Schema, *, deep: bool = True) -> str:
    """A schema in words.

    >>> told({"type": "array", "items": {"anyOf": [{"type": "string"}, {"type": "null"}]}})
    'list of text or null'
    """
    return " or ".join(dict.fromkeys(_told(each, deep) for each in options(schema)))


def _told(schema: Schema, deep: bool) -> str:
    kind = schema.get("type")
    if kind is None:
        return "anything"
    values = _values(schema)
    if values is not None and deep:
        shown = [repr(each) if isinstance(each, str) else str(each) for each in values[:_SHOWN]]
        return " or ".join([*shown, *(["…"] if len(values) > _SHOWN else [])])
    if kind == "array":
        items = schema.get("items", ANY)
        return f"list of {told(items, deep=False)}" if items else "list"
    if kind == "object":
        names = list(schema.get("properties", ()))
        listed = ", ".join(names[:_SHOWN]) + (" …" if len(names) > _SHOWN else "")
        return f"object with {listed}" if names and deep else "object"
    return _WORDS.get(str(kind), str(kind))


def _type_of(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    kinds = ((str, "string"), (int, "integer"), (float, "number"), (Mapping, "object"), (list | tuple, "array"))
    return next((name for kind, name in kinds if isinstance(value, kind)), "null")
