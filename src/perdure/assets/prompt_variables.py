"""What a prompt may be given: its variables as a JSON schema, from a Pydantic class or from names with their types.

A version holds the schema, so what a class checks by code of its own cannot be part of it: such a class is refused, and so is
a default that only code can make.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from perdure.core.canonical import plain
from perdure.core.errors import BadPrompt, DeclarationError, nearest

Schema = dict[str, Any]

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_SIMPLE: Mapping[str, Schema] = {
    "str": {"type": "string"},
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "bool": {"type": "boolean"},
    "object": {"type": "object"},
}
TYPES: Mapping[str, Schema] = {
    **_SIMPLE,
    "dict": _SIMPLE["object"],
    **{f"list[{name}]": {"type": "array", "items": schema} for name, schema in _SIMPLE.items()},
}
"""Types by the names that front matter has for them."""
_TOLD = ("type", "default", "choices", "max_length", "description")
_DECORATORS = ("validators", "field_validators", "root_validators", "model_validators", "computed_fields")


def variables_schema(prompt: str, variables: type[BaseModel] | Mapping[str, Any]) -> Schema:
    """The JSON schema of a prompt's variables: an object that has these and no others.

    Args:
        prompt: its name, for errors.
        variables: a Pydantic class; or name → type (`str`, `"list[str]"`), or name → `{type, default, choices,
            max_length, description}`. A variable without a default must be given; a default of null lets it be null.

    Raises:
        BadPrompt: a type that is not known, or a default that is not of its variable's type.

    >>> variables_schema("answer", {"question": str, "tone": {"type": "str", "default": "formal"}})["required"]
    ['question']
    """
    if isinstance(variables, type):
        schema = _of_class(prompt, variables)
    else:
        told = {name: _property(prompt, name, declared) for name, declared in variables.items()}
        required = [name for name, each in told.items() if "default" not in each]
        schema = {"type": "object", "properties": told, "required": required}
    for name in schema["properties"]:
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise BadPrompt(
                f"Prompt {prompt!r} has a variable {name!r}.", hint="Use letters, 0-9 and _ in it, a letter first."
            )
    return {**schema, "additionalProperties": False}


def model_schema(prompt: str, model: Any, what: str) -> Schema:
    """The JSON schema of a Pydantic class.

    Raises:
        BadPrompt: it is none, or has what no schema can say.
    """
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        raise BadPrompt(f"The {what} of prompt {prompt!r} are no Pydantic class and no mapping.", hint="Give either.")
    found = model.model_json_schema()
    return {name: value for name, value in found.items() if name != "title"}


def _of_class(prompt: str, model: type[BaseModel]) -> Schema:
    found = model_schema(prompt, model, "variables")
    schema = {"properties": {}, "required": [], **{name: each for name, each in found.items() if name != "description"}}
    decorators = model.__pydantic_decorators__
    if any(getattr(decorators, each) for each in _DECORATORS):
        raise BadPrompt(
            f"The variables of prompt {prompt!r} are checked by code of {model.__name__}, which no version could hold.",
            hint="Use types and constraints of Field alone.",
        )
    for name, each in schema["properties"].items():
        if name not in schema["required"] and "default" not in each:
            raise BadPrompt(
                f"The variable {name!r} of prompt {prompt!r} has a default that only code can make.",
                hint="Write a plain default, or none.",
            )
    return schema


def _property(prompt: str, name: str, declared: Any) -> Schema:
    told: Mapping[str, Any] = declared if isinstance(declared, Mapping) else {"type": declared}
    for key in told:
        if key not in _TOLD:
            near = nearest(str(key), _TOLD)
            raise BadPrompt(
                f"The variable {name!r} of prompt {prompt!r} has {key!r}, which means nothing.",
                hint=f"Did you mean {near!r}?" if near else f"Use {', '.join(_TOLD)}.",
            )
    schema = dict(_type(prompt, name, told.get("type", "str")))
    if "choices" in told:
        schema["enum"] = _choices(prompt, name, told["choices"], schema)
    if "max_length" in told:
        schema["maxLength"] = _length(prompt, name, told["max_length"], schema)
    if "default" in told:
        schema = _with_default(prompt, name, told["default"], schema)
    return schema | ({"description": str(told["description"])} if "description" in told else {})


def _type(prompt: str, name: str, declared: Any) -> Schema:
    text = declared.__name__ if isinstance(declared, type) and declared in (str, int, float, bool, dict) else declared
    text = str(text).replace(" ", "")
    if text not in TYPES:
        near = nearest(text, TYPES)
        raise BadPrompt(
            f"The variable {name!r} of prompt {prompt!r} is a {text!r}, which is no type here.",
            hint=f"Did you mean {near!r}?" if near else f"Use {', '.join(TYPES)}.",
        )
    return TYPES[text]


def _choices(prompt: str, name: str, choices: Any, schema: Schema) -> list[Any]:
    if not isinstance(choices, list | tuple) or not choices or not all(_fits(schema, each) for each in choices):
        raise BadPrompt(
            f"The choices of variable {name!r} of prompt {prompt!r} are no list of its type.",
            hint="Write them as choices: [formal, casual]; quote yes, no, on, off.",
        )
    return list(choices)


def _length(prompt: str, name: str, length: Any, schema: Schema) -> int:
    if not isinstance(length, int) or isinstance(length, bool) or length < 1 or schema["type"] != "string":
        raise BadPrompt(
            f"The variable {name!r} of prompt {prompt!r} has a max_length of {length!r}.",
            hint="Give a text a whole number of characters.",
        )
    return length


def _with_default(prompt: str, name: str, default: Any, schema: Schema) -> Schema:
    if default is None:
        return {"anyOf": [schema, {"type": "null"}], "default": None}
    try:
        value = plain(default)
    except DeclarationError:
        value = None
    if not _fits(schema, value):
        raise BadPrompt(
            f"The default of variable {name!r} of prompt {prompt!r} is not of its type.",
            hint="Give one that is, or none; quote yes, no, on, off and dates.",
        )
    return {**schema, "default": value}


_KINDS: Mapping[str, tuple[type, ...]] = {
    "string": (str,), "integer": (int,), "number": (int, float), "boolean": (bool,), "object": (dict,), "array": (list,),
}  # fmt: skip


def _fits(schema: Schema, value: Any) -> bool:
    kind = schema["type"]
    if not isinstance(value, _KINDS[kind]) or (isinstance(value, bool) and kind != "boolean"):
        return False
    if "enum" in schema and value not in schema["enum"]:
        return False
    if isinstance(value, str) and len(value) > schema.get("maxLength", len(value)):
        return False
    return not isinstance(value, list) or all(_fits(schema["items"], each) for each in value)
