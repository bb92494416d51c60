"""The texts of neutral messages and answers: to be read one by one, and to be put back changed.

A message holds text in its content (a string, or parts of type `text`), in the results of tools and in the arguments of tool
calls, which are JSON in a string. A model reads an escaped character as the character: so do we.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

Json = dict[str, Any]
Rewrite = Callable[[str], str]
_TEXTS = ("text", "refusal", "thinking", "input_text", "output_text", "title", "context", "value")
"""Members of a part that a model reads: its text, what a document is called and said to be."""
_NESTED = ("content", "source")
"""Members of a part with texts of their own: the result of a tool, a document's source."""


class Said(NamedTuple):
    """One text of a conversation."""

    message: int
    """Index of the message."""
    role: str
    text: str


def said(messages: Sequence[Json]) -> list[Said]:
    """Every text of a conversation, in order; the parts of one message are one text, as a model reads them.

    >>> [each.text for each in said([{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image_url"}]}])]
    ['a']
    """
    found = []
    for index, message in enumerate(messages):
        role = str(message.get("role", ""))
        content = message.get("content")
        text = content if isinstance(content, str) else "\n".join(_texts(content))
        if text:
            found.append(Said(index, role, text))
        if len(message) > 2 or "content" not in message:
            found += [Said(index, role, other) for other in _other_texts(message) if other]
    return found


def answers_of(answer: Json) -> list[Json]:
    """The messages of a neutral answer: one a choice; a bare message is its own.

    >>> answers_of({"choices": [{"message": {"content": "yes"}}]})
    [{'content': 'yes'}]
    """
    choices = answer.get("choices")
    if not isinstance(choices, list):
        return [answer]
    return [each["message"] for each in choices if isinstance(each, dict) and isinstance(each.get("message"), dict)]


def calls_of(message: Json) -> list[tuple[str, str]]:
    """(name, arguments) of the tool calls of a message."""
    calls = [call.get("function") for call in _tool_calls(message)]
    calls.append(message.get("function_call"))
    return [(str(each.get("name", "")), _text(each.get("arguments"))) for each in calls if isinstance(each, dict)]


def custom_calls_of(message: Json) -> list[tuple[str, Any]]:
    """(name, input) of the calls of custom tools of a message, whose input is free text."""
    calls = [call.get("custom") for call in _tool_calls(message)]
    return [(str(each.get("name", "")), each.get("input")) for each in calls if isinstance(each, dict)]


def rewritten(messages: Sequence[Json], rewrite: Rewrite) -> list[Json]:
    """The messages with every text rewritten; what does not change is shared, nothing given is changed."""
    return [_message(message, rewrite) for message in messages]


def rewritten_answer(answer: Json, rewrite: Rewrite) -> Json:
    """A neutral answer with every text rewritten; nothing given is changed."""
    choices = answer.get("choices")
    if not isinstance(choices, list):
        return _message(answer, rewrite)
    return {**answer, "choices": [_choice(each, rewrite) for each in choices]}


def _choice(choice: Any, rewrite: Rewrite) -> Any:
    if isinstance(choice, dict) and isinstance(choice.get("message"), dict):
        return {**choice, "message": _message(choice["message"], rewrite)}
    return choice


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else json.dumps(value, ensure_ascii=False)


def _tool_calls(message: Json) -> list[Json]:
    calls = message.get("tool_calls")
    return [call for call in calls if isinstance(call, dict)] if isinstance(calls, list) else []


def _texts(content: Any) -> Iterator[str]:
    """The texts of content: of a string, of one part, or of a list of either."""
    if isinstance(content, str):
        yield content
    elif isinstance(content, list):
        for part in content:
            if _is_bare(part):
                yield part["text"]
            else:
                yield from _texts(part)
    elif isinstance(content, Mapping):
        for name in (*_TEXTS, *_NESTED):
            if name in content and name not in _media(content):
                yield from _texts(content[name])
        if _is_plain(content):
            yield from _texts(content["data"])


def _is_bare(part: Any) -> bool:
    """Whether a part is a text and nothing else, as nearly all are."""
    return isinstance(part, dict) and len(part) == 2 and "type" in part and isinstance(part.get("text"), str)


def _media(part: Mapping[str, Any]) -> tuple[str, ...]:
    """The nested members of a part that are an address or bytes, not text."""
    return ("source",) if isinstance(part.get("source"), str) else ()


def _is_plain(source: Mapping[str, Any]) -> bool:
    """Whether it is the source of a document in plain text."""
    return source.get("type") == "text" and isinstance(source.get("data"), str)


def _other_texts(message: Json) -> Iterator[str]:
    for name in ("refusal", "reasoning_content", "reasoning"):
        if isinstance(message.get(name), str):
            yield message[name]
    for _, arguments in calls_of(message):
        yield _unescaped(arguments)
    for _, given in custom_calls_of(message):
        yield from _texts(given)


def _unescaped(arguments: str) -> str:
    if "\\" not in arguments:
        return arguments
    try:
        return json.dumps(json.loads(arguments), ensure_ascii=False)
    except (ValueError, RecursionError):
        return arguments


def _message(message: Json, rewrite: Rewrite) -> Json:
    content = message.get("content")
    if len(message) == 2 and isinstance(content, str) and "role" in message:
        text = rewrite(content)
        return message if text is content else {**message, "content": text}
    changed: Json = {}
    for name in ("content", "refusal", "reasoning_content", "reasoning"):
        value = message.get(name)
        if value:
            changed[name] = _content(value, rewrite)
    if isinstance(message.get("tool_calls"), list):
        changed["tool_calls"] = [_call(each, rewrite) for each in message["tool_calls"]]
    if isinstance(message.get("function_call"), dict):
        changed["function_call"] = _function(message["function_call"], rewrite)
    return {**message, **changed}


def _content(content: Any, rewrite: Rewrite) -> Any:
    if isinstance(content, str):
        return rewrite(content)
    if isinstance(content, list):
        return [_content(part, rewrite) for part in content]
    return _part(content, rewrite) if isinstance(content, dict) else content


def _part(part: Json, rewrite: Rewrite) -> Json:
    if _is_bare(part):
        return {**part, "text": rewrite(part["text"])}
    held = [name for name in (*_TEXTS, *_NESTED) if name in part and name not in _media(part)]
    changed = {name: _content(part[name], rewrite) for name in held}
    if _is_plain(part):
        changed["data"] = rewrite(part["data"])
    return {**part, **changed} if changed else part


def _call(call: Any, rewrite: Rewrite) -> Any:
    if isinstance(call, dict) and isinstance(call.get("function"), dict):
        return {**call, "function": _function(call["function"], rewrite)}
    if isinstance(call, dict) and isinstance(call.get("custom"), dict):
        custom = call["custom"]
        return {**call, "custom": {**custom, "input": _content(custom.get("input"), rewrite)}}
    return call


def _function(function: Json, rewrite: Rewrite) -> Json:
    arguments = function.get("arguments")
    return {**function, "arguments": _arguments(arguments, rewrite)} if isinstance(arguments, str) else function


def _arguments(arguments: str, rewrite: Rewrite) -> str:
    """Arguments stay JSON where they were, and keep their shape: values first, then what is known by its name."""
    try:
        value = json.loads(arguments)
    except (ValueError, RecursionError):
        return rewrite(arguments)
    leaves = _leaves(value, rewrite)
    plain = json.dumps(leaves, ensure_ascii=False)
    changed = rewrite(plain)
    if changed != plain and _is_json(changed):
        return changed
    return arguments if leaves == value else plain


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _leaves(value: Any, rewrite: Rewrite) -> Any:
    if isinstance(value, str):
        return rewrite(value)
    if isinstance(value, dict):
        return {rewrite(str(name)): _leaves(item, rewrite) for name, item in value.items()}
    if isinstance(value, list):
        return [_leaves(item, rewrite) for item in value]
    if value is None or isinstance(value, bool):
        return value
    number = str(value)
    changed = rewrite(number)
    return value if changed == number else changed
