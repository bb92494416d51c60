"""Asks models for evals and judges over HTTP: a gateway that runs, with a key of the team `evals`.

`surface.compose` makes it where `[evals] url` is set; else questions go through the project's own gateway in this process
(`surface.asking_here`). Both send the same request and read the same answer: `request_of` and `answered_of`.

What surprised us: an answer from the gateway's cache would be one draw shown as many, so each question says `no-cache,
no-store`; repeats are then new draws, and what is known already is known from `stores.results` alone. Tags go in a header of the
gateway's own: OpenAI refuses `metadata` of requests that are not to be stored, and which case is asked is no provider's business.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import msgspec

from perdure.assets.route import Route, Target
from perdure.assets.upstream import Upstream
from perdure.core.clock import machine_now, monotonic_s
from perdure.core.errors import BadSettings, UpstreamError
from perdure.core.ports import Answered, Asked
from perdure.core.usage import Usage
from perdure.engines.dialects.counts import openai_usage
from perdure.engines.prices import cost_pusd, find_price
from perdure.serve.gateway.upstream.making import make_client

PATH = "/v1/chat/completions"
Headers = Sequence[tuple[bytes, bytes]]
_MOST_BYTES = 64_000_000
_NO_CACHE = (b"cache-control", b"no-cache, no-store")
_JSON = (b"content-type", b"application/json")
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class AnswersByHttp:
    """The port `Answerer` over a gateway's HTTP. For one event loop; connections are kept between questions.

    Args:
        url: of the gateway, such as `http://127.0.0.1:8400`.
        secret: a key of the gateway.
        routes: as declared here: what an answer cost is reckoned by the prices of their targets, for HTTP does not tell it.
        answer_s: an answer that takes longer has failed.

    Raises:
        BadSettings: the address cannot be called.
    """

    def __init__(self, url: str, secret: str, routes: Mapping[str, Route], *, answer_s: float = 120.0) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise BadSettings("evals.url is no address of HTTP.", hint="Write http://HOST:PORT.", key="evals.url")
        self._path = parts.path.rstrip("/").removesuffix("/v1") + PATH
        self._client = make_client(Upstream("gateway", url), "")
        self._headers = [_JSON, _NO_CACHE, (b"authorization", f"Bearer {secret}".encode())]
        self._targets = {f"{t.upstream.name}/{t.model}": t for route in routes.values() for t in route.targets}
        self._answer_s = answer_s

    async def ask(self, asked: Asked) -> Answered:
        """The answer; what fails on the way is an answer with its error's code."""
        began_s = monotonic_s()
        try:
            answering = await self._client.send(
                self._path,
                [*self._headers, *tags_of(asked)],
                request_of(asked),
                first_s=self._answer_s,
                idle_s=self._answer_s,
            )
            try:
                body = await answering.read(_MOST_BYTES)
            except BaseException:
                answering.close()
                raise
        except UpstreamError as error:
            return Answered({}, error=error.code, latency_us=_since(began_s))
        found = answered_of(answering.status, answering.headers, body, _since(began_s))
        return replace(found, cost_pusd=self._cost(found))

    async def close(self) -> None:
        """Close kept connections."""
        await self._client.close()

    def _cost(self, found: Answered) -> int | None:
        if found.usage is None:
            return 0 if found.error else None
        target = self._targets.get(found.model)
        return None if target is None else cost_pusd(found.usage, _price(target))


def request_of(asked: Asked) -> bytes:
    """The body of a question, as OpenAI's chat completions have it."""
    return _encode({**asked.params, "model": asked.route, "messages": asked.messages})


def tags_of(asked: Asked) -> Headers:
    """A question's tags as the gateway takes them: beside the body, whose `metadata` would reach the provider.

    >>> tags_of(Asked("main", [], tags={"case": "c1"}))
    [(b'perdure-tags', b'{"case":"c1"}')]
    """
    return [(b"perdure-tags", json.dumps(dict(asked.tags), separators=(",", ":")).encode())] if asked.tags else []


def answered_of(status: int, headers: Headers, body: bytes, latency_us: int) -> Answered:
    """What came over HTTP as the port has it, its cost not reckoned yet.

    >>> answered_of(429, [(b"retry-after", b"2")], b'{"error": {"code": "limit_reached", "message": "m"}}', 1).retry_after_s
    2.0
    """
    told = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}
    call_id, model = told.get("perdure-call-id", ""), told.get("perdure-target", "")
    try:
        found: Any = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        found = None
    if status == 200:
        choice = _first_choice(found)
        if choice is not None:
            usage: Usage | None = openai_usage(found.get("usage"))
            finish = str(choice.get("finish_reason") or "")
            reported = found.get("model")
            return Answered(
                choice["message"], finish, usage, None, latency_us, model, call_id,
                reported=reported if isinstance(reported, str) else "",
            )  # fmt: skip
    error = _code(found) or f"http.{status}"
    return Answered(
        {}, latency_us=latency_us, model=model, call_id=call_id, error=error, retry_after_s=_wait_s(status, told)
    )


def _first_choice(found: Any) -> dict[str, Any] | None:
    choices = found.get("choices") if isinstance(found, dict) else None
    first = choices[0] if isinstance(choices, list) and choices else None
    return first if isinstance(first, dict) and isinstance(first.get("message"), dict) else None


def _code(found: Any) -> str:
    error = found.get("error") if isinstance(found, dict) else None
    if not isinstance(error, dict):
        return ""
    return str(error.get("code") or error.get("type") or "")[:80]


def _wait_s(status: int, told: Mapping[str, str]) -> float:
    """How long it was asked to wait; a second where a busy one does not say."""
    try:
        wait_s = float(told["retry-after"])
    except (KeyError, ValueError):
        return 1.0 if status in (429, 503, 529) else 0.0
    return min(max(wait_s, 0.0), 3600.0) if math.isfinite(wait_s) else 1.0


def _price(target: Target) -> Any:
    return find_price(target.prices, target.upstream.provider or target.upstream.name, target.model, machine_now())


def _since(began_s: float) -> int:
    return int((monotonic_s() - began_s) * 1e6)
