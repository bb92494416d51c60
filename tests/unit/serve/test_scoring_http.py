"""HTTP on bare ASGI: what a body may be, and how errors go out."""

from __future__ import annotations

import asyncio
import json

import pytest

from perdure.core.errors import BadRequest, NotReady, TooLarge, UnsupportedMedia, WrongMethod
from perdure.serve.scoring.http import (
    ClientGone,
    check_media,
    error_reply,
    failure_reply,
    query_flag,
    read_body,
)


def receiver(*messages):
    queue = list(messages)

    async def receive():
        return queue.pop(0)

    return receive


def part(body: bytes, more: bool = False):
    return {"type": "http.request", "body": body, "more_body": more}


def read(headers, limit, *messages):
    return asyncio.run(read_body(headers, receiver(*messages), limit))


@pytest.mark.parametrize(
    "kind", [None, b"application/json", b"Application/JSON; charset=UTF-8", b'application/json;charset="utf-8"']
)
def test_json_in_utf_8_is_read(kind):
    check_media({} if kind is None else {b"content-type": kind})
    check_media({b"content-encoding": b"identity"})


@pytest.mark.parametrize(
    "headers",
    [
        {b"content-type": b"text/csv"},
        {b"content-type": b"application/json; charset=utf-16"},
        {b"content-type": b"application/json", b"content-encoding": b"gzip"},
    ],
)
def test_another_format_charset_or_encoding_is_415(headers):
    with pytest.raises(UnsupportedMedia):
        check_media(headers)
    assert UnsupportedMedia.status == 415


def test_a_body_in_parts_is_put_together():
    assert read({}, 10, part(b"abc", more=True), part(b"de", more=True), part(b"")) == b"abcde"


def test_a_body_that_says_it_is_too_large_is_not_read_at_all():
    with pytest.raises(TooLarge, match="11 bytes"):
        read({b"content-length": b"11"}, 10)


def test_a_body_that_turns_out_too_large_is_stopped_while_reading():
    with pytest.raises(TooLarge):
        read({}, 10, part(b"x" * 8, more=True), part(b"x" * 8, more=True))


def test_a_client_that_hangs_up_ends_the_request():
    with pytest.raises(ClientGone):
        read({}, 10, part(b"x", more=True), {"type": "http.disconnect"})


@pytest.mark.parametrize(("query", "flag"), [(b"explain=true", True), (b"explain=0", False), (b"", False)])
def test_a_flag_is_read_from_the_query(query, flag):
    assert query_flag(query, "explain") is flag


@pytest.mark.parametrize(("query", "said"), [(b"explain=maybe", "true or false"), (b"explian=true", "explain")])
def test_a_query_that_means_nothing_is_told(query, said):
    with pytest.raises(BadRequest, match=said):
        query_flag(query, "explain")


def test_a_temporary_error_says_when_to_try_again():
    reply = error_reply(NotReady("Not yet.", delay_s=2.2))
    assert (reply.status, dict(reply.headers)[b"retry-after"]) == (503, b"3")


def test_a_wrong_method_names_the_right_one():
    reply = error_reply(WrongMethod("/v1/labels does not answer GET.", allowed=["POST"]))
    assert (reply.status, dict(reply.headers)[b"allow"]) == (405, b"POST")
    assert json.loads(reply.body)["error"]["code"] == "request.method"


def test_what_nobody_meant_to_raise_is_told_by_an_id_that_the_log_has(caplog):
    reply = failure_reply(ValueError("secret"), "A request to an index")
    error = json.loads(reply.body)["error"]
    (record,) = caplog.records
    assert (reply.status, "secret" in str(error)) == (500, False)
    assert record.getMessage().startswith("A request to an index failed (err_")
    assert record.getMessage().split("(")[1].rstrip(").") in error["hint"]


@pytest.mark.parametrize(("error", "status"), [(RecursionError(), 400), (NotReady("It is loaded."), 503)])
def test_what_is_known_is_told_and_not_logged(caplog, error, status):
    assert failure_reply(error, "A request for a run").status == status
    assert not caplog.records
