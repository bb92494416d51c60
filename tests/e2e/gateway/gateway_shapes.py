"""What models say, in the shapes that each dialect was recorded in: whole answers and streams."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

Json = dict[str, Any]
WORDS = ("Trains", " leave", " at", " noon", ".")


@dataclass(frozen=True)
class Said:
    """What a model says, in no dialect yet."""

    words: tuple[str, ...] = WORDS
    tools: tuple[tuple[str, Json], ...] = ()
    n_input: int = 11
    n_output: int = 7
    n_cached: int = 0
    n: int = 1

    @property
    def text(self) -> str:
        return "".join(self.words)


def whole(kind: str, said: Said, model: str = "m-1") -> Json:
    """A whole answer as that dialect gives it."""
    return {
        "chat": _chat, "messages": _message, "gemini": _gemini, "responses": _response, "embeddings": _embeddings,
        "count_tokens": lambda said, model: {"input_tokens": said.n_input},
    }[kind](said, model)  # fmt: skip


def _chat(said: Said, model: str) -> Json:
    message: Json = {"role": "assistant", "content": said.text or None}
    if said.tools:
        message["tool_calls"] = [
            {"id": f"call_{place}", "type": "function", "function": {"name": name, "arguments": json.dumps(given)}}
            for place, (name, given) in enumerate(said.tools)
        ]
    reason = "tool_calls" if said.tools else "stop"
    return {
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1700000000, "model": model,
        "choices": [{"index": each, "message": message, "logprobs": None, "finish_reason": reason} for each in range(said.n)],
        "usage": _chat_usage(said),
    }  # fmt: skip


def _chat_usage(said: Said) -> Json:
    return {
        "prompt_tokens": said.n_input,
        "completion_tokens": said.n_output,
        "total_tokens": said.n_input + said.n_output,
        "prompt_tokens_details": {"cached_tokens": said.n_cached},
    }


def _message(said: Said, model: str) -> Json:
    parts: list[Json] = [{"type": "text", "text": said.text}] if said.text else []
    parts += [
        {"type": "tool_use", "id": f"toolu_{place}", "name": name, "input": given}
        for place, (name, given) in enumerate(said.tools)
    ]
    return {
        "id": "msg_1", "type": "message", "role": "assistant", "model": model, "content": parts,
        "stop_reason": "tool_use" if said.tools else "end_turn", "stop_sequence": None, "usage": _message_usage(said),
    }  # fmt: skip


def _message_usage(said: Said) -> Json:
    return {
        "input_tokens": said.n_input - said.n_cached,
        "output_tokens": said.n_output,
        "cache_read_input_tokens": said.n_cached,
        "cache_creation_input_tokens": 0,
    }


def _gemini(said: Said, model: str) -> Json:
    parts: list[Json] = [{"text": said.text}] if said.text else []
    parts += [{"functionCall": {"name": name, "args": given}} for name, given in said.tools]
    candidate = {"content": {"role": "model", "parts": parts}, "finishReason": "STOP", "index": 0}
    return {"candidates": [candidate], "usageMetadata": _gemini_usage(said), "modelVersion": model, "responseId": "g1"}


def _gemini_usage(said: Said) -> Json:
    return {
        "promptTokenCount": said.n_input,
        "candidatesTokenCount": said.n_output,
        "totalTokenCount": said.n_input + said.n_output,
        "cachedContentTokenCount": said.n_cached,
    }


def _response(said: Said, model: str) -> Json:
    content = [{"type": "output_text", "text": said.text, "annotations": []}]
    return {
        "id": "resp_1", "object": "response", "created_at": 1700000000, "model": model, "status": "completed",
        "error": None, "incomplete_details": None, "instructions": None, "metadata": {}, "parallel_tool_calls": True,
        "output": [{"id": "m1", "type": "message", "role": "assistant", "status": "completed", "content": content}],
        "tool_choice": "auto", "tools": [], "temperature": 1.0, "top_p": 1.0,
        "usage": {
            "input_tokens": said.n_input, "output_tokens": said.n_output, "total_tokens": said.n_input + said.n_output,
            "input_tokens_details": {"cached_tokens": said.n_cached, "cache_write_tokens": 0},
            "output_tokens_details": {"reasoning_tokens": 0},
        },
    }  # fmt: skip


def _embeddings(said: Said, model: str) -> Json:
    return {
        "object": "list",
        "data": [{"object": "embedding", "index": 0, "embedding": [0.25, -0.5]}],
        "model": model,
        "usage": {"prompt_tokens": said.n_input, "total_tokens": said.n_input},
    }


def events(kind: str, said: Said, model: str = "m-1", *, usage: bool = True) -> list[bytes]:
    """A stream as that dialect gives it, an event each."""
    made = {"chat": _chat_events, "messages": _message_events, "gemini": _gemini_events, "responses": _response_events}
    return made[kind](said, model, usage)


def _data(value: Json, name: str = "") -> bytes:
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {json.dumps(value, separators=(',', ':'))}\n\n".encode()


def _chat_events(said: Said, model: str, usage: bool) -> list[bytes]:
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1700000000, "model": model}

    def chunk(delta: Json, finish: str | None = None, index: int = 0) -> bytes:
        shown = {**head, "choices": [{"index": index, "delta": delta, "finish_reason": finish}]}
        return _data({**shown, "usage": None} if usage else shown)

    found = []
    for index in range(said.n):
        found.append(chunk({"role": "assistant", "content": ""}, index=index))
        found += [chunk({"content": word}, index=index) for word in said.words]
        for place, (name, given) in enumerate(said.tools):
            text = json.dumps(given)
            half = len(text) // 2
            call = {"index": place, "id": f"call_{place}", "type": "function"}
            found.append(chunk({"tool_calls": [{**call, "function": {"name": name, "arguments": ""}}]}, index=index))
            for part in (text[:half], text[half:]):
                found.append(chunk({"tool_calls": [{"index": place, "function": {"arguments": part}}]}, index=index))
        found.append(chunk({}, "tool_calls" if said.tools else "stop", index))
    if usage:
        found.append(_data({**head, "choices": [], "usage": _chat_usage(said)}))
    return [*found, b"data: [DONE]\n\n"]


def _message_events(said: Said, model: str, usage: bool) -> list[bytes]:
    begun = {**_message(said, model), "content": [], "stop_reason": None}
    begun["usage"] = {**_message_usage(said), "output_tokens": 1}
    blocks: list[tuple[Json, list[Json]]] = []
    if said.words:
        deltas = [{"type": "text_delta", "text": word} for word in said.words]
        blocks.append(({"type": "text", "text": ""}, deltas))
    for place, (name, given) in enumerate(said.tools):
        text = json.dumps(given)
        parts = [{"type": "input_json_delta", "partial_json": part} for part in (text[:5], text[5:])]
        blocks.append(({"type": "tool_use", "id": f"toolu_{place}", "name": name, "input": {}}, parts))
    told: list[Json] = [{"type": "message_start", "message": begun}, {"type": "ping"}]
    for index, (block, parts) in enumerate(blocks):
        told.append({"type": "content_block_start", "index": index, "content_block": block})
        told += [{"type": "content_block_delta", "index": index, "delta": part} for part in parts]
        told.append({"type": "content_block_stop", "index": index})
    stop = {"stop_reason": "tool_use" if said.tools else "end_turn", "stop_sequence": None}
    told.append({"type": "message_delta", "delta": stop, "usage": {"output_tokens": said.n_output}})
    told.append({"type": "message_stop"})
    return [_data(each, each["type"]) for each in told]


def _gemini_events(said: Said, model: str, usage: bool) -> list[bytes]:
    found = []
    for place, word in enumerate(said.words, 1):
        parts = {"content": {"role": "model", "parts": [{"text": word}]}, "index": 0}
        counted = replace(said, n_output=min(place, said.n_output))
        found.append(_data({"candidates": [parts], "usageMetadata": _gemini_usage(counted), "modelVersion": model}))
    calls = [{"functionCall": {"name": name, "args": given}} for name, given in said.tools]
    last = {"content": {"role": "model", "parts": calls or [{"text": ""}]}, "finishReason": "STOP", "index": 0}
    return [*found, _data({"candidates": [last], "usageMetadata": _gemini_usage(said), "modelVersion": model})]


def _response_events(said: Said, model: str, usage: bool) -> list[bytes]:
    done = _response(said, model)
    begun = {**done, "status": "in_progress", "output": [], "usage": None}
    told: list[Json] = [{"type": "response.created", "response": begun}]
    delta = {
        "type": "response.output_text.delta",
        "item_id": "m1",
        "output_index": 0,
        "content_index": 0,
        "logprobs": [],
    }
    told += [{**delta, "delta": word} for word in said.words]
    told.append({"type": "response.completed", "response": done})
    return [_data({**each, "sequence_number": place}, each["type"]) for place, each in enumerate(told)]
