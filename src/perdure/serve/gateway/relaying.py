"""An upstream's answer on its way to the client: whole or streamed, as bytes or translated, past the guards.

Where both sides speak the same dialect and no guard looks at answers, bytes pass as they come and are only metered. The
last piece is handed back instead of sent: the call is recorded before it goes out. A stream that breaks ends in an error
event of the client's dialect, never in a clean end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from perdure.core.clock import monotonic_s
from perdure.core.errors import Blocked, PerdureError, UpstreamCut, UpstreamError, UpstreamTimedOut
from perdure.core.usage import Usage
from perdure.engines.dialects.estimate import tokens_of_bytes
from perdure.engines.dialects.meter import StreamMeter
from perdure.engines.dialects.passthrough import read_usage
from perdure.engines.dialects.protocols import EventWriter
from perdure.serve.gateway.asking import Ask
from perdure.serve.gateway.caching_replay import joined
from perdure.serve.gateway.errors import failure_of
from perdure.serve.gateway.filtering import Filtering
from perdure.serve.gateway.guarding import Guarding, restored
from perdure.serve.gateway.sending import Opened, bill

Json = dict[str, Any]
SendPiece = Callable[[bytes], Awaitable[None]]
_KEPT_BYTES = 4_000_000
"""Of a stream that is kept for its record or the cache; a longer one is not."""


@dataclass(slots=True, eq=False)
class Relay:
    """One answer being relayed.

    Args:
        ask: what was asked.
        opened: the try that answers.
        guarding: the call's guards.
        keeps: the answer is needed afterwards, for its record or the cache.
    """

    ask: Ask
    opened: Opened
    guarding: Guarding
    keeps: bool
    answer: Json | None = None
    """The neutral answer as the client got it, where it is kept and came to its end."""
    _kept: list[bytes] = field(default_factory=list)
    _n_kept: int = 0

    # Whole answers

    async def whole(self) -> bytes:
        """The body for the client.

        Raises:
            Blocked: a guard found what it must not pass.
            UpstreamBad: what came is no answer.
        """
        ask, opened = self.ask, self.opened
        if opened.passes and not self.guarding.judges_answers():
            body = opened.piece
            found = read_usage(body, ask.endpoint.name)  # type: ignore[arg-type]
            ask.call.finish = found.finish
            self._succeed(found.usage, n_output=tokens_of_bytes(len(body)))
            if self.keeps and ask.endpoint.translated:
                self.answer, _ = opened.target.upstream.outbound.read(body)
        else:
            body = self._read(opened.piece)
        await self.guarding.settle()
        return body

    def _read(self, piece: bytes) -> bytes:
        ask = self.ask
        try:
            answer, usage = self.opened.target.upstream.outbound.read(piece)
        except UpstreamError as error:
            self._fail(error, None, n_output=0)
            raise
        self._succeed(usage, n_output=tokens_of_bytes(len(piece)))
        choices = answer.get("choices") or [{}]
        ask.call.finish = choices[0].get("finish_reason") or ""
        answer = self.guarding.judge_answer(answer)
        if self.guarding.restore:
            answer = restored(answer, self.guarding.restore)
        self.answer = answer
        return ask.inbound.write(answer)

    # Streams

    async def stream(self, send: SendPiece) -> bytes:
        """Relay a stream; returns the last bytes, which are still to be sent.

        Raises:
            Blocked: a slow guard of the request found what it must not pass; nothing has gone out.
        """
        try:
            await self.guarding.settle()
        except (Blocked, asyncio.CancelledError):
            self._leave(None, 0)
            raise
        if self.opened.passes and not self.guarding.judges_answers():
            return await self._pass(send)
        return await self._translate(send)

    async def _pass(self, send: SendPiece) -> bytes:
        ask, opened = self.ask, self.opened
        meter = StreamMeter(ask.endpoint.name, hide_usage=not ask.peek.include_usage)  # type: ignore[arg-type]
        answering, piece, shown = opened.answering, opened.piece, b""
        deadline_s = ask.call.began_s + ask.route.total_s
        try:
            while piece:
                shown = meter.feed(piece)
                if self.keeps:
                    self._keep(piece)
                if meter.done or meter.failure is not None:
                    break
                if shown:
                    await send(shown)
                if monotonic_s() > deadline_s:
                    raise _too_long()
                piece = await answering.piece()
        except UpstreamError as error:
            return self._cut(error, meter.usage, meter.n_output_estimate)
        except asyncio.CancelledError:
            self._leave(meter.usage, meter.n_output_estimate)
            raise
        ask.call.finish = meter.finish
        if meter.failure is not None:
            return shown + self._cut(None, meter.usage, meter.n_output_estimate)
        if not meter.done:
            return self._cut(_unfinished(), meter.usage, meter.n_output_estimate)
        self._succeed(meter.usage, n_output=meter.n_output_estimate)
        self._assemble()
        return shown

    async def _translate(self, send: SendPiece) -> bytes:
        ask, opened = self.ask, self.opened
        reader = opened.target.upstream.outbound.chunks()
        writer = ask.inbound.events({**ask.request, "stream": True})
        filtering = Filtering(self.guarding)
        answering, piece = opened.answering, opened.piece
        deadline_s = ask.call.began_s + ask.route.total_s
        try:
            while piece and not reader.done:
                chunks = filtering.feed(reader.feed(piece))
                shown = writer.write(chunks) if chunks else b""
                if shown:
                    await send(shown)
                if monotonic_s() > deadline_s:
                    raise _too_long()
                if not reader.done:
                    piece = await answering.piece()
            if not reader.done:
                raise _unfinished()
            last = writer.write(filtering.end()) + writer.end()
        except (UpstreamError, Blocked) as error:
            return self._stopped(error, reader.usage, filtering, writer)
        except asyncio.CancelledError:
            self._leave(reader.usage, tokens_of_bytes(filtering.n_text))
            raise
        answer = joined(filtering.sent)
        choices = answer["choices"]
        ask.call.finish = (choices[0].get("finish_reason") or "") if choices else ""
        self._succeed(reader.usage, n_output=tokens_of_bytes(filtering.n_text))
        self.answer = answer if self.keeps else None
        return last

    def _stopped(self, error: PerdureError, usage: Usage | None, filtering: Filtering, writer: EventWriter) -> bytes:
        """The last bytes of a stream that a guard or a failure ends."""
        n_output = tokens_of_bytes(filtering.n_text)
        if isinstance(error, Blocked):
            self.ask.call.outcome = "blocked"
            self.opened.answering.close()
            self._succeed(usage, n_output=n_output)
        else:
            self._fail(error, usage, n_output=n_output)
        return writer.fail(failure_of(error))

    def _cut(self, error: UpstreamError | None, usage: Usage | None, n_output: int) -> bytes:
        """The last bytes of a stream that broke; none where the upstream has said itself that it failed."""
        self._fail(error, usage, n_output=n_output)
        if error is None:
            return b""
        return b"\n\n" + self.ask.inbound.events({"stream": True}).fail(failure_of(error))

    def _keep(self, piece: bytes) -> None:
        self._n_kept += len(piece)
        if self._n_kept <= _KEPT_BYTES:
            self._kept.append(piece)
        else:
            self._kept.clear()

    def _assemble(self) -> None:
        if self._kept and self.ask.endpoint.translated:
            try:
                reader = self.opened.target.upstream.outbound.chunks()
                self.answer = joined(reader.feed(b"".join(self._kept)))
            except UpstreamError:
                self.answer = None

    # What it cost

    def _succeed(self, usage: Usage | None, *, n_output: int) -> None:
        opened = self.opened
        opened.target.breaker.succeed(opened.attempt.first_us / 1e6)
        self._bill(usage, n_output)

    def _fail(self, error: PerdureError | None, usage: Usage | None, *, n_output: int) -> None:
        opened = self.opened
        opened.answering.close()
        opened.target.breaker.fail(self.ask.route.breaker)
        opened.attempt.error = "upstream.cut" if error is None else error.code
        self.ask.call.outcome = "cut" if self.ask.call.started else "failed"
        self._bill(usage, n_output)

    def _leave(self, usage: Usage | None, n_output: int) -> None:
        """The client is gone: the upstream is told by the end of its connection, and billed so far."""
        self.opened.answering.close()
        self.opened.target.breaker.leave()
        self.opened.attempt.error = "cancelled"
        self._bill(usage, n_output)

    def _bill(self, usage: Usage | None, n_output: int) -> None:
        attempt = self.opened.attempt
        attempt.took_us = int((monotonic_s() - self.opened.began_s) * 1e6)
        bill(self.ask, self.opened.target, attempt, usage, n_output=n_output)


def _too_long() -> UpstreamTimedOut:
    return UpstreamTimedOut("The stream took longer than the route allows.", hint="Raise `total` of the route.")


def _unfinished() -> UpstreamCut:
    return UpstreamCut("The upstream's stream ended before it was whole.", hint="Try again.")
