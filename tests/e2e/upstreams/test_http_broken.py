"""Answers of upstreams that are cut, late, endless or no HTTP at all."""

from __future__ import annotations

import asyncio

import pytest

from perdure.core.errors import UpstreamBad, UpstreamCut, UpstreamTimedOut
from perdure.serve.gateway.upstream.http import HttpClient

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: text/event-stream\r\n\r\n"


@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 200", b"HTTP/1.1 200 OK\r\ncontent-le"])
def test_a_cut_before_or_in_the_head_is_a_cut_and_is_not_tried_again(run, world, head, ask):
    async def work():
        async with world.Server(world.once(head)) as server:
            client = HttpClient(server.url)
            with pytest.raises(UpstreamCut):
                await ask(client)
            assert (server.n_requests, client.n_open) == (1, 0)

    run(work())


@pytest.mark.parametrize(
    "parts",
    [
        [b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n", b"half"],
        [CHUNKED, b"64\r\nhalf"],
        [CHUNKED, b"4\r\nhalf\r\n"],
        [CHUNKED, b"4\r\nhalf\r\n0\r\n"],
    ],
    ids=["length", "chunk", "between chunks", "before the last line"],
)
def test_what_came_before_a_cut_is_read_and_then_the_cut_is_told(run, world, parts, ask):
    async def work():
        async with world.Server(world.once(*parts)) as server:
            client = HttpClient(server.url)
            answer = await ask(client)
            assert await answer.piece() == b"half"
            for _ in range(2):
                with pytest.raises(UpstreamCut, match="before its answer was whole"):
                    await answer.piece()
            assert client.n_open == 0

    run(work())


@pytest.mark.parametrize("head", [b"HTTP/1.0 200 OK\r\n\r\n", CHUNKED + b"4\r\n"], ids=["until the end", "chunk"])
def test_a_reset_is_a_cut_even_where_the_end_of_the_connection_would_be_the_end_of_the_body(run, world, head, ask):
    async def reset(wire):
        await wire.request()
        await wire.send(head + b"half")
        wire.reset()

    async def work():
        async with world.Server(reset) as server:
            client = HttpClient(server.url)
            answer = await ask(client)
            with pytest.raises(UpstreamCut):
                await answer.read(1000)

    run(work())


@pytest.mark.parametrize("parts", [[], [b"HTTP/1.1 200 OK\r\n"]], ids=["nothing", "half a head"])
def test_a_head_that_does_not_come_in_time_is_late_and_its_connection_is_closed(run, world, parts, ask, until):
    async def work():
        async with world.Server(world.held(*parts)) as server:
            client = HttpClient(server.url)
            begun = asyncio.get_running_loop().time()
            with pytest.raises(UpstreamTimedOut, match="did not begin to answer"):
                await ask(client, first_s=0.1)
            assert 0.05 < asyncio.get_running_loop().time() - begun < 20
            await until(server.wires[0].reader.at_eof)
            assert client.n_open == 0

    run(work())


def test_a_piece_that_does_not_come_in_time_is_late(run, world, ask, until):
    async def work():
        async with world.Server(world.held(CHUNKED, b"3\r\none\r\n")) as server:
            client = HttpClient(server.url)
            answer = await ask(client, idle_s=0.1)
            assert await answer.piece() == b"one"
            with pytest.raises(UpstreamTimedOut, match="sent nothing more"):
                await answer.piece()
            await until(server.wires[0].reader.at_eof)

    run(work())


def test_bytes_of_framing_that_drip_do_not_put_the_deadline_off(run, world, ask):
    async def drip(wire):
        await wire.request()
        await wire.send(CHUNKED, b"3;")
        while True:
            await wire.send(b"x")
            await asyncio.sleep(0.03)

    async def work():
        async with world.Server(drip) as server:
            client = HttpClient(server.url)
            answer = await ask(client, idle_s=0.15)
            with pytest.raises(UpstreamTimedOut):
                await answer.piece()

    run(work())


@pytest.mark.parametrize(
    "parts",
    [
        [b"HTTP/1.1 200 OK\r\n" + b"x-a: 1\r\n" * 20_000 + b"\r\n"],
        [b"HTTP/1.1 200 OK\r\nx-a: ", *[b"a" * 8_000] * 12],
        [*[b"HTTP/1.1 100 Continue\r\nx-a: " + b"a" * 8_000 + b"\r\n\r\n"] * 12],
    ],
    ids=["many headers", "an endless header", "endless interim answers"],
)
def test_a_giant_head_is_no_http(run, world, parts, ask):
    async def work():
        async with world.Server(world.held(*parts)) as server:
            client = HttpClient(server.url)
            with pytest.raises(UpstreamBad, match="65536 bytes"):
                await ask(client)
            assert client.n_open == 0

    run(work())


@pytest.mark.parametrize("rest", [b"0\r\nx-a: " + b"a" * 80_000, b"3;" + b"a" * 80_000], ids=["trailer", "extension"])
def test_giant_trailers_and_extensions_of_chunks_are_no_http(run, world, rest, ask):
    async def work():
        async with world.Server(world.held(CHUNKED, b"3\r\none\r\n", rest)) as server:
            client = HttpClient(server.url)
            answer = await ask(client)
            with pytest.raises(UpstreamBad):
                await answer.read(1000)

    run(work())


@pytest.mark.parametrize(
    "response",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/9.9 200 OK\r\n\r\n",
        b"HTTP/1.1 2x0 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: -2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nbad header\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\nok",
        b"\x15\x03\x01\x00\x02\x02\x50",
    ],
)
def test_what_is_no_http_is_told_so(run, world, response, told):
    async def work():
        async with world.Server(world.held(response)) as server:
            client = HttpClient(server.url)
            with pytest.raises(UpstreamBad, match="is not HTTP as read here"):
                await told(client)
            assert (server.n_requests, client.n_open) == (1, 0)

    run(work())


@pytest.mark.parametrize("bad", [b"zz\r\n", b"3\r\noneX\r\n", b"ffffffffffffffffff\r\n"])
def test_bad_chunks_are_told_after_what_was_good(run, world, bad, ask):
    async def work():
        async with world.Server(world.held(CHUNKED, b"4\r\ngood\r\n", bad)) as server:
            client = HttpClient(server.url)
            answer = await ask(client)
            assert (await answer.piece()).startswith(b"good")
            with pytest.raises(UpstreamBad):
                await answer.read(1000)

    run(work())


def test_a_switch_to_another_protocol_is_told_as_one(run, world, ask):
    async def work():
        async with world.Server(world.held(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\n\r\n")) as server:
            with pytest.raises(UpstreamBad, match="a switch to another protocol"):
                await ask(HttpClient(server.url))

    run(work())
