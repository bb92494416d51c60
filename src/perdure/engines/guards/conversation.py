"""The texts of neutral messages and answers: to be read one by one, and to be put back changed.

A message holds text in its content (a string, or parts of type `text`), in the results of tools and in the arguments of tool
calls, which are JSON in a string. A model reads an escaped character as the character: so do we. In members that are not known
whatever has white space or is not ASCII is a text. Ids, names and addresses are none: see `aside`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import is_not
from typing import Any, NamedTuple

Json = dict[str, Any]
Rewrite = Callable[[str], str]
_TEXTS = ("text", "refusal", "thinking", "input_text", "output_text", "title", "context", "value")
"""Members of a part that a model reads: its text, what a document is called and said to be."""
_NESTED = ("content", "source")
"""Members of a part with texts of their own: the result of a tool, a document's source."""
BYTES = frozenset({"data", "url", "image_url", "file_data", "signature", "encrypted_content"})
"""Members that hold bytes or an address."""
_OF_MESSAGES = frozenset({"content", "refusal", "reasoning_content", "reasoning"})
_NO_TEXTS = frozenset({"role", "tool_calls", "function_call", "thinking_blocks", "tool_call_id"})
"""Members of a message that are no texts, or are read elsewhere. Thinking is signed: changed, it would be refused."""


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


def _texts(content: Any, *, known: bool = True) -> Iterator[str]:
    """The texts of content: of a string, of one part, or of a list of either; of what is not known, only prose."""
    if isinstance(content, str):
        if known or is_prose(content):
            yield content
    elif isinstance(content, list):
        for part in content:
            if _is_bare(part):
                yield part["text"]
            else:
                yield from _texts(part, known=known)
    elif isinstance(content, Mapping):
        for name, value in content.items():
            if _may_be_text(content, name):
                yield from _texts(value, known=_is_known(name))


def is_prose(text: str) -> bool:
    """Whether it is words rather than a literal: it has white space, or is not ASCII, as words of many languages are."""
    return " " in text or "\n" in text or "\t" in text or not text.isascii()


def _is_known(name: str) -> bool:
    return name in _TEXTS or name in _NESTED or name == "data"


def _may_be_text(part: Mapping[str, Any], name: str) -> bool:
    """Whether a member of a part may be a text, or hold one."""
    if name == "source":
        return not isinstance(part["source"], str)
    if name in BYTES:
        return isinstance(part[name], dict | list) or (name == "data" and part.get("type") == "text")
    return name != "type"


def _is_bare(part: Any) -> bool:
    """Whether a part is a text and nothing else, as nearly all are."""
    return isinstance(part, dict) and len(part) == 2 and "type" in part and isinstance(part.get("text"), str)


def _other_texts(message: Json) -> Iterator[str]:
    for name, value in message.items():
        if name != "content" and name not in _NO_TEXTS:
            yield from _texts(value, known=name in _OF_MESSAGES)
    for _, arguments in calls_of(message):
        yield unescaped(arguments)
    for _, given in custom_calls_of(message):
        yield from _texts(given)


def unescaped(arguments: str) -> str:
    """Arguments as a model reads them: without JSON's escapes."""
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
    for name, value in message.items():
        if value and name not in _NO_TEXTS:
            changed[name] = _content(value, rewrite, known=name in _OF_MESSAGES)
    if isinstance(message.get("tool_calls"), list):
        changed["tool_calls"] = [_call(each, rewrite) for each in message["tool_calls"]]
    if isinstance(message.get("function_call"), dict):
        changed["function_call"] = _function(message["function_call"], rewrite)
    return {**message, **changed}


def _content(content: Any, rewrite: Rewrite, *, known: bool = True) -> Any:
    if isinstance(content, str):
        return rewrite(content) if known or is_prose(content) else content
    if isinstance(content, list):
        changed = [_content(part, rewrite, known=known) for part in content]
        return changed if any(map(is_not, changed, content)) else content
    return _part(content, rewrite) if isinstance(content, dict) else content


def _part(part: Json, rewrite: Rewrite) -> Json:
    if _is_bare(part):
        text = rewrite(part["text"])
        return part if text is part["text"] else {**part, "text": text}
    changed = {
        name: _content(value, rewrite, known=_is_known(name))
        for name, value in part.items()
        if _may_be_text(part, name)
    }
    return {**part, **changed} if any(changed[name] is not part[name] for name in changed) else part


def _call(call: Any, rewrite: Rewrite) -> Any:
    if isinstance(call, dict) and isinstance(call.get("function"), dict):
        return {**call, "function": _function(call["function"], rewrite)}
    if isinstance(call, dict) and isinstance(call.get("custom"), dict):
        custom = call["custom"]
        return {**call, "custom": {**custom, "input": _content(custom.get("input"), rewrite)}}
    return call


def _function(function: Json, rewrite: Rewrite) -> Json:
    arguments = function.get("arguments")
    return (
        {**function, "arguments": rewritten_arguments(arguments, rewrite)} if isinstance(arguments, str) else function
    )


def rewritten_arguments(arguments: str, rewrite: Rewrite) -> str:
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
