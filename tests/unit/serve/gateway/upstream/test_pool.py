"""The pool's promises where two things happen in one turn of the loop."""

from __future__ import annotations

import asyncio

import pytest

from perdure.core.errors import UpstreamCut, UpstreamError
from perdure.serve.gateway.upstream.connection import Connection
from perdure.serve.gateway.upstream.http import HttpClient
from perdure.serve.gateway.upstream.pool import KEEP_S, Pool


class Transport:
    """Takes what is written."""

    def write(self, data):
        """Sent."""

    def abort(self):
        """Closed."""

    def get_write_buffer_size(self):
        return 0


class Opened:
    """A pool on connections that lead nowhere."""

    def __init__(self, max_connections, *, fail=None):
        self.now, self.made, self.fail = 0.0, [], fail
        self.pool = Pool(self.connect, max_connections, lambda: self.now)

    async def connect(self):
        if self.fail is not None:
            raise self.fail
        connection = Connection(asyncio.get_running_loop(), self.pool, "here:80")
        connection.connection_made(Transport())
        self.made.append(connection)
        return connection


async def waiting(pool):
    """A request that waits for its turn."""
    task = asyncio.create_task(pool.take())
    await asyncio.sleep(0)
    assert pool.n_waiting == 1
    return task


def test_a_connection_given_up_in_the_turn_of_a_cancel_is_kept_for_others():
    async def work():
        opened = Opened(1)
        first = await opened.pool.take()
        task = await waiting(opened.pool)
        task.cancel()
        opened.pool.release(first)
        await asyncio.gather(task, return_exceptions=True)
        assert opened.pool.kept() is first
        opened.pool.close()

    asyncio.run(work())


@pytest.mark.parametrize("how", ["released", "broken"])
def test_what_was_granted_in_the_turn_before_a_cancel_is_given_back(how):
    async def work():
        opened = Opened(1)
        first = await opened.pool.take()
        task = await waiting(opened.pool)
        if how == "released":
            opened.pool.release(first)
        else:
            first.shut()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert (opened.pool.n_open, opened.pool.n_idle) == ((1, 1) if how == "released" else (0, 0))
        opened.pool.close()

    asyncio.run(work())


def test_a_connection_that_breaks_in_the_turn_it_is_handed_over_is_replaced():
    async def work():
        opened = Opened(1)
        first = await opened.pool.take()
        task = await waiting(opened.pool)
        opened.pool.release(first)
        first.shut()
        second = await task
        assert second is not first
        assert (second.alive, opened.pool.n_open) == (True, 1)

    asyncio.run(work())


def test_room_is_made_by_closing_the_oldest_kept_one():
    async def work():
        opened = Opened(2)
        first, second = await opened.pool.take(), await opened.pool.take()
        opened.pool.release(first)
        opened.pool.release(second)
        opened.pool.make_room()
        assert (first.alive, second.alive, opened.pool.n_open) == (False, True, 1)
        opened.pool.make_room()
        assert second.alive
        opened.pool.close()

    asyncio.run(work())


def test_slots_of_connections_that_could_not_be_made_are_free_again():
    async def work():
        opened = Opened(1, fail=ConnectionRefusedError())
        for _ in range(3):
            with pytest.raises(ConnectionRefusedError):
                await opened.pool.take()
        opened.fail = None
        assert (await opened.pool.take()).alive
        assert opened.pool.n_open == 1

    asyncio.run(work())


def test_a_connection_that_is_closed_as_soon_as_it_is_made_leaves_its_slot():
    async def work():
        opened = Opened(1)
        whole = opened.connect

        async def connect():
            connection = await whole()
            connection.eof_received()
            return connection

        pool = Pool(connect, 1, lambda: 0.0)
        for _ in range(2):
            with pytest.raises(UpstreamError, match="as soon as it was made"):
                await pool.take()
        assert pool.n_open == 0

    asyncio.run(work())


def test_kept_ones_that_rest_too_long_are_closed_without_a_request():
    async def work():
        opened = Opened(2)
        first, second = await opened.pool.take(), await opened.pool.take()
        opened.pool.release(first)
        opened.now += KEEP_S
        opened.pool.release(second)
        opened.now += 1
        opened.pool._sweep()
        assert (first.alive, second.alive, opened.pool.n_open) == (False, True, 1)
        opened.pool.close()
        assert opened.pool.n_open == 0

    asyncio.run(work())


def test_a_request_is_sent_again_only_once_even_if_it_is_handed_used_connections():
    class Stale(Opened):
        def kept(self):
            return None

        def make_room(self):
            """There is."""

        async def take(self):
            connection = await self.connect()
            connection.n_asked = 1
            asyncio.get_running_loop().call_soon(connection.eof_received)
            return connection

    async def work():
        client, stale = HttpClient("http://localhost:1"), Stale(9)
        client._pool = stale
        with pytest.raises(UpstreamCut):
            await client.send("/", [], b"", first_s=5, idle_s=5)
        assert len(stale.made) == 2

    asyncio.run(work())
