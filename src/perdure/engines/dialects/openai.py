"""OpenAI's chat completions: the neutral form itself, so both sides change next to nothing.

What is changed: a stream is always asked for its usage, and a client that did not ask does not see it; what other dialects
carry along for themselves (see `docs/gateway/dialects.md`) is taken out before an OpenAI-compatible upstream sees it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from perdure.core.errors import BadRequest, UpstreamBad
from perdure.core.usage import Usage
from perdure.engines.dialects.checks import answer, objects, optional, required
from perdure.engines.dialects.counts import openai_usage
from perdure.engines.dialects.failures import openai_error, openai_error_json, openai_failure, stream_error
from perdure.engines.dialects.openai_stream import OpenAIChunks, OpenAIEvents
from perdure.engines.dialects.protocols import ChunkReader, EventWriter, Failure, Outgoing

Json = dict[str, Any]
EXTRAS = "anthropic"
"""Member of a neutral request, and of a tool, with what only Anthropic understands. Its presence says who asked."""
_COMPLETION_TOKENS = re.compile(r"(?:.*/)?(?:o\d|gpt-(?:[5-9]|\d\d)|chatgpt)", re.IGNORECASE)
"""Models that refuse `max_tokens` and want `max_completion_tokens`."""
_PARTS = frozenset({"text", "image_url", "input_audio", "file", "refusal"})


_CHECKED = ("tools", "stream", "stream_options", "n", "max_tokens", "max_completion_tokens")


def _check(body: Json, name: str) -> None:
    if name == "tools":
        objects(body, name)
    elif name == "stream":
        optional(body, name, "boolean")
    elif name == "stream_options":
        optional(body, name, "object")
    else:
        value = optional(body, name, "integer")
        if value is not None and value < 1:
            raise BadRequest(f"`{name}` must be at least 1.", param=name)


class OpenAIInbound:
    """The side that clients with an OpenAI SDK speak."""

    name = "openai"

    def read(self, body: Json) -> Json:
        """The request itself, once it is known to have what every path needs; unknown members pass.

        Raises:
            BadRequest: `model` or `messages` is missing, or a known member has a wrong type.
        """
        required(body, "model", "string")
        required(body, "messages", "list")
        for index, message in enumerate(objects(body, "messages")):
            if type(message.get("role")) is not str:
                required(message, "role", "string", f"messages[{index}].")
        for name in _CHECKED:
            if name in body:
                _check(body, name)
        return body

    def write(self, answer: Json) -> bytes:
        """A chat completion as bytes."""
        return msgspec.json.encode(answer)

    def write_error(self, failure: Failure, call_id: str) -> bytes:
        """OpenAI's error object, with the call's id beside it."""
        return msgspec.json.encode(openai_error_json(failure) | {"request_id": call_id})

    def events(self, request: Json) -> EventWriter:
        """A writer of chunks; usage is shown only to who asked for it."""
        return OpenAIEvents(show_usage=wants_usage(request))


class OpenAIOutbound:
    """The side that OpenAI-compatible upstreams speak."""

    name = "openai"
    path = "/chat/completions"

    def headers(self, secret: str) -> Mapping[str, str]:
        """How such an upstream is told the secret; none for an empty one, as servers at home want it."""
        return {"authorization": f"Bearer {secret}"} if secret else {}

    def write(self, request: Json, model: str, secret: str) -> Outgoing:
        """The request for one model.

        Raises:
            BadRequest: a client of another dialect asks for what chat completions cannot say.
        """
        body = dict(request)
        if body.pop(EXTRAS, None) is not None:
            body["messages"] = _plain_messages(body["messages"])
            if "tools" in body:
                body["tools"] = [_plain_tool(tool) for tool in body["tools"]]
        body["model"] = model
        if "max_tokens" in body and "max_completion_tokens" not in body and _COMPLETION_TOKENS.match(model):
            body["max_completion_tokens"] = body.pop("max_tokens")
        elif EXTRAS in request and not _COMPLETION_TOKENS.match(model):
            body["max_tokens"] = body.pop("max_completion_tokens")
        if body.get("stream"):
            body["stream_options"] = {**(body.get("stream_options") or {}), "include_usage": True}
        return Outgoing(self.path, msgspec.json.encode(body), self.headers(secret))

    def read(self, body: bytes) -> tuple[Json, Usage | None]:
        """The answer and what was counted.

        Raises:
            UpstreamError: an error that came with status 200, or no completion at all.
        """
        found = answer(body)
        if found.get("error"):
            raise stream_error(openai_error(found))
        choices = found.get("choices")
        if type(choices) is not list or not _are_choices(choices):
            raise UpstreamBad("The upstream's answer has no choices.", hint="Check the upstream's address and dialect.")
        return found, openai_usage(found.get("usage"))

    def read_error(self, status: int, body: bytes) -> Failure:
        """What an error means, in any of the shapes that compatible servers send."""
        return openai_failure(status, body)

    def chunks(self) -> ChunkReader:
        """A reader of one stream."""
        return OpenAIChunks()


def _are_choices(choices: list[Any]) -> bool:
    return all(type(choice) is dict and type(choice.get("message")) is dict for choice in choices)


def wants_usage(request: Json) -> bool:
    """Whether a streaming client asked to see usage.

    >>> wants_usage({"stream_options": {"include_usage": True}}), wants_usage({"stream_options": None})
    (True, False)
    """
    options = request.get("stream_options")
    return isinstance(options, dict) and options.get("include_usage") is True


def _plain_messages(messages: list[Json]) -> list[Json]:
    """Without other dialects' members; pictures in a tool's result go into a message of the user after the results."""
    plain: list[Json] = []
    waiting: list[Json] = []
    for index, message in enumerate(messages):
        if message["role"] != "tool" and waiting:
            plain.append({"role": "user", "content": waiting})
            waiting = []
        kept = {key: value for key, value in message.items() if key not in _OURS}
        if isinstance(kept.get("content"), list):
            parts = [_plain_part(part) for part in objects(kept, "content", f"messages[{index}].")]
            if message["role"] == "tool":
                waiting += [part for part in parts if part["type"] != "text"]
                parts = [part for part in parts if part["type"] == "text"]
            kept["content"] = parts or ""
        if kept.get("tool_calls") is not None:
            kept["tool_calls"] = [_without_cache(call) for call in objects(kept, "tool_calls", f"messages[{index}].")]
        plain.append(kept)
    return [*plain, {"role": "user", "content": waiting}] if waiting else plain


_OURS = frozenset({"thinking_blocks", "reasoning_content", "is_error", "cache_control"})


def _plain_part(part: Json) -> Json:
    kind = part.get("type")
    if kind == "document":
        source = optional(part, "source", "object") or {}
        if source.get("type") == "text":
            return {"type": "text", "text": source.get("data", "")}
    if kind not in _PARTS:
        raise BadRequest(
            f"Content of type {kind!r} cannot be sent to the model that answers here.",
            hint="Send text, images or PDF files in base64, or ask for a model of Anthropic.",
        )
    if kind == "file":
        return {"type": "file", "file": required(part, "file", "object")}
    return _without_cache(part)


def _without_cache(part: Json) -> Json:
    return {key: value for key, value in part.items() if key not in ("cache_control", "citations")}


def _plain_tool(tool: Json) -> Json:
    if tool.get("type") != "function":
        raise BadRequest(
            f"The tool {tool.get('name', tool.get('type'))!r} is run by Anthropic itself, and another model answers here.",
            hint="Declare a tool of your own with an input schema, or ask for a model of Anthropic.",
        )
    return {"type": "function", "function": tool["function"]}
