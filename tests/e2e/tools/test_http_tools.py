"""HTTP tools against a real host: nothing but the declared address is reached, and whatever it answers the run goes on."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from perdure.assets.tools import HttpTool, ToolTerms
from perdure.core.errors import BadAgent, NotReady
from perdure.core.units import seconds
from perdure.serve.runs.protocols import ToolAsked, ToolGave
from perdure.serve.tools.making import Toolmaker


def answers(status: str, body: bytes, kind: str = "application/json", **headers: str):
    """A host that says the same to everybody."""
    more = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())

    async def answer(head, _body, writer) -> None:
        writer.write(
            f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n{more}\r\n".encode() + body
        )

    return answer


def asked(
    make_host, context, answer, arguments: dict[str, Any], env=None, times: int = 1, **declared: Any
) -> tuple[Any, ToolGave]:
    """What a tool of a host gives, and the host."""

    async def run() -> tuple[Any, ToolGave]:
        async with make_host(answer) as host:
            path = declared.pop("path", "/parcels/{parcel}")
            tool = HttpTool("track", f"http://127.0.0.1:{host.port}{path}", "Where a parcel is.", **declared)
            maker = Toolmaker(env=env or {})
            box = maker.box([tool])
            for _ in range(times):
                gave = await box.call(ToolAsked("track", arguments, "1.0"), context)
            for held in box.held.values():
                await held.close()
            return host, gave

    return asyncio.run(run())


def test_a_get_reads_and_gives_json(make_host, context):
    """The value is the JSON, its text fenced as data, and no key goes out with what only reads."""
    host, gave = asked(make_host, context, answers("200 OK", b'{"at": "JFK"}'), {"parcel": "4471"})
    assert host.heads[0].startswith(b"GET /parcels/4471 HTTP/1.1\r\n")
    assert b"idempotency-key" not in host.heads[0]
    assert (msgspec.json.decode(gave.value), gave.facts["status"]) == ({"at": "JFK"}, 200)
    assert gave.text.startswith("<tool_result")


@pytest.mark.parametrize(
    ("parcel", "line"),
    [
        ("4471/a/admin", b"GET /parcels/4471%2Fa%2Fadmin HTTP/1.1"),
        ("4471?all=1#x", b"GET /parcels/4471%3Fall%3D1%23x HTTP/1.1"),
        ("4471 HTTP/1.1\r\nhost: evil", b"GET /parcels/4471%20HTTP%2F1.1%0D%0Ahost%3A%20evil HTTP/1.1"),
        ("{parcel}", b"GET /parcels/%7Bparcel%7D HTTP/1.1"),
        ("@evil.example", b"GET /parcels/%40evil.example HTTP/1.1"),
    ],
)
def test_no_parameter_leaves_its_place(make_host, context, parcel, line):
    """Slashes, queries, line breaks and hosts in a parameter stay a parameter."""
    host, _ = asked(make_host, context, answers("200 OK", b"{}"), {"parcel": parcel})
    assert host.heads[0].split(b"\r\n")[0] == line
    assert host.heads[0].lower().count(b"host:") == 1


@pytest.mark.parametrize("parcel", ["..", ".", "4471/../admin"])
def test_a_parameter_that_would_be_another_path_is_refused(make_host, context, parcel):
    """What a server would resolve to another path is never sent."""
    host, gave = asked(make_host, context, answers("200 OK", b"{}"), {"parcel": parcel})
    assert (gave.error, host.heads) == ("tool.bad_arguments", [])


def test_query_and_body_and_key(make_host, context):
    """Places in the query, a JSON body of its declared members, and the idempotency key of the call."""
    host, gave = asked(
        make_host, context, answers("200 OK", b"[]"), {"parcel": "4471", "lang": "a&b=c", "note": "x", "n": 2, "page": 3},
        path="/p/{parcel}?lang={lang}", method="POST", body=("note", "n"),
        parameters={"note": str, "n": int, "page": {"type": "integer", "default": 1}},
    )  # fmt: skip
    assert gave.error == ""
    assert host.heads[0].startswith(b"POST /p/4471?lang=a%26b%3Dc&page=3 HTTP/1.1\r\n")
    assert b"idempotency-key: key-1\r\n" in host.heads[0]
    assert host.bodies == [b'{"note":"x","n":2}']


def test_a_redirect_is_not_followed(make_host, context):
    """Elsewhere is nowhere: a redirect is a failure in words."""
    answer = answers("302 Found", b"", location="http://169.254.169.254/latest")
    host, gave = asked(make_host, context, answer, {"parcel": "4471"})
    assert (gave.error, len(host.heads)) == ("tool.failed", 1)
    assert "169.254" not in gave.text


@pytest.mark.parametrize(
    ("status", "again", "undone"),
    [("503 Busy", True, True), ("429 Slow", True, True), ("500 Broken", True, False), ("404 Gone", False, False)],
)
def test_statuses_are_failures_in_words(make_host, context, status, again, undone):
    """What says no is told with the beginning of its body as data; what may pass says so."""
    _, gave = asked(make_host, context, answers(status, b"you must obey", "text/plain"), {"parcel": "4471"})
    assert (gave.error, gave.again, bool(gave.facts.get("undone"))) == ("tool.failed", again, undone)
    assert "you must obey\n</tool_result>" in gave.text


def test_an_endless_body_is_read_only_so_far(make_host, context):
    """A body without an end is cut where enough was read, and the connection dropped."""

    async def flood(head, _body, writer) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"2000\r\n" + b"x" * 0x2000 + b"\r\n")
            await writer.drain()

    _, gave = asked(make_host, context, flood, {"parcel": "4471"}, terms=ToolTerms(most_bytes=10_000))
    assert gave.facts["cut"] is True
    assert len(gave.value) < 11_000
    assert "bytes came, 10,000 are given" in gave.text


def test_a_host_that_says_nothing_is_given_up(make_host, context):
    """No answer within the time is a failure for now."""

    async def silent(*_: object) -> None:
        await asyncio.sleep(5)

    terms = ToolTerms(timeout=seconds(0.1))
    _, gave = asked(make_host, context, silent, {"parcel": "4471"}, terms=terms)
    assert (gave.error, gave.again) == ("tool.failed", True)


def test_what_is_no_text_or_no_json_is_told(make_host, context):
    """Pictures and broken JSON are of the wrong type, not results."""
    _, picture = asked(make_host, context, answers("200 OK", b"\x89PNG", "image/png"), {"parcel": "4471"})
    _, broken = asked(make_host, context, answers("200 OK", b"{not"), {"parcel": "4471"})
    assert (picture.error, broken.error) == ("tool.wrong_type", "tool.wrong_type")


def test_a_secret_of_a_header_goes_out_and_never_comes_back(make_host, context):
    """A header from the environment is sent; a host that echoes it does not bring it into the record."""

    async def echo(head, _body, writer) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: %d\r\n\r\n" % len(head) + head)

    host, gave = asked(
        make_host,
        context,
        echo,
        {"parcel": "4471"},
        env={"TRACK": "Bearer s3cr3t-value"},
        headers={"Authorization": "env:TRACK"},
    )
    assert b"authorization: Bearer s3cr3t-value\r\n" in host.heads[0]
    assert b"s3cr3t" not in gave.value
    assert "s3cr3t" not in gave.text


def test_an_effect_without_a_key_never_goes_out_twice(make_host, context):
    """A connection that breaks is not taken up again for what must happen once: each call has one of its own."""
    n = 0

    async def breaks(head, _body, writer) -> None:
        nonlocal n
        n += 1
        if n > 1:
            writer.transport.abort()
            return
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}")

    terms = ToolTerms(effect="once")
    host, gave = asked(make_host, context, breaks, {"parcel": "4471"}, method="POST", terms=terms, times=2)
    assert (gave.error, gave.again, bool(gave.facts.get("undone")), len(host.heads)) == ("tool.failed", True, False, 2)


def test_declarations_that_cannot_be_are_told():
    """A variable that is not set, a body of what is no parameter, a place in the name of a member."""
    with pytest.raises(NotReady, match="TRACK"):
        Toolmaker().box([HttpTool("track", "http://h.org/", "x", headers={"a": "env:TRACK"})])
    with pytest.raises(BadAgent, match="none of its parameters"):
        Toolmaker().box([HttpTool("track", "http://h.org/", "x", method="POST", body=("note",))])
    with pytest.raises(BadAgent, match="where none may stand"):
        Toolmaker().box([HttpTool("track", "http://h.org/?{a}=b", "x")])
