"""Upstreams that speak Anthropic's Messages API, whoever asks.

Version 2023-06-01 of the API is asked for: 2026-10-21 refuses `temperature` and `top_p` for every model, also for those that
take them. Newer models refuse them in both, and older ones `effort`: what a model is known not to take is left out, so that
a fallback from another provider does not end in an error. Structured output is Anthropic's own (`output_config.format`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from perdure.core.clock import machine_us
from perdure.core.errors import BadRequest, UpstreamBad
from perdure.core.usage import Usage
from perdure.engines.dialects.anthropic_in import TRANSLATED
from perdure.engines.dialects.anthropic_parts import anthropic_choice, anthropic_tool, blocks_of, call_id, input_of
from perdure.engines.dialects.anthropic_stream import FINISHES, AnthropicChunks
from perdure.engines.dialects.checks import answer, objects, optional, required
from perdure.engines.dialects.counts import anthropic_usage, openai_usage_json
from perdure.engines.dialects.failures import anthropic_error, anthropic_failure, stream_error
from perdure.engines.dialects.protocols import ChunkReader, Failure, Outgoing
from perdure.engines.dialects.schemas import constrained

Json = dict[str, Any]
VERSION = "2023-06-01"
DEFAULT_MAX_TOKENS = 16_384
"""Anthropic wants a limit; every model since Claude 4 can give so many."""
_AS_JSON = "Answer with a single JSON object and nothing else."
_GENERATION = re.compile(r"claude-(?P<line>[a-z]+)-(?P<major>\d{1,2})(?:-(?P<minor>\d{1,2}))?(?!\d)")
_NOT_SAID = ("audio", "function_call", "functions", "prediction", "web_search_options")
_EFFORTS = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "xhigh", "max": "max"}


class AnthropicOutbound:
    """The side that Anthropic upstreams speak.

    Args:
        now_us: the instant that answers say they were created at, in microseconds.
    """

    name = "anthropic"
    path = "/v1/messages"
    count_path = "/v1/messages/count_tokens"

    def __init__(self, now_us: Callable[[], int] = machine_us) -> None:
        self._now_us = now_us

    def headers(self, secret: str) -> Mapping[str, str]:
        """How Anthropic is told the secret and the version of its API."""
        version = {"anthropic-version": VERSION}
        return {"x-api-key": secret, **version} if secret else version

    def write(self, request: Json, model: str, secret: str) -> Outgoing:
        """The request for one model.

        Raises:
            BadRequest: several answers at once, audio, or old functions are asked for.
        """
        body = self._body(request, model)
        limit = request.get("max_completion_tokens")
        if limit is None:
            limit = request.get("max_tokens")
        body["max_tokens"] = DEFAULT_MAX_TOKENS if limit is None else limit
        stop = request.get("stop")
        given = stop if isinstance(stop, list) else [stop]
        stops = [each for each in given if isinstance(each, str) and each.strip()]  # it refuses white space alone
        if stops:
            body["stop_sequences"] = stops
        user = request.get("user") or request.get("safety_identifier")
        if isinstance(user, str) and user:
            body["metadata"] = {"user_id": user}
        _sampling(request, body)
        if request.get("stream"):
            body["stream"] = True
        return Outgoing(self.path, msgspec.json.encode(body), self.headers(secret))

    def write_count(self, request: Json, model: str, secret: str) -> Outgoing:
        """The question how many tokens a request has."""
        return Outgoing(self.count_path, msgspec.json.encode(self._body(request, model)), self.headers(secret))

    def _body(self, request: Json, model: str) -> Json:
        _refuse(request)
        extras = request.get("anthropic")
        native = isinstance(extras, dict)
        body = {k: v for k, v in extras.items() if k not in TRANSLATED} if isinstance(extras, dict) else {}
        body["model"] = model
        system, body["messages"] = _conversation(request, native=native)
        _output(request, body, system, native=native)
        if system:
            body["system"] = system
        tools = objects(request, "tools")
        if tools:
            body["tools"] = [anthropic_tool(tool) for tool in tools]
            choice = anthropic_choice(request)
            if choice is not None:
                body["tool_choice"] = choice
        return body

    def read(self, body: bytes) -> tuple[Json, Usage | None]:
        """The neutral answer and what was counted.

        Raises:
            UpstreamError: an error that came with status 200, or no message at all.
        """
        found = answer(body)
        if found.get("type") == "error":
            raise stream_error(anthropic_error(found))
        blocks = found.get("content")
        if not isinstance(blocks, list) or not all(isinstance(block, dict) for block in blocks):
            raise UpstreamBad("The upstream's answer has no content.", hint="Check the upstream's address and dialect.")
        usage = anthropic_usage(found.get("usage"))
        reason = str(found.get("stop_reason"))
        choice = {"index": 0, "message": _message(found, blocks), "finish_reason": FINISHES.get(reason, "stop")}
        if found.get("stop_sequence"):
            choice["stop_sequence"] = found["stop_sequence"]
        told: Json = {
            "id": found.get("id") or "msg_0",
            "object": "chat.completion",
            "created": self._now_us() // 1_000_000,
            "model": found.get("model") or "",
            "choices": [choice | {"logprobs": None}],
        }
        if usage is not None:
            told["usage"] = openai_usage_json(usage)
        return told, usage

    def read_count(self, body: bytes) -> int:
        """The answer to `count_tokens`.

        Raises:
            UpstreamBad: it has no number.
        """
        counted = answer(body).get("input_tokens")
        if not isinstance(counted, int):
            raise UpstreamBad("The upstream did not count the tokens.", hint="Check the upstream's dialect.")
        return counted

    def read_error(self, status: int, body: bytes) -> Failure:
        """What an error means."""
        return anthropic_failure(status, body)

    def chunks(self) -> ChunkReader:
        """A reader of one stream."""
        return AnthropicChunks(self._now_us)


def _refuse(request: Json) -> None:
    if (request.get("n") or 1) != 1:
        raise BadRequest("The model that answers here gives one answer to a request.", hint="Leave out `n`.", param="n")
    for name in _NOT_SAID:
        if request.get(name):
            raise BadRequest(
                f"The model that answers here does not know `{name}`.",
                hint="Use `tools` for functions; leave out the others.",
                param=name,
            )
    if "audio" in (optional(request, "modalities", "list") or ()):
        raise BadRequest("The model that answers here does not speak.", hint="Ask for text.", param="modalities")


def _conversation(request: Json, *, native: bool) -> tuple[list[Json], list[Json]]:
    """System blocks and turns; turns of the same side are one.

    A system message between turns keeps its place only where an Anthropic client set it: older models know no such thing.
    """
    system: list[Json] = []
    turns: list[Json] = []
    for message in objects(request, "messages"):
        role = message.get("role")
        if role in ("system", "developer") and not (native and turns):
            system += blocks_of(message.get("content"))
            continue
        side, blocks = _turn(message, "system" if role == "developer" else role)
        if not blocks:
            continue
        if turns and turns[-1]["role"] == side:
            turns[-1]["content"] += blocks
        else:
            turns.append({"role": side, "content": blocks})
    if turns and turns[-1]["role"] == "assistant":
        _trimmed(turns[-1]["content"])
        if not turns[-1]["content"]:
            turns.pop()
    return system, turns


def _turn(message: Json, role: Any) -> tuple[str, list[Json]]:
    if role == "tool":
        return "user", [_result(message)]
    if role == "assistant":
        return "assistant", _assistant(message)
    if role not in ("user", "system"):
        raise BadRequest(
            f"The role {str(role)[:40]!r} is not known to the model that answers here.",
            hint="Use system, developer, user, assistant or tool.",
        )
    return role, blocks_of(message.get("content"))


def _trimmed(blocks: list[Json]) -> None:
    """Anthropic refuses a begun answer that ends in white space."""
    if blocks[-1]["type"] == "text":
        text = blocks[-1]["text"].rstrip()
        blocks[-1:] = [blocks[-1] | {"text": text}] if text else []


def _result(message: Json) -> Json:
    result: Json = {
        "type": "tool_result",
        "tool_use_id": call_id(required(message, "tool_call_id", "string", "messages[].")),
        "content": blocks_of(message.get("content")),
    }
    return result | {name: message[name] for name in ("is_error", "cache_control") if message.get(name)}


def _assistant(message: Json) -> list[Json]:
    """Thinking first, then text, then calls. Thinking without a signature was not Anthropic's, and would be refused."""
    blocks = [
        block
        for block in objects(message, "thinking_blocks", "messages[].")
        if block.get("signature") or block.get("type") == "redacted_thinking"
    ]
    blocks += blocks_of(message.get("content") or message.get("refusal"))
    for call in objects(message, "tool_calls", "messages[]."):
        function = required(call, "function", "object", "messages[].tool_calls[].")
        block: Json = {
            "type": "tool_use",
            "id": call_id(call.get("id")),
            "name": required(function, "name", "string", "messages[].tool_calls[].function."),
            "input": input_of(function.get("arguments")),
        }
        blocks.append(block | ({"cache_control": call["cache_control"]} if call.get("cache_control") else {}))
    return blocks


def _output(request: Json, body: Json, system: list[Json], *, native: bool) -> None:
    """Structured output, and how hard to think, for models that know it."""
    config = dict(body.get("output_config") or {})
    wanted = request.get("response_format")
    kind = wanted.get("type") if isinstance(wanted, dict) else None
    if isinstance(wanted, dict) and kind == "json_schema":
        schema = required(wanted, "json_schema", "object", "response_format.").get("schema")
        config["format"] = {"type": "json_schema", "schema": schema if native else constrained(schema)}
    elif kind == "json_object":
        system.append({"type": "text", "text": _AS_JSON})
    effort = request.get("reasoning_effort")
    if native and effort:
        config["effort"] = effort
    elif isinstance(effort, str) and effort in _EFFORTS and _knows_effort(body["model"]):
        config["effort"] = _EFFORTS[effort]
    if config:
        body["output_config"] = config


def _sampling(request: Json, body: Json) -> None:
    known = _generation(body["model"])
    if known is not None and known[1] >= (4, 7):
        return
    temperature, top_p = optional(request, "temperature", "number"), optional(request, "top_p", "number")
    if temperature is not None:
        body["temperature"] = min(1.0, temperature)
    if top_p is not None and (known is None or temperature is None):
        body["top_p"] = top_p


def _knows_effort(model: str) -> bool:
    known = _generation(model)
    return known is not None and (known[1] >= (4, 6) or known == ("opus", (4, 5)))


def _generation(model: str) -> tuple[str, tuple[int, int]] | None:
    """Line and generation of one of Anthropic's own models; None for others and for the oldest way of naming them."""
    found = _GENERATION.search(model)
    return None if found is None else (found["line"], (int(found["major"]), int(found["minor"] or 0)))


def _message(found: Json, blocks: list[Json]) -> Json:
    texts = [str(block.get("text", "")) for block in blocks if block.get("type") == "text"]
    thinking = [block for block in blocks if block.get("type") in ("thinking", "redacted_thinking")]
    message: Json = {"role": "assistant", "content": "".join(texts) if texts else None, "refusal": None}
    if found.get("stop_reason") == "refusal":
        details = found.get("stop_details")
        said = details.get("explanation") if isinstance(details, dict) else None
        message["refusal"] = said or "The model declined to answer."
    if thinking:
        message["reasoning_content"] = "".join(str(block.get("thinking", "")) for block in thinking)
        message["thinking_blocks"] = thinking
    calls = [
        {
            "id": block.get("id") or "call",
            "type": "function",
            "function": {
                "name": block.get("name") or "",
                "arguments": msgspec.json.encode(block.get("input") or {}).decode(),
            },
        }
        for block in blocks
        if block.get("type") == "tool_use"
    ]
    if calls:
        message["tool_calls"] = calls
    return message
