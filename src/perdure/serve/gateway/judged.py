"""What guards read in requests that no other dialect can say: responses, embeddings; and how it is put back once masked.

Texts become messages, so that one guard judges every endpoint: the items of `input`, the `instructions`, the variables of a
stored prompt, `messages` where a server takes them. Everything else of a request is looked through where it stands. Token ids are no text: where a guard must judge them, they are refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from perdure.core.errors import BadRequest

Json = dict[str, Any]
Place = tuple[str, Any]
"""Member of the request, and where in it: of `input` an index (None: it is no list) and the item's member (empty: the whole
item), of `messages` an index, of `prompt` a variable's name."""
MEMBERS = ("input", "instructions", "prompt", "messages")


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
    further = body.get("messages")
    for place, message in enumerate(further if isinstance(further, list) else ()):
        messages.append(message if isinstance(message, dict) else {"role": "user", "content": message})
        places.append(("messages", place))
    given = body.get("input")
    items: list[tuple[int | None, Any]] = list(enumerate(given)) if isinstance(given, list) else [(None, given)]
    for index, item in items if given is not None else ():
        for name, message in _messages(item):
            messages.append(message)
            places.append(("input", (index, name)))
    return messages, places


def must_be_text(messages: Sequence[Json]) -> None:
    """Refuse what no guard can read.

    Raises:
        BadRequest: token ids instead of text.
    """
    for message in messages:
        if _holds_numbers(message.get("content")):
            raise BadRequest(
                "The input holds token ids, which the guards of this route cannot read.",
                hint="Send text.",
                param="input",
            )


def _holds_numbers(content: Any) -> bool:
    """Whether it is a number, of whatever kind, or has one in it: some servers take 1464.0 for the token 1464."""
    if isinstance(content, list):
        return any(map(_holds_numbers, content))
    return isinstance(content, int | float)


def put_back(body: Json, messages: Sequence[Json], places: Sequence[Place]) -> Json:
    """The members that hold judged texts, with the messages as they are now."""
    changes = {name: body[name] for name in MEMBERS if name in body}
    for name in ("input", "messages"):
        if isinstance(changes.get(name), list):
            changes[name] = list(changes[name])
    if any(member == "prompt" for member, _ in places):
        changes["prompt"] = {**changes["prompt"], "variables": dict(changes["prompt"]["variables"])}
    for message, (member, place) in zip(messages, places, strict=True):
        if member == "prompt":
            old = changes["prompt"]["variables"][place]
            changes["prompt"]["variables"][place] = (
                message["content"] if isinstance(old, str) else message["content"][0]
            )
        elif member == "messages":
            changes[member][place] = message if isinstance(body[member][place], dict) else message["content"]
        elif member == "instructions":
            changes[member] = message["content"]
        else:
            index, name = place
            if index is None:
                changes["input"] = _item(changes["input"], name, message)
            else:
                changes["input"][index] = _item(changes["input"][index], name, message)
    return changes


def _messages(item: Any) -> list[tuple[str, Json]]:
    """An item of `input` as messages, each by the member that it stands in: one item may hold several texts."""
    if not isinstance(item, dict):
        return [("", {"role": "user", "content": item})]
    found: list[tuple[str, Json]] = []
    for name, role in _ROLES.items():
        if name in item:
            found.append((name, {"role": role or str(item.get("role", "user")), "content": item[name]}))
    if isinstance(item.get("arguments"), str):
        call = {"name": item.get("name"), "arguments": item["arguments"]}
        found.append(("arguments", {"role": "assistant", "function_call": call}))
    return found


_ROLES = {
    "content": "", "output": "tool", "results": "tool", "input": "assistant", "code": "assistant", "summary": "assistant",
    "action": "assistant",
}  # fmt: skip
"""Members of an item that hold texts, and who says them: messages, what tools gave, and what they were given."""


def _item(item: Any, name: str, message: Json) -> Any:
    if not name:
        return message["content"]
    return {**item, name: message["function_call"]["arguments"] if name == "arguments" else message["content"]}
