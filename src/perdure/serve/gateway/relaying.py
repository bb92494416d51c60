"""An upstream's answer on its way to the client: whole or streamed, as bytes or translated, past the guards.

Where both sides speak the same dialect and no guard looks at answers, bytes pass as they come and are only metered. The
last piece is handed back instead of sent: the call is recorded before it goes out. A stream that breaks ends in an error
event of the client's dialect, never in a clean end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec

from perdure.core.clock import monotonic_s
from perdure.core.errors import Blocked, PerdureError, UpstreamBad, UpstreamCut, UpstreamError
from perdure.core.usage import Usage
from perdure.engines.dialects.estimate import tokens_of_bytes
from perdure.engines.dialects.meter import StreamMeter
from perdure.engines.dialects.passthrough import read_usage
from perdure.engines.dialects.protocols import EventWriter
from perdure.serve.gateway.asking import Ask
from perdure.serve.gateway.caching_replay import joined_stream
from perdure.serve.gateway.errors import failure_of, of_upstream
from perdure.serve.gateway.filtering import Filtering
from perdure.serve.gateway.filtering_slowly import filters_of
from perdure.serve.gateway.guarding import Guarding, restored
from perdure.serve.gateway.opening import piece_by
from perdure.serve.gateway.sending import Opened, bill
from perdure.serve.gateway.stopping import is_stop, stopped

Json = dict[str, Any]
SendPiece = Callable[[bytes], Awaitable[None]]
Billed = tuple[Usage | None, int]
"""What the upstream counted, as far as it told, and an estimate of the output's tokens."""
decode_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_KEPT_BYTES = 4_000_000
"""Of a stream that is kept for its record or the cache; a longer one is not."""


class Relay(msgspec.Struct, eq=False):
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
    judges: bool = False
    """Whether what comes back is read and judged, not passed as bytes."""
    _kept: list[bytes] = []
    _n_kept: int = 0
    _billed: bool = False

    def __post_init__(self) -> None:
        self.judges = self.ask.endpoint.translated and self.guarding.judges_answers()

    # Whole answers

    async def whole(self) -> bytes:
        """The body for the client.

        Raises:
            Blocked: a guard found what it must not pass.
            UpstreamBad: what came is no answer.
        """
        ask, opened = self.ask, self.opened
        if opened.passes and not self.judges:
            body = opened.piece
            if self.keeps and ask.endpoint.translated:
                self.answer = self._decoded(body)
            else:
                self._meter(body)
        else:
            body = await self._read(opened.piece)
        await self.guarding.settle()
        return body

    def _meter(self, body: bytes) -> None:
        """Bill a whole answer that passes as bytes and is needed no more; one that counts nothing may be none at all.

        Raises:
            UpstreamBad: it is no JSON object.
        """
        found = read_usage(body, self.ask.endpoint.name)  # type: ignore[arg-type]
        if found.usage is None:
            self._check(body)
        self.ask.call.finish = found.finish
        self._succeed(found.usage, n_output=tokens_of_bytes(len(body)))

    def _check(self, body: bytes) -> None:
        try:
            decode_object(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            bad = UpstreamBad("What the upstream answered is no JSON object.", hint="Check the upstream's address.")
            self._fail(bad, None, n_output=0)
            raise bad from error

    async def _read(self, piece: bytes) -> bytes:
        answer = await self.guarding.judge_answer(self._decoded(piece))
        if self.guarding.restore:
            answer = restored(answer, self.guarding.restore)
        self.answer = answer
        return self.ask.inbound.write(answer)

    def _decoded(self, body: bytes) -> Json:
        """The neutral answer of a whole body, which is billed.

        Raises:
            UpstreamError: it is none.
        """
        try:
            answer, usage = self.opened.target.upstream.outbound.read(body)
        except UpstreamError as error:
            self._fail(error, None, n_output=0)
            raise
        self.ask.call.finish = finish_of(answer)
        self._succeed(usage, n_output=tokens_of_bytes(len(body)))
        return answer

    # Streams

    async def stream(self, send: SendPiece) -> bytes:
        """Relay a stream; returns the last bytes, which are still to be sent.

        Raises:
            Blocked, UpstreamError: a guard found what it must not pass, or the stream broke, before anything went out.
        """
        try:
            await self.guarding.settle()
        except (Blocked, asyncio.CancelledError):
            self._leave(None, 0)
            raise
        if self.opened.passes and not self.judges:
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
                piece = await piece_by(answering, deadline_s)
        except UpstreamError as error:
            return self._cut(error, _so_far(meter))
        except asyncio.CancelledError as error:
            self._leave(*_so_far(meter))
            return self._last_words(error, ask.inbound.events({"stream": True}))
        return self._over(meter, shown)

    def _over(self, meter: StreamMeter, shown: bytes) -> bytes:
        """The last bytes of a stream that passed as bytes and sent its last."""
        self.ask.call.finish = meter.finish
        if meter.failure is not None:
            return self._told(meter, shown)
        if not meter.done:
            shown = meter.end()
            if not meter.done:
                return self._cut(_unfinished(), _so_far(meter))
        self._succeed(meter.usage, n_output=meter.n_output_estimate)
        self._assemble()
        return shown

    async def _translate(self, send: SendPiece) -> bytes:
        ask, opened = self.ask, self.opened
        reader = opened.target.upstream.outbound.chunks()
        writer = ask.inbound.events({**ask.request, "stream": True})
        filtering, slow = filters_of(self.guarding)
        answering, piece = opened.answering, opened.piece
        deadline_s = ask.call.began_s + ask.route.total_s
        came: list[Json] = []
        try:
            while piece and not reader.done:
                came = reader.feed(piece)
                chunks = filtering.feed(came)
                if slow is not None and chunks:
                    chunks = await slow.feed(chunks)
                shown = writer.write(chunks) if chunks else b""
                if shown:
                    await send(shown)
                if not reader.done:
                    piece = await piece_by(answering, deadline_s)
            if not reader.done:
                raise _unfinished()
            chunks = filtering.end()
            if slow is not None:
                chunks = await slow.end(chunks)
            last = writer.write(chunks) + writer.end()
        except (UpstreamError, Blocked) as error:
            return self._stopped(error, _of_part(reader.usage, filtering, came), writer)
        except asyncio.CancelledError as error:
            self._leave(*_of_part(reader.usage, filtering, came))
            return self._last_words(error, writer)
        answer = filtering.answer() if slow is None else slow.answer()
        ask.call.finish = finish_of(answer)
        self._succeed(reader.usage, n_output=tokens_of_bytes(filtering.n_text))
        self.answer = answer if self.keeps else None
        return last

    def _stopped(self, error: PerdureError, billed: Billed, writer: EventWriter) -> bytes:
        """The last bytes of a stream that a guard or a failure ends.

        Raises:
            Blocked, UpstreamError: nothing has gone out, so that it can be told as what it is.
        """
        usage, n_output = billed
        if isinstance(error, Blocked):
            self.ask.call.outcome = "blocked"
            self.opened.answering.close()
            self._succeed(usage, n_output=n_output)
        else:
            self._fail(error, usage, n_output=n_output)
        if not self.ask.call.started:
            raise error
        return writer.fail(failure_of(error))

    def _cut(self, error: UpstreamError, billed: Billed) -> bytes:
        """The last bytes of a stream that broke.

        Raises:
            UpstreamError: nothing has gone out, so that it can be told as what it is.
        """
        usage, n_output = billed
        self._fail(error, usage, n_output=n_output)
        if not self.ask.call.started:
            raise error
        return self.ask.inbound.events({"stream": True}).fail(failure_of(error))

    def _last_words(self, error: asyncio.CancelledError, writer: EventWriter) -> bytes:
        """The last bytes of a stream that the end of the process cuts.

        Raises:
            CancelledError: it was cancelled for another reason, or nothing of it has gone out.
        """
        if not (is_stop(error) and self.ask.call.started):
            raise error
        self.ask.call.outcome = "cut"
        return writer.fail(failure_of(stopped()))

    def _told(self, meter: StreamMeter, shown: bytes) -> bytes:
        """The last bytes of a stream of which the upstream has said itself that it failed: its words, without its secrets.

        Raises:
            UpstreamError: nothing has gone out.
        """
        usage, n_output = _so_far(meter)
        self._fail(None, usage, n_output=n_output)
        failure = meter.failure
        if failure is None or self.ask.endpoint.name == "responses":
            return shown  # a response that failed is told whole, with what it has
        if not self.ask.call.started:
            raise of_upstream(failure, self.opened.target.id)
        return self.ask.inbound.events({"stream": True}).fail(failure)

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
                self.answer = joined_stream(b"".join(self._kept), reader)
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

    def let_go(self) -> None:
        """Whatever ended the call: nothing of the try is held any more, and it is billed."""
        self.opened.answering.close()
        if not self._billed:
            self._leave(None, 0)
            self.opened.attempt.error = "internal"

    def _bill(self, usage: Usage | None, n_output: int) -> None:
        self._billed = True
        attempt = self.opened.attempt
        attempt.took_us = int((monotonic_s() - self.opened.began_s) * 1e6)
        bill(self.ask, self.opened.target, attempt, usage, n_output=n_output)


def finish_of(answer: Json) -> str:
    """Why a neutral answer's first choice ended; empty where it says none, or nothing that is a word."""
    choices = answer.get("choices")
    said = choices[0].get("finish_reason") if choices else None
    return said if isinstance(said, str) else ""


def _so_far(meter: StreamMeter) -> Billed:
    """What is billed of a stream that passed as bytes and did not come to its end."""
    return _partly(meter.usage, meter.n_output_estimate, final=bool(meter.finish))


def _of_part(usage: Usage | None, filtering: Filtering, came: Sequence[Json]) -> Billed:
    """What is billed of a stream that was translated and did not come to its end."""
    final = filtering.finished or any(part.get("finish_reason") for each in came for part in each.get("choices") or ())
    return _partly(usage, tokens_of_bytes(filtering.n_text), final=final)


def _partly(usage: Usage | None, n_output: int, *, final: bool) -> Billed:
    """Anthropic and Gemini count as they go: until the end was told, the output that they have counted is not all of it."""
    if usage is not None and not final:
        usage = msgspec.structs.replace(usage, n_output=max(usage.n_output, n_output), estimated=True)
    return usage, n_output


def _unfinished() -> UpstreamCut:
    return UpstreamCut("The upstream's stream ended before it was whole.", hint="Try again.")
