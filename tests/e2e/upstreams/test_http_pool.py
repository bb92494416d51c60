"""Kept connections: which is taken, replaced, dropped and waited for."""

from __future__ import annotations

import asyncio
import random

import pytest

from perdure.core.errors import UpstreamCut, UpstreamTimedOut
from perdure.serve.gateway.upstream.http import HttpClient
from perdure.serve.gateway.upstream.pool import KEEP_S


def test_a_kept_connection_that_the_other_side_closed_is_replaced_once(run, world, told):
    async def fades(wire):
        await wire.answer(world.OK)
        await wire.request()

    async def work():
        async with world.Server(fades, world.steady) as server:
            client = HttpClient(server.url)
            assert [await told(client), await told(client), await told(client)] == [b"ok"] * 3
            assert [len(wire.requests) for wire in server.wires] == [2, 2]
            await client.close()

    run(work())


def test_a_replaced_connection_that_is_cut_too_is_not_replaced_again(run, world, told):
    async def fades(wire):
        await wire.answer(world.OK)
        await wire.request()

    async def work():
        async with world.Server(fades, world.once()) as server:
            client = HttpClient(server.url)
            await told(client)
            with pytest.raises(UpstreamCut):
                await told(client)
            assert server.n_requests == 3

    run(work())


def test_a_kept_connection_that_answered_a_byte_is_not_replaced(run, world, told):
    async def stutters(wire):
        await wire.answer(world.OK)
        await wire.answer(b"H")

    async def work():
        async with world.Server(stutters, world.steady) as server:
            client = HttpClient(server.url)
            await told(client)
            with pytest.raises(UpstreamCut):
                await told(client)
            assert len(server.wires) == 1

    run(work())


def test_a_kept_connection_that_is_known_to_be_closed_is_not_asked(run, world, told, until):
    async def work():
        async with world.Server(world.once(world.OK), world.steady) as server:
            client = HttpClient(server.url)
            await told(client)
            await until(lambda: client.n_open == 0)
            assert await told(client) == b"ok"
            assert [len(wire.requests) for wire in server.wires] == [1, 1]
            await client.close()

    run(work())


@pytest.mark.parametrize("more", [b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nforged", b"x"])
def test_bytes_behind_an_answer_are_never_the_answer_to_the_next_request(run, world, more, told, until):
    async def work():
        async with world.Server(world.held(world.OK + more), world.held(world.OK, more), world.steady) as server:
            client = HttpClient(server.url)
            assert await told(client) == b"ok"
            assert client.n_idle == 0
            assert await told(client) == b"ok"
            await until(lambda: client.n_idle == 0)
            assert await told(client) == b"ok"
            assert len(server.wires) == 3
            await client.close()

    run(work())


@pytest.mark.parametrize("response", [b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok"])
def test_a_connection_that_is_said_to_close_is_not_kept(run, world, response, told):
    async def work():
        async with world.Server(world.held(response)) as server:
            client = HttpClient(server.url)
            assert await told(client) == b"ok"
            assert client.n_open == 0

    run(work())


def test_requests_queue_for_a_connection_and_get_it_in_their_order(run, world, told, until):
    async def slow(wire):
        while True:
            await wire.request()
            await asyncio.sleep(0.03)
            await wire.send(world.OK)

    async def work():
        async with world.Server(slow) as server:
            client = HttpClient(server.url, max_connections=2)
            done = []

            async def one(number):
                assert await told(client) == b"ok"
                done.append(number)

            tasks = [asyncio.create_task(one(number)) for number in range(6)]
            await until(lambda: client.n_waiting == 4)
            await asyncio.gather(*tasks)
            assert [sorted(done[at : at + 2]) for at in (0, 2, 4)] == [[0, 1], [2, 3], [4, 5]]
            assert (len(server.wires), client.n_open, client.n_waiting) == (2, 2, 0)
            await client.close()

    run(work())


def test_waiting_for_a_connection_counts_against_the_deadline(run, world, ask, until):
    async def work():
        async with world.Server(world.held()) as server:
            client = HttpClient(server.url, max_connections=1)
            task = asyncio.create_task(ask(client))
            await until(lambda: server.n_requests)
            with pytest.raises(UpstreamTimedOut, match="no connection"):
                await ask(client, first_s=0.05)
            waiting = asyncio.create_task(ask(client))
            await until(lambda: client.n_waiting)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
            assert (client.n_open, client.n_waiting) == (1, 0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            assert client.n_open == 0

    run(work())


def test_a_slot_of_a_broken_connection_goes_to_the_one_that_waits(run, world, told):
    async def work():
        async with world.Server(world.once(), world.steady) as server:
            client = HttpClient(server.url, max_connections=1)
            first, second = await asyncio.gather(told(client), told(client), return_exceptions=True)
            assert isinstance(first, UpstreamCut)
            assert second == b"ok"
            await client.close()

    run(work())


def test_kept_connections_are_taken_youngest_first_and_old_ones_are_dropped(run, world, told):
    now = [0.0]

    async def work():
        async with world.Server(world.steady) as server:
            client = HttpClient(server.url, clock=lambda: now[0])
            await asyncio.gather(told(client), told(client))
            assert client.n_idle == 2
            now[0] += 30
            await told(client)
            assert sorted(len(wire.requests) for wire in server.wires) == [1, 2]
            now[0] += 30
            await told(client)
            assert sorted(len(wire.requests) for wire in server.wires) == [1, 3]
            now[0] += KEEP_S + 1
            await told(client)
            assert (len(server.wires), client.n_open) == (3, 1)
            await client.close()

    run(work())


def fickle(world, chaos):
    """Answers, or does not."""

    async def script(wire):
        while True:
            await wire.request()
            await asyncio.sleep(chaos.random() * 0.004)
            match chaos.randrange(6):
                case 0:
                    return
                case 1:
                    wire.reset()
                case 2:
                    await wire.send(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf")
                    return
                case 3:
                    await asyncio.sleep(0.05)
                case _:
                    await wire.send(world.OK)

    return script


def test_no_slot_is_lost_whatever_becomes_of_the_requests(run, world, ask, until):
    """Cuts, stalls, cancels, deadlines and streams that are let go of, in a fixed disorder."""
    chaos = random.Random(4)

    async def one(client):
        await asyncio.sleep(chaos.random() * 0.1)
        task = asyncio.create_task(ask(client, first_s=0.005 + chaos.random() * 0.1, idle_s=0.02))
        if chaos.random() < 0.3:
            await asyncio.sleep(chaos.random() * 0.02)
            task.cancel()
        answer = await task
        if chaos.random() < 0.3:
            answer.close()
        return await answer.read(100)

    async def work():
        async with world.Server(fickle(world, chaos)) as server:
            client = HttpClient(server.url, max_connections=4)
            ended = await asyncio.gather(*[one(client) for _ in range(200)], return_exceptions=True)
            kinds = {type(end) for end in ended}
            assert kinds == {bytes, asyncio.CancelledError, UpstreamCut, UpstreamTimedOut}
            assert {end for end in ended if isinstance(end, bytes)} == {b"ok"}
            await until(lambda: client.n_open == client.n_idle)
            assert (client.n_waiting, client.n_open <= 4) == (0, True)
            await client.close()
            assert client.n_open == 0

    run(work())
