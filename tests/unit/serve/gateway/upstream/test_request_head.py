"""Heads of requests: nothing that a caller gives ends a line before its time."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.core.errors import BadRequest, BadRoute
from perdure.serve.gateway.upstream.request import RequestHead

HEAD = RequestHead(urlsplit("https://api.example.org/v1"), {"X-Org": "acme"})


def test_a_head_has_the_upstreams_own_headers_the_calls_and_the_length():
    assert HEAD.write("/v1/chat/completions", [(b"Authorization", b"Bearer k")], 12) == (
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: api.example.org\r\naccept-encoding: identity\r\nx-org: acme\r\n"
        b"authorization: Bearer k\r\ncontent-length: 12\r\n\r\n"
    )


@pytest.mark.parametrize("value", [b"a\r\nx-evil: 1", b"a\nb", b"a\rb", b"a\0b", b"\r\n\r\nGET / HTTP/1.1"])
def test_a_value_that_would_end_its_line_is_refused_and_not_told(value):
    with pytest.raises(BadRequest) as caught:
        HEAD.write("/", [(b"x-a", b"secret" + value)], 0)
    assert "secret" not in str(caught.value.as_dict())


def test_line_breaks_that_make_up_for_each_other_are_refused():
    with pytest.raises(BadRequest):
        HEAD.write("/", [(b"x-a", b"1\r"), (b"x-b", b"\n2")], 0)


@pytest.mark.parametrize("name", [b"x a", b"x:", b"", b"x\r\n", b"x\xc3\xa4", b"(x)"])
def test_a_name_that_is_none_is_refused(name):
    with pytest.raises(BadRequest, match="name of a header"):
        HEAD.write("/", [(name, b"1")], 0)


@pytest.mark.parametrize("name", [b"Content-Length", b"transfer-encoding", b"HOST", b"connection", b"accept-encoding"])
def test_a_header_that_frames_messages_is_ours_alone(name):
    with pytest.raises(BadRequest, match="set by the client of upstreams"):
        HEAD.write("/", [(name, b"1")], 0)


@pytest.mark.parametrize("path", ["", "v1", "/a b", "/a\r\nx: 1", "/ä", "/a\t", "/\x7f", "http://evil/"])
def test_a_path_that_would_say_more_than_a_path_is_refused(path):
    with pytest.raises(BadRequest, match="path"):
        HEAD.write(path, [], 0)


@pytest.mark.parametrize("headers", [{"x": "a\r\nb"}, {"x y": "a"}, {"content-length": "1"}, {"x": "☃"}, {"ä": "a"}])
def test_a_declared_header_that_cannot_be_sent_is_refused_where_it_is_declared(headers):
    with pytest.raises(BadRoute):
        RequestHead(urlsplit("http://localhost"), headers)


@given(st.binary(max_size=20), st.binary(max_size=20))
def test_whatever_is_written_has_as_many_lines_as_it_should(name, value):
    """A head is refused, or holds exactly one line for each header."""
    try:
        head = HEAD.write("/", [(name, value)], 3)
    except BadRequest:
        return
    assert head.split(b"\r\n")[4:] == [name.lower() + b": " + value, b"content-length: 3", b"", b""]
