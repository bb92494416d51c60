"""Guards around real calls: what they block, mask and put back, whole and streamed, in both dialects and on every endpoint."""

from __future__ import annotations

import json

import pytest
from gateway_upstream import Said, recorded

from perdure import Guard, Route
from perdure.assets.guard import Custom, FitsSchema, Names, Pii, ToolCalls
from perdure.assets.version import Pointer
from perdure.core.clock import monotonic_s, sleep_s

MAIL = "ann@example.org"


def answering(*words: str, **members):
    return recorded(Said(words=words, **members))


@pytest.fixture
def personal():
    return Guard("personal", [Pii("email")], on=("input", "output"), mode="redact")


def test_what_is_blocked_never_reaches_the_upstream(world, upstreams):
    world.declare(Route("main", [world.target()], guards=[Guard("names", [Names(("Globex",))], mode="block")]))
    with world.serving() as gateway:
        openai, anthropic = gateway.chat("Tell me of Globex"), gateway.message("Tell me of Globex")
        assert gateway.chat("Tell me of trains").status == 200
        calls = gateway.recorded(3)
    assert (openai.status, openai.error["code"]) == (400, "blocked")
    assert (anthropic.status, anthropic.json["type"]) == (400, "error")
    assert "Globex" not in openai.content.decode()
    assert len(upstreams.seen) == 1
    assert [(call.outcome, call.guards[0].action, call.cost_pusd) for call in calls[:2]] == [
        ("blocked", "blocked", 0)
    ] * 2


@pytest.mark.parametrize("dialect", ["openai", "anthropic", "gemini"])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("client", ["chat", "message"])
def test_personal_data_is_masked_for_the_upstream_and_put_back_for_the_client(
    world, upstreams, personal, dialect, stream, client
):
    world.declare(Route("main", [world.target("m-1", dialect)], guards=[personal]))

    async def behave(wire, seen):
        sent = json.dumps(seen.body)
        mask = sent[sent.index("me at ") + 6 :].split(" ")[0]
        await recorded(Said(words=("I write to ", *mask, " now.")))(wire, seen)

    upstreams.usual = behave
    with world.serving() as gateway:
        answer = getattr(gateway, client)(f"Write to me at {MAIL} please", stream=stream)
        call = gateway.recorded(1)[0]
    assert answer.status == 200
    assert MAIL not in upstreams.seen[0].raw.decode()
    said = answer.text if client == "chat" else text_of(answer)
    assert said == f"I write to {MAIL} now."
    assert MAIL not in call.request.decode() + call.answer.decode(), "bodies are kept redacted"


def refusal(answer):
    """What was refused, before the first byte or at the end of a stream that had begun."""
    return answer.error if answer.status != 200 else answer.chunks[-1]["error"]


def text_of(answer) -> str:
    """Of a message, whole or streamed."""
    if answer.headers["content-type"] == "application/json":
        return answer.json["content"][0]["text"]
    return "".join(each["delta"]["text"] for each in answer.chunks if each["type"] == "content_block_delta")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("client", ["chat", "message"])
@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
def test_a_models_own_leaks_are_masked(world, upstreams, personal, stream, client, dialect):
    world.declare(Route("main", [world.target("m-1", dialect)], guards=[personal]))
    upstreams.usual = answering("Ask ", "bob@exam", "ple.org", " or carol", "@example.org.")
    with world.serving() as gateway:
        answer = getattr(gateway, client)(stream=stream)
        call = gateway.recorded(1)[0]
    said = answer.text if client == "chat" else text_of(answer)
    assert "@example" not in said
    assert said.startswith("Ask ")
    assert [each.action for each in call.guards if each.side == "output"] == ["redacted"]


@pytest.mark.parametrize("client", ["chat", "message"])
@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
def test_a_stream_is_ended_where_a_guard_blocks_and_what_it_found_does_not_come_out(world, upstreams, client, dialect):
    guard = Guard("names", [Names(("Globex",))], on=("output",), mode="block", hold_back=20)
    world.declare(Route("main", [world.target("m-1", dialect)], guards=[guard]))
    said = Said(words=("Many trains leave at noon, and many more after it. ", "Also ", "Glo", "bex", " has some."))
    upstreams.usual = recorded(said, gap_s=0.02)
    with world.serving() as gateway:
        answer = getattr(gateway, client)(stream=True)
        call = gateway.recorded(1)[0]
    assert answer.status == 200
    assert "Many trains" in answer.content.decode()
    assert "Glo" not in answer.content.decode()
    assert answer.chunks[-1]["error"]["message"]
    assert b"[DONE]" not in answer.content
    assert b"message_stop" not in answer.content
    assert call.outcome == "blocked"
    assert call.usage.n_output > 0, "what the upstream has said is paid"


def test_a_blocked_answer_is_a_plain_refusal_and_a_blocked_stream_ends_in_one(world, upstreams):
    guard = Guard("names", [Names(("Globex",))], on=("output",), mode="block")
    world.declare(Route("main", [world.target()], guards=[guard]))
    upstreams.usual = answering("Glo", "bex")
    with world.serving() as gateway:
        answers = [gateway.chat(), gateway.chat(stream=True)]
        calls = gateway.recorded(2)
    assert answers[0].status == 400
    assert [refusal(answer)["code"] for answer in answers] == ["blocked"] * 2
    assert all("Glo" not in answer.content.decode() for answer in answers)
    assert [call.outcome for call in calls] == ["blocked"] * 2
    assert all(call.usage.n_total >= 18 or call.usage.estimated for call in calls), "the upstream is paid all the same"


def test_tools_that_are_not_allowed_are_not_called_by_a_stream_either(world, upstreams):
    guard = Guard("tools", [ToolCalls(("timetable",))], on=("output",), mode="block")
    world.declare(Route("main", [world.target()], guards=[guard]))
    with world.serving() as gateway:
        upstreams.usual = answering(tools=(("delete_all", {"sure": True}),))
        answers = [gateway.chat(), gateway.chat(stream=True)]
        assert all("delete_all" not in answer.content.decode() for answer in answers)
        upstreams.usual = answering(tools=(("timetable", {"place": "Bonn"}),))
        allowed = gateway.chat(stream=True)
    calls = [
        call
        for each in allowed.chunks
        if each["choices"]
        for call in each["choices"][0]["delta"].get("tool_calls") or ()
    ]
    assert "".join(call["function"].get("arguments") or "" for call in calls) == '{"place": "Bonn"}'


def test_an_answer_that_must_fit_a_schema_is_held_until_it_does(world, upstreams):
    schema = {"type": "object", "required": ["place"]}
    guard = Guard("schema", [FitsSchema(schema)], on=("output",), mode="block")
    world.declare(Route("main", [world.target()], guards=[guard]))
    with world.serving() as gateway:
        upstreams.usual = answering('{"place": ', '"Bonn"}')
        assert gateway.chat(stream=True).text == '{"place": "Bonn"}'
        upstreams.usual = answering('{"town": ', '"Bonn"}')
        blocked = gateway.chat(stream=True)
    assert refusal(blocked)["code"] == "blocked"
    assert "town" not in blocked.content.decode()


def test_warnings_are_in_a_header_and_shadows_are_only_recorded(world, upstreams):
    loud = Guard("loud", [Names(("Globex",))], mode="warn")
    quiet = Guard("quiet", [Names(("Globex",))], mode="shadow")
    world.declare(Route("main", [world.target()], guards=[loud, quiet]))
    with world.serving() as gateway:
        answer, fine = gateway.chat("Globex?"), gateway.chat("Trains?")
        calls = gateway.recorded(2)
    assert (answer.status, answer.headers["perdure-guard-warnings"]) == (200, "loud")
    assert "perdure-guard-warnings" not in fine.headers
    assert [(each.guard, each.action) for each in calls[0].guards] == [("loud", "warned"), ("quiet", "shadowed")]


def test_a_shadow_version_of_a_guard_never_acts(world, upstreams):
    from gateway_world import version_of

    guard = Guard("names", [Names(("Globex",))], mode="block")
    world.declare(Route("main", [world.target()], guards=[guard]))
    wider = version_of("names", "guard", Guard("names", [Names(("Globex", "Initech"))], mode="block").definition())
    world.register(wider)
    world.point(Pointer("names", "shadow", wider.id))
    with world.serving() as gateway:
        assert gateway.chat("Initech?").status == 200
        call = gateway.recorded(1)[0]
    assert [(each.arm, each.action) for each in call.guards] == [("champion", "passed"), ("shadow", "shadowed")]


def judge(text: str) -> bool:
    """A slow check of a project's own."""
    sleep_s(0.3)
    return "Globex" in text


def fail(text: str) -> bool:
    raise RuntimeError("out of order")


@pytest.mark.parametrize("stream", [False, True])
def test_a_slow_guard_judges_beside_the_upstream_and_holds_the_first_byte(world, upstreams, stream):
    world.declare(Route("main", [world.target()], guards=[Guard("slow", [Custom(judge)], mode="block")]))
    with world.serving() as gateway:
        began_s = monotonic_s()
        assert gateway.chat("Globex?", stream=stream).status == 400
        assert len(upstreams.seen) == 1, "the upstream was asked beside it"
        fine = gateway.chat("Trains?", stream=stream)
        assert monotonic_s() - began_s >= 0.6
        calls = gateway.recorded(2)
    assert fine.text == "Trains leave at noon."
    assert [call.outcome for call in calls] == ["blocked", "answered"]
    assert calls[0].usage.n_input > 0


def test_a_guard_that_is_too_slow_or_fails_acts_as_declared(world, upstreams):
    guards = {
        "late_closed": Guard("late_closed", [Custom(judge)], wait_ms=20, fails="closed"),
        "late_open": Guard("late_open", [Custom(judge)], wait_ms=20, fails="open"),
        "broken_closed": Guard("broken_closed", [Custom(fail)], fails="closed"),
        "broken_open": Guard("broken_open", [Custom(fail)], fails="open"),
    }
    world.declare(*(Route(f"to_{name}", [world.target()], guards=[guard]) for name, guard in guards.items()))
    with world.serving() as gateway:
        statuses = {name: gateway.chat(model=f"to_{name}").status for name in guards}
    assert statuses == {"late_closed": 400, "late_open": 200, "broken_closed": 400, "broken_open": 200}
    assert {call.guards[0].action for call in world.calls()} == {"failed"}


# Endpoints that are not translated


def respond(gateway, **members):
    return gateway.ask("/v1/responses", json.dumps({"model": "main", **members}).encode())


def embed(gateway, given):
    return gateway.ask("/v1/embeddings", json.dumps({"model": "main", "input": given}).encode())


SECRET_INPUTS = [
    {"input": f"I am {MAIL}"},
    {"input": [{"role": "user", "content": [{"type": "input_text", "text": f"I am {MAIL}"}]}]},
    {"input": [{"type": "function_call_output", "call_id": "c", "output": f"user {MAIL}"}]},
    {"input": [{"type": "function_call", "call_id": "c", "name": "f", "arguments": json.dumps({"to": MAIL})}]},
    {"input": [{"role": "user", "content": f"I am {MAIL}", "output": "nothing", "arguments": "{}"}]},
    {"input": [{"type": "mcp_call", "name": "f", "arguments": json.dumps({"to": MAIL}), "output": f"user {MAIL}"}]},
    {"input": [{"type": "custom_tool_call", "call_id": "c", "name": "f", "input": f"mail {MAIL}"}]},
    {"input": [{"type": "reasoning", "id": "r", "summary": [{"type": "summary_text", "text": MAIL}]}]},
    {"input": "Hello", "instructions": f"The user is {MAIL}"},
    {"input": "Hello", "prompt": {"id": "p", "variables": {"who": MAIL}}},
    {"input": "Hello", "prompt": {"id": "p", "variables": {"who": {"type": "input_text", "text": MAIL}}}},
]


@pytest.mark.parametrize("members", SECRET_INPUTS)
def test_every_text_of_a_responses_request_is_judged_and_masked(world, upstreams, members):
    block = Guard("block", [Pii("email")], mode="block")
    mask = Guard("mask", [Pii("email")], mode="redact")
    world.declare(Route("main", [world.target()], guards=[mask]), Route("strict", [world.target()], guards=[block]))
    with world.serving() as gateway:
        assert respond(gateway, **members).status == 200
        assert respond(gateway, **{**members, "model": "strict"}).status == 400
    assert len(upstreams.seen) == 1
    sent = upstreams.seen[0].body
    assert MAIL not in json.dumps(sent)
    plain = json.loads(json.dumps(members))
    assert set(sent) - {"model"} == set(plain)
    assert same_shape(plain["input"], sent["input"]), "what was masked stands where it stood"


def same_shape(one, other) -> bool:
    if isinstance(one, dict):
        return set(one) == set(other) and all(same_shape(one[name], other[name]) for name in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same_shape, one, other))
    return type(one) is type(other)


def test_embeddings_are_judged_and_token_ids_refused_where_a_guard_must_read_them(world, upstreams):
    mask = Guard("mask", [Pii("email")], on=("input", "output"), mode="redact")
    world.declare(Route("main", [world.target()], guards=[mask]))
    with world.serving() as gateway:
        assert embed(gateway, [f"I am {MAIL}", "Hello"]).json["data"][0]["embedding"] == [0.25, -0.5]
        assert MAIL not in upstreams.seen[0].raw.decode()
        assert upstreams.seen[0].body["input"][1] == "Hello"
        assert embed(gateway, [1, 2, 3]).status == 400
        assert embed(gateway, [[1, 2], [3]]).status == 400
        assert embed(gateway, [[1464.0, 2]]).status == 400
        assert embed(gateway, [[[1464]]]).status == 400
    assert len(upstreams.seen) == 1


def test_responses_are_refused_where_a_guard_would_have_to_judge_them(world, upstreams, personal):
    watching = Guard("watching", [Pii("email")], on=("output",), mode="shadow")
    world.declare(
        Route("main", [world.target()], guards=[personal]), Route("watched", [world.target()], guards=[watching])
    )
    with world.serving() as gateway:
        assert respond(gateway, input="Hello").status == 400
        assert not upstreams.seen
        assert respond(gateway, input="Hello", model="watched").status == 200


def test_tokens_are_counted_of_what_the_guards_let_pass(world, upstreams):
    mask = Guard("mask", [Pii("email")], mode="redact")
    block = Guard("block", [Names(("Globex",))], mode="block")
    world.declare(Route("main", [world.target("m-1", "anthropic")], guards=[mask, block]))

    def count(text: str):
        body = {"model": "main", "system": "Be brief.", "messages": [{"role": "user", "content": text}]}
        return gateway.ask("/v1/messages/count_tokens", json.dumps(body).encode())

    with world.serving() as gateway:
        assert count(f"I am {MAIL}").json == {"input_tokens": 11}
        assert count("Globex").status == 400
        assert count("Hello").json == {"input_tokens": 11}
    assert [each.path for each in upstreams.seen] == ["/v1/messages/count_tokens"] * 2
    assert MAIL not in upstreams.seen[0].raw.decode()
    assert not {"max_tokens", "stream"} & set(upstreams.seen[0].body)
    assert upstreams.seen[0].body["messages"][0]["role"] == "user"


@pytest.mark.parametrize(
    "body",
    [
        '{"model":"main","messages":[{"role":"user","content":"Globex"}],"messages":[{"role":"user","content":"fine"}]}',
        '{"model":"main","messages":[{"role":"user","content":"Globex","content":"fine"}]}',
        '{"model":"main","messages":[{"role":"user","content":[{"type":"text","text":"Globex","text":"fine"}]}]}',
        '{"model":"main","messages":[{"role":"user","cont\\u0065nt":"Globex","content":"fine"}]}',
    ],
)
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
def test_members_that_come_twice_do_not_get_past_guards(world, upstreams, body, path):
    dialect = "anthropic" if "messages" in path else "openai"
    guard = Guard("names", [Names(("Globex",))], mode="block")
    world.declare(Route("main", [world.target("m-1", dialect)], guards=[guard]))
    with world.serving() as gateway:
        answer = gateway.ask(path, body.replace('"model":"main"', '"model":"main","max_tokens":9').encode())
    assert answer.status == 200
    assert "Globex" not in upstreams.seen[0].raw.decode(), "only what was judged goes on"
