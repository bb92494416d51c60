"""What of a request stands beside its conversation: every other string that goes out with it.

Tools and the schemas of their parameters, the form that is asked of an answer, `user`, `metadata`, ids, names, addresses, members
that nobody here has heard of. Each string has a level, by which checks are asked about it (`Reach` of a check), and some stand
where no mask can stand: a tool's name, an address, a member's own name.

Numbers are no strings, and base64 of some length where bytes belong is no text. A call of plain messages and numbers costs a
microsecond here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import is_not
from typing import Any, NamedTuple

from perdure.engines.guards.checks import LITERAL, READ, TOLD
from perdure.engines.guards.conversation import BYTES, is_prose, rewritten_arguments, unescaped

Json = dict[str, Any]
See = Callable[[str, int, bool], str]
"""(text, level, whether nothing can stand in for it) → what stands there from now on."""

_SCALARS = frozenset({int, float, bool, type(None)})
_NAMES = frozenset({"model", "messages", "max_tokens", "max_completion_tokens", "stream", "temperature", "top_p", "n"})
_COVERED = frozenset({"messages", "system", "input", "instructions", "prompt"})
"""Members whose texts are read as the conversation's."""
_UNREAD = frozenset(
    {"user", "metadata", "stop", "stop_sequences", "safety_identifier", "prompt_cache_key", "logit_bias"}
)
"""Members that go to the provider, and that no model reads."""
_WORDS = frozenset({"description", "title", "$comment", "text", "content"})
"""Members of tools and schemas that a model reads, a single word too."""
_FIXED = frozenset(
    {
        "name", "type", "role", "url", "uri", "server_url", "image_url", "source", "pattern", "format", "$ref", "thinking", "data",
        "media_type", "file_data", "signature", "encrypted_content", "authorization", "authorization_token",
    }
)  # fmt: skip
"""Members that work only as they are: what is found in them cannot be masked."""
_COMMON = frozenset(
    {
        "type", "name", "description", "properties", "required", "items", "enum", "object", "string", "array", "number",
        "integer", "boolean", "function", "parameters", "additionalProperties", "input_schema", "strict", "text", "content", "role",
    }
)  # fmt: skip
"""What most members of tools and of messages are called, and what they say."""
_ROLES = ("user", "system", "assistant", "tool", "developer", "function")  # what is compared need not be hashable
_LEAST_BYTES = 64
_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_="
_BEHIND = ";base64,"
_LONGEST_HEAD = 200


class Aside(NamedTuple):
    """One string beside the conversation."""

    text: str
    level: int
    """`READ`, `TOLD` or `LITERAL`."""
    member: str
    """Of the request."""


@dataclass(frozen=True, slots=True)
class _Look:
    see: See
    arguments: Callable[[str, int], str]


def asides(request: Mapping[str, Any]) -> list[Aside]:
    """Every string of a request that its conversation does not have; some that it has stand there again, as literals.

    >>> asides({"model": "m", "messages": [], "user": "ann@example.org", "max_tokens": 9})
    [Aside(text='ann@example.org', level=2, member='user')]
    """
    found: list[Aside] = []
    for name, value in request.items():
        if name not in _NAMES and not _is_word(name):
            found.append(Aside(name, LITERAL, ""))
        if type(value) in _SCALARS or name == "model" or (name == "messages" and _are_plain(value)):
            continue

        def see(text: str, level: int, fixed: bool, name: str = name) -> str:  # noqa: ARG001 - the shape of `See`
            found.append(Aside(text, level, name))
            return text

        def arguments(text: str, level: int, name: str = name) -> str:
            found.append(Aside(unescaped(text), level, name))
            return text

        _member(name, value, _Look(see, arguments))
    return found


def with_asides(request: Json, see: See) -> Json:
    """The request with every string that stands beside its conversation as `see` wants it; nothing given is changed."""
    look = _masking(see)
    changed: Json = {}
    for name, value in request.items():
        if name not in _NAMES and not _is_word(name):
            see(name, LITERAL, True)
        changed[name] = value if type(value) in _SCALARS or name == "model" else _member(name, value, look)
    return changed


def rewritten_throughout(messages: Sequence[Json], rewrite: Callable[[str], str]) -> list[Json]:
    """Messages with every string in them rewritten, names of members too: for what is kept, not for what goes out."""

    def see(text: str, level: int, fixed: bool) -> str:  # noqa: ARG001 - the shape of `See`
        return rewrite(text)

    look = _masking(see)
    return [_message(message, look) for message in messages]


def _masking(see: See) -> _Look:
    return _Look(see, lambda text, level: rewritten_arguments(text, lambda part: see(part, level, False)))


def _member(name: str, value: Any, look: _Look) -> Any:
    if name == "messages" and isinstance(value, list):
        return _shared(value, [_message(message, look) for message in value])
    return _walked(value, name, LITERAL if name in _COVERED else TOLD if name in _UNREAD else READ, look)


def _message(message: Any, look: _Look) -> Any:
    if not isinstance(message, dict):
        return _walked(message, "", LITERAL, look)
    if _is_plain(message):
        return message
    name = message.get("name")
    found: Json = _walked({**message, "name": None} if isinstance(name, str) else message, "", LITERAL, look)
    if isinstance(name, str):  # of a person: any text will do
        return {**found, "name": look.see(name, LITERAL, False)}
    return found


def _is_plain(message: Json) -> bool:
    """Whether a role and a text are all it has, as of most: its conversation has that."""
    return len(message) == 2 and type(message.get("content")) is str and message.get("role") in _ROLES


def _are_plain(messages: Any) -> bool:
    for message in messages if isinstance(messages, list) else (None,):
        if not isinstance(message, dict) or not _is_plain(message):
            return False
    return True


def _walked(value: Any, name: str, scope: int, look: _Look) -> Any:
    if isinstance(value, str):
        return _string(value, name, scope, look)
    if isinstance(value, list):
        return _shared(value, [_walked(item, name, scope, look) for item in value])
    if isinstance(value, dict):
        changed = {}
        same = True
        for key, item in value.items():
            told = key if _is_word(key) else look.see(key, LITERAL, True)
            changed[told] = found = _walked(item, key, scope, look)
            same = same and told is key and found is item
        return value if same else changed
    return value


def _shared(value: list[Any], changed: list[Any]) -> list[Any]:
    return changed if any(map(is_not, changed, value)) else value


def _string(text: str, name: str, scope: int, look: _Look) -> str:
    level = LITERAL
    if name == "thinking":
        level = TOLD
    elif scope != LITERAL and (name in _WORDS or is_prose(text)):
        level = scope
    if level == LITERAL and _is_word(text):
        return text
    if name == "arguments":
        return look.arguments(text, level)
    fixed = scope != TOLD and name in _FIXED
    if name in BYTES:
        end = _before_bytes(text)
        return look.see(text[:end], level, fixed) + text[end:] if end else text
    return look.see(text, level, fixed)


def _is_word(text: str) -> bool:
    """Whether it is a short word: it has no digit, and so nothing that a check of literals would look for."""
    return text in _COMMON or (len(text) < 20 and (text.isalpha() or text.replace("_", "").isalpha()))


def _before_bytes(text: str) -> int:
    """How many characters stand before base64 of some length that the text ends in; all, where it does not."""
    begin = text.find(_BEHIND, 0, _LONGEST_HEAD) + len(_BEHIND) if text.startswith("data:") else 0
    told = text[begin:] if begin else text
    is_base64 = len(told) >= _LEAST_BYTES and told.isascii() and not told.encode().translate(None, _BASE64)
    return begin if is_base64 else len(text)
