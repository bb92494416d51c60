"""The ASGI application: paths to handlers, errors to answers. Bare, since a framework costs more than a model.

`serve.application` calls it once a request.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from perdure.core.clock import machine_us, monotonic_s, parse_at, to_us
from perdure.core.errors import BadRequest, DeclarationError, PerdureError, WrongMethod, not_found
from perdure.core.ids import new_id
from perdure.serve.boundary import contained
from perdure.serve.metrics import Counters
from perdure.serve.scoring.http import (
    ClientGone,
    Receive,
    Reply,
    Scope,
    Send,
    check_media,
    error_reply,
    json_reply,
    query_flag,
    read_body,
    send_reply,
)
from perdure.serve.scoring.labels import LabelHandler
from perdure.serve.scoring.predict import Answered, Ask, PredictHandler
from perdure.serve.scoring.reports import Reports

log = logging.getLogger("perdure.serve")

_MODELS = "/v1/models/"
_PREDICT = "/predict"
_PREDICT_PATH = f"{_MODELS}{{name}}{_PREDICT}"
_LABELS_PATH = "/v1/labels"
_NOW = b"perdure-now"


@dataclass(frozen=True, slots=True, eq=False)
class AppParts:
    """What the application calls."""

    predict: PredictHandler
    labels: LabelHandler
    reports: Reports
    counters: Counters
    max_body_bytes: int
    replay: bool
    others: Sequence[str] = ()
    """Paths that are answered elsewhere in this process: named where a path is not known."""


class ScoringApp:
    """Scoring over HTTP."""

    def __init__(self, parts: AppParts) -> None:
        self._parts = parts
        reports = parts.reports
        self._gets: dict[str, Callable[[], Reply]] = {
            "/healthz": reports.health,
            "/readyz": reports.ready,
            "/metrics": reports.metrics,
            "/v1/models": reports.models,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        began_s = monotonic_s()
        path: str = scope["path"]
        try:
            if path.startswith(_MODELS) and path.endswith(_PREDICT):
                await self._predict(path[len(_MODELS) : -len(_PREDICT)], began_s, scope, receive, send)
            elif path == _LABELS_PATH:
                await self._labels(scope, receive, send)
            else:
                reply = contained(lambda: self._report(path, scope["method"]), _failure)
                self._parts.counters.count_request(path if path in self._gets else "", "", reply.status)
                await send_reply(send, reply)
        except ClientGone:
            log.debug("A client hung up before its request was whole.")

    async def _predict(self, model: str, began_s: float, scope: Scope, receive: Receive, send: Send) -> None:
        def answer() -> Answered:
            return self._parts.predict.answer(
                Ask(model, body, domain_us(headers, replay=self._parts.replay), explain, began_s)
            )

        headers = dict(scope["headers"])
        outcome: Answered | Reply
        try:
            _check_method(scope, "POST")
            check_media(headers)
            explain = bool(scope["query_string"]) and query_flag(scope["query_string"], "explain")
            body = await read_body(headers, receive, self._parts.max_body_bytes)
            if explain:
                # Slow the first time, so not on this thread; what fails here fails again, and is told, in the answer.
                prepare = partial(self._parts.predict.prepare_explaining, model)
                await asyncio.to_thread(contained, prepare, lambda _: None)
        except PerdureError as error:
            outcome = error_reply(error)
        else:
            outcome = contained(answer, _failure)
        if isinstance(outcome, Reply):
            known = model if model in self._parts.predict.models else ""
            self._parts.counters.count_request(_PREDICT_PATH, known, outcome.status)
            await send_reply(send, outcome)
            return
        self._parts.counters.count_request(_PREDICT_PATH, model, 200)
        shadow = outcome.shadow
        # In a replay everything is recorded before the answer, so that two replays drain the same.
        if shadow is not None and self._parts.replay:
            shadow()
        await send_reply(send, Reply(200, outcome.body))
        if shadow is not None and not self._parts.replay:
            shadow()

    async def _labels(self, scope: Scope, receive: Receive, send: Send) -> None:
        def accept() -> Reply:
            return json_reply(
                202, {"accepted": self._parts.labels.accept(body, domain_us(headers, replay=self._parts.replay))}
            )

        headers = dict(scope["headers"])
        try:
            _check_method(scope, "POST")
            check_media(headers)
            body = await read_body(headers, receive, self._parts.max_body_bytes)
        except PerdureError as error:
            reply = error_reply(error)
        else:
            reply = contained(accept, _failure)
        self._parts.counters.count_request(_LABELS_PATH, "", reply.status)
        await send_reply(send, reply)

    def _report(self, path: str, method: str) -> Reply:
        handler = self._gets.get(path)
        if handler is None:
            raise not_found("path", path, [*self._gets, _PREDICT_PATH, _LABELS_PATH, *self._parts.others])
        if method not in ("GET", "HEAD"):
            raise _wrong_method(method, path, "GET", "HEAD")
        return handler()

    def models(self) -> Reply:
        """`/v1/models`: every declared model with its versions."""
        return self._parts.reports.models()


def _check_method(scope: Scope, allowed: str) -> None:
    if scope["method"] != allowed:
        raise _wrong_method(scope["method"], scope["path"], allowed)


def _wrong_method(method: str, path: str, *allowed: str) -> WrongMethod:
    return WrongMethod(f"{path} does not answer {method}.", hint=f"Use {' or '.join(allowed)}.", allowed=list(allowed))


def _failure(error: Exception) -> Reply:
    """The answer to an error; one that nobody meant to raise is logged under an id, and told by that id only."""
    if isinstance(error, PerdureError):
        return error_reply(error)
    error_id = new_id("err")
    log.error("A request failed (%s).", error_id, exc_info=error)
    body = {"code": "internal", "message": "The request failed by a defect of the server or of the model."}
    facts = {"error_id": error_id}
    return json_reply(
        500, {"error": {**body, "hint": f"The server's log has the details under {error_id}.", "facts": facts}}
    )


def domain_us(headers: Mapping[bytes, bytes], *, replay: bool) -> int:
    """Domain time of a request, in microseconds: the machine's, or in a replay the request's own.

    Raises:
        BadRequest: it tells a time though this is no replay, or tells none that can be read though it is one.
    """
    text = headers.get(_NOW)
    if not replay:
        if text is not None:
            raise BadRequest(
                "This server takes the time from its own clock, but the request has the header perdure-now.",
                hint="Leave the header out; only a server in replay mode ([serve] replay = true) accepts it.",
            )
        return machine_us()
    if text is None:
        raise BadRequest(
            "This server replays: each request tells its time, but this one has no header perdure-now.",
            hint="Send perdure-now: 2013-03-01T06:00:00Z, or start the server without replay.",
        )
    try:
        return to_us(parse_at(text.decode("latin-1")))
    except DeclarationError as error:
        raise BadRequest(f"The header perdure-now cannot be read: {error.message}", hint=error.hint) from error
