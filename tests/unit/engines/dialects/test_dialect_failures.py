"""What errors of upstreams mean, and how each dialect tells them."""

from __future__ import annotations

import anthropic.types
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.shared import ErrorObject

from perdure.engines.dialects.failures import (
    anthropic_error,
    anthropic_error_json,
    anthropic_failure,
    openai_error,
    openai_error_json,
    openai_failure,
    stream_error,
)
from perdure.engines.dialects.protocols import Failure

OVERLOADED = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}, "request_id": "req_1"}


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (
            400,
            {"error": {"message": "too long", "type": "invalid_request_error", "param": "messages", "code": "context_length_exceeded"}},
            Failure(400, "too long", "invalid_request_error", "context_length_exceeded"),
        ),
        (429, {"error": "slow down"}, Failure(429, "slow down", "rate_limit_error")),
        (400, {"object": "error", "message": "bad", "type": "BadRequestError", "code": 400}, Failure(400, "bad", "BadRequestError", "400")),
        (422, {"detail": "no field"}, Failure(422, "no field", "invalid_request_error")),
        (503, {}, Failure(503, "The upstream answered with status 503.", "server_error")),
    ],
)  # fmt: skip
def test_errors_of_openai_compatible_servers_are_read_in_all_their_shapes(status, body, expected):
    assert openai_failure(status, msgspec.json.encode(body)) == expected


@pytest.mark.parametrize(
    ("status", "kind", "message", "expected"),
    [
        (529, "overloaded_error", "Overloaded", Failure(529, "Overloaded", "server_error", "overloaded")),
        (429, "rate_limit_error", "Slow", Failure(429, "Slow", "rate_limit_error")),
        (500, "api_error", "Oops", Failure(500, "Oops", "server_error")),
        (402, "billing_error", "Pay", Failure(402, "Pay", "insufficient_quota")),
        (
            400,
            "invalid_request_error",
            "prompt is too long: 208310 tokens > 200000 maximum",
            Failure(400, "prompt is too long: 208310 tokens > 200000 maximum", "invalid_request_error", "context_length_exceeded"),
        ),
    ],
)  # fmt: skip
def test_anthropics_errors_become_neutral(status, kind, message, expected):
    body = {"type": "error", "error": {"type": kind, "message": message}}

    assert anthropic_failure(status, msgspec.json.encode(body)) == expected


def test_the_status_of_an_error_within_a_stream_is_told_from_its_type():
    assert anthropic_error(OVERLOADED).status == 529
    assert openai_error({"error": {"type": "rate_limit_error", "message": "m"}}).status == 429
    assert openai_error({"error": {"message": "m", "code": 503}}).status == 503
    assert openai_error({"error": {"message": "m"}}).status == 500


def test_no_credentials_of_an_upstream_reach_a_caller():
    body = {"error": {"message": "Incorrect API key provided: sk-abcd1234*****wxyz.", "type": "invalid_request_error"}}

    for status in (400, 401):
        assert "sk-abcd" not in openai_failure(status, msgspec.json.encode(body)).message
        assert "sk-abcd" not in anthropic_failure(status, msgspec.json.encode(body)).message


@pytest.mark.parametrize("read", [openai_failure, anthropic_failure])
@given(body=st.binary() | st.sampled_from([b"<html>", b"[]", b"{", b'{"error":[1]}', b'{"error":{"message":{}}}']))
def test_no_body_is_too_strange_to_be_read_as_an_error(read, body):
    found = read(502, body)

    assert (found.status, found.kind) == (502, "server_error")
    assert found.message


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 408, 413, 418, 422, 429, 500, 502, 503, 504, 529])
def test_both_sdks_read_our_errors(status):
    failure = Failure(status, "words", "kind", "code")

    theirs = anthropic.types.ErrorResponse.model_validate(anthropic_error_json(failure, "call_1"), strict=True)
    assert (theirs.error.message, theirs.request_id) == ("words", "call_1")
    assert ErrorObject.model_validate(openai_error_json(failure)["error"], strict=True).code == "code"


def test_the_exception_for_a_streams_error_has_no_words_of_the_upstream():
    error = stream_error(Failure(529, "your prompt was: secret", "server_error", "overloaded"))

    assert "secret" not in f"{error}{error.as_dict()}"
    assert error.facts == {"status": 529, "kind": "server_error", "code": "overloaded"}
