"""The cache around one call: what it has is looked up before anything is paid, what was answered is kept after."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor

import msgspec
import numpy as np
from numpy.typing import NDArray

from perdure.core.clock import machine_us
from perdure.serve.gateway.asking import Ask
from perdure.serve.gateway.caching import Asked, Caller, Hit
from perdure.serve.gateway.caching_semantic import Question
from perdure.stores.cache.protocols import Entry


class Found(msgspec.Struct, frozen=True):
    """What the cache has for a call, and under what a fresh answer is kept."""

    asked: Asked | None = None
    hit: Hit | None = None
    question: Question | None = None
    vector: NDArray[np.float32] | None = None
    n_tokens: int | None = None
    """Of the question, as the embedder's upstream counted."""


_NOTHING = Found()
_TOLD = (b"anthropic-beta", b"anthropic-version", b"openai-beta")
"""Headers of a caller that go to an upstream, and change what it answers."""


def look_up(ask: Ask) -> Found:
    """The answer to the very same request, if it is kept: by what the client sent, so guards need not have looked at it."""
    cache, call = ask.route.cache, ask.call
    if cache is None:
        return _NOTHING
    control = ask.headers.get(b"cache-control", b"").decode("latin-1")
    told = tuple([name + b"=" + ask.headers[name] for name in _TOLD if name in ask.headers])
    asked = cache.asked(ask.peek.raw, Caller(call.team, call.endpoint.name, call.prompt, told), control)
    if asked is None:
        return _NOTHING
    return Found(asked, cache.find(asked, now_us=machine_us()))


async def look_up_near(ask: Ask, found: Found, threads: Executor, asks: Callable[[Question], None]) -> Found:
    """The answer to a request that means the same, where the route wants it; what is asked is as guards left it.

    `asks` is told of a question before it goes to the embedder.
    """
    semantic, asked = ask.route.semantic, found.asked
    if semantic is None or asked is None or found.hit is not None or not ask.endpoint.translated:
        return found
    question = semantic.question(ask.request, asked)
    if question is None:
        return found
    asks(question)
    call_id, now_us = ask.call.id, machine_us()
    loop = asyncio.get_running_loop()
    looked = await loop.run_in_executor(threads, lambda: semantic.find(question, asked, call_id=call_id, now_us=now_us))
    return Found(asked, looked.hit, question, looked.vector, looked.n_tokens)


def keep(ask: Ask, found: Found, body: bytes) -> None:
    """Keep a fresh answer that came to its end: the neutral one, or of embeddings the very bytes."""
    cache, semantic = ask.route.cache, ask.route.semantic
    if cache is None or found.asked is None:
        return
    _, cost = ask.call.total()
    text = "" if found.question is None else found.question.text
    entry = Entry(body, ask.call.id, machine_us(), cost, text)
    if cache.keep(found.asked, entry) and semantic is not None and found.question and found.vector is not None:
        semantic.keep(found.question, found.asked, found.vector)
