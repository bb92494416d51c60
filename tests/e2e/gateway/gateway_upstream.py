"""Upstreams of the gateway's tests: a small server that answers in recorded shapes, or as badly as a test says.

One server speaks all dialects, told by the path: OpenAI's chat completions, responses and embeddings, Anthropic's messages,
Gemini's generateContent. What it saw, and who hung up on it, is kept.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

Json = dict[str, Any]
WORDS = ("Trains", " leave", " at", " noon", ".")


@dataclass
class Seen:
    """One request as the upstream got it."""

    path: str
    headers: Mapping[str, str]
    raw: bytes
    gone: threading.Event = field(default_factory=threading.Event)
    """The gateway hung up before the answer was whole."""

    @property
    def body(self) -> Json:
        return json.loads(self.raw)

    @property
    def kind(self) -> str:
        for name in ("chat", "responses", "embeddings", "count_tokens", "messages"):
            if name in self.path:
                return name
        return "gemini"

    @property
    def streams(self) -> bool:
        return "streamGenerate" in self.path or self.body.get("stream") is True


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


class Wire:
    """One answer on its way to the gateway."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    def reply(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        named = {"content-type": "application/json", "content-length": str(len(body)), **(headers or {})}
        lines = "".join(f"{name}: {value}\r\n" for name, value in named.items())
        self._writer.write(f"HTTP/1.1 {status} X\r\n{lines}\r\n".encode() + body)

    def begin(self) -> None:
        head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        self._writer.write(head)

    async def piece(self, data: bytes) -> None:
        self._writer.write(b"%x\r\n%s\r\n" % (len(data), data))
        await self._writer.drain()

    def end(self) -> None:
        self._writer.write(b"0\r\n\r\n")

    def raw(self, data: bytes) -> None:
        self._writer.write(data)

    def reset(self) -> None:
        """End it without a word."""
        self._writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    async def hung_up(self) -> None:
        """Until the gateway is gone."""
        with contextlib.suppress(ConnectionError):
            while await self._reader.read(65536):
                pass


Behaviour = Callable[[Wire, Seen], Awaitable[None]]


def recorded(said: Said | None = None, *, gap_s: float = 0.0, usage: bool = True) -> Behaviour:
    """Answer as the real ones do, whole or streamed; `gap_s` between two pieces of a stream."""
    told = said or Said()

    async def behave(wire: Wire, seen: Seen) -> None:
        model = str(seen.body.get("model") or "gemini-1")
        if not seen.streams:
            wire.reply(200, json.dumps(whole(seen.kind, told, model)).encode())
            return
        wire.begin()
        for each in events(seen.kind, told, model, usage=usage):
            await wire.piece(each)
            if gap_s:
                await asyncio.sleep(gap_s)
        wire.end()

    return behave


def status(code: int, message: str = "No.", *, headers: Mapping[str, str] | None = None) -> Behaviour:
    """An error in the shape of whoever is spoken to."""

    async def behave(wire: Wire, seen: Seen) -> None:
        shapes: dict[str, Json] = {
            "messages": {"type": "error", "error": {"type": "invalid_request_error", "message": message}},
            "gemini": {"error": {"code": code, "message": message, "status": "INVALID_ARGUMENT"}},
        }
        shape = shapes.get(seen.kind, {"error": {"message": message, "type": "invalid_request_error", "code": None}})
        wire.reply(code, json.dumps(shape).encode(), headers)

    return behave


def cut(after: int, *, said: Said | None = None, reset: bool = True) -> Behaviour:
    """A stream of which so many events come, and then nothing any more."""
    told = said or Said()

    async def behave(wire: Wire, seen: Seen) -> None:
        wire.begin()
        for each in events(seen.kind, told)[:after]:
            await wire.piece(each)
        await asyncio.sleep(0.01)
        if reset:
            wire.reset()
        else:
            wire.end()

    return behave


def stalled(after: int = 0) -> Behaviour:
    """Nothing comes, or nothing more after so many events, until the gateway hangs up."""

    async def behave(wire: Wire, seen: Seen) -> None:
        if after:
            wire.begin()
            for each in events(seen.kind, Said())[:after]:
                await wire.piece(each)
        await wire.hung_up()
        seen.gone.set()

    return behave


def dripping(gap_s: float) -> Behaviour:
    """Pieces without an end, until the gateway hangs up: of a stream words, of a whole answer spaces."""

    async def behave(wire: Wire, seen: Seen) -> None:
        wire.begin()
        word = events(seen.kind, Said())[1] if seen.streams else b" "
        if seen.streams:
            await wire.piece(events(seen.kind, Said())[0])
        with contextlib.suppress(ConnectionError):
            for _ in range(1000):
                await wire.piece(word)
                await asyncio.sleep(gap_s)
        seen.gone.set()

    return behave


def exactly(data: bytes) -> Behaviour:
    """These bytes, whatever was asked."""

    async def behave(wire: Wire, seen: Seen) -> None:
        wire.raw(data)

    return behave


def streamed(*pieces: bytes) -> Behaviour:
    """A stream of these pieces that ends as HTTP should."""

    async def behave(wire: Wire, seen: Seen) -> None:
        wire.begin()
        for each in pieces:
            await wire.piece(each)
        wire.end()

    return behave


class Upstreams:
    """The server, in a thread of its own.

    Args:
        behave: what it does when nothing else was told.
    """

    def __init__(self, behave: Behaviour | None = None) -> None:
        self.seen: list[Seen] = []
        self.usual = behave or recorded()
        self._next: deque[Behaviour] = deque()
        self._by_model: dict[str, Behaviour] = {}
        self._loop = asyncio.new_event_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = self._wait(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def then(self, *behaviours: Behaviour) -> None:
        """What is done with the next requests."""
        self._next.extend(behaviours)

    def of_model(self, model: str, behave: Behaviour) -> None:
        """What is always done with requests for a model."""
        self._by_model[model] = behave

    def reset(self) -> None:
        """Forget what was told and seen."""
        self.seen.clear()
        self._next.clear()
        self._by_model.clear()
        self.usual = recorded()

    def close(self) -> None:
        self._wait(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _wait(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        wire = Wire(reader, writer)
        try:
            while True:
                seen = await _request(reader)
                self.seen.append(seen)
                try:
                    await self._behaviour(seen)(wire, seen)
                    await writer.drain()
                except (ConnectionError, asyncio.CancelledError):
                    seen.gone.set()
                    raise
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    def _behaviour(self, seen: Seen) -> Behaviour:
        if self._next:
            return self._next.popleft()
        model = seen.path if seen.kind == "gemini" else str(seen.body.get("model"))
        return next((each for name, each in self._by_model.items() if name in model), self.usual)


async def _request(reader: asyncio.StreamReader) -> Seen:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.rstrip("\r\n").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    raw = await reader.readexactly(int(headers.get("content-length", "0")))
    return Seen(first.split(" ")[1], headers, raw)
