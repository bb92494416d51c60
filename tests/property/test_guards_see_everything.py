"""Wherever in a request personal data or a secret stands, no upstream gets it past a guard that redacts, and no record keeps it."""

from __future__ import annotations

import asyncio
import base64
import json
from contextlib import suppress
from copy import deepcopy
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.assets.guard import Guard, Pii, Secrets
from perdure.core.errors import BadRequest, Blocked
from perdure.engines.dialects.passthrough import peek
from perdure.engines.dialects.registry import inbound, outbound
from perdure.engines.guards.compiling import compile_guard
from perdure.serve.gateway.asking import Ask
from perdure.serve.gateway.calling import Calls
from perdure.serve.gateway.endpoints import ENDPOINTS
from perdure.serve.gateway.guarding import Armed, Guarding
from perdure.serve.gateway.ongoing import Ongoing
from perdure.serve.gateway.sending import _outgoing
from perdure.serve.gateway.wiring import _REDACTOR

MAIL, KEY, IBAN = "ann@example.org", "AKIAQ3EGRZ7QXN5JY2KD", "NO9386011117947"
SCHEMA = {
    "type": "object",
    "title": "Mail",
    "description": "A mail to somebody",
    "properties": {
        "to": {"type": "string", "description": "Who gets it", "enum": ["a", "b"], "default": "a", "examples": ["a"]},
        "at": {"type": "string", "pattern": "^x$", "format": "date", "const": "now", "$comment": "later"},
        "in": {"$ref": "#/$defs/place"},
    },
    "required": ["to"],
    "$defs": {"place": {"type": "string"}},
}
PIXEL = base64.b64encode(bytes(range(120))).decode()
FUNCTION = {"name": "mail", "description": "Sends a mail", "parameters": SCHEMA, "strict": False}
CHAT = {
    "model": "main",
    "messages": [
        {"role": "system", "content": "Be kind", "name": "boss"},
        {"role": "user", "name": "ann", "content": [
            {"type": "text", "text": "Hello", "cache_control": {"type": "ephemeral"}},
            {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "low"}},
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}},
            {"type": "input_audio", "input_audio": {"data": PIXEL, "format": "wav"}},
            {"type": "file", "file": {"filename": "a.pdf", "file_id": "file-1"}},
            {"type": "strange", "deep": [{"er": "words of it", "ids": ["x"]}]},
        ]},
        {"role": "assistant", "content": None, "refusal": "No", "reasoning_content": "Hm", "audio": {"id": "audio_1"},
         "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "mail", "arguments": '{"to": "a"}'}},
                        {"id": "c2", "type": "custom", "custom": {"name": "run", "input": "print(1)"}}]},
        {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "sent"}]},
        {"role": "assistant", "function_call": {"name": "mail", "arguments": "{}"}, "content": "ok"},
        {"role": "user", "content": "Thanks"},
    ],
    "tools": [{"type": "function", "function": FUNCTION},
              {"type": "custom", "custom": {"name": "run", "description": "Runs", "format": {"type": "grammar",
               "grammar": {"syntax": "lark", "definition": "start: x"}}}}],
    "functions": [FUNCTION],
    "tool_choice": {"type": "function", "function": {"name": "mail"}},
    "function_call": {"name": "mail"},
    "response_format": {"type": "json_schema", "json_schema": {"name": "mail", "description": "It", "schema": SCHEMA}},
    "prediction": {"type": "content", "content": [{"type": "text", "text": "Dear"}]},
    "user": "u1", "safety_identifier": "s1", "prompt_cache_key": "k1", "service_tier": "auto",
    "metadata": {"team": "blue", "note": "as it was"}, "stop": ["END", "over and out"], "logit_bias": {"50256": -1},
    "modalities": ["text"], "audio": {"voice": "alloy", "format": "wav"}, "stream_options": {"strange": "x"},
    "web_search_options": {"user_location": {"type": "approximate", "approximate": {"city": "Oslo"}}},
    "documents": [{"id": "d1", "text": "Trains leave at noon"}], "extra_body": {"guided_regex": "x+"}, "max_tokens": 9,
    "temperature": 0.5, "seed": 3,
}  # fmt: skip
BLOCKS = [
    {"type": "text", "text": "Hello", "citations": [{"type": "char_location", "cited_text": "a b", "document_title": "D"}]},
    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}, "strange": "x"},
    {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
    {"type": "document", "title": "T", "context": "C", "source": {"type": "text", "media_type": "text/plain", "data": "d"}},
    {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": PIXEL}, "title": "T"},
    {"type": "search_result", "source": "https://x", "title": "T", "content": [{"type": "text", "text": "found"}]},
]  # fmt: skip
MESSAGES = {
    "model": "main",
    "max_tokens": 9,
    "system": [{"type": "text", "text": "Be kind", "cache_control": {"type": "ephemeral", "ttl": "5m"}},
               {"type": "strange", "words": "of the system", "id": "x"}],
    "messages": [
        {"role": "user", "content": BLOCKS, "strange": "x"},
        {"role": "assistant", "content": [
            {"type": "thinking", "thinking": "Hm", "signature": PIXEL},
            {"type": "redacted_thinking", "data": PIXEL},
            {"type": "text", "text": "Well"},
            {"type": "tool_use", "id": "t1", "name": "mail", "input": {"to": "a", "cc": ["b"]}, "caller": {"type": "direct"}},
            {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {"query": "trains"}},
            {"type": "web_search_tool_result", "tool_use_id": "s1", "content": [
                {"type": "web_search_result", "title": "T", "url": "https://x", "encrypted_content": PIXEL}]},
        ]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "strange": "x",
                                      "content": [BLOCKS[0], BLOCKS[1], {"type": "tool_reference", "tool_name": "m"}]}]},
        {"role": "user", "content": "Thanks"},
    ],
    "tools": [{"name": "mail", "description": "Sends", "input_schema": SCHEMA, "input_examples": [{"to": "a"}]},
              {"type": "web_search_20250305", "name": "web_search", "allowed_domains": ["example.com"]}],
    "tool_choice": {"type": "tool", "name": "mail", "strange": "x"},
    "metadata": {"user_id": "u1", "more": "x"},
    "stop_sequences": ["END"],
    "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": SCHEMA}},
    "mcp_servers": [{"type": "url", "url": "https://m", "name": "m", "authorization_token": "t"}],
    "container": "c1", "service_tier": "auto", "inference_geo": "eu",
}  # fmt: skip
RESPONSES = {
    "model": "main",
    "instructions": "Be kind",
    "input": [
        {"type": "message", "role": "user", "id": "i", "content": [
            {"type": "input_text", "text": "Hello"}, {"type": "input_image", "image_url": "https://x", "detail": "low"},
            {"type": "input_file", "filename": "a.pdf", "file_data": PIXEL}]},
        {"type": "function_call", "call_id": "c", "name": "mail", "arguments": '{"to": "a"}'},
        {"type": "function_call_output", "call_id": "c", "output": "sent"},
        {"type": "web_search_call", "id": "w", "status": "completed", "action": {"type": "search", "query": "trains"}},
        {"type": "reasoning", "id": "r", "encrypted_content": PIXEL, "summary": [{"type": "summary_text", "text": "Hm"}]},
        {"type": "strange", "words": "of it", "id": "x"},
        "bare",
    ],
    "prompt": {"id": "p", "version": "1", "variables": {"who": "a", "what": {"type": "input_text", "text": "b"}}},
    "tools": [{"type": "function", **FUNCTION}, {"type": "mcp", "server_label": "m", "server_url": "https://m",
              "server_description": "It knows", "authorization": "x", "headers": {"x-a": "b"}}],
    "text": {"format": {"type": "json_schema", "name": "mail", "schema": SCHEMA}, "verbosity": "low"},
    "messages": [{"role": "user", "content": "Hello", "name": "ann"}, "bare"],
    "conversation": {"id": "conv_1"}, "include": ["usage"], "previous_response_id": "r0",
    "user": "u1", "metadata": {"a": "b"}, "truncation": "auto", "reasoning": {"effort": "low", "summary": "auto"},
}  # fmt: skip
EMBEDDINGS = {
    "model": "main", "input": ["Hello", "World"], "user": "u1", "encoding_format": "float",
    "messages": [{"role": "user", "content": [{"type": "text", "text": "x"}]}], "instruction": "Represent this",
}  # fmt: skip
COUNTED = {name: value for name, value in MESSAGES.items() if name != "max_tokens"}
BODIES = {
    "/v1/chat/completions": CHAT,
    "/v1/messages": MESSAGES,
    "/v1/messages/count_tokens": COUNTED,
    "/v1/responses": RESPONSES,
    "/v1/embeddings": EMBEDDINGS,
}
Path = tuple[Any, ...]


def positions(value: Any, at: Path = ()) -> list[Path]:
    """Every string in a JSON value; a name of a member by a `None` behind its place."""
    if isinstance(value, str):
        return [at]
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = [place for name, item in items for place in positions(item, (*at, name))]
    return found + ([(*at, name, None) for name in value] if isinstance(value, dict) else [])


def placed(body: Any, at: Path, text: str) -> Any:
    """The body with a text where one stood."""
    body = deepcopy(body)
    holder = body
    is_name = at[-1] is None
    *way, last = at[:-1] if is_name else at
    for step in way:
        holder = holder[step]
    if is_name:
        holder[text] = holder.pop(last)
    else:
        holder[last] = text
    return body


ROUTE = SimpleNamespace(params={})


def target(dialect: str) -> Any:
    up = SimpleNamespace(dialect=dialect, outbound=outbound(dialect), headers=[], prefix="", secret="", client=None)
    return SimpleNamespace(upstream=up, params={}, model="m-1", id=f"{dialect}/m-1")


TARGETS = {dialect: target(dialect) for dialect in ("openai", "anthropic", "gemini")}


def guarded(mode: str = "redact") -> Armed:
    guard = Guard("all", [Pii(), Secrets()], mode=mode)
    return Armed("all", "champion", compile_guard("all", "v1", guard.definition(), {}))


GUARDS = {mode: guarded(mode) for mode in ("redact", "block")}
CALLS = Calls(None, None, None, None, compile_guard("records", "records", _REDACTOR, {}))


def asked(path: str, body: Any) -> Ask:
    """A call as the app makes it of a body."""
    endpoint, found = ENDPOINTS[path], peek(json.dumps(body).encode())
    call = Ongoing("c_1", endpoint, 0)
    call.key, call.affinity, call.bodies = "key_1", found.user or "key_1", "redacted"
    call.tag(found.metadata)
    return Ask(call, endpoint, inbound(endpoint.dialect), found, None, None, ROUTE, None, {})


async def judged(ask: Ask, mode: str) -> None:
    request = ask.request
    ask.change(await Guarding(ask.call, [GUARDS[mode]], None).judge_request(request, ask.came))


def sent(path: str, body: Any, dialect: str, mode: str = "redact") -> str | None:
    """What the upstream gets past the guard; None: nothing. The record is looked at on the way."""
    try:
        ask = asked(path, body)
    except BadRequest:
        return None
    out = None
    with suppress(Blocked, BadRequest):
        asyncio.run(judged(ask, mode))
        out = _outgoing(ask, TARGETS[dialect])[2].decode()
    answer = {"choices": [{"message": message} for message in body.get("messages") or () if isinstance(message, dict)]}
    with suppress(BadRequest):
        CALLS._record_bodies(SimpleNamespace(ask=ask, answer=answer))
    told = CALLS._record(ask.call, *ask.call.total())
    record = told.request.decode() + told.answer.decode() + json.dumps(told.tags) + told.affinity
    assert not [each for each in (MAIL, KEY, IBAN) if each in record], record
    return out


def dialects_of(path: str) -> list[str]:
    endpoint = ENDPOINTS[path]
    return list(TARGETS) if endpoint.translated else [endpoint.dialect]


@pytest.mark.parametrize("path", BODIES)
def test_what_has_nothing_to_find_goes_out_as_it_came(path):
    """Else the other tests of this file would hold of a guard that refuses everything."""
    body = BODIES[path]
    for mode in GUARDS:
        out = sent(path, body, ENDPOINTS[path].dialect, mode)
        assert out is not None
        assert json.loads(out) == {**body, "model": "m-1"}


@pytest.mark.parametrize("text", [MAIL, KEY, IBAN])
@pytest.mark.parametrize("path", BODIES)
def test_nothing_passes_in_any_string_of_any_endpoint(path, text):
    body, passed = BODIES[path], []
    native = ENDPOINTS[path].dialect
    for at in positions(body):
        if at[0] == "model":
            continue
        changed = placed(body, at, text)
        out = sent(path, changed, native)
        if out is not None and text in out:
            passed.append(at)
        if sent(path, changed, native, "block") is not None:
            passed.append(("not blocked", *at))
    assert not passed


@given(data=st.data(), path=st.sampled_from(list(BODIES)))
def test_nothing_passes_amid_other_words_to_any_upstream(data, path):
    body = BODIES[path]
    at = data.draw(st.sampled_from([at for at in positions(body) if at[0] != "model" and at[-1] is not None]))
    text = data.draw(st.sampled_from([MAIL, KEY, IBAN]))
    before, after = data.draw(
        st.sampled_from([("", ""), ("It is ", " and no other"), ("<", ">"), ("ж ", "\n"), ('"', '"')])
    )
    out = sent(path, placed(body, at, before + text + after), data.draw(st.sampled_from(dialects_of(path))))
    assert out is None or text not in out


UNKNOWN = st.recursive(
    st.sampled_from([MAIL, KEY, IBAN, f"it is {MAIL} there", "fine", 7, None, True]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "name", "url", "text", "data", "arguments", MAIL]), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@given(path=st.sampled_from(list(BODIES)), name=st.sampled_from(["strange", "x_y", "user_info"]), value=UNKNOWN)
def test_nothing_passes_in_members_that_nobody_knows(path, name, value):
    plain = {
        "model": "main",
        "max_tokens": 9,
        "messages": [{"role": "user", "content": "Hello", name: value}],
        name: value,
    }
    if path in ("/v1/responses", "/v1/embeddings"):
        plain = {"model": "main", "input": [{"role": "user", "content": "Hello", name: value}], name: value}
    out = sent(path, plain, ENDPOINTS[path].dialect)
    assert out is None or not [each for each in (MAIL, KEY, IBAN) if each in out]
