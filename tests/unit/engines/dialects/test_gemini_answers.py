from __future__ import annotations

import json

import pytest

from perdure.core.errors import UpstreamBad, UpstreamError
from perdure.core.usage import Usage
from perdure.engines.dialects.gemini import GeminiOutbound

GEMINI = GeminiOutbound(now_us=lambda: 1_700_000_000_000_000)

# In the shape of the reference of `generateContent`.
ANSWER = {
    "candidates": [
        {
            "content": {
                "role": "model",
                "parts": [
                    {"text": "The user asks for two.", "thought": True},
                    {"text": "Let me "},
                    {"text": "look."},
                    {"functionCall": {"name": "weather", "args": {"city": "Oslo"}}, "thoughtSignature": "c2ln"},
                    {"functionCall": {"name": "now", "args": {}, "id": "fc_2"}},
                ],
            },
            "finishReason": "STOP",
            "index": 0,
            "safetyRatings": [{"category": "HARM_CATEGORY_HARASSMENT", "probability": "NEGLIGIBLE"}],
        }
    ],
    "usageMetadata": {
        "promptTokenCount": 1200,
        "candidatesTokenCount": 40,
        "totalTokenCount": 1320,
        "cachedContentTokenCount": 1024,
        "thoughtsTokenCount": 60,
        "toolUsePromptTokenCount": 20,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 900}, {"modality": "AUDIO", "tokenCount": 300}],
        "candidatesTokensDetails": [{"modality": "AUDIO", "tokenCount": 7}],
    },
    "modelVersion": "gemini-2.5-flash",
    "responseId": "abc-123",
}


def read(found):
    return GEMINI.read(json.dumps(found).encode())


def one(candidate):
    return read({"candidates": [candidate], "responseId": "r"})[0]["choices"][0]


def test_an_answer_in_neutral_words():
    told, usage = read(ANSWER)
    assert usage == Usage(
        n_input=1220, n_output=100, n_cached=1024, n_reasoning=60, n_audio_input=300, n_audio_output=7
    )
    assert told["usage"]["total_tokens"] == 1320
    message = told["choices"][0]["message"]
    first, second = message["tool_calls"]
    assert {key: told[key] for key in ("id", "object", "created", "model")} == {
        "id": "abc-123",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": "gemini-2.5-flash",
    }
    assert told["choices"][0]["finish_reason"] == "tool_calls"
    assert (message["content"], message["reasoning_content"]) == ("Let me look.", "The user asks for two.")
    assert first["function"] == {"name": "weather", "arguments": '{"city":"Oslo"}'}
    assert first["extra_content"] == {"google": {"thought_signature": "c2ln"}}
    assert second == {"id": "fc_2", "type": "function", "function": {"name": "now", "arguments": "{}"}}


def test_the_same_answer_gives_its_calls_the_same_ids_and_two_calls_alike_have_two():
    first, again = read(ANSWER)[0], read(ANSWER)[0]
    assert first == again
    call = {"functionCall": {"name": "f", "args": {}}}
    twins = one({"content": {"parts": [call, call]}, "finishReason": "STOP"})["message"]["tool_calls"]
    assert twins[0]["id"] != twins[1]["id"]
    other = read({"candidates": [{"content": {"parts": [call]}}], "responseId": "other"})[0]
    assert other["choices"][0]["message"]["tool_calls"][0]["id"] != twins[0]["id"]


def test_what_was_answered_can_be_asked_again():
    told, _ = read(ANSWER)
    calls = told["choices"][0]["message"]["tool_calls"]
    messages = [
        {"role": "user", "content": "?"},
        told["choices"][0]["message"],
        *({"role": "tool", "tool_call_id": call["id"], "content": "1"} for call in calls),
    ]
    body = json.loads(GEMINI.write({"messages": messages}, "gemini-3-pro", "").body)
    assert body["contents"][1]["parts"][1:] == ANSWER["candidates"][0]["content"]["parts"][3:]
    assert [part["functionResponse"]["name"] for part in body["contents"][2]["parts"]] == ["weather", "now"]


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("STOP", "stop"),
        ("MAX_TOKENS", "length"),
        ("SAFETY", "content_filter"),
        ("RECITATION", "content_filter"),
        ("PROHIBITED_CONTENT", "content_filter"),
        ("MALFORMED_FUNCTION_CALL", "stop"),
        ("OF_TOMORROW", "stop"),
    ],
)
def test_finish_reasons(reason, finish):
    choice = one({"finishReason": reason})
    assert (choice["finish_reason"], choice["message"]["content"]) == (finish, None)
    assert choice.get("native_finish_reason") == (None if reason in ("STOP", "MAX_TOKENS") else reason)


def test_a_blocked_prompt_is_a_refusal_and_is_counted():
    told, usage = read({"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 5}})
    assert told["choices"][0]["finish_reason"] == "content_filter"
    assert usage == Usage(n_input=5)


def test_pictures_and_sound_that_were_made():
    parts = [
        {"inlineData": {"mimeType": "image/png", "data": "iVBO"}},
        {"inlineData": {"mimeType": "audio/wav", "data": "UklG"}},
    ]
    message = one({"content": {"parts": parts}})["message"]
    assert message["images"] == [{"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBO"}}]
    assert message["audio"]["data"] == "UklG"


def test_several_candidates_keep_their_places():
    told, usage = read({"candidates": [{"content": {"parts": [{"text": t}]}, "index": i} for i, t in enumerate("ab")]})
    assert [(c["index"], c["message"]["content"]) for c in told["choices"]] == [(0, "a"), (1, "b")]
    assert usage is None
    assert "usage" not in told


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'{"candidates": []}', b'{"candidates": [1]}', b"\xff"])
def test_what_is_no_answer_is_said_to_be_none(body):
    with pytest.raises(UpstreamBad):
        GEMINI.read(body)


def test_an_error_with_status_200_is_an_error_without_the_upstreams_words():
    with pytest.raises(UpstreamError) as caught:
        read({"error": {"code": 503, "message": "the prompt itself", "status": "UNAVAILABLE"}})
    assert "the prompt itself" not in str(caught.value)
    assert caught.value.facts["status"] == 503


def error(code, status, message="m", **more):
    return json.dumps({"error": {"code": code, "message": message, "status": status, **more}}).encode()


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (400, error(400, "INVALID_ARGUMENT"), (400, "invalid_request_error", "")),
        (429, error(429, "RESOURCE_EXHAUSTED"), (429, "rate_limit_error", "rate_limit_exceeded")),
        (403, error(403, "PERMISSION_DENIED"), (403, "permission_error", "")),
        (404, error(404, "NOT_FOUND"), (404, "not_found_error", "model_not_found")),
        (503, b"[" + error(503, "UNAVAILABLE") + b"]", (503, "server_error", "overloaded")),
        (500, error(500, "OF_TOMORROW"), (500, "server_error", "")),
        (502, b"<html>Bad gateway", (502, "server_error", "")),
        (429, b'{"error": 3}', (429, "rate_limit_error", "")),
        (
            400,
            error(400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key."),
            (401, "authentication_error", "invalid_api_key"),
        ),
        (
            400,
            error(400, "INVALID_ARGUMENT", details=[{"reason": "API_KEY_INVALID"}]),
            (401, "authentication_error", "invalid_api_key"),
        ),
        (
            400,
            error(
                400, "INVALID_ARGUMENT", "The input token count (9) exceeds the maximum number of tokens allowed (8)."
            ),
            (400, "invalid_request_error", "context_length_exceeded"),
        ),
    ],
)
def test_errors_in_neutral_words(status, body, told):
    failure = GEMINI.read_error(status, body)
    assert (failure.status, failure.kind, failure.code) == told
    assert failure.message
