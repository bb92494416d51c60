"""Requests that are wrong, huge, smuggled or sly; and what must never be told: keys, prompts, secrets of upstreams."""

from __future__ import annotations

import json
import logging
import socket

import pytest
from gateway_upstream import Said, events, exactly, recorded, status, streamed
from gateway_world import UPSTREAM_SECRET, World

from perdure import Guard, Route
from perdure.assets.guard import Names
from perdure.core.clock import sleep_s
from perdure.core.settings import GatewaySettings

PATHS = ("/v1/chat/completions", "/v1/messages")
HI = [{"role": "user", "content": "Hi"}]


@pytest.fixture(scope="module")
def strict(tmp_path_factory, every_upstream):
    """A gateway with a guard, small bodies, and an upstream of each dialect."""
    world = World(
        tmp_path_factory.mktemp("strict"), every_upstream.url, settings=GatewaySettings(max_body_bytes=200_000)
    )
    guard = Guard("names", [Names(("Globex",))], on=("input", "output"), mode="block")
    world.declare(
        Route("main", [world.target()]),
        Route("claude", [world.target("m-1", "anthropic")]),
        Route("guarded", [world.target()], guards=[guard]),
    )
    with world.serving() as gateway:
        yield gateway


@pytest.fixture
def gateway(strict, upstreams):
    return strict


def in_shape(answer, path: str) -> bool:
    """Whether an error is told as the dialect of a path tells it."""
    error = answer.json["error"]
    if path == "/v1/messages":
        return answer.json["type"] == "error" and bool(error["type"]) and bool(error["message"])
    return bool(error["type"]) and bool(error["message"]) and "code" in error


def body(**members) -> bytes:
    return json.dumps({"model": "main", "max_tokens": 5, "messages": HI, **members}).encode()


BAD = {
    "empty": b"",
    "no json": b"hello",
    "half": b'{"model": "main", "messages": [',
    "a list": b"[]",
    "a number": b"5",
    "null": b"null",
    "trailing": body() + b"{}",
    "no utf-8": b'{"model":"main","max_tokens":5,"messages":[{"role":"user","content":"\xff\xfe"}]}',
    "half a surrogate": b'{"model":"main","max_tokens":5,"messages":[{"role":"user","content":"\xed\xa0\x80"}]}',
    "no model": json.dumps({"messages": HI, "max_tokens": 5}).encode(),
    "model of a wrong type": body(model=5),
    "stream of a wrong type": body(stream="yes"),
    "limit of a wrong type": body(max_tokens="many"),
    "limit below zero": body(max_tokens=-1),
    "nested": b'{"model":"main","max_tokens":5,"messages":' + b"[" * 50_000 + b"]" * 50_000 + b"}",
    "nan": b'{"model":"main","max_tokens":5,"temperature":NaN,"messages":[]}',
}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("name", BAD)
def test_a_body_that_is_wrong_is_a_400_in_the_words_of_the_dialect(gateway, upstreams, path, name):
    answer = gateway.ask(path, BAD[name])
    assert answer.status == 400
    assert in_shape(answer, path)
    assert not upstreams.seen


WRONG_WHERE_READ = {
    "no messages": body(messages=None),
    "messages of a wrong type": body(messages="Hi"),
    "a message of a wrong type": body(messages=["Hi"]),
    "no role": body(messages=[{"content": "Hi"}]),
    "tools of a wrong type": body(tools="all"),
    "content of a wrong type": body(messages=[{"role": "user", "content": 7}]),
    "deep content": b'{"model":"main","max_tokens":5,"messages":[{"role":"user","content":' + b"[" * 900 + b"]" * 900 + b"}]}",
    "deep parts": b'{"model":"main","max_tokens":5,"messages":[{"role":"user","content":'
    + b'[{"type":"text","content":' * 400 + b'"x"' + b"}]" * 400 + b"}]}",
    "tool calls of a wrong type": body(messages=[{"role": "assistant", "tool_calls": {"a": 1}}, *HI]),
    "arguments of a wrong type": body(
        messages=[{"role": "assistant", "tool_calls": [{"id": "c", "type": "function", "function": {"name": 4}}]}, *HI]
    ),
}  # fmt: skip


READ = [
    (path, model) for path in PATHS for model in ("guarded", "claude") if (path, model) != ("/v1/messages", "claude")
]
"""Where bodies are read here: elsewhere bytes pass, and their upstream judges them."""


@pytest.mark.parametrize(("path", "model"), READ)
@pytest.mark.parametrize("name", WRONG_WHERE_READ)
def test_wrong_types_are_the_clients_fault_and_never_a_defect_of_ours(gateway, path, model, name):
    answer = gateway.ask(path, WRONG_WHERE_READ[name].replace(b'"main"', json.dumps(model).encode()))
    assert answer.status in (200, 400), answer.content
    assert answer.status == 200 or in_shape(answer, path)


@pytest.mark.parametrize("path", PATHS)
def test_methods_media_and_sizes_are_checked(gateway, upstreams, path):
    told = {
        405: gateway.ask(path, None, method="GET"),
        415: gateway.ask(path, b"model=main", content_type="application/x-www-form-urlencoded"),
        413: gateway.ask(path, body(messages=[{"role": "user", "content": "x" * 300_000}])),
    }
    for code, answer in told.items():
        assert answer.status == code
        assert in_shape(answer, path)
    assert told[405].headers["allow"] == "POST"
    assert gateway.ask(path, body(), content_encoding="gzip").status == 415
    assert not upstreams.seen


def test_a_length_that_is_announced_is_refused_before_it_comes(gateway):
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer %s\r\n" % gateway.secret.encode()
    assert b" 413 " in raw(gateway, head + b"content-length: 999999999999\r\n\r\n").split(b"\r\n")[0]


@pytest.mark.parametrize("path", PATHS)
def test_keys_are_read_from_headers_alone(gateway, upstreams, path):
    for query in ("key", "api_key", "token", "access_token"):
        answer = gateway.ask(f"{path}?{query}={gateway.secret}", body(), authorization="")
        assert answer.status == 400
        assert in_shape(answer, path)
        assert gateway.secret not in answer.content.decode()
    for wrong in ("", "Bearer", "Bearer ", "Basic abc", f"Bearer {gateway.secret}x", f"Bearer {gateway.secret[:-1]}"):
        answer = gateway.ask(path, body(), authorization=wrong)
        assert answer.status == 401
        assert in_shape(answer, path)
    assert gateway.ask(path, body(), authorization="", x_api_key=gateway.secret).status == 200
    assert gateway.ask(path, body(), authorization=f"bearer  {gateway.secret}").status == 200
    assert len(upstreams.seen) == 2


@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/main"])
@pytest.mark.parametrize("keyed", [True, False])
def test_a_list_of_models_takes_no_key_from_the_address_either(gateway, path, keyed):
    headers = {} if keyed else {"authorization": ""}
    answer = gateway.ask(f"{path}?api_key={gateway.secret}", None, method="GET", **headers)
    assert answer.status == 400
    assert gateway.secret not in answer.content.decode()
    assert gateway.ask("/v1/models?limit=5", None, method="GET", **headers).status == 200


def test_a_path_that_is_not_known_is_answered_with_those_of_the_gateway(gateway):
    answer = gateway.ask("/nothing/here", body())
    assert "/v1/chat/completions" in answer.json["error"]["hint"]


@pytest.mark.parametrize(
    "path",
    [
        "/v1/chat/completions/", "/v1//chat/completions", "/v1/chat/../chat/completions", "/V1/chat/completions",
        "/v1/chat/completions%00", "/v1/messages/../../admin", "/v1/chat/completions;x", "/v1/unknown",
        "http://127.0.0.1:1/v1/chat/completions",
    ],
)  # fmt: skip
def test_only_the_very_paths_are_answered(gateway, upstreams, path):
    answer = gateway.ask(path, body())
    assert answer.status in (404, 405) or (path.startswith("http:") and answer.status == 200)
    assert answer.status == 200 or answer.json["error"]["message"]
    assert all(each.path == "/v1/chat/completions" for each in upstreams.seen), "never an address of the client's"


def test_an_encoded_path_is_the_path_that_it_encodes(gateway):
    assert gateway.ask("/v1/chat%2fcompletions", body()).status in (200, 404)


# Through a raw socket


def raw(gateway, data: bytes) -> bytes:
    """Everything that comes back for these bytes until the connection is quiet or closed."""
    got = b""
    with socket.create_connection(gateway.address, timeout=1.0) as wire:
        wire.sendall(data)
        try:
            while part := wire.recv(65536):
                got += part
                if b"content-length" in got.lower() and got.endswith((b"}", b"]\n\n")):
                    wire.settimeout(0.2)
        except TimeoutError:
            pass
    return got


def test_two_lengths_or_a_length_and_chunks_are_no_request(gateway, upstreams):
    line = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer %s\r\n" % gateway.secret.encode()
    sneaked = b"GET /v1/models HTTP/1.1\r\nhost: x\r\n\r\n"
    for lengths in (
        b"content-length: 5\r\ncontent-length: 50\r\n",
        b"content-length: 5\r\ntransfer-encoding: chunked\r\n",
        b"content-length: +5\r\n",
        b"content-length: 0x5\r\n",
        b"transfer-encoding: chunked, identity\r\n",
    ):
        answer = raw(gateway, line + lengths + b"\r\n" + b"0\r\n\r\n" + sneaked)
        assert answer.count(b"HTTP/1.1 ") <= 1, lengths
        assert b" 200 " not in answer.split(b"\r\n")[0], lengths
    assert not upstreams.seen


def test_line_ends_in_headers_do_not_reach_the_upstream(gateway, upstreams):
    content = body(model="claude")
    head = b"POST /v1/messages HTTP/1.1\r\nhost: x\r\nx-api-key: %s\r\ncontent-length: %d\r\n"
    head %= (gateway.secret.encode(), len(content))
    for value in (b"beta\rx-evil: 1", b"beta\nx-evil: 1", b"beta\x00x"):
        raw(gateway, head + b"anthropic-beta: " + value + b"\r\n\r\n" + content)
    assert all("x-evil" not in each.headers for each in upstreams.seen)
    assert all("\r" not in each.headers.get("anthropic-beta", "") for each in upstreams.seen)


def test_headers_of_the_caller_stay_here(gateway, upstreams):
    gateway.ask(
        "/v1/chat/completions", body(), cookie="session=1", x_forwarded_for="1.2.3.4", openai_organization="theirs"
    )
    sent = upstreams.seen[0].headers
    assert sent["authorization"] == f"Bearer {UPSTREAM_SECRET}"
    assert not {"cookie", "x-forwarded-for", "openai-organization", "x-api-key"} & set(sent)
    assert gateway.secret not in json.dumps(dict(sent))


def test_a_body_that_never_comes_whole_is_dropped(gateway, upstreams):
    line = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer %s\r\n" % gateway.secret.encode()
    with socket.create_connection(gateway.address, timeout=60) as wire:
        wire.sendall(line + b"content-length: 500\r\n\r\n" + b'{"model"')
    assert gateway.chat().status == 200
    assert len(upstreams.seen) == 1


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/v1/feedback"])
def test_a_body_that_drips_is_answered_408_and_hung_up_on(tmp_path, upstreams, path):
    world = World(tmp_path, upstreams.url, settings=GatewaySettings(body_seconds=0.3))
    world.declare(Route("main", [world.target()]))
    with world.serving() as gateway, socket.create_connection(gateway.address, timeout=60) as wire:
        line = f"POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {gateway.secret}\r\n"
        wire.sendall(line.encode() + b"content-length: 500\r\n\r\n")
        for _ in range(4):  # it comes steadily, and is not whole in time all the same
            wire.sendall(b" ")
            sleep_s(0.03)
        came = b""
        while piece := wire.recv(65536):
            came += piece
        assert b" 408 " in came.split(b"\r\n")[0]
        assert b"timeout_error" in came
        assert gateway.chat().status == 200
    if path != "/v1/feedback":
        assert [(call.status, call.outcome) for call in world.calls()] == [(408, "refused"), (200, "answered")]


# What content can do


@pytest.mark.parametrize("model", ["main", "claude", "guarded"])
@pytest.mark.parametrize("client", ["chat", "message"])
def test_events_within_an_answers_text_stay_text(gateway, upstreams, model, client):
    sly = (
        'a\n\ndata: [DONE]\n\ndata: {"error": {"message": "x"}}\n\n',
        "event: message_stop\ndata: {}\r\n\r\n",
        "\u2028b",
    )
    upstreams.usual = recorded(Said(words=sly))
    answer = getattr(gateway, client)(model=model, stream=True)
    if client == "chat":
        assert answer.text == "".join(sly)
        assert answer.content.count(b"data: [DONE]\n\n") == 1
    else:
        deltas = [each["delta"]["text"] for each in answer.chunks if each["type"] == "content_block_delta"]
        assert "".join(deltas) == "".join(sly)
        assert answer.chunks[-1]["type"] == "message_stop"
    assert gateway.recorded(1)[-1].outcome == "answered"


def test_members_that_nobody_knows_pass_through_a_guarded_route_too(gateway, upstreams):
    gateway.ask("/v1/chat/completions", body(model="guarded", min_p=0.5, x={"y": [1.50]}))
    assert (upstreams.seen[0].body["min_p"], upstreams.seen[0].body["x"]) == (0.5, {"y": [1.5]})


def test_the_last_of_two_models_is_the_one_that_is_asked_and_allowed(gateway, upstreams):
    answer = gateway.ask("/v1/chat/completions", b'{"model":"main","model":"nobody","messages":[]}')
    assert answer.status == 404
    assert not upstreams.seen


def test_an_upstream_cannot_name_where_the_gateway_goes_next(gateway, upstreams):
    upstreams.usual = exactly(b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/steal\r\ncontent-length: 0\r\n\r\n")
    for stream in (False, True):
        answer = gateway.chat(stream=stream)
        assert answer.status == 502
        assert "steal" not in answer.content.decode() + str(answer.headers)


# What is never told


def test_no_key_prompt_or_secret_is_in_any_log_or_error(tmp_path, upstreams, caplog):
    prompt = "my-very-private-prompt-4711"
    caplog.set_level(logging.DEBUG)
    world = World(tmp_path, upstreams.url)
    guard = Guard("names", [Names(("Globex",))], on=("input", "output"), mode="block")
    world.declare(
        Route("main", [world.target()], bodies="none"),
        Route("guarded", [world.target()], guards=[guard], bodies="none"),
        Route("claude", [world.target("m-1", "anthropic")], bodies="none"),
    )
    told = []
    with world.serving() as gateway:
        for behave in (
            status(401, f"Incorrect API key provided: {UPSTREAM_SECRET}"),
            status(400, f"Bad header: Bearer {UPSTREAM_SECRET}"),
            status(500, f"Traceback {UPSTREAM_SECRET}"),
            exactly(f"HTTP/1.1 200 OK {UPSTREAM_SECRET}\r\nx\r\n\r\n{UPSTREAM_SECRET}".encode()),
            streamed(f'data: {{"error": {{"message": "key {UPSTREAM_SECRET}"}}}}\n\n'.encode()),
            streamed(
                events("chat", Said())[1], f'data: {{"error": {{"message": "key {UPSTREAM_SECRET}"}}}}\n\n'.encode()
            ),
        ):
            for model in ("main", "guarded", "claude"):
                for stream in (False, True):
                    upstreams.usual = behave
                    told.append(gateway.chat(f"{prompt}", model=model, stream=stream).content)
        upstreams.reset()
        told.append(gateway.chat(f"{prompt} Globex", model="guarded").content)
        told.append(gateway.ask("/v1/chat/completions", f'{{"model":"main","messages":"{prompt}"}}'.encode()).content)
        told.append(gateway.ask("/v1/chat/completions", f'{{"model":"{prompt}'.encode()).content)
        told.append(gateway.chat(headers={"authorization": "Bearer pk-perdure-key_x-somebodys-key"}).content)
        told.append(gateway.ask("/metrics", None, method="GET").content)
    spoken = b"\n".join(told).decode() + caplog.text
    secrets = (UPSTREAM_SECRET, prompt, gateway.secret, "somebodys-key")
    assert [secret for secret in secrets if secret in spoken] == []
    kept = b"".join(path.read_bytes() for path in (tmp_path / "capture").rglob("*") if path.is_file())
    assert [secret for secret in secrets if secret.encode() in kept] == []
