"""The console's application: what every answer carries, errors as pages, twins, names and methods that it does not answer."""

from __future__ import annotations

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
