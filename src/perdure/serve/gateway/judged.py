"""What guards look at in requests that no other dialect can say: responses, embeddings; and how it is put back once masked.

Texts become messages, so that one guard judges every endpoint: the items of `input`, the `instructions`, the variables of a
stored prompt. Token ids are no text: where a guard must judge them, they are refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from perdure.core.errors import BadRequest

Json = dict[str, Any]
Place = tuple[str, Any]
"""Member of the request, and where in it: an index, a name, or None for the whole."""
MEMBERS = ("input", "instructions", "prompt")


def judged(body: Json) -> tuple[list[Json], list[Place]]:
    """The texts of a request as neutral messages, and where each stands."""
    messages: list[Json] = []
    places: list[Place] = []
    if body.get("instructions"):
        messages.append({"role": "system", "content": body["instructions"]})
        places.append(("instructions", None))
    prompt = body.get("prompt")
    variables = prompt.get("variables") if isinstance(prompt, dict) else None
    for name, value in (variables if isinstance(variables, dict) else {}).items():
        messages.append({"role": "user", "content": value if isinstance(value, str) else [value]})
        places.append(("prompt", name))
    given = body.get("input")
    if isinstance(given, list):
        messages += [_message(each) for each in given]
        places += [("input", place) for place in range(len(given))]
    elif given is not None:
        messages.append(_message(given))
        places.append(("input", None))
    return messages, places


def must_be_text(messages: Sequence[Json]) -> None:
    """Refuse what no guard can read.

    Raises:
        BadRequest: token ids instead of text.
    """
    for message in messages:
        content = message.get("content")
        if isinstance(content, int) or (isinstance(content, list) and any(isinstance(each, int) for each in content)):
            raise BadRequest(
                "The input holds token ids, which the guards of this route cannot read.",
                hint="Send text.",
                param="input",
            )


def put_back(body: Json, messages: Sequence[Json], places: Sequence[Place]) -> Json:
    """The members that hold judged texts, with the messages as they are now."""
    changes = {name: body[name] for name in MEMBERS if name in body}
    if isinstance(changes.get("input"), list):
        changes["input"] = list(changes["input"])
    if any(member == "prompt" for member, _ in places):
        changes["prompt"] = {**changes["prompt"], "variables": dict(changes["prompt"]["variables"])}
    for message, (member, place) in zip(messages, places, strict=True):
        if member == "prompt":
            old = changes["prompt"]["variables"][place]
            changes["prompt"]["variables"][place] = (
                message["content"] if isinstance(old, str) else message["content"][0]
            )
        elif place is None:
            changes[member] = _item(changes[member], message)
        else:
            changes["input"][place] = _item(changes["input"][place], message)
    return changes


def _message(item: Any) -> Json:
    """An item of `input` as a message: what a tool gave and what a call was given are texts too."""
    if not isinstance(item, dict):
        return {"role": "user", "content": item}
    if "output" in item:
        return {"role": "tool", "content": item["output"]}
    if isinstance(item.get("arguments"), str):
        return {"role": "assistant", "function_call": {"name": item.get("name"), "arguments": item["arguments"]}}
    return item


def _item(item: Any, message: Json) -> Any:
    if not isinstance(item, dict):
        return message["content"]
    if "output" in item:
        return {**item, "output": message["content"]}
    if isinstance(item.get("arguments"), str):
        return {**item, "arguments": message["function_call"]["arguments"]}
    return message


def texts_of(raw: Mapping[str, Any]) -> list[str]:
    """The members of a request, of any endpoint, that guards have looked at."""
    return [name for name in ("messages", "system", *MEMBERS) if name in raw]
