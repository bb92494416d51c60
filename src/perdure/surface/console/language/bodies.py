"""Texts of calls and runs as they are kept: messages by role where they are messages, JSON where they are not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

_FOLDED = 1_200
"""Characters from which on a text is folded."""
_MOST = 40_000
"""Characters of one text that a page shows."""


@dataclass(frozen=True, slots=True)
class Words:
    """One text, by whom."""

    who: str
    text: str
    long: bool
    """It is folded."""
    cut: int = 0
    """Characters that are not shown."""


def words_of(who: str, text: str) -> Words:
    """A text, cut where it is longer than a page may be."""
    return Words(who, text[:_MOST], len(text) > _FOLDED, max(0, len(text) - _MOST))


def messages_of(body: Any) -> tuple[Words, ...]:
    """A body as it is kept: a message each, tool calls among them.

    >>> [(each.who, each.text) for each in messages_of([{"role": "user", "content": "hi"}])]
    [('user', 'hi')]
    """
    if body is None:
        return ()
    if isinstance(body, str):
        return (words_of("as it is kept", body),)
    found = body if isinstance(body, list) else [body]
    if found and all(isinstance(each, dict) and isinstance(each.get("role"), str) for each in found):
        return tuple(one for each in found for one in _message(each))
    return (words_of("as it is kept", shown(body)),)


def _message(message: Mapping[str, Any]) -> Iterator[Words]:
    content = message.get("content")
    if content:
        yield words_of(message["role"], content if isinstance(content, str) else shown(content))
    for each in message.get("tool_calls") or ():
        called = each.get("function", each) if isinstance(each, dict) else {"name": str(each)}
        arguments = called.get("arguments", "")
        told = arguments if isinstance(arguments, str) else shown(arguments)
        yield words_of(f"{message['role']} calls {called.get('name', '')}", told)
    rest = {name: value for name, value in message.items() if name not in ("role", "content", "tool_calls") and value}
    if rest and not content and not message.get("tool_calls"):
        yield words_of(message["role"], shown(rest))


def shown(value: Any) -> str:
    """A text as it is, anything else as JSON over lines."""
    return value if isinstance(value, str) else msgspec.json.format(msgspec.json.encode(value)).decode()
