"""Requests in Anthropic's words, and requests put into them."""

from __future__ import annotations

import contextlib
from pathlib import Path

import msgspec
import pytest
from anthropic.types import MessageCreateParams
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming
from pydantic import TypeAdapter

from perdure.core.errors import BadRequest
from perdure.engines.dialects.anthropic_in import AnthropicInbound
from perdure.engines.dialects.anthropic_out import DEFAULT_MAX_TOKENS, AnthropicOutbound
from perdure.engines.dialects.openai import OpenAIInbound, OpenAIOutbound

GOLDEN = Path(__file__).parent / "golden"
HELLO = [{"role": "user", "content": "Hello"}]
PIXEL = "data:image/png;base64,iVBORw0KGgo="


@pytest.fixture
def request_():
    return msgspec.json.decode((GOLDEN / "anthropic_request.json").read_bytes())


def out(request, model="claude-sonnet-4-6"):
    return msgspec.json.decode(AnthropicOutbound().write(request, model, "s3").body)


def chat(**members):
    return {"model": "a", "messages": HELLO} | members


def blocks(messages):
    """Each message's content as blocks, the empty titles of files filled in."""
    return [
        {**message, "content": [{"type": "text", "text": message["content"]}]} if isinstance(message["content"], str) else message
        for message in messages
    ]  # fmt: skip


def test_a_request_through_the_neutral_form_and_back_is_the_same(request_):
    neutral = AnthropicInbound().read(request_)

    back = out(neutral, "claude-sonnet-4-6")

    first, second, *others = blocks(request_["messages"])
    expected = [{"role": "user", "content": first["content"] + second["content"]}, *others]
    expected[2]["content"][0]["content"] = [{"type": "text", "text": "15 degrees"}]
    assert back.pop("messages") == expected
    assert back.pop("model") == "claude-sonnet-4-6"
    assert back == {k: v for k, v in request_.items() if k not in ("messages", "model")}


def test_the_neutral_request_says_all_that_chat_completions_can_say(request_):
    neutral = AnthropicInbound().read(request_)

    assert [message["role"] for message in neutral["messages"]] == [
        "system", "user", "user", "assistant", "tool", "tool", "user",
    ]  # fmt: skip
    assert neutral["messages"][2]["content"][0] == {"type": "image_url", "image_url": {"url": PIXEL}}
    assert neutral["messages"][3]["tool_calls"][0]["function"] == {
        "name": "get_weather",
        "arguments": '{"city":"Bonn"}',
    }
    assert neutral["messages"][4] == {
        "role": "tool",
        "tool_call_id": "toolu_1",
        "content": "15 degrees",
        "is_error": True,
    }
    assert neutral["tool_choice"] == "required"
    assert neutral["parallel_tool_calls"] is False
    assert (neutral["max_completion_tokens"], neutral["stop"], neutral["user"]) == (1024, ["END"], "u-7")
    assert neutral["response_format"]["json_schema"]["schema"]["properties"] == {"a": {"type": "integer"}}
    assert neutral["reasoning_effort"] == "high"
    assert neutral["anthropic"] == {"thinking": {"type": "adaptive"}, "top_k": 5}


def test_an_openai_upstream_sees_nothing_that_only_anthropic_knows(request_):
    neutral = AnthropicInbound().read(request_)

    body = msgspec.json.decode(OpenAIOutbound().write(neutral, "gpt-5", "s").body)

    text = msgspec.json.encode(body)
    for word in (b"cache_control", b"thinking", b"anthropic", b"is_error", b"top_k", b"eager"):
        assert word not in text
    roles = [message["role"] for message in body["messages"]]
    assert roles == ["system", "user", "user", "assistant", "tool", "tool", "user", "user"]
    assert body["messages"][5]["content"] == [{"type": "text", "text": "here"}]
    assert body["messages"][6]["content"] == [{"type": "image_url", "image_url": {"url": PIXEL}}]
    del body["stream"], body["stream_options"]
    TypeAdapter(CompletionCreateParamsNonStreaming).validate_python(body)


def test_the_limit_of_an_anthropic_client_is_named_as_the_model_wants_it(request_):
    neutral = AnthropicInbound().read(request_)

    assert msgspec.json.decode(OpenAIOutbound().write(neutral, "llama-3", "s").body)["max_tokens"] == 1024
    assert msgspec.json.decode(OpenAIOutbound().write(neutral, "gpt-5", "s").body)["max_completion_tokens"] == 1024


def test_a_text_document_is_text_for_others_and_one_by_address_is_refused():
    def asked(source):
        content = [{"type": "document", "source": source}]
        return AnthropicInbound().read(
            {"model": "a", "max_tokens": 1, "messages": [{"role": "user", "content": content}]}
        )

    plain = OpenAIOutbound().write(asked({"type": "text", "media_type": "text/plain", "data": "Terms"}), "m", "").body
    assert msgspec.json.decode(plain)["messages"][0]["content"] == [{"type": "text", "text": "Terms"}]
    with pytest.raises(BadRequest, match="document"):
        OpenAIOutbound().write(asked({"type": "url", "url": "https://example.com/a.pdf"}), "m", "")


def test_a_tool_that_anthropic_runs_goes_to_anthropic_alone():
    search = {"type": "web_search_20250305", "name": "web_search", "max_uses": 5}
    neutral = AnthropicInbound().read({"model": "a", "max_tokens": 1, "messages": HELLO, "tools": [search]})

    assert out(neutral)["tools"] == [search]
    with pytest.raises(BadRequest, match="web_search"):
        OpenAIOutbound().write(neutral, "m", "")


@pytest.mark.parametrize(
    ("broken", "word"),
    [
        ({"model": None}, "model"),
        ({"max_tokens": None}, "max_tokens"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"messages": None}, "messages"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [{}]}]}, "messages[0].content[0].type"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text"),
        ({"messages": [{"role": "user", "content": [{"type": "tool_result"}]}]}, "messages[0].content[0].tool_use_id"),
        ({"tools": [{"name": "x"}]}, "tools[0].input_schema"),
        ({"system": [1]}, "system[0]"),
        ({"temperature": "hot"}, "temperature"),
        ({"tools": [{"name": "x", "input_schema": {}}], "tool_choice": {"type": "some"}}, "tool_choice.type"),
    ],
)
def test_a_request_that_lacks_something_is_refused_by_its_place(broken, word):
    request = {"model": "a", "max_tokens": 1, "messages": HELLO} | broken

    with pytest.raises(BadRequest) as caught:
        AnthropicInbound().read(request)
    assert f"`{word}`" in str(caught.value)


def test_a_chat_becomes_a_message_that_the_sdk_could_have_sent():
    calls = [{"id": "functions.f:0", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}]
    request = chat(
        messages=[
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "See"}, {"type": "image_url", "image_url": {"url": PIXEL}}]},
            {"role": "assistant", "content": "", "tool_calls": calls, "thinking_blocks": [{"type": "thinking", "thinking": "x"}]},
            {"role": "tool", "tool_call_id": "functions.f:0", "content": "7"},
            {"role": "system", "content": "And kind."},
            {"role": "user", "content": "Go on."},
        ],
        tools=[{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}, "strict": True}}],
        tool_choice={"type": "function", "function": {"name": "f"}},
        parallel_tool_calls=False,
        stop="END",
        user="u-1",
        temperature=1.7,
        seed=5,
    )  # fmt: skip

    body = out(request)

    TypeAdapter(MessageCreateParams).validate_python(body | {"stream": False})
    assert body == {
        "model": "claude-sonnet-4-6",
        "max_tokens": DEFAULT_MAX_TOKENS,
        "system": [{"type": "text", "text": "Be brief."}, {"type": "text", "text": "And kind."}],
        "messages": [
            {"role": "user", "content": [
                {"type": "text", "text": "See"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}},
            ]},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "functions_f_0", "name": "f", "input": {"a": 1}}]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "functions_f_0", "content": [{"type": "text", "text": "7"}]},
                {"type": "text", "text": "Go on."},
            ]},
        ],
        "tools": [{"name": "f", "input_schema": {"type": "object"}, "strict": True}],
        "tool_choice": {"type": "tool", "name": "f", "disable_parallel_tool_use": True},
        "stop_sequences": ["END"],
        "metadata": {"user_id": "u-1"},
        "temperature": 1.0,
    }  # fmt: skip


def test_the_secret_and_the_version_go_into_headers():
    written = AnthropicOutbound().write(chat(), "claude-sonnet-4-6", "s3")

    assert written.path == "/v1/messages"
    assert written.headers == {"x-api-key": "s3", "anthropic-version": "2023-06-01"}


@pytest.mark.parametrize(
    ("model", "sampling", "effort"),
    [
        ("claude-3-haiku-20240307", {"temperature": 0.2, "top_p": 0.9}, None),
        ("claude-opus-4-20250514", {"temperature": 0.2}, None),
        ("claude-haiku-4-5", {"temperature": 0.2}, None),
        ("claude-opus-4-5-20251101", {"temperature": 0.2}, "low"),
        ("claude-sonnet-4-6", {"temperature": 0.2}, "low"),
        ("us.anthropic.claude-opus-4-8", {}, "low"),
        ("claude-sonnet-5", {}, "low"),
        ("some-other-model", {"temperature": 0.2, "top_p": 0.9}, None),
    ],
)
def test_what_a_model_is_known_not_to_take_is_left_out(model, sampling, effort):
    body = out(chat(temperature=0.2, top_p=0.9, reasoning_effort="minimal"), model)

    assert {name: body[name] for name in ("temperature", "top_p") if name in body} == sampling
    assert body.get("output_config", {}).get("effort") == effort


def test_a_schema_becomes_anthropics_structured_output_with_closed_objects_and_bounds_in_words():
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {
            "age": {"type": "integer", "minimum": 0, "description": "Years."},
            "type": {"oneOf": [{"type": "string", "format": "email"}, {"$ref": "#/$defs/P"}]},
        },
        "$defs": {"P": {"type": "object", "properties": {}, "additionalProperties": True}},
        "required": ["age"],
    }
    body = out(chat(response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}))

    assert body["output_config"]["format"] == {
        "type": "json_schema",
        "schema": {
            "type": "object",
            "properties": {
                "age": {"type": "integer", "description": 'Years.\n\n{"minimum":0}'},
                "type": {"anyOf": [{"type": "string", "format": "email"}, {"$ref": "#/$defs/P"}]},
            },
            "$defs": {"P": {"type": "object", "properties": {}, "additionalProperties": False}},
            "required": ["age"],
            "additionalProperties": False,
        },
    }


def test_json_without_a_schema_is_asked_for_in_words():
    assert "JSON" in out(chat(response_format={"type": "json_object"}))["system"][-1]["text"]


@pytest.mark.parametrize(
    "members",
    [
        {"n": 2},
        {"functions": [{"name": "f"}]},
        {"modalities": ["text", "audio"]},
        {"messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}]},
        {"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "file-1"}}]}]},
        {
            "messages": [
                {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}]}
            ]
        },
        {"messages": [{"role": "function", "content": "x"}]},
        {"tools": [{"type": "custom", "custom": {"name": "x"}}]},
        {"tools": [{"type": "function", "function": {"name": "x"}}], "tool_choice": "some"},
    ],
)
def test_what_anthropic_cannot_say_is_refused(members):
    with pytest.raises(BadRequest):
        AnthropicOutbound().write(chat(**members), "claude-sonnet-4-6", "s")


def test_a_clients_extras_cannot_reach_what_limits_and_budgets_go_by():
    body = out(
        chat(anthropic={"model": "claude-opus-4-8", "max_tokens": 9, "stream": True, "thinking": {"type": "adaptive"}})
    )

    assert (body["model"], body["max_tokens"], body.get("stream")) == ("claude-sonnet-4-6", DEFAULT_MAX_TOKENS, None)
    assert body["thinking"] == {"type": "adaptive"}


def test_tokens_are_counted_for_a_request_without_a_limit():
    neutral = AnthropicInbound().read_counted({"model": "a", "messages": HELLO})
    asked = AnthropicOutbound().write_count(neutral, "claude-sonnet-4-6", "s")

    assert asked.path == "/v1/messages/count_tokens"
    assert set(msgspec.json.decode(asked.body)) == {"model", "messages"}
    assert AnthropicOutbound().read_count(AnthropicInbound().write_count(14)) == 14


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2**31) | st.text(max_size=5) | st.sampled_from(
        ["text", "image", "image_url", "tool_use", "tool_result", "thinking", "user", "assistant", "tool", "system",
         "json_schema", "function", "base64", "document", "file"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(
        ["type", "text", "role", "content", "source", "url", "image_url", "tool_calls", "function", "name", "arguments", "id",
         "tool_use_id", "tool_call_id", "input", "json_schema", "schema", "thinking_blocks", "signature", "file", "format",
         "input_schema", "parameters", "data", "media_type", "file_data", "custom"]), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip
REQUESTS = st.fixed_dictionaries(
    {"model": st.just("a"), "messages": st.lists(st.fixed_dictionaries(
        {"role": st.sampled_from(["user", "assistant", "tool", "system"]), "content": JSON},
        optional={"tool_calls": JSON, "thinking_blocks": JSON, "tool_call_id": st.just("a")}), max_size=3)},
    optional=dict.fromkeys(
        ("tools", "tool_choice", "response_format", "stop", "user", "temperature", "modalities", "metadata", "system",
         "stop_sequences", "output_config", "thinking", "anthropic", "reasoning_effort", "stream_options", "n"), JSON) | {"max_tokens": st.just(5)},
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(request=REQUESTS, speaks=st.sampled_from([OpenAIInbound(), AnthropicInbound()]))
def test_whatever_a_request_holds_it_is_translated_or_refused(request, speaks):
    with contextlib.suppress(BadRequest):
        neutral = speaks.read(request)
        AnthropicOutbound().write(neutral, "claude-sonnet-4-6", "s")
        OpenAIOutbound().write(neutral, "gpt-5", "s")
