"""The console's application: what every answer carries, errors as pages, twins, names and methods that it does not answer."""

from __future__ import annotations

import asyncio

import pytest


def test_an_unknown_address_is_a_page_that_says_where_to_go(console):
    answer = console.get("/nowhere")
    assert answer.status == 404
    assert "There is no page at this address." in answer.text
    assert 'href="/"' in answer.text


def test_an_unknown_address_under_api_is_told_as_json(console):
    answer = console.get("/api/nowhere")
    assert answer.status == 404
    assert answer.json["error"]["code"] == "not_found"


@pytest.mark.parametrize("path", ["/nowhere", "/healthz", "/api/nowhere"])
def test_every_answer_carries_the_policy_of_contents(console, path):
    headers = console.get(path).headers
    assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'; style-src 'self'")
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
    assert headers["server-timing"].startswith("app;dur=")


def test_a_name_that_is_not_the_consoles_is_refused(console):
    assert console.get("/healthz", host="evil.example").status == 421


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_methods_that_nothing_answers_are_refused(console, method):
    answer = console.ask(method, "/")
    assert answer.status == 405
    assert answer.headers["allow"] == "GET, HEAD, POST"


def test_a_head_is_answered_as_a_get(console):
    assert console.ask("HEAD", "/healthz").status == 200


def test_a_post_to_a_page_is_told_as_the_wrong_method(console):
    assert console.post("/healthz").status == 405


def test_nobody_reads_what_the_console_offers(console):
    assert console.get("/api/openapi.json", as_="").status == 401
    assert console.get("/api/openapi.json").json["info"]["title"] == "perdure console"


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1:8500/api/x?",
        "127.0.0.1:x@evil.example",
        "127.0.0.1:abc",
        "127.0.0.1#",
        "[::1",
        "[::1]evil.example",
        "[127.0.0.1].evil.example",
        "127.0.0.1 evil.example",
    ],
)
def test_a_host_with_anything_behind_its_name_is_none_of_ours(console, host):
    assert console.get("/healthz", host=host).status == 421


def test_of_two_hosts_none_is_believed(console):
    """A proxy may read the first, and the console the last."""
    said = asyncio.run(_statuses(console.app, [(b"host", b"evil.example"), (b"host", b"127.0.0.1:8500")]))
    assert said == [421]


def test_a_body_that_never_comes_is_not_waited_for(console, monkeypatch):
    """Anybody could else hold as many connections as there are."""
    monkeypatch.setattr("perdure.surface.console.serving_pages._BODY_S", 0.05)
    headers = [(b"host", b"127.0.0.1:8500"), (b"content-type", b"application/x-www-form-urlencoded")]
    said = asyncio.run(asyncio.wait_for(_statuses(console.app, headers, "/api/me/sessions", comes=False), 5))
    assert said == [400]


async def _statuses(app, headers, path="/healthz", *, comes=True):
    said = []

    async def receive():
        if not comes:
            await asyncio.Event().wait()
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        said.append(message)

    scope = {
        "type": "http", "method": "GET" if comes else "POST", "path": path, "raw_path": path.encode(), "query_string": b"",
        "headers": headers, "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 8500), "scheme": "http",
    }  # fmt: skip
    await app(scope, receive, send)
    return [each["status"] for each in said if "status" in each]


@pytest.mark.parametrize("referer", ["http://[", "http://[::1", "http://127.0.0.1:8500/\xe9", "\x01"])
def test_an_error_page_bears_whatever_came_before_it(console, referer):
    answer = console.get("/nowhere", referer=referer)
    assert (answer.status, "content-security-policy" in answer.headers) == (404, True)


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"reason":' + b"[" * 50_000 + b"]" * 50_000 + b"}"])
def test_json_nested_without_end_is_no_json(console, caplog, body):
    """Read before anybody is known, so anybody could fill the log."""
    answer = console.ask("POST", "/api/me/sessions", as_="", headers={"content-type": "application/json"}, body=body)
    assert (answer.status, caplog.records) == (400, [])


def test_what_fails_names_its_route_in_the_log_and_not_its_address(door, caplog, monkeypatch):
    """That may be an invite, or hold signs that a terminal obeys."""
    from perdure.surface.console.auth.signing_in import SigningIn

    path = door.parts.project.invite_person("ann").path
    monkeypatch.setattr(SigningIn, "_person", lambda *_: 1 // 0)
    assert door.get(path).status == 500
    assert [each.getMessage() for each in caplog.records] == ["GET /sign-in/{invite} failed"]


def test_questions_are_counted_for_whom_they_wait(console):
    assert 'data-count="inbox"' in console.get("/", as_="reviewer").text
    assert 'data-count="inbox"' not in console.get("/", as_="viewer").text
