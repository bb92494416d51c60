"""What open pages are told: one event a topic, streams that are counted and end, static files that browsers keep, and the server around."""

from __future__ import annotations

import asyncio
import gzip
import threading
from dataclasses import replace

import pytest

from perdure.core.clock import monotonic_s
from perdure.core.errors import LimitReached, NotFound, NotReady
from perdure.surface.console.board import TOPICS
from perdure.surface.console.live import PER_PERSON, Live, LiveResponse, events
from perdure.surface.console.static_files import STATIC, StaticFiles


class Held:
    """A board that a test replaces."""

    def __init__(self, board):
        self.board, self.new, self.topics = board, threading.Condition(), frozenset()

    def now(self):
        return self.board

    def changed(self, after, timeout_s):
        with self.new:
            self.new.wait_for(lambda: self.board.generation > after, timeout_s)
            newest = self.board.generation
            return newest, self.topics if newest > after else frozenset()

    def put(self, *topics):
        with self.new:
            self.board = replace(self.board, generation=self.board.generation + 1)
            self.topics = frozenset(topics)
            self.new.notify_all()


@pytest.fixture
def boards(console):
    return Held(console.boards.now())


class Browser:
    """The other end of one stream."""

    def __init__(self):
        self.said, self.leaves, self.heard = [], asyncio.Event(), asyncio.Event()

    async def receive(self):
        await self.leaves.wait()
        return {"type": "http.disconnect"}

    async def send(self, message):
        self.said.append(message.get("body", b"").decode())
        self.heard.set()

    async def hears(self, words):
        async def heard():
            while not any(words in each for each in self.said):
                self.heard.clear()
                await self.heard.wait()

        await asyncio.wait_for(heard(), 5)


def test_events_name_each_topic_and_what_waits(console):
    board = console.boards.now()
    told = events(board, frozenset({"work", "incidents"}))
    assert [line for line in told.splitlines() if line.startswith("event")] == [
        "event: live", "event: live-incidents", "event: live-work",
    ]  # fmt: skip
    assert f"id: {board.generation}\n" in told
    assert f'"incidents":{len(board.incidents)}' in told


def test_an_open_page_hears_of_a_new_board_and_its_end_of_the_console(boards):
    live = Live(boards)

    async def story():
        browser = Browser()
        stream = asyncio.create_task(LiveResponse(live, "ann", -1, lambda: True)({}, browser.receive, browser.send))
        await browser.hears("event: live\n")
        boards.put("incidents")
        await browser.hears("event: live-incidents")
        live.end()
        await asyncio.wait_for(stream, 3)

    asyncio.run(story())


def test_a_browser_that_comes_back_is_told_what_it_missed(boards):
    live, missed = Live(boards), boards.board.generation
    boards.put("releases")

    async def story():
        browser = Browser()
        stream = asyncio.create_task(LiveResponse(live, "ann", missed, lambda: True)({}, browser.receive, browser.send))
        await browser.hears("event: live-releases")
        browser.leaves.set()
        await asyncio.wait_for(stream, 3)

    asyncio.run(story())
    live.end()


def test_a_browser_that_knows_of_an_earlier_start_is_told_that_everything_is_new(boards):
    _, topics = Live(boards).news(boards.board.generation + 100)
    assert topics == TOPICS


def test_a_stream_that_its_browser_left_is_no_longer_counted(boards):
    live = Live(boards)

    async def story():
        browsers = [Browser() for _ in range(PER_PERSON)]
        streams = [
            asyncio.create_task(LiveResponse(live, "ann", -1, lambda: True)({}, each.receive, each.send))
            for each in browsers
        ]
        for each in browsers:
            await each.hears("event: live")
        with pytest.raises(LimitReached):
            live.check("ann")
        live.check("bob")
        browsers[0].leaves.set()
        await asyncio.wait_for(streams[0], 3)
        live.check("ann")
        live.end()
        await asyncio.wait_for(asyncio.gather(*streams), 3)

    asyncio.run(story())


def test_streams_that_were_let_in_at_one_instant_are_no_more_than_one_person_may_have(boards):
    """Each asked while there was room for one; the last ones find none."""
    live = Live(boards)

    async def story():
        browsers = [Browser() for _ in range(PER_PERSON + 2)]
        for _ in browsers:
            live.check("ann")
        streams = [
            asyncio.create_task(LiveResponse(live, "ann", -1, lambda: True)({}, each.receive, each.send))
            for each in browsers
        ]
        for each in browsers[:PER_PERSON]:
            await each.hears("event: live")
        await asyncio.wait_for(asyncio.gather(*streams[PER_PERSON:]), 3)
        assert [each.said for each in browsers[PER_PERSON:]] == [["", ""], ["", ""]]
        live.end()
        await asyncio.wait_for(asyncio.gather(*streams), 3)

    asyncio.run(story())


def test_who_is_signed_out_hears_no_more_though_something_is_always_new(boards, monkeypatch):
    """A loop that catches up on a year makes a board a second for an hour."""
    monkeypatch.setattr("perdure.surface.console.live._PING_S", 0.05)
    monkeypatch.setattr("perdure.surface.console.live._LEAST_S", 0.01)
    live = Live(boards)

    def news(after):
        boards.put("work")
        return boards.now(), frozenset({"work"})

    monkeypatch.setattr(live, "news", news)

    async def story():
        browser = Browser()
        await asyncio.wait_for(LiveResponse(live, "ann", -1, lambda: False)({}, browser.receive, browser.send), 3)
        await browser.hears("event: signed-out")  # a page that hears it does not ask again, and is refused nothing
        live.end()

    asyncio.run(story())


def test_whose_session_somebody_ended_is_told_that_before_any_panel_asks_in_vain(boards):
    """The entry that ends it makes a board, and with that every open panel of people asks again."""
    live, may = Live(boards), [True]

    async def story():
        browser = Browser()
        stream = asyncio.create_task(LiveResponse(live, "ann", -1, lambda: may[0])({}, browser.receive, browser.send))
        await browser.hears("event: live\n")
        may[0] = False
        boards.put("people")
        await asyncio.wait_for(stream, 3)
        assert not any("live-people" in each for each in browser.said)
        assert any("event: signed-out" in each for each in browser.said)
        live.end()

    asyncio.run(story())


def test_fifty_idle_streams_cost_one_thread(boards):
    live, before = Live(boards), set(threading.enumerate())

    async def story():
        browsers = [Browser() for _ in range(50)]
        streams = [
            asyncio.create_task(LiveResponse(live, f"p{n}", -1, lambda: True)({}, each.receive, each.send))
            for n, each in enumerate(browsers)
        ]
        for each in browsers:
            await each.hears("event: live")
        # Threads of other tests may end meanwhile: those that began are counted.
        assert len(set(threading.enumerate()) - before) == 1
        live.end()
        await asyncio.gather(*streams)

    asyncio.run(story())


def test_nobody_follows_a_console_that_ends(boards):
    live = Live(boards)
    live.end()
    with pytest.raises(NotReady):
        live.check("ann")


def test_nobody_follows_who_is_not_signed_in(console):
    assert console.get("/live", as_="").status == 303


def test_topics_of_the_board_are_all_that_panels_listen_for(console):
    import re

    from perdure.surface.console.rendering import TEMPLATES

    texts = [each.read_text() for each in TEMPLATES.rglob("*.html")]
    named = {topic for text in texts for topic in re.findall(r'topic="([^"]+)"', text)}
    named |= {topic for text in texts for topic in re.findall(r"\blive-([a-z]+) from:body", text)}
    assert named <= TOPICS


def test_static_files_are_kept_for_good_under_the_digest_of_all_and_compressed():
    static = StaticFiles()
    address = static.address("css/tokens.css")
    assert address == f"/static/{static.digest}/css/tokens.css"
    body, headers = static.answer(static.digest, "css/tokens.css", gzip=True)
    assert b"--paper" in gzip.decompress(body)
    assert headers["content-encoding"] == "gzip"
    assert "immutable" in headers["cache-control"]
    assert headers["content-type"] == "text/css; charset=utf-8"
    with pytest.raises(NotFound):
        static.answer("0" * 16, "css/tokens.css", gzip=True)
    with pytest.raises(NotFound):
        static.answer(static.digest, "../app.py", gzip=True)


def test_a_page_asks_for_its_styles_together_and_for_its_scripts_together():
    static = StaticFiles()
    for name, suffix in (("console.css", ".css"), ("console.js", ".js")):
        whole, _ = static.answer(static.digest, name, gzip=False)
        of_ours = [each.read_bytes() for each in (STATIC / suffix[1:]).iterdir()]
        of_others = [each.read_bytes() for each in (STATIC / "vendor").rglob(f"*{suffix}")]
        assert all(part in whole for part in (*of_ours, *of_others)), name
        assert len(whole) < sum(len(part) + 1 for part in (*of_ours, *of_others)) + 1


def test_a_change_of_any_static_file_changes_every_address(tmp_path):
    (tmp_path / "a.css").write_text("a")
    before = StaticFiles(tmp_path).digest
    (tmp_path / "a.css").write_text("b")
    assert StaticFiles(tmp_path).digest != before


def test_a_stop_is_over_within_its_grace_though_a_page_is_open(boards):
    began = monotonic_s()
    live = Live(boards)

    async def story():
        browser = Browser()
        stream = asyncio.create_task(LiveResponse(live, "ann", -1, lambda: True)({}, browser.receive, browser.send))
        await browser.hears("event: live")
        threading.Timer(0.05, live.end).start()
        await stream

    asyncio.run(story())
    assert monotonic_s() - began < 3
