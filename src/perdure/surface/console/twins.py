"""The JSON of a page or a deed, at `/api` and its address: `{"title", "data", "cli", "as_of"}`, where `data` is the record that the page draws.

Errors are those of the whole system: `{"error": {"code", "message", "hint", "facts"}}` with the status of their family.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from perdure.core.clock import iso

if TYPE_CHECKING:
    from datetime import datetime

    from perdure.core.errors import PerdureError
    from perdure.surface.console.records import Deed, Done, Page, View

API = "/api"
_PARAMETER = re.compile(r"{([a-z_]+)(?::path)?}")
_TOLD = {"description": "Why not.", "content": {"application/json": {"schema": {"type": "object"}}}}


def api_path(path: str) -> str:
    """Where the twin of an address is.

    >>> api_path("/"), api_path("/?all=1"), api_path("/incidents/{id}")
    ('/api', '/api?all=1', '/api/incidents/{id}')
    """
    return API + path.removeprefix("/") if path == "/" or path.startswith("/?") else API + path


def plain_of(data: Any) -> Any:
    """The record as JSON has it: sets in order, instants as ISO 8601, what is no number as null.

    >>> plain_of({"ratio": float("nan"), "columns": frozenset({2, 1})})
    {'columns': [1, 2], 'ratio': None}
    """
    return msgspec.json.decode(_encode(data))


def view_json(view: View, at: datetime) -> bytes:
    """The twin of a page."""
    return _encode({"title": view.title, "data": view.data, "cli": view.cli, "as_of": iso(at)})


def done_json(done: Done) -> bytes:
    """The twin of a deed."""
    return _encode({"text": done.text, "to": done.to, "data": done.data})


def error_json(error: PerdureError) -> bytes:
    """An error as all of perdure's servers tell it."""
    return _encode({"error": error.as_dict()})


def form_of(body: Any) -> dict[str, str]:
    """The fields of a JSON object, as a form has them.

    >>> form_of({"reason": "late", "n": 2, "on": True, "to": None})
    {'reason': 'late', 'n': '2', 'on': 'true', 'to': ''}
    """
    return {str(name): _text_of(value) for name, value in body.items()}


def page_schema(page: Page) -> dict[str, Any]:
    """What OpenAPI says of a page beyond its address."""
    shape = {
        "type": "object",
        "required": ["title", "data", "cli", "as_of"],
        "properties": {
            "title": {"type": "string"},
            "data": {"description": "What the page draws."},
            "cli": {"type": "string"},
            "as_of": {"type": "string"},
        },
    }
    return {"parameters": _parameters(page.path), "responses": _responses("What the page shows.", shape)}


def deed_schema(deed: Deed) -> dict[str, Any]:
    """What OpenAPI says of a deed."""
    fields: dict[str, Any] = {"type": "object", "additionalProperties": {"type": "string"}}
    if deed.asks_reason:
        fields |= {"required": ["reason"], "properties": {"reason": {"type": "string", "minLength": 1}}}
    shape = {
        "type": "object",
        "required": ["text", "to", "data"],
        "properties": {"text": {"type": "string"}, "to": {"type": "string"}, "data": {}},
    }
    body = {"required": deed.asks_reason, "content": {"application/json": {"schema": fields}}}
    return {"parameters": _parameters(deed.path), "requestBody": body, "responses": _responses("What came.", shape)}


def _parameters(path: str) -> list[Mapping[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _PARAMETER.findall(path)
    ]


def _responses(words: str, shape: Mapping[str, Any]) -> dict[str, Any]:
    told = {"description": words, "content": {"application/json": {"schema": shape}}}
    return {"200": told, "4XX": _TOLD, "5XX": _TOLD}


def _text_of(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and math.isfinite(value) and value == int(value):
        return str(int(value))
    return value if isinstance(value, str) else str(value)


def _encode(value: Any) -> bytes:
    return msgspec.json.encode(value, order="deterministic")
