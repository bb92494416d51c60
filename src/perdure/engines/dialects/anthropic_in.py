"""Clients that speak Anthropic's Messages API, whatever answers them.

What only Anthropic understands is carried along (see `docs/gateway/dialects.md`): `cache_control` where it stood, thinking
blocks in the message's `thinking_blocks`, and members of the request without a neutral word under `anthropic`, whose
presence also tells the other side who asked.
"""

from __future__ import annotations

from typing import Any

import msgspec

from perdure.core.errors import BadRequest
from perdure.core.usage import Usage
from perdure.engines.dialects.anthropic_parts import choice_of, input_of, part_of, tool_of
from perdure.engines.dialects.anthropic_stream import STOP_REASONS, AnthropicEvents
from perdure.engines.dialects.checks import objects, optional, required
from perdure.engines.dialects.counts import anthropic_usage_json, openai_usage
from perdure.engines.dialects.failures import anthropic_error_json
from perdure.engines.dialects.protocols import EventWriter, Failure

Json = dict[str, Any]
TRANSLATED = frozenset(
    {
        "model", "messages", "max_tokens", "system", "stream", "temperature", "top_p", "stop_sequences", "tools",
        "tool_choice", "metadata",
    }
)  # fmt: skip
"""Members with a neutral word; all others are carried along."""


class AnthropicInbound:
    """The side that clients with an Anthropic SDK speak."""

    name = "anthropic"

    def read(self, body: Json) -> Json:
        """The neutral request.

        Raises:
            BadRequest: `model`, `messages` or `max_tokens` is missing, or something is of the wrong type.
        """
        request = self.read_counted(body)
        limit = required(body, "max_tokens", "integer")
        if limit < 0:  # 0 is Anthropic's word for filling its cache alone
            raise BadRequest("`max_tokens` must not be negative.", param="max_tokens")
        request["max_completion_tokens"] = limit
        if optional(body, "stream", "boolean"):
            request["stream"] = True
        return request

    def read_counted(self, body: Json) -> Json:
        """The neutral request of one whose tokens are to be counted: without `max_tokens`."""
        request: Json = {"model": required(body, "model", "string")}
        request["messages"] = _system(body)
        required(body, "messages", "list")
        for index, message in enumerate(objects(body, "messages")):
            request["messages"] += _turn(message, f"messages[{index}].")
        for name in ("temperature", "top_p"):
            if optional(body, name, "number") is not None:
                request[name] = body[name]
        stops = optional(body, "stop_sequences", "list")
        if stops:
            request["stop"] = stops
        _tools(body, request)
        _who(body, request)
        _extras(body, request)
        return request

    def write(self, answer: Json) -> bytes:
        """The message of a neutral answer's first choice."""
        choice = (answer.get("choices") or [{}])[0]
        message = choice.get("message") or {}
        finish = choice.get("finish_reason") or "stop"
        stopped = choice.get("stop_sequence")
        return msgspec.json.encode(
            {
                "id": answer.get("id") or "msg_0",
                "type": "message",
                "role": "assistant",
                "model": answer.get("model") or "",
                "content": _blocks(message),
                "stop_reason": "stop_sequence" if stopped else STOP_REASONS.get(finish, "end_turn"),
                "stop_sequence": stopped,
                "usage": anthropic_usage_json(openai_usage(answer.get("usage")) or Usage()),
            }
        )

    def write_error(self, failure: Failure, call_id: str) -> bytes:
        """Anthropic's error object."""
        return msgspec.json.encode(anthropic_error_json(failure, call_id))

    def write_count(self, n_tokens: int) -> bytes:
        """The answer to `count_tokens`."""
        return msgspec.json.encode({"input_tokens": n_tokens})

    def events(self, request: Json) -> EventWriter:
        """A writer of Anthropic's events."""
        return AnthropicEvents(model=request.get("model", ""))


def _system(body: Json) -> list[Json]:
    system = body.get("system")
    if not system:
        return []
    if isinstance(system, str):
        return [{"role": "system", "content": system}]
    blocks = [part_of(block, f"system[{i}].") for i, block in enumerate(objects(body, "system"))]
    return [{"role": "system", "content": blocks}]


def _turn(message: Json, where: str) -> list[Json]:
    role = required(message, "role", "string", where)
    if role not in ("user", "assistant", "system"):
        raise BadRequest(f"`{where}role` must be user, assistant or system.", param=f"{where}role")
    if isinstance(message.get("content"), str):
        return [{"role": role, "content": message["content"]}]
    required(message, "content", "list", where)
    blocks = objects(message, "content", where)
    places = [f"{where}content[{index}]." for index in range(len(blocks))]
    for block, place in zip(blocks, places, strict=True):
        required(block, "type", "string", place)
    if role == "assistant":
        return [_assistant(blocks, places)]
    results = [_result(b, p) for b, p in zip(blocks, places, strict=True) if b["type"] == "tool_result"]
    parts = [part_of(b, p) for b, p in zip(blocks, places, strict=True) if b["type"] != "tool_result"]
    return [*results, {"role": role, "content": _content(parts)}] if parts else results


def _content(parts: list[Json]) -> Any:
    """One text without more to it as a string, which every upstream takes."""
    return parts[0]["text"] if len(parts) == 1 and set(parts[0]) == {"type", "text"} else parts


def _result(block: Json, where: str) -> Json:
    content = block.get("content")
    if isinstance(content, list):
        inner = objects(block, "content", where)
        content = _content([part_of(part, f"{where}content[{i}].") for i, part in enumerate(inner)])
    told: Json = {
        "role": "tool",
        "tool_call_id": required(block, "tool_use_id", "string", where),
        "content": content or "",
    }
    return told | {name: block[name] for name in ("is_error", "cache_control") if block.get(name)}


def _assistant(blocks: list[Json], places: list[str]) -> Json:
    parts, calls, thinking = [], [], []
    for block, where in zip(blocks, places, strict=True):
        if block["type"] == "tool_use":
            calls.append(_call(block, where))
        elif block["type"] in ("thinking", "redacted_thinking"):
            thinking.append(block)
        else:
            parts.append(part_of(block, where))
    message: Json = {"role": "assistant", "content": _content(parts) if parts else None}
    if calls:
        message["tool_calls"] = calls
    if thinking:
        message["thinking_blocks"] = thinking
    return message


def _call(block: Json, where: str) -> Json:
    arguments = msgspec.json.encode(optional(block, "input", "object", where) or {}).decode()
    call: Json = {
        "id": required(block, "id", "string", where),
        "type": "function",
        "function": {"name": required(block, "name", "string", where), "arguments": arguments},
    }
    return call | ({"cache_control": block["cache_control"]} if block.get("cache_control") else {})


def _tools(body: Json, request: Json) -> None:
    tools = objects(body, "tools")
    if tools:
        request["tools"] = [tool_of(tool, f"tools[{index}].") for index, tool in enumerate(tools)]
    choice = optional(body, "tool_choice", "object")
    if choice and tools:
        request["tool_choice"], parallel = choice_of(choice)
        if not parallel:
            request["parallel_tool_calls"] = False


def _who(body: Json, request: Json) -> None:
    metadata = dict(optional(body, "metadata", "object") or {})
    user = metadata.pop("user_id", None)
    if isinstance(user, str) and user:
        request["user"] = user
    if metadata:
        request["metadata"] = metadata


def _extras(body: Json, request: Json) -> None:
    extras = {name: value for name, value in body.items() if name not in TRANSLATED}
    output = dict(optional(body, "output_config", "object") or {})
    wanted = output.pop("format", None)
    if isinstance(wanted, dict) and wanted.get("type") == "json_schema":
        schema = {"name": "answer", "schema": wanted.get("schema"), "strict": True}
        request["response_format"] = {"type": "json_schema", "json_schema": schema}
    if isinstance(output.get("effort"), str):
        request["reasoning_effort"] = output.pop("effort")
    if output:
        extras["output_config"] = output
    else:
        extras.pop("output_config", None)
    request["anthropic"] = extras


def _blocks(message: Json) -> list[Json]:
    blocks: list[Json] = list(message.get("thinking_blocks") or ())
    reasoning = message.get("reasoning_content") or message.get("reasoning")
    if not blocks and isinstance(reasoning, str) and reasoning:
        blocks.append({"type": "thinking", "thinking": reasoning, "signature": ""})
    content = message.get("content") or message.get("refusal")
    if isinstance(content, str):
        blocks.append({"type": "text", "text": content})
    for call in message.get("tool_calls") or ():
        function = call.get("function") or {}
        found = {"id": call.get("id") or "call", "name": function.get("name", "")}
        blocks.append({"type": "tool_use", **found, "input": input_of(function.get("arguments"))})
    return blocks
