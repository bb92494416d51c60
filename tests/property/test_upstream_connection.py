"""What a connection reads does not depend on how its bytes were cut into packets, and half an answer is never whole."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.core.errors import UpstreamCut, UpstreamError
from perdure.serve.gateway.upstream.connection import Connection


class Transport:
    """Takes what is written, and remembers how it was ended."""

    def __init__(self):
        self.aborted = False

    def write(self, data):
        """Sent."""

    def get_write_buffer_size(self):
        return 0

    def abort(self):
        self.aborted = True


class Owner:
    """Counts what it is told."""

    def __init__(self):
        self.n_released = self.n_dropped = 0

    def release(self, connection):
        self.n_released += 1

    def dropped(self, connection):
        self.n_dropped += 1


PARTS = st.lists(st.binary(min_size=1, max_size=30), max_size=5)
CUTS = st.lists(st.integers(min_value=1, max_value=40), max_size=20)


def by_length(parts):
    body = b"".join(parts)
    return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body


def by_chunks(parts):
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)
    return b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + chunks + b"0\r\nx-t: 1\r\n\r\n"


def packets(data, cuts):
    """`data` in packets of these sizes, the rest in one."""
    for cut in cuts:
        if data:
            yield data[:cut]
        data = data[cut:]
    if data:
        yield data


async def read(data, cuts, *, cut_off):
    """Status and body of what a connection makes of some packets, and its owner."""
    owner, transport = Owner(), Transport()
    connection = Connection(asyncio.get_running_loop(), owner, "here:80")
    connection.connection_made(transport)
    connection.owned = True
    answer = connection.ask(b"", b"", 5.0)
    for packet in packets(data, cuts):
        connection.data_received(packet)
    if cut_off:
        connection.eof_received()
        connection.connection_lost(None)
        assert (owner.n_dropped, transport.aborted) == (1, True)
    await answer.begun(asyncio.get_running_loop().time() + 5)
    return answer.status, await answer.read(10_000), owner


@given(PARTS, st.sampled_from([by_length, by_chunks]), CUTS)
def test_an_answer_reads_the_same_however_it_is_cut_into_packets(parts, framed, cuts):
    """Whole, once, and with its connection back at its owner."""
    status, body, owner = asyncio.run(read(framed(parts), cuts, cut_off=False))
    assert (status, body) == (200, b"".join(parts))
    assert (owner.n_released, owner.n_dropped) == (1, 0)


@given(PARTS, st.sampled_from([by_length, by_chunks]), CUTS, st.data())
def test_an_answer_that_is_cut_off_anywhere_is_never_whole(parts, framed, cuts, data):
    """Not even at the border of a chunk."""
    whole = framed(parts)
    kept = data.draw(st.integers(min_value=0, max_value=len(whole) - 1))
    with pytest.raises(UpstreamCut):
        asyncio.run(read(whole[:kept], cuts, cut_off=True))


@given(PARTS, CUTS)
def test_an_answer_that_ends_with_its_connection_is_whole_with_it(parts, cuts):
    """As servers of HTTP/1.0 do."""
    body = b"".join(parts)
    assert asyncio.run(read(b"HTTP/1.0 200 OK\r\n\r\n" + body, cuts, cut_off=True))[:2] == (200, body)


@given(st.binary(max_size=300), CUTS, st.booleans())
def test_whatever_comes_is_an_answer_or_an_error_of_ours(noise, cuts, with_head):
    """No byte of an upstream raises anything else, and none leaves a connection behind."""
    head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" if with_head else b""
    with contextlib.suppress(UpstreamError):
        asyncio.run(read(head + noise, cuts, cut_off=True))
