"""Answers and the one timer that many waits share."""

from __future__ import annotations

import asyncio

import pytest

from perdure.core.errors import UpstreamCut, UpstreamTimedOut
from perdure.serve.gateway.upstream.answer import UNREAD_LIMIT, Watch
from perdure.serve.gateway.upstream.pushed import EVENTS, Pushed, Refusal


class Timers:
    """A loop's clock and timers, moved by hand."""

    def __init__(self):
        self.now, self.armed, self.n_made = 0.0, [], 0

    def time(self):
        return self.now

    def call_at(self, when, callback):
        self.n_made += 1
        timer = (when, callback)
        self.armed.append(timer)
        return type("Handle", (), {"cancel": lambda _: self.armed.remove(timer)})()

    def move(self, now):
        self.now = now
        for timer in [timer for timer in self.armed if timer[0] <= now]:
            self.armed.remove(timer)
            timer[1]()


def test_later_deadlines_cost_no_timer_and_are_kept_to_the_instant():
    timers, late = Timers(), []
    watch = Watch(timers, lambda: late.append(timers.now))
    for deadline in (10.0, 11.0, 12.0, 13.0):
        watch.until(deadline)
    assert timers.n_made == 1
    timers.move(10.0)
    assert (late, timers.n_made) == ([], 2)
    timers.move(13.0)
    assert (late, timers.armed) == ([13.0], [])


def test_an_earlier_deadline_is_not_missed():
    timers, late = Timers(), []
    watch = Watch(timers, lambda: late.append(timers.now))
    watch.until(60.0)
    watch.until(5.0)
    timers.move(5.0)
    assert (late, timers.armed) == ([5.0], [])


def test_a_watch_that_is_off_fires_no_more():
    timers, late = Timers(), []
    watch = Watch(timers, lambda: late.append(timers.now))
    watch.until(5.0)
    watch.off()
    timers.move(6.0)
    assert late == []


def test_what_was_pushed_is_read_in_one_piece_and_then_the_end():
    async def work():
        pushed = Pushed("here", 1.0, lambda: None)
        pushed.begin(200, EVENTS)
        pushed.push(b"a")
        pushed.push(b"b")
        assert await pushed.answer.piece() == b"ab"
        pushed.end()
        assert [await pushed.answer.piece(), await pushed.answer.read(1)] == [b"", b""]
        pushed.fail(UpstreamCut("too late to matter"))
        assert await pushed.answer.piece() == b""

    asyncio.run(work())


def test_an_answer_that_does_not_begin_or_go_on_is_late_and_its_source_is_stopped():
    async def work():
        stopped = []
        pushed = Pushed("here", 0.01, lambda: stopped.append(1))
        with pytest.raises(UpstreamTimedOut, match="did not begin"):
            await pushed.answer.begun(asyncio.get_running_loop().time() + 0.01)
        pushed = Pushed("here", 0.01, lambda: stopped.append(2))
        pushed.begin(200)
        with pytest.raises(UpstreamTimedOut, match="sent nothing more"):
            await pushed.answer.piece()
        assert stopped == [1, 2]

    asyncio.run(work())


def test_a_source_that_outruns_its_reader_waits_for_room():
    async def work():
        pushed = Pushed("here", 1.0, lambda: None)
        pushed.begin(200)
        await pushed.room()
        for _ in range(2):
            pushed.push(b"x" * (UNREAD_LIMIT + 1))
            waiting = asyncio.create_task(pushed.room())
            await asyncio.sleep(0)
            assert not waiting.done()
            await pushed.answer.piece()
            await waiting

    asyncio.run(work())


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, "invalid_request_error"), (401, "authentication_error"), (429, "rate_limit_error"), (500, "server_error")],
)
def test_a_refusal_is_told_as_openai_would(status, kind):
    assert Refusal(status, "no").body == (
        b'{"error":{"message":"no","type":"%s","param":null,"code":null}}' % kind.encode()
    )
