"""A GGUF model in this process as an upstream: OpenAI's chat completions by llama.cpp (extra `local`).

One model runs one request at a time, so one thread works off a queue; llama.cpp releases the lock of Python while it
computes, and the gateway's loop goes on. What surprised us:

- Streams of llama-cpp-python carry no usage. Both the count of tokens and the check whether anybody still waits sit in a
  wrapper of `Llama.generate`, its public generator of tokens: so a cancel is seen between any two tokens, also those
  that give no text yet.
- An exception inside its callbacks (`logits_processor`) is lost in C; one inside `generate` ends the completion cleanly.
- Of `response_format` it knows `json_object` with a schema beside it, and lets OpenAI's `json_schema` pass unread.
- Without `verbose=False` it prints to standard error, and without `model=` it tells clients the path of the file.
"""

from __future__ import annotations

import asyncio
import importlib
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from perdure.core.errors import BadRoute, MissingExtra, UpstreamCut, UpstreamError, nearest
from perdure.serve.boundary import contained
from perdure.serve.gateway.upstream.answer import Answer
from perdure.serve.gateway.upstream.protocols import HeaderPairs
from perdure.serve.gateway.upstream.pushed import DONE, EVENTS, Pushed, Refusal, chat_request, event

OPTIONS = {"n_ctx": 4096, "n_threads": 0, "n_gpu_layers": 0}
"""What may stand behind the file as `?n_ctx=8192&n_threads=4`, with its defaults: tokens that a conversation may have,
threads (0: as llama.cpp likes), layers computed on a GPU (-1: all)."""
_PARAMS = (
    *("messages", "tools", "tool_choice", "functions", "function_call", "response_format"),
    *("temperature", "top_p", "top_k", "min_p", "seed", "stop", "max_tokens", "logit_bias", "logprobs", "top_logprobs"),
    *("presence_penalty", "frequency_penalty", "repeat_penalty"),
)
_encode = msgspec.json.encode


class _Stopped(Exception):
    """Nobody waits for the rest."""


class _Tally:
    """Tokens of the completion under way, counted where they are made."""

    __slots__ = ("last", "n_completion", "n_prompt", "stopped")

    def __init__(self, stopped: Callable[[], bool]) -> None:
        self.stopped = stopped
        self.n_prompt = self.n_completion = 0
        self.last: int | None = None

    def usage(self, llm: Any) -> dict[str, int]:
        """As OpenAI's `usage`; the token that ends a text is none of it."""
        is_end = self.last is not None and llm.detokenize([self.last]) == b""
        n_completion = self.n_completion - is_end
        return {
            "prompt_tokens": self.n_prompt,
            "completion_tokens": n_completion,
            "total_tokens": self.n_prompt + n_completion,
        }


class _Job:
    """One request on its way through the thread; its answer is fed on the loop that asked."""

    def __init__(self, name: str, request: dict[str, Any], idle_s: float) -> None:
        self.stopped = False
        self._loop = asyncio.get_running_loop()
        self._request = request
        self._pushed = Pushed(name, idle_s, self.stop)
        self._begun = False

    @property
    def answer(self) -> Answer:
        return self._pushed.answer

    def stop(self) -> None:
        self.stopped = True

    def run(self, llm: Any, tally: _Tally) -> None:
        """In the thread: the completion, pushed as it comes."""
        request = self._request
        params = {name: request[name] for name in _PARAMS if name in request}
        params["messages"] = [_worded(message) for message in request["messages"]]
        if "max_completion_tokens" in request:
            params["max_tokens"] = request["max_completion_tokens"]
        if "response_format" in params:
            params["response_format"] = _form(params["response_format"])
        model = str(request.get("model", ""))
        if request.get("stream"):
            self._stream(llm.create_chat_completion(**params, model=model, stream=True), llm, tally)
        else:
            self.post(self._pushed.whole, 200, _encode(llm.create_chat_completion(**params, model=model)))

    def _stream(self, chunks: Iterator[dict[str, Any]], llm: Any, tally: _Tally) -> None:
        chunk: dict[str, Any] = {}
        for chunk in chunks:
            if not self._begun:
                self._begun = True
                self.post(self._pushed.begin, 200, EVENTS)
            self.post(self._pushed.push, event(_encode(chunk)))
        if (self._request.get("stream_options") or {}).get("include_usage"):
            last = {**chunk, "choices": [], "usage": tally.usage(llm)}
            self.post(self._pushed.push, event(_encode(last)))
        self.post(self._pushed.push, DONE)
        self.post(self._pushed.end)

    def failed(self, error: Exception) -> None:
        """In the thread: the model or its library gave up."""
        if isinstance(error, _Stopped):
            self.cut("The local model was stopped before its answer was whole.")
        elif self._begun:
            self.cut(f"The local model gave up in the middle of its answer: {type(error).__name__}.")
        else:
            self.post(self._pushed.refuse, _refusal(error))

    def cut(self, message: str) -> None:
        """In the thread: no more comes."""
        self.post(self._pushed.fail, UpstreamCut(message))

    def post(self, push: Callable[..., None], *values: Any) -> None:
        """Let the loop do it. A loop that is closed has nobody who waits."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(push, *values)


class LocalClient:
    """A model file that answers chat completions; implements `protocols.Client`.

    The model is loaded by its thread at once, so the first request waits no longer than that still takes.

    Args:
        url: the file, with `OPTIONS` behind it as a query, such as `models/smollm2.gguf?n_ctx=8192`.

    Raises:
        BadRoute: no such file, or an option that is not known.
        MissingExtra: llama-cpp-python is not installed.
    """

    def __init__(self, url: str) -> None:
        file, options = _parse(url)
        self._name = file.name
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._asked: set[_Job] = set()
        self._closed = False
        library = _library()
        self._thread = threading.Thread(
            target=self._work, args=(lambda: _load(library, file, options),), name=f"perdure-{file.name}", daemon=True
        )
        self._thread.start()

    async def send(
        self,
        path: str,
        headers: HeaderPairs,  # noqa: ARG002 - a model reads none
        body: bytes,
        *,
        first_s: float,
        idle_s: float,
    ) -> Answer:
        """Answer a chat completion; see `protocols.Client.send`. `headers` say nothing to a model.

        Raises:
            UpstreamError: no answer in time, or the model cannot be loaded.
        """
        deadline = asyncio.get_running_loop().time() + first_s
        try:
            request = _checked(chat_request(path, body))
        except Refusal as refusal:
            pushed = Pushed(self._name, idle_s, lambda: None)
            pushed.refuse(refusal)
            return pushed.answer
        if self._closed:
            raise UpstreamError(f"The local model {self._name!r} was closed.", hint="Ask the client made after it.")
        job = _Job(self._name, request, idle_s)
        self._asked.add(job)
        self._jobs.put(job)
        await job.answer.begun(deadline)
        return job.answer

    async def close(self) -> None:
        """Take no more, and free the model when what was asked is answered; if cancelled, without waiting for it."""
        if not self._closed:
            self._closed = True
            self._jobs.put(None)
        try:
            await asyncio.to_thread(self._thread.join)
        except asyncio.CancelledError:
            for job in list(self._asked):
                job.stop()
            raise

    def _work(self, load: Callable[[], Any]) -> None:
        llm = contained(load, lambda error: error)
        why = f"The local model {self._name!r} cannot be loaded: "
        while (job := self._jobs.get()) is not None:
            if isinstance(llm, Exception):
                job.post(job.answer.fail, UpstreamError(f"{why}{type(llm).__name__}.", hint="Check the file."))
            elif job.stopped:
                job.failed(_Stopped())
            else:
                contained(lambda: _run(job, llm), job.failed)
            self._asked.discard(job)
        if not isinstance(llm, Exception):
            llm.close()


def _checked(request: dict[str, Any]) -> dict[str, Any]:
    if request.get("n", 1) != 1:
        raise Refusal(400, "A local model gives one choice: n must be 1.")
    return request


def _worded(message: Any) -> Any:
    """A message whose content is no text where it only calls tools: templates join it as one."""
    calls = isinstance(message, dict) and message.get("content") is None and message.get("tool_calls")
    return {**message, "content": ""} if calls else message


def _form(wanted: Any) -> Any:
    """OpenAI's `json_schema` as llama.cpp's grammar of it is asked for; anything else as it is."""
    told = wanted.get("json_schema") if isinstance(wanted, dict) and wanted.get("type") == "json_schema" else None
    schema = told.get("schema") if isinstance(told, dict) else None
    return {"type": "json_object", "schema": schema} if isinstance(schema, dict) else wanted


def _run(job: _Job, llm: Any) -> None:
    tally = _Tally(lambda: job.stopped)
    generate = llm.generate
    llm.generate = _counted(generate, tally)
    try:
        job.run(llm, tally)
    finally:
        llm.generate = generate


def _counted(generate: Callable[..., Iterator[int]], tally: _Tally) -> Callable[..., Iterator[int]]:
    def counted(tokens: Any, *args: Any, **options: Any) -> Iterator[int]:
        tally.n_prompt += len(tokens)
        for token in generate(tokens, *args, **options):
            if tally.stopped():
                raise _Stopped
            tally.n_completion += 1
            tally.last = token
            yield token

    return counted


def _refusal(error: Exception) -> Refusal:
    from jinja2 import TemplateError  # a model's template renders the conversation

    # What the library says may quote the conversation; only what is known not to is passed on.
    text = str(error)
    if isinstance(error, ValueError) and "exceed context window" in text:
        return Refusal(400, f"{text}.", "context_length_exceeded")
    if isinstance(error, ValueError | TypeError | KeyError | TemplateError):
        return Refusal(400, f"The local model cannot answer this request: {type(error).__name__}.")
    return Refusal(500, f"The local model gave up: {type(error).__name__}.")


def _parse(url: str) -> tuple[Path, dict[str, int]]:
    name, _, query = url.partition("?")
    options = dict(OPTIONS)
    for key, value in parse_qsl(query, keep_blank_values=True):
        if key not in OPTIONS:
            near = nearest(key, OPTIONS)
            raise BadRoute(
                f"The local model {name!r} has the unknown option {key!r}.",
                hint=f"Did you mean {near!r}?" if near else f"Known: {', '.join(OPTIONS)}.",
            )
        try:
            options[key] = int(value)
        except ValueError as error:
            raise BadRoute(f"The option {key} of a local model is {value!r}, but it must be a whole number.") from error
    file = Path(name)
    if not file.is_file():
        raise BadRoute(f"There is no model file {name!r}.", hint="Give the path of a GGUF file.")
    return file, options


def _library() -> Any:
    try:
        return importlib.import_module("llama_cpp")
    except ImportError as error:
        raise MissingExtra("local", needed_for="A model in this process (dialect `local`)") from error


def _load(library: Any, file: Path, options: dict[str, int]) -> Any:
    return library.Llama(
        model_path=str(file),
        n_ctx=options["n_ctx"],
        n_threads=options["n_threads"] or None,
        n_gpu_layers=options["n_gpu_layers"],
        verbose=False,
    )
