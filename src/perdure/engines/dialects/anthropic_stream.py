"""Streams of Anthropic's Messages API: read from an upstream, written to a client.

The neutral chunks carry thinking as `reasoning_content`, and each finished thinking block, with the signature without which
Anthropic takes none back, in `thinking_blocks`. What surprised us: usage comes in two halves, and the second, cumulative one
leaves out how long cache writes last; a tool without arguments sends none, where OpenAI's clients want `{}`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from perdure.core.clock import machine_us
from perdure.core.errors import UpstreamBad
from perdure.core.usage import Usage
from perdure.engines.dialects.anthropic_parts import call_id
from perdure.engines.dialects.counts import anthropic_usage, anthropic_usage_json, openai_usage, openai_usage_json
from perdure.engines.dialects.failures import anthropic_error, anthropic_error_json, stream_error
from perdure.engines.dialects.openai_stream import decoded
from perdure.engines.dialects.protocols import Failure
from perdure.engines.dialects.sse import Reader, event

Json = dict[str, Any]
PING = b'event: ping\ndata: {"type":"ping"}\n\n'
FINISHES = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
"""Anthropic's `stop_reason` → the neutral `finish_reason`."""
STOP_REASONS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
}
"""And back."""


class AnthropicChunks:
    """Reads one stream of an Anthropic upstream.

    Args:
        now_us: the instant that chunks say they were created at, in microseconds.
    """

    def __init__(self, now_us: Callable[[], int] = machine_us) -> None:
        self._reader = Reader()
        self._now_us = now_us
        self._head: Json = {}
        self._counted: Json = {}
        self._block: Json = {}
        self._n_tools = 0
        self.done = False
        self.failure: Failure | None = None
        """The upstream's own words for the error that ended the stream, where one did."""

    @property
    def usage(self) -> Usage | None:
        """What was counted so far: the input from the stream's begin, the output from its end."""
        return anthropic_usage(self._counted) if self._counted else None

    def feed(self, data: bytes) -> list[Json]:
        """The chunks of what came; nothing after `message_stop`. Unknown events are left out, as Anthropic asks.

        Raises:
            UpstreamError: an error event.
            UpstreamBad: an event that is no JSON, or out of order.
        """
        chunks: list[Json] = []
        for found in self._reader.feed(data):
            if not self.done:
                body = decoded(found.data)
                try:
                    chunks += self._read(body)
                except (KeyError, TypeError, AttributeError) as error:
                    raise UpstreamBad(
                        f"The upstream's event {str(body.get('type'))[:40]!r} lacks what it must have.",
                        hint="Check the upstream's dialect.",
                    ) from error
        return chunks

    def _read(self, body: Json) -> list[Json]:
        kind = body.get("type")
        if kind == "content_block_delta":
            return self._delta(body["delta"])
        if kind == "content_block_start":
            return self._start(dict(body["content_block"]))
        if kind == "content_block_stop":
            return self._stop()
        if kind == "message_start":
            return self._begin(body["message"])
        if kind == "message_delta":
            return self._finish(body)
        if kind == "message_stop":
            self.done = True
            return [self._chunk(None) | {"usage": openai_usage_json(self.usage)}] if self.usage else []
        if kind == "error":
            self.failure = anthropic_error(body)
            raise stream_error(self.failure)
        return []

    def _chunk(self, delta: Json | None, finish: str | None = None) -> Json:
        choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
        return {**self._head, "choices": choices}

    def _begin(self, message: Json) -> list[Json]:
        self._head = {
            "id": message["id"],
            "object": "chat.completion.chunk",
            "created": self._now_us() // 1_000_000,
            "model": message["model"],
        }
        self._counted = dict(message.get("usage") or {})
        return [self._chunk({"role": "assistant", "content": ""})]

    def _start(self, block: Json) -> list[Json]:
        if not self._head:
            raise KeyError("message_start")
        self._block = block
        kind = block["type"]
        if kind == "tool_use":
            self._n_tools += 1
            self._block["sent"] = False
            function = {"name": block["name"], "arguments": ""}
            return [self._call({"id": block["id"], "type": "function", "function": function})]
        if kind == "text" and block.get("text"):
            return [self._chunk({"content": block["text"]})]
        if kind == "thinking":
            self._block = {"type": kind, "thinking": block.get("thinking", ""), "signature": block.get("signature", "")}
            return [self._chunk({"reasoning_content": block["thinking"]})] if block.get("thinking") else []
        return []

    def _delta(self, delta: Json) -> list[Json]:
        kind = delta["type"]
        if kind == "text_delta":
            return [self._chunk({"content": delta["text"]})]
        if kind == "input_json_delta":
            if not delta["partial_json"] or self._block.get("type") != "tool_use":
                return []
            self._block["sent"] = True
            return [self._call({"function": {"arguments": delta["partial_json"]}})]
        if kind == "thinking_delta":
            self._block["thinking"] += delta["thinking"]
            return [self._chunk({"reasoning_content": delta["thinking"]})]
        if kind == "signature_delta":
            self._block["signature"] += delta["signature"]
        return []

    def _stop(self) -> list[Json]:
        block, self._block = self._block, {}
        kind = block.get("type")
        if kind == "tool_use" and not block["sent"]:
            arguments = msgspec.json.encode(block.get("input") or {}).decode()
            return [self._call({"function": {"arguments": arguments}})]
        if kind in ("thinking", "redacted_thinking"):
            return [self._chunk({"thinking_blocks": [block]})]
        return []

    def _call(self, call: Json) -> Json:
        return self._chunk({"tool_calls": [{"index": self._n_tools - 1, **call}]})

    def _finish(self, body: Json) -> list[Json]:
        told = {name: value for name, value in (body.get("usage") or {}).items() if value is not None}
        self._counted |= told
        delta = body["delta"]
        reason = delta.get("stop_reason")
        if reason is None:
            return []
        chunk = self._chunk({}, FINISHES.get(reason, "stop"))
        if delta.get("stop_sequence"):
            chunk["choices"][0]["stop_sequence"] = delta["stop_sequence"]
        return [chunk]


class AnthropicEvents:
    """Writes one stream to a client with an Anthropic SDK.

    Usage is told in the last event but one, for most upstreams say it last; the first event has to have one, of zeros.

    Args:
        model: what the stream says that answers, until the upstream says it.
    """

    def __init__(self, model: str = "") -> None:
        self._model = model
        self._begun = False
        self._open = ""
        """What the open block is: `text`, `thinking`, or `tool:` and its number; empty between blocks."""
        self._index = -1
        self._tools: set[int] = set()
        self._finish = ""
        self._stopped: str | None = None
        self._usage = Usage()

    def write(self, chunks: Sequence[Json]) -> bytes:
        """The chunks' events.

        Raises:
            UpstreamBad: a piece of a tool call whose block was closed by another: Anthropic's blocks come one by one.
        """
        sent = bytearray()
        for chunk in chunks:
            if not self._begun:
                sent += self._begin(chunk)
            if chunk.get("usage"):
                self._usage = openai_usage(chunk["usage"]) or self._usage
            for choice in chunk.get("choices") or ():
                if choice.get("index", 0) == 0:
                    self._delta(choice.get("delta") or {}, sent)
                    self._finish = choice.get("finish_reason") or self._finish
                    self._stopped = choice.get("stop_sequence") or self._stopped
        return bytes(sent)

    def end(self) -> bytes:
        """The open block's end, why the answer ended with the usage, and the end of the message."""
        sent = bytearray() if self._begun else bytearray(self._begin({}))
        self._close(sent)
        reason = "stop_sequence" if self._stopped else STOP_REASONS.get(self._finish, "end_turn")
        usage = anthropic_usage_json(self._usage)
        del usage["cache_creation"]  # which the last half of usage has not
        delta = {"stop_reason": reason, "stop_sequence": self._stopped}
        sent += _event({"type": "message_delta", "delta": delta, "usage": usage})
        sent += _event({"type": "message_stop"})
        return bytes(sent)

    def fail(self, failure: Failure) -> bytes:
        """An error event, which Anthropic's SDKs raise."""
        return _event(anthropic_error_json(failure))

    def _begin(self, chunk: Json) -> bytes:
        self._begun = True
        message: Json = {
            "id": chunk.get("id") or "msg_0",
            "type": "message",
            "role": "assistant",
            "model": chunk.get("model") or self._model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": {"input_tokens": 0, "output_tokens": 0},
        }
        return _event({"type": "message_start", "message": message})

    def _delta(self, delta: Json, sent: bytearray) -> None:
        reasoning = delta.get("reasoning_content") or delta.get("reasoning")
        if isinstance(reasoning, str) and reasoning:
            self._to("thinking", {"type": "thinking", "thinking": "", "signature": ""}, sent)
            self._piece({"type": "thinking_delta", "thinking": reasoning}, sent)
        for block in delta.get("thinking_blocks") or ():
            self._thought(block, sent)
        text = delta.get("content") or delta.get("refusal")
        if isinstance(text, str) and text:
            self._to("text", {"type": "text", "text": ""}, sent)
            self._piece({"type": "text_delta", "text": text}, sent)
        for call in delta.get("tool_calls") or ():
            self._call(call, sent)

    def _thought(self, block: Json, sent: bytearray) -> None:
        """A finished thinking block: its text was sent before, where it is shown at all; its signature is sent now."""
        if block.get("type") == "thinking":
            self._to("thinking", {"type": "thinking", "thinking": "", "signature": ""}, sent)
            self._piece({"type": "signature_delta", "signature": block.get("signature", "")}, sent)
        else:
            self._close(sent)
            self._to("redacted", block, sent)
        self._close(sent)

    def _call(self, call: Json, sent: bytearray) -> None:
        number = call.get("index", 0)
        function = call.get("function") or {}
        name = f"tool:{number}"
        if self._open != name:
            if number in self._tools:
                raise UpstreamBad(
                    "The upstream sends two tool calls in turns, which Anthropic's stream cannot say.",
                    hint="Ask without streaming, or with `disable_parallel_tool_use`.",
                )
            self._tools.add(number)
            found = {"id": call_id(call.get("id") or f"call_{number}"), "name": function.get("name") or ""}
            self._to(name, {"type": "tool_use", **found, "input": {}}, sent)
        if function.get("arguments"):
            self._piece({"type": "input_json_delta", "partial_json": function["arguments"]}, sent)

    def _to(self, name: str, block: Json, sent: bytearray) -> None:
        if self._open != name:
            self._close(sent)
            self._open = name
            self._index += 1
            sent += _event({"type": "content_block_start", "index": self._index, "content_block": block})

    def _piece(self, delta: Json, sent: bytearray) -> None:
        sent += _event({"type": "content_block_delta", "index": self._index, "delta": delta})

    def _close(self, sent: bytearray) -> None:
        if self._open:
            self._open = ""
            sent += _event({"type": "content_block_stop", "index": self._index})


def _event(body: Json) -> bytes:
    return event(msgspec.json.encode(body), body["type"])
