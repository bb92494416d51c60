"""Streams of chat completions: chunks read from an upstream, chunks written to a client."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from perdure.core.errors import UpstreamBad
from perdure.core.usage import Usage
from perdure.engines.dialects.counts import openai_usage
from perdure.engines.dialects.failures import openai_error, openai_error_json, stream_error
from perdure.engines.dialects.protocols import Failure
from perdure.engines.dialects.sse import Reader, event

Json = dict[str, Any]
DONE = b"data: [DONE]\n\n"


class OpenAIChunks:
    """Reads one stream of an OpenAI-compatible upstream."""

    __slots__ = ("_reader", "done", "failure", "usage")

    def __init__(self) -> None:
        self._reader = Reader()
        self.usage: Usage | None = None
        self.done = False
        self.failure: Failure | None = None
        """The upstream's own words for the error that ended the stream, where one did."""

    def feed(self, data: bytes) -> list[Json]:
        """The chunks of what came; nothing after `[DONE]`.

        Raises:
            UpstreamError: an error event.
            UpstreamBad: an event that is no chunk.
        """
        chunks: list[Json] = []
        for found in self._reader.feed(data):
            if self.done:
                break
            if found.data.startswith(b"[DONE]"):
                self.done = True
                break
            chunk = decoded(found.data)
            if chunk.get("error"):
                self.failure = openai_error(chunk)
                raise stream_error(self.failure)
            if not _sound(chunk.get("choices")):
                raise UpstreamBad(
                    "The upstream sent an event that is no chunk of an answer.", hint="Check the upstream's dialect."
                )
            if chunk.get("usage"):
                self.usage = openai_usage(chunk["usage"]) or self.usage
            chunks.append(chunk)
        return chunks


def _sound(choices: Any) -> bool:
    """Whether choices have the form that those who read on rely on."""
    if not choices:
        return True
    if not isinstance(choices, list):
        return False
    for choice in choices:  # of each event: a generator would cost more than what it asks
        if not isinstance(choice, dict) or not isinstance(choice.get("index", 0), int):
            return False
        delta = choice.get("delta") or _NONE
        if not isinstance(delta, dict) or not _are_calls(delta.get("tool_calls")):
            return False
    return True


def _are_calls(calls: Any) -> bool:
    return not calls or (
        isinstance(calls, list)
        and all(
            isinstance(call, dict)
            and isinstance(call.get("index", 0), int)
            and isinstance(call.get("function") or _NONE, dict)
            for call in calls
        )
    )


_NONE: Json = {}


def decoded(data: bytes) -> Json:
    """The JSON object of one event.

    Raises:
        UpstreamBad: it is none.
    """
    try:
        found = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UpstreamBad(
            "The upstream sent an event that is no JSON.", hint="Check the upstream's dialect."
        ) from error
    if not isinstance(found, dict):
        raise UpstreamBad("The upstream sent an event that is no JSON object.", hint="Check the upstream's dialect.")
    return found


class OpenAIEvents:
    """Writes one stream to a client with an OpenAI SDK.

    Args:
        show_usage: the client asked for usage: else the chunk that holds nothing more is left out, and the member from
            the others.
    """

    __slots__ = ("_show_usage",)

    def __init__(self, *, show_usage: bool) -> None:
        self._show_usage = show_usage

    def write(self, chunks: Sequence[Json]) -> bytes:
        """The chunks as events."""
        sent = bytearray()
        for chunk in chunks:
            shown = chunk
            if not self._show_usage and "usage" in chunk:
                if not chunk.get("choices") and chunk["usage"]:
                    continue
                shown = {name: value for name, value in chunk.items() if name != "usage"}
            sent += event(msgspec.json.encode(shown))
        return bytes(sent)

    def end(self) -> bytes:
        """`[DONE]`."""
        return DONE

    def fail(self, failure: Failure) -> bytes:
        """An error event, which OpenAI's SDKs raise; no `[DONE]` after it."""
        return event(msgspec.json.encode(openai_error_json(failure)))
