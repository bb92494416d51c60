"""One call from its guards to its record: cache, limits, upstream, answer.

The order: exact cache, limits and budgets, fast guards, cache by meaning, upstream (slow guards beside it), guards of the answer,
settling, record, last byte. Limits come before guards, so that nobody tries guards out without end; what is in the cache comes
before limits, for it takes no money. Whatever goes wrong on the way, what was kept aside is settled and the call is recorded, once.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any

import msgspec

from perdure.core.clock import monotonic_s
from perdure.core.errors import BadRequest, UpstreamError, UpstreamTimedOut
from perdure.core.ids import PredictionIds
from perdure.core.usage import Usage
from perdure.engines.guards.protocols import Compiled
from perdure.serve.gateway import cached
from perdure.serve.gateway.asking import Ask
from perdure.serve.gateway.caching_replay import as_chunks
from perdure.serve.gateway.counted import GatewayCounters
from perdure.serve.gateway.embedded import Embedding
from perdure.serve.gateway.errors import error_reply
from perdure.serve.gateway.guarding import Guarding, armed, restored
from perdure.serve.gateway.hanging_up import AFTER_S, Hangup
from perdure.serve.gateway.ongoing import Ongoing
from perdure.serve.gateway.opening import piece_by
from perdure.serve.gateway.relaying import Relay
from perdure.serve.gateway.sending import Opened, TargetRefused, open_call
from perdure.serve.gateway.settling import Settling
from perdure.serve.gateway.shadowing import Shadows
from perdure.serve.gateway.stopping import is_stop
from perdure.serve.scoring.http import Receive, Reply, Send, send_reply
from perdure.serve.waits import Waits
from perdure.stores.capture.events import Call
from perdure.stores.capture.protocols import CaptureWriter

Json = dict[str, Any]

_JSON = (b"content-type", b"application/json")
_EVENTS = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
)
_TRACE = "traceparent"
_SPAN = re.compile(r"[0-9a-f-]{55}")
CLIENT_GONE = 499
"""Status by which a call is recorded whose client hung up; nobody gets it."""


@dataclass(slots=True, eq=False)
class Calls:
    """Answers calls; one a process.

    Args:
        settling: limits and budgets.
        counters: what is counted for Prometheus.
        writer: where records go.
        threads: where slow checks and embeddings run.
        redactor: masks what records keep of requests and answers.
        max_answer_bytes: a longer whole answer is no answer.
        next_id: makes ids, for calls of shadows.
    """

    settling: Settling
    counters: GatewayCounters
    writer: CaptureWriter
    threads: Executor
    redactor: Compiled
    max_answer_bytes: int = 64_000_000
    next_id: Callable[[], str] = PredictionIds().next
    shadows: Shadows = field(init=False)
    young: Waits = field(default_factory=lambda: Waits(AFTER_S))
    """Calls that have not lasted long enough to be listened to."""

    def __post_init__(self) -> None:
        self.shadows = Shadows(self.next_id, self._finish_shadow, self.max_answer_bytes)

    async def answer(self, ask: Ask, receive: Receive, send: Send) -> None:
        """Answer a call and record it; errors before anything went out are the caller's to tell and to record.

        Raises:
            PerdureError: nothing has gone out.
        """
        call = ask.call
        guarding = Guarding(call, armed(ask.route.guards, ask.serving, call.affinity), self.threads)
        try:
            await self._answer(ask, guarding, receive, send)
        finally:
            guarding.give_up()

    async def _answer(self, ask: Ask, guarding: Guarding, receive: Receive, send: Send) -> None:
        call = ask.call
        found = cached.look_up(ask)
        call.reservation = await self.settling.reserve(ask, cached=found.hit is not None)
        if guarding.guards:
            await _judged(ask, guarding)
        if ask.route.semantic is not None:
            found = await self._look_up_near(ask, found)
        if found.hit is not None and found.hit.sampled:
            # Its fresh answer is wanted, to be compared with the one that would have been given again.
            call.tags |= found.hit.tags()
            found = msgspec.structs.replace(found, hit=None)
        if found.asked is not None:
            call.cache = "miss" if found.hit is None else found.hit.kind
        if found.hit is not None:
            await self._give_again(ask, guarding, found.hit.entry, send)
            return
        hangup = Hangup(self.young, receive, ask.route.total_s)
        try:
            await self._ask_upstream(ask, guarding, found, hangup, send)
        except asyncio.CancelledError as error:
            if is_stop(error) and not call.started:
                raise
            if hangup.unread and not call.started and hangup.taken():
                raise UpstreamTimedOut(
                    "The call took longer than the route allows.", hint="Raise `total` of the route."
                ) from None
            call.status, call.outcome = (200, "cut") if hangup.unread and call.started else (CLIENT_GONE, "cancelled")
            self.finish(call)
            if not hangup.taken():
                raise
        finally:
            hangup.over()

    async def _look_up_near(self, ask: Ask, found: cached.Found) -> cached.Found:
        """What the cache has by meaning; what its embedder was asked is a call of its own."""
        embedding, near = Embedding(ask, self.next_id), None
        try:
            near = await cached.look_up_near(ask, found, self.threads, embedding.asks)
        finally:
            call = embedding.billed(near)
            if call is not None:
                self.finish(call)
        return near

    async def _ask_upstream(
        self, ask: Ask, guarding: Guarding, found: cached.Found, hangup: Hangup, send: Send
    ) -> None:
        call = ask.call
        if call.bodies != "none":
            _ = ask.request  # what could not be recorded is refused before it is paid, not when half its answer is out
        try:
            opened = await open_call(ask, self.max_answer_bytes, self.settling.reserve_again)
        except TargetRefused as refused:
            hangup.over()
            await self._tell_refusal(ask, refused, send)
            return
        keeps = call.bodies != "none" or found.asked is not None
        relay = Relay(ask, opened, guarding, keeps)
        try:
            await self._relay(relay, found, hangup, send)
        finally:
            relay.let_go()

    async def _relay(self, relay: Relay, found: cached.Found, hangup: Hangup, send: Send) -> None:
        ask, call, guarding = relay.ask, relay.ask.call, relay.guarding
        last = await (self._stream(relay, send) if call.stream else relay.whole())
        hangup.over()
        call.status = 200
        call.outcome = call.outcome or "answered"
        call.first_us = call.first_us or call.elapsed_us()
        self._keep(relay, found, last)
        self.finish(call)
        self.shadows.follow(ask)
        if not call.stream:
            await send_reply(send, Reply(200, last, self._headers(ask, guarding, (_JSON,))))
            return
        await send({"type": "http.response.body", "body": last})
        if call.outcome == "answered":
            await _drained(relay.opened)

    async def _stream(self, relay: Relay, send: Send) -> bytes:
        """Relay a stream; its head goes out with its first piece, so that a guard may still refuse it whole."""
        ask, call = relay.ask, relay.ask.call

        async def pass_on(piece: bytes) -> None:
            if not call.started:
                await self._begin_stream(ask, relay.guarding, send)
            await send({"type": "http.response.body", "body": piece, "more_body": True})

        last = await relay.stream(pass_on)
        if not call.started:
            await self._begin_stream(ask, relay.guarding, send)
        return last

    async def _begin_stream(self, ask: Ask, guarding: Guarding, send: Send) -> None:
        headers = self._headers(ask, guarding, _EVENTS)
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        ask.call.sent_first()

    async def _give_again(self, ask: Ask, guarding: Guarding, entry: Any, send: Send) -> None:
        """A cached answer, past the guards as they are now."""
        call = ask.call
        body: bytes = entry.body
        if ask.endpoint.translated and (guarding.judges_answers() or call.stream or ask.endpoint.dialect != "openai"):
            answer: Json = msgspec.json.decode(body)
            if guarding.judges_answers():
                answer = restored(await guarding.judge_answer(answer), guarding.restore)
            if call.stream:
                writer = ask.inbound.events({**ask.request, "stream": True})
                body = writer.write(as_chunks(answer)) + writer.end()
            else:
                body = ask.inbound.write(answer)
        await guarding.settle()
        call.status, call.outcome, call.saved_pusd = 200, "answered", entry.cost_pusd or 0
        call.first_us = call.elapsed_us()
        self.finish(call)
        kind = _EVENTS if call.stream else (_JSON,)
        await send_reply(send, Reply(200, body, self._headers(ask, guarding, kind)))

    async def _tell_refusal(self, ask: Ask, refused: TargetRefused, send: Send) -> None:
        """What the upstream found wrong with the request, in the client's words: it is the client's to mend."""
        reply = error_reply(refused.failure, ask.inbound, ask.call.id)
        ask.call.status, ask.call.outcome = reply.status, "refused"
        self.finish(ask.call)
        await send_reply(send, reply)

    def _keep(self, relay: Relay, found: cached.Found, last: bytes) -> None:
        """Keep the answer for others, and what the record keeps of it."""
        ask, answer = relay.ask, relay.answer
        if found.asked is not None and ask.call.outcome == "answered" and not relay.guarding.restore:
            if not ask.endpoint.translated:
                cached.keep(ask, found, last)
            elif answer is not None:
                cached.keep(ask, found, msgspec.json.encode(answer))
        self._record_bodies(relay)

    def _finish_shadow(self, call: Ongoing, relay: Relay | None) -> None:
        if relay is not None:
            self._record_bodies(relay)
        self.finish(call)

    def _record_bodies(self, relay: Relay) -> None:
        ask, call, answer = relay.ask, relay.ask.call, relay.answer
        if call.bodies == "none":
            return
        messages = ask.request.get("messages") or []
        said = [choice.get("message") or {} for choice in (answer or {}).get("choices") or ()]
        call.request, call.answer = self._kept(messages, call.bodies), self._kept(said, call.bodies)

    def _kept(self, messages: Sequence[Json], bodies: str) -> bytes:
        try:
            return msgspec.json.encode(self.redactor.mask(messages).value if bodies == "redacted" else messages)
        except RecursionError:
            return b""  # nested too deeply to be looked at, and so to be kept

    def finish(self, call: Ongoing) -> None:
        """Settle what was kept aside, count the call, record it: once. Cost: some 25 µs without bodies.

        A caller without a key is counted and not recorded: strangers fill no disk.
        """
        if call.recorded:
            return
        call.recorded = True
        usage, cost = call.total()
        if call.reservation is not None:
            self.settling.settle(call, usage, cost)
        self.counters.count(call, usage, cost)
        if not call.key:
            return
        record = self._record(call, usage, cost)
        if call.told is not None:
            call.told(record)
        if not self.writer.append(record):
            self.counters.n_lost += 1

    def _record(self, call: Ongoing, usage: Usage, cost: int | None) -> Call:
        """The record of a call, what the caller said of itself looked through as its words are."""
        found = call.record(usage, cost)
        if call.bodies != "full" and (call.tags or call.affinity != call.key):
            trace = {name: value for name, value in call.tags.items() if name == _TRACE and _SPAN.fullmatch(value)}
            own = {name: value for name, value in call.tags.items() if name not in trace}
            tags, stuck = self.redactor.mask([own, {"affinity": call.affinity}]).value
            found.tags, found.affinity = tags | trace, stuck["affinity"]
        return found

    def _headers(self, ask: Ask, guarding: Guarding, kind: Sequence[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        call = ask.call
        headers = [
            *kind,
            (b"perdure-call-id", call.id.encode()),
            (b"perdure-version", call.version.encode()),
        ]
        if call.prompt:
            headers.append((b"perdure-prompt", call.prompt.encode()))
        if call.cache:
            headers.append((b"perdure-cache", call.cache.encode()))
        if call.attempts:
            headers.append((b"perdure-target", call.attempts[-1].target.encode("latin-1", "replace")))
        if guarding.warnings:
            headers.append((b"perdure-guard-warnings", ",".join(guarding.warnings).encode()))
        return headers


async def _judged(ask: Ask, guarding: Guarding) -> None:
    """The request past its guards.

    Raises:
        Blocked: one of them found what it must not pass.
        BadRequest: one of them could not judge what is asked, or what would be answered.
    """
    if ask.endpoint.name == "responses" and any(each.acts for each in guarding.of_output()):
        raise BadRequest(
            "The guards of this route judge answers, which they cannot do for responses.",
            hint="Ask for chat completions, or another route.",
        )
    request = ask.request
    if any(each.acts and "input" in each.guard.on for each in guarding.guards):
        ask.check_text()
    ask.change(await guarding.judge_request(request, ask.came))
    if not ask.endpoint.translated:
        guarding.restore.clear()  # such answers pass as bytes: masks stay in them


async def _drained(opened: Opened) -> None:
    """Read what is left behind the end of a stream, so that its connection can be used again. The call is over: it cannot fail."""
    until_s = monotonic_s() + 1.0
    try:
        while await piece_by(opened.answering, until_s):
            pass
    except UpstreamError:
        opened.answering.close()
