"""Answers of upstreams that behave, as the client reads them, and readers that stop reading."""

from __future__ import annotations

import asyncio

import pytest

from perdure.core.errors import UpstreamBad, UpstreamCut
from perdure.serve.gateway.upstream.http import HttpClient

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: text/event-stream\r\n\r\n"


def test_an_answer_comes_with_its_head_in_lower_case_and_its_connection_is_kept(run, world, ask, told):
    async def work():
        async with world.Server(world.steady) as server:
            client = HttpClient(server.url + "/v1")
            answer = await ask(client, b'{"a":1}', headers=[(b"Authorization", b"Bearer k")])
            assert (answer.status, answer.headers) == (200, [(b"content-length", b"2")])
            assert await answer.read(10) == b"ok"
            assert await answer.piece() == b""
            assert [await told(client) for _ in range(3)] == [b"ok"] * 3
            assert (len(server.wires), client.n_open, client.n_idle) == (1, 1, 1)
            head, _, body = server.wires[0].requests[0].partition(b"\r\n\r\n")
            assert body == b'{"a":1}'
            assert head.split(b"\r\n") == [
                b"POST /v1/chat/completions HTTP/1.1",
                b"host: 127.0.0.1:%d" % server.port,
                b"accept-encoding: identity",
                b"authorization: Bearer k",
                b"content-length: 7",
            ]
            await client.close()
            assert client.n_open == 0

    run(work())


def test_chunks_come_one_by_one_and_trailers_are_left_out(run, world, ask, told):
    async def stream(wire):
        await wire.request()
        await wire.send(CHUNKED, b"3;note=x\r\none\r\n", b"3\r\ntwo\r\n", b"0\r\nx-trailer: 1\r\n\r\n")
        await wire.answer(world.OK)

    async def work():
        async with world.Server(stream) as server:
            client = HttpClient(server.url)
            answer = await ask(client)
            pieces = [await answer.piece() for _ in range(3)]
            assert pieces == [b"one", b"two", b""]
            assert b"x-trailer" not in dict(answer.headers)
            assert await told(client) == b"ok"
            assert len(server.wires) == 1
            await client.close()

    run(work())


def test_a_body_that_ends_with_its_connection_is_whole(run, world, told):
    async def work():
        async with world.Server(world.once(b"HTTP/1.0 200 OK\r\n\r\nfirst ", b"second")) as server:
            client = HttpClient(server.url)
            assert await told(client) == b"first second"
            assert (client.n_open, client.n_idle) == (0, 0)

    run(work())


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
def test_an_answer_that_has_no_body_is_whole_at_once(run, world, status, told):
    async def work():
        async with world.Server(world.held(b"HTTP/1.1 " + status + b"\r\n\r\n")) as server:
            client = HttpClient(server.url)
            assert await told(client) == b""
            await client.close()

    run(work())


def test_interim_answers_say_nothing(run, world, ask):
    early = b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"

    async def work():
        async with world.Server(world.held(*early, world.OK)) as server:
            client = HttpClient(server.url)
            answer = await ask(client)
            assert (answer.status, answer.headers) == (200, [(b"content-length", b"2")])
            assert await answer.read(10) == b"ok"
            await client.close()

    run(work())


def test_a_slow_drip_is_read_as_long_as_each_piece_is_in_time(run, world, told):
    async def drip(wire):
        await wire.request()
        await wire.send(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n")
        for letter in b"slowly":
            await asyncio.sleep(0.2)
            await wire.send(bytes([letter]))

    async def work():
        async with world.Server(drip) as server:
            client = HttpClient(server.url)
            assert await told(client, idle_s=0.8) == b"slowly"

    run(work())


def test_a_cancel_before_the_head_closes_the_connection_at_once(run, world, ask, until):
    async def work():
        async with world.Server(world.held()) as server:
            client = HttpClient(server.url)
            task = asyncio.create_task(ask(client))
            await until(lambda: server.n_requests)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await until(server.wires[0].reader.at_eof)
            assert client.n_open == 0

    run(work())


@pytest.mark.parametrize("how", ["cancel", "close"])
def test_letting_go_of_a_stream_closes_its_connection_at_once(run, world, how, ask, until):
    async def work():
        async with world.Server(world.held(CHUNKED, b"3\r\none\r\n")) as server:
            client = HttpClient(server.url)
            answer = await ask(client)
            assert await answer.piece() == b"one"
            if how == "close":
                answer.close()
                answer.close()
            else:
                task = asyncio.create_task(answer.piece())
                await asyncio.sleep(0.01)
                task.cancel()
            await until(server.wires[0].reader.at_eof)
            assert client.n_open == 0
            with pytest.raises(UpstreamCut, match="closed here"):
                await answer.piece()

    run(work())


def test_closing_an_answer_that_was_read_leaves_its_connection_to_others(run, world, ask):
    async def work():
        async with world.Server(world.steady) as server:
            client = HttpClient(server.url)
            answer = await ask(client)
            await answer.read(10)
            second = await ask(client)
            answer.close()
            assert await second.read(10) == b"ok"
            assert len(server.wires) == 1
            await client.close()

    run(work())


def test_a_reader_that_is_slow_holds_the_upstream_back(run, world, ask, told):
    size, sent = 20_000_000, [0]

    async def flood(wire):
        await wire.request()
        await wire.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size)
        for _ in range(size // 100_000):
            wire.writer.write(b"x" * 100_000)
            await wire.writer.drain()
            sent[0] += 100_000
        await wire.answer(world.OK)

    async def work():
        async with world.Server(flood) as server:
            client = HttpClient(server.url)
            answer = await ask(client)
            await asyncio.sleep(0.2)
            assert sent[0] < size
            assert 256 * 1024 < answer.n_unread < 1_000_000
            assert len(await answer.read(size)) == size
            assert await told(client) == b"ok"
            assert len(server.wires) == 1
            await client.close()

    run(work())


def test_a_body_over_the_limit_is_refused_and_its_connection_closed(run, world, ask, until):
    async def work():
        async with world.Server(world.held(CHUNKED, b"5\r\nabcde\r\n", b"5\r\nabcde\r\n")) as server:
            client = HttpClient(server.url)
            answer = await ask(client)
            with pytest.raises(UpstreamBad, match="more than 8 bytes"):
                await answer.read(8)
            await until(server.wires[0].reader.at_eof)

    run(work())


def test_a_closed_client_lets_its_streams_end(run, world, ask):
    async def work():
        async with world.Server(world.once(CHUNKED, b"3\r\none\r\n", b"0\r\n\r\n")) as server:
            client = HttpClient(server.url)
            answer = await ask(client)
            await client.close()
            assert await answer.read(10) == b"one"
            assert client.n_open == 0

    run(work())


def test_an_answer_before_the_body_was_taken_is_read_and_its_connection_not_kept(run, world, ask):
    async def hasty(wire):
        await wire.reader.readuntil(b"\r\n\r\n")
        await wire.send(b"HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\nno")
        await asyncio.sleep(1)

    async def work():
        async with world.Server(hasty) as server:
            client = HttpClient(server.url)
            answer = await ask(client, b"x" * 30_000_000)
            assert answer.status == 413
            assert await answer.read(10) == b"no"
            assert client.n_open == 0

    run(work())


def test_a_long_body_goes_out_whole(run, world, told):
    async def work():
        async with world.Server(world.steady) as server:
            client = HttpClient(server.url)
            body = bytes(range(256)) * 8_000
            assert await told(client, body=body) == b"ok"
            assert server.wires[0].requests[0].endswith(b"\r\n\r\n" + body)
            await client.close()

    run(work())
