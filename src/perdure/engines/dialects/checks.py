"""Members of a request, with the error that a client understands where one is missing or of the wrong type."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from perdure.core.errors import BadRequest, UpstreamBad

Json = dict[str, Any]
Kind = Literal["string", "list", "object", "boolean", "integer", "number"]
_TYPES: dict[Kind, tuple[type, ...]] = {
    "string": (str,),
    "list": (list,),
    "object": (dict,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
}


def required(body: Json, name: str, kind: Kind, where: str = "") -> Any:
    """A member that must be there.

    Raises:
        BadRequest: it is missing, null or of another type; says where.
    """
    value = optional(body, name, kind, where)
    if value is None:
        raise BadRequest(f"`{where}{name}` is missing: it must be {_a(kind)}.", param=f"{where}{name}")
    return value


def optional(body: Json, name: str, kind: Kind, where: str = "") -> Any:
    """A member that may be missing or null, then None.

    Raises:
        BadRequest: it is of another type.
    """
    value = body.get(name)
    if value is None or (isinstance(value, _TYPES[kind]) and (kind == "boolean") == isinstance(value, bool)):
        return value
    raise BadRequest(f"`{where}{name}` must be {_a(kind)}.", param=f"{where}{name}")


def objects(body: Json, name: str, where: str = "") -> list[Json]:
    """A list of objects; empty where it is missing or null.

    Raises:
        BadRequest: it is no list, or one of its items is no object.
    """
    found = optional(body, name, "list", where) or []
    for index, item in enumerate(found):
        if not isinstance(item, dict):
            raise BadRequest(f"`{where}{name}[{index}]` must be an object.", param=f"{where}{name}[{index}]")
    return found


def answer(body: bytes) -> Json:
    """The JSON object that an upstream answered with.

    Raises:
        UpstreamBad: it is none.
    """
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UpstreamBad(
            "The upstream's answer is no JSON.", hint="Check the upstream's address and dialect."
        ) from error
    if not isinstance(found, dict):
        raise UpstreamBad("The upstream's answer is no JSON object.", hint="Check the upstream's address and dialect.")
    return found


def _a(kind: Kind) -> str:
    return f"an {kind}" if kind[0] in "oi" else f"a {kind}"
