"""Estimated tokens, where nobody counted them: before a call, for its reservation, and after one whose count was lost.

The rule is UTF-8 bytes / 4, plus a few tokens a message and a flat rate a picture. It needs no tokenizer, costs next to
nothing and gives the same number on every machine. Its error is told in `docs/gateway/dialects.md`. Estimates are marked
as such in `Usage.estimated`.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from perdure.core.usage import Usage

Json = dict[str, Any]
BYTES_A_TOKEN = 4
MESSAGE_TOKENS = 4
"""What a message's role and frame take (OpenAI's cookbook: 3 to 4)."""
IMAGE_TOKENS = 1_200
"""A picture of about a megapixel: 765 to 1,105 at OpenAI, about 1,600 at Anthropic, 258 or more at Gemini."""
BASE64_BYTES_A_TOKEN = 200
"""Of documents and audio in base64, whose pages and seconds cannot be counted without reading them."""
_BASE64 = re.compile(rb"[A-Za-z0-9+/=\\]{400,}")


def tokens_of_text(text: str) -> int:
    """Estimated tokens of a text.

    >>> tokens_of_text("How far is it to Bonn?"), tokens_of_text("")
    (6, 0)
    """
    return tokens_of_bytes(len(text) if text.isascii() else len(text.encode("utf-8", "replace")))


def tokens_of_bytes(n_bytes: int) -> int:
    """Estimated tokens of so many bytes of text in UTF-8.

    >>> tokens_of_bytes(0), tokens_of_bytes(1), tokens_of_bytes(400)
    (0, 1, 100)
    """
    return -(-n_bytes // BYTES_A_TOKEN)


def tokens_of_request(request: Json) -> int:
    """Estimated input tokens of a neutral request: its messages, and its tools as JSON.

    Cost: about 1 µs a message and 10 µs a megabyte of text.
    """
    tools = request.get("tools")
    return tokens_of_messages(request.get("messages") or []) + (
        tokens_of_raw(msgspec.json.encode(tools)) if tools else 0
    )


def tokens_of_messages(messages: list[Json]) -> int:
    """Estimated tokens of a neutral conversation; 3 more open the answer.

    >>> tokens_of_messages([{"role": "user", "content": "How far is it to Bonn?"}])
    13
    """
    return 3 + sum(_of_message(message) for message in messages)


def _of_message(message: Json) -> int:
    tokens = MESSAGE_TOKENS + _of_content(message.get("content"))
    for call in message.get("tool_calls") or ():
        function = call.get("function") or {}
        tokens += MESSAGE_TOKENS + tokens_of_text(f"{function.get('name')}{function.get('arguments')}")
    return tokens


def _of_content(content: Any) -> int:
    if isinstance(content, str):
        return tokens_of_text(content)
    return sum(_of_part(part) for part in content or ())


def _of_part(part: Json) -> int:
    text = part.get("text")
    if isinstance(text, str):
        return tokens_of_text(text)
    if part.get("type") in ("image_url", "image"):
        return IMAGE_TOKENS
    return tokens_of_raw(msgspec.json.encode(part))


def tokens_of_raw(json: bytes) -> int:
    r"""Estimated tokens of messages that were not decoded: the bytes of their JSON, with base64 counted apart.

    Higher than `tokens_of_messages` by the frame of each message, and for texts that are escaped as `\u00e9`.

    Cost: 2 µs where no base64 is in it; 1 ms for a megabyte of it.
    """
    if b"base64" not in json and b"b64" not in json and b'"input_audio"' not in json:
        return tokens_of_bytes(len(json))
    n_bytes, tokens = len(json), 0
    for found in _BASE64.finditer(json):
        length = found.end() - found.start()
        n_bytes -= length
        tokens += max(IMAGE_TOKENS, length // BASE64_BYTES_A_TOKEN)
    return tokens + tokens_of_bytes(n_bytes)


def estimated(n_input: int, n_output: int) -> Usage:
    """The usage of a call that nobody counted."""
    return Usage(n_input=n_input, n_output=n_output, estimated=True)
