"""Agents and graphs by the official OpenAI SDK: whole, in pieces, with history, where they wait, where they fail."""

from __future__ import annotations

import openai
import pytest
from agents_world import SENT, AgentsWorld, calls, says
from gateway_upstream import status

from perdure import Budget, Team

ASKED = [{"role": "user", "content": "Where is parcel 7?"}]


@pytest.fixture
def client(desk):
    with openai.OpenAI(base_url=desk.gateway.url + "/v1", api_key=desk.gateway.secret) as client:
        yield client


def test_an_agent_answers_a_chat_with_the_usage_of_all_its_steps(client, desk, upstreams):
    upstreams.then(calls(("look_up", {"parcel": 7})), says("It is in Köln."))
    raw = client.chat.completions.with_raw_response.create(model="agent:desk", messages=ASKED, user="ann")
    answer = raw.parse()
    assert answer.choices[0].message.content == "It is in Köln."
    assert (answer.choices[0].finish_reason, answer.model) == ("stop", "agent:desk")
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (22, 14, 36)
    run = desk.get(raw.headers["perdure-run-id"])
    assert (run["status"], run["user"], run["input"]) == ("done", "ann", {"task": "Where is parcel 7?"})


def test_a_chat_with_an_agent_is_no_call_of_its_own(client, desk):
    before = len(desk.gateway.world.calls())
    client.chat.completions.create(model="agent:plain", messages=ASKED)
    assert [call.route for call in desk.gateway.world.calls()[before:]] == ["main"]


def test_the_messages_before_are_the_conversation(client, upstreams):
    earlier = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello."},
        {"role": "assistant", "content": "Hello!"},
    ]
    client.chat.completions.create(model="agent:plain", messages=[*earlier, *ASKED])
    assert upstreams.seen[-1].body["messages"][-4:] == [*earlier, *ASKED]


def test_an_agent_answers_in_pieces(client, upstreams):
    upstreams.then(calls(("look_up", {"parcel": 7}), text="Let me look."), says("It is", " in", " Köln.", gap_s=0.02))
    chunks = list(
        client.chat.completions.create(
            model="agent:desk", messages=ASKED, stream=True, stream_options={"include_usage": True}
        )
    )
    said = [each.choices[0].delta.content or "" for each in chunks if each.choices]
    assert "".join(said) == "Let me look.\n\nIt is in Köln."
    assert [each.choices[0].finish_reason for each in chunks if each.choices][-1] == "stop"
    assert chunks[-1].usage.total_tokens == 36
    assert len(said) > 4, "in pieces"


def test_a_stream_says_once_what_was_said(client, upstreams):
    upstreams.then(says("It is", " there."))
    chunks = client.chat.completions.create(model="agent:plain", messages=ASKED, stream=True)
    assert "".join(each.choices[0].delta.content or "" for each in chunks) == "It is there."


def test_a_run_that_waits_says_so_and_goes_on_behind(client, desk, admin, upstreams):
    upstreams.then(calls(("send_notice", {"text": "Late."})), says("Told."))
    raw = client.chat.completions.with_raw_response.create(model="agent:desk", messages=ASKED)
    choice, run = raw.parse().choices[0], raw.headers["perdure-run-id"]
    assert run in choice.message.content
    assert "send_notice" in choice.message.content
    assert choice.finish_reason == "stop"
    (wait,) = admin.waits(run)
    admin.ask("POST", f"/v1/runs/waits/{wait['id']}", {"approve": True, "reason": "It is late."})
    assert desk.ended(run)["output"] == {"text": "Told."}
    assert SENT == ["Late."]


def test_a_stream_that_waits_says_so(client, upstreams):
    upstreams.then(calls(("send_notice", {"text": "Late."})))
    chunks = client.chat.completions.create(model="agent:desk", messages=ASKED, stream=True)
    assert "waits for a person" in "".join(each.choices[0].delta.content or "" for each in chunks)


def test_a_run_that_failed_is_an_error_and_is_not_asked_for_again(client, desk, upstreams):
    upstreams.usual = status(400, "No.")
    before = len(desk.ask("GET", "/v1/runs?limit=200").json["runs"])
    with pytest.raises(openai.APIStatusError) as caught:
        client.chat.completions.create(model="agent:plain", messages=ASKED)
    assert caught.value.response.headers["x-should-retry"] == "false"
    assert len(desk.ask("GET", "/v1/runs?limit=200").json["runs"]) == before + 1
    with pytest.raises(openai.APIError):
        list(client.chat.completions.create(model="agent:plain", messages=ASKED, stream=True))


def test_a_run_that_met_a_limit_answers_with_what_it_has(client, upstreams):
    upstreams.usual = calls(("look_up", {"parcel": 7}), text="I look.")
    answer = client.chat.completions.create(model="agent:short", messages=ASKED)
    assert answer.choices[0].finish_reason == "length"
    assert answer.choices[0].message.content == "I look."


def test_models_lists_what_a_key_may_ask(client, desk):
    names = {each.id for each in client.models.list()}
    assert {"agent:desk", "agent:plain", "graph:track", "main"} <= names
    other = desk.as_(desk.gateway.world.key("other"))
    desk.gateway.wait_for(lambda: other.ask("GET", "/v1/runs").status == 200)
    told = other.ask("GET", "/v1/models").json
    assert [each["id"] for each in told["data"]] == ["agent:plain"]
    refused = other.ask("POST", "/v1/chat/completions", {"model": "agent:desk", "messages": ASKED})
    assert refused.status == 404
    assert "agent:short" not in refused.error["message"], "what he may not ask is not told"


@pytest.mark.parametrize("members", [{"tools": [{"type": "function", "function": {"name": "x"}}]}, {"n": 2}])
def test_what_an_agent_has_its_own_of_is_refused(client, members):
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(model="agent:plain", messages=ASKED, **members)


def test_an_agent_whose_route_names_an_agent_begins_no_run_beside_its_own(desk, upstreams):
    found = desk.run("circular", task="Hello?").json
    assert (found["status"], found["why"]) == ("failed", "not_found")
    assert desk.ask("GET", "/v1/runs?agent=circular").json["runs"] == [found]


def test_a_graph_answers_a_chat_by_its_variables(client):
    answer = client.chat.completions.create(model="graph:track", messages=[], extra_body={"variables": {"parcel": 7}})
    assert answer.choices[0].message.content == "Parcel 7 is in Köln."


def test_a_chat_sent_again_under_one_key_is_one_run(client, desk, upstreams):
    headers = {"Idempotency-Key": "chat 1"}
    told = [
        client.chat.completions.create(model="agent:plain", messages=ASKED, extra_headers=headers) for _ in range(2)
    ]
    assert told[0].id == told[1].id
    assert len(upstreams.seen) == 1


def test_what_runs_ask_counts_in_their_teams_budget(tmp_path, upstreams):
    world = AgentsWorld(tmp_path, upstreams.url, teams={"team": Team("team", budgets=[Budget(0.000_03)])})
    world.standard()
    with world.serving() as gateway:
        answer = gateway.chat(model="agent:plain")
    assert (answer.status, answer.error["code"]) == (429, "budget_spent")
    assert answer.headers["x-should-retry"] == "false"
    assert upstreams.seen == []
