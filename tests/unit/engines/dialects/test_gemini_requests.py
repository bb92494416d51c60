from __future__ import annotations

import msgspec
import pytest

from perdure.core.errors import BadRequest
from perdure.engines.dialects.gemini import GeminiOutbound
from perdure.engines.dialects.gemini_schema import MAX_DEPTH, cleaned

SIGNED = {"google": {"thought_signature": "c2lnbmVk"}}
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather of a city.",
        "strict": True,
        "parameters": {
            "$schema": "http://json-schema.org/draft-07/schema#",
            "type": "object",
            "properties": {"city": {"type": "string", "minLength": 1}, "pattern": {"type": "string", "pattern": "a+"}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}


def sent(model: str = "gemini-2.5-flash", **request):
    request.setdefault("messages", [{"role": "user", "content": "hi"}])
    return msgspec.json.decode(GeminiOutbound().write(request, model, "s3cret").body)


def refused(**request) -> str:
    with pytest.raises(BadRequest) as caught:
        sent(**request)
    return str(caught.value)


def test_a_request_in_the_words_of_the_reference():
    body = sent(
        messages=[
            {"role": "system", "content": "Be brief."},
            {"role": "developer", "content": [{"type": "text", "text": "In French."}]},
            {"role": "user", "content": "hi"},
            {"role": "user", "content": [{"type": "text", "text": "there"}]},
        ],
        temperature=0,
        top_p=0.5,
        max_tokens=9,
        max_completion_tokens=7,
        stop="END",
        n=2,
        seed=3,
        user="who",
        metadata={"a": "b"},
    )
    assert body == {
        "systemInstruction": {"parts": [{"text": "Be brief."}, {"text": "In French."}]},
        "contents": [{"role": "user", "parts": [{"text": "hi"}, {"text": "there"}]}],
        "generationConfig": {
            "temperature": 0,
            "topP": 0.5,
            "maxOutputTokens": 7,
            "stopSequences": ["END"],
            "candidateCount": 2,
            "seed": 3,
        },
    }


def test_the_secret_goes_into_a_header_and_the_path_says_whether_it_is_a_stream():
    request = {"messages": [{"role": "user", "content": "hi"}]}
    whole = GeminiOutbound().write(request, "gemini-2.5-flash", "s3cret")
    stream = GeminiOutbound().write({**request, "stream": True}, "tunedModels/ours", "s3cret")
    assert whole.path == "/v1beta/models/gemini-2.5-flash:generateContent"
    assert stream.path == "/v1beta/tunedModels/ours:streamGenerateContent?alt=sse"
    assert whole.headers == {"x-goog-api-key": "s3cret"}
    assert b"s3cret" not in whole.body
    assert b"stream" not in stream.body
    assert GeminiOutbound().write(request, "a?b#c", "").path == "/v1beta/models/a%3Fb%23c:generateContent"
    assert GeminiOutbound().write(request, "m", "").headers == {}


def test_pictures_sound_and_files_become_data_or_addresses():
    parts = [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBO"}},
        {"type": "image_url", "image_url": {"url": "https://example.com/cat.jpg?size=2"}},
        {"type": "input_audio", "input_audio": {"data": "UklG", "format": "mp3"}},
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBE"}},
        {"type": "file", "file": {"file_id": "https://generativelanguage.googleapis.com/v1beta/files/abc"}},
    ]
    body = sent(messages=[{"role": "user", "content": parts}])
    assert body["contents"][0]["parts"] == [
        {"inlineData": {"mimeType": "image/png", "data": "iVBO"}},
        {"fileData": {"fileUri": "https://example.com/cat.jpg?size=2", "mimeType": "image/jpeg"}},
        {"inlineData": {"mimeType": "audio/mp3", "data": "UklG"}},
        {"inlineData": {"mimeType": "application/pdf", "data": "JVBE"}},
        {"fileData": {"fileUri": "https://generativelanguage.googleapis.com/v1beta/files/abc"}},
    ]


def test_tools_are_declared_with_the_part_of_their_schema_that_gemini_takes():
    body = sent(tools=[WEATHER, {"type": "function", "function": {"name": "now", "parameters": {"type": "object"}}}])
    assert body["tools"] == [
        {
            "functionDeclarations": [
                {
                    "name": "weather",
                    "description": "The weather of a city.",
                    "parametersJsonSchema": {
                        "type": "object",
                        "properties": {"city": {"type": "string"}, "pattern": {"type": "string"}},
                        "required": ["city"],
                        "additionalProperties": False,
                    },
                },
                {"name": "now"},
            ]
        }
    ]


@pytest.mark.parametrize(
    ("choice", "config"),
    [
        ("none", {"mode": "NONE"}),
        ("auto", {"mode": "AUTO"}),
        ("required", {"mode": "ANY"}),
        ({"type": "function", "function": {"name": "weather"}}, {"mode": "ANY", "allowedFunctionNames": ["weather"]}),
        (
            {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [WEATHER]}},
            {"mode": "VALIDATED", "allowedFunctionNames": ["weather"]},
        ),
    ],
)
def test_a_choice_of_tools(choice, config):
    assert sent(tools=[WEATHER], tool_choice=choice)["toolConfig"] == {"functionCallingConfig": config}


def conversation(**members):
    call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}
    other = {"id": "call_gemini_ab", "type": "function", "function": {"name": "now", "arguments": ""}}
    return [
        {"role": "user", "content": "weather?"},
        {"role": "assistant", "content": None, "tool_calls": [{**call, **members}, other]},
        {"role": "tool", "tool_call_id": "call_1", "content": '{"wind": 3}'},
        {"role": "tool", "tool_call_id": "call_gemini_ab", "content": "noon"},
    ]


def test_calls_and_results_are_matched_by_name_and_ids_made_here_are_not_sent():
    contents = sent(messages=conversation(extra_content=SIGNED))["contents"]
    assert contents[1:] == [
        {
            "role": "model",
            "parts": [
                {
                    "functionCall": {"name": "weather", "args": {"city": "Oslo"}, "id": "call_1"},
                    "thoughtSignature": "c2lnbmVk",
                },
                {"functionCall": {"name": "now", "args": {}}},
            ],
        },
        {
            "role": "user",
            "parts": [
                {"functionResponse": {"name": "weather", "response": {"wind": 3}, "id": "call_1"}},
                {"functionResponse": {"name": "now", "response": {"output": "noon"}}},
            ],
        },
    ]


def test_a_lost_signature_is_excused_where_the_model_asks_for_one():
    def signatures(model):
        parts = sent(model, messages=conversation())["contents"][1]["parts"]
        return [part.get("thoughtSignature") for part in parts]

    assert signatures("gemini-3-pro-preview") == ["skip_thought_signature_validator", None]
    assert signatures("gemini-2.5-pro") == [None, None]


def test_the_signature_of_a_text_goes_back_with_its_last_part():
    said = {"role": "assistant", "content": "yes", "extra_content": SIGNED}
    body = sent(messages=[{"role": "user", "content": "?"}, said, {"role": "user", "content": "!"}])
    assert body["contents"][1] == {"role": "model", "parts": [{"text": "yes", "thoughtSignature": "c2lnbmVk"}]}


def test_a_tools_error_and_picture_are_told_as_such():
    messages = conversation()[:2]
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBO"}}
    messages.append({"role": "tool", "tool_call_id": "call_1", "content": [{"type": "text", "text": "no"}, picture]})
    messages[-1]["is_error"] = True
    assert sent(messages=messages)["contents"][2]["parts"] == [
        {"functionResponse": {"name": "weather", "response": {"error": "no"}, "id": "call_1"}},
        {"inlineData": {"mimeType": "image/png", "data": "iVBO"}},
    ]


def test_structured_output():
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"], "$comment": "-"}
    config = sent(response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": schema}})
    del schema["$comment"]
    assert config["generationConfig"] == {"responseMimeType": "application/json", "responseJsonSchema": schema}
    loose = sent(response_format={"type": "json_object"})
    assert loose["generationConfig"] == {"responseMimeType": "application/json"}
    assert "generationConfig" not in sent(response_format={"type": "text"})


@pytest.mark.parametrize(
    ("model", "effort", "thinking"),
    [
        ("gemini-2.5-flash", "none", {"thinkingBudget": 0}),
        ("gemini-2.5-flash", "high", {"thinkingBudget": 24576}),
        ("gemini-3-flash", "none", {"thinkingLevel": "MINIMAL"}),
        ("gemini-3-flash", "medium", {"thinkingLevel": "MEDIUM"}),
        ("gemini-3-flash", "xhigh", {"thinkingLevel": "HIGH"}),
    ],
)
def test_effort_is_a_budget_or_a_level_by_generation(model, effort, thinking):
    assert sent(model, reasoning_effort=effort)["generationConfig"] == {"thinkingConfig": thinking}


def test_speech_safety_and_a_cache_of_googles_are_asked_for():
    safety = [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}]
    body = sent(
        modalities=["text", "audio"],
        audio={"voice": "Kore", "format": "wav"},
        safety_settings=safety,
        cached_content="cachedContents/a",
    )
    assert body["generationConfig"]["responseModalities"] == ["TEXT", "AUDIO"]
    assert body["generationConfig"]["speechConfig"]["voiceConfig"] == {"prebuiltVoiceConfig": {"voiceName": "Kore"}}
    assert (body["safetySettings"], body["cachedContent"]) == (safety, "cachedContents/a")


@pytest.mark.parametrize(
    ("request_", "word"),
    [
        ({"logit_bias": {"1": 2}}, "logit_bias"),
        ({"messages": [{"role": "system", "content": "x"}]}, "no message"),
        ({"messages": []}, "no message"),
        ({"messages": [{"role": "wizard", "content": "x"}]}, "wizard"),
        ({"messages": [{"role": "user", "content": [{"type": "hologram"}]}]}, "hologram"),
        ({"messages": [{"role": "user", "content": 3}]}, "content"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "file:///x"}}]}]},
            "url",
        ),
        ({"messages": [{"role": "tool", "tool_call_id": "lost", "content": "x"}]}, "tool_call_id"),
        ({"messages": [{"role": "assistant", "tool_calls": [{"id": "a"}]}]}, "function"),
        ({"messages": conversation(function={"name": "f", "arguments": "[1]"})}, "arguments"),
        ({"messages": conversation(function={"name": "f", "arguments": "{"})}, "arguments"),
        ({"tools": [{"type": "custom", "custom": {"name": "x"}}]}, "custom"),
        ({"tools": [WEATHER], "tool_choice": {"type": "function"}}, "tool_choice"),
    ],
)
def test_what_gemini_has_no_word_for_is_refused_in_words(request_, word):
    assert word in refused(**request_)


def test_a_schema_keeps_what_it_asks_as_far_as_gemini_understands_it():
    schema = {
        "definitions": {"node": {"type": "object", "properties": {"next": {"$ref": "#/definitions/node"}}}},
        "allOf": [
            {"properties": {"a": {"oneOf": [{"type": "string"}, {"type": "null"}]}}, "required": ["a"]},
            {"properties": {"b": {"type": "string", "nullable": True}}, "required": ["b", "a"]},
        ],
        "type": "object",
        "properties": {
            "n": {"$ref": "#/definitions/node", "description": "gone"},
            "when": {"type": "string", "format": "date-time", "default": "now"},
            "few": {"type": "array", "items": {"const": 1, "exclusiveMinimum": 0}, "maxItems": 3},
        },
    }
    assert cleaned(schema) == {
        "$defs": {"node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}}},
        "type": "object",
        "properties": {
            "a": {"anyOf": [{"type": "string"}, {"type": "null"}]},
            "b": {"type": ["string", "null"]},
            "n": {"$ref": "#/$defs/node"},
            "when": {"type": "string", "format": "date-time"},
            "few": {"type": "array", "items": {"enum": [1]}, "maxItems": 3},
        },
        "required": ["a", "b"],
    }


def test_a_schema_without_a_bottom_is_refused():
    schema: dict = {}
    for _ in range(MAX_DEPTH + 2):
        schema = {"items": schema}
    with pytest.raises(BadRequest, match="nested"):
        cleaned(schema)
