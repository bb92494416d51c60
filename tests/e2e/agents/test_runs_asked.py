"""Runs over HTTP: begun, waited for, looked at, called off, asked for twice; who may see them."""

from __future__ import annotations

import http.client
import json

import pytest
from agents_world import calls, opened, says
from gateway_upstream import stalled


def test_a_run_that_ends_in_time_is_answered_whole(desk, upstreams):
    upstreams.then(calls(("look_up", {"parcel": 7})), says("It is", " in Köln."))
    answer = desk.run(task="Where is parcel 7?", user="ann", tags={"page": "help"})
    found = answer.json
    assert answer.status == 200, found
    assert answer.headers["perdure-run-id"] == found["id"]
    assert answer.headers["location"] == f"/v1/runs/{found['id']}"
    assert (found["status"], found["output"], found["agent"]) == ("done", {"text": "It is in Köln."}, "desk")
    assert (found["tokens"], found["steps_taken"], found["user"], found["tags"]) == (36, 3, "ann", {"page": "help"})
    told = desk.get(found["id"])
    assert [(each["kind"], each["state"]) for each in told["steps"]] == [
        ("chat", "done"),
        ("tool", "done"),
        ("chat", "done"),
    ]
    assert told["steps"][1]["input"] == {"parcel": 7}


def test_a_run_that_lasts_is_answered_202_and_goes_on(desk, upstreams):
    upstreams.then(says("Late", gap_s=0.6))
    answer = desk.run("plain", task="Hello?", wait_s=0)
    assert (answer.status, answer.json["status"]) == (202, "running")
    assert desk.ended(answer.json["id"])["output"] == {"text": "Late"}


def test_the_calls_of_a_run_are_its_callers_own(desk):
    run = desk.run("plain", task="Hello?").json["id"]
    (call,) = desk.calls_of(run)
    assert (call.team, call.route) == ("team", "main")
    assert call.key
    assert call.key == desk.told(run).run.key


def test_the_same_key_gives_the_same_run_and_another_request_under_it_is_refused(desk, upstreams):
    first = desk.run("plain", task="Hello?", headers={"idempotency-key": "order 7"})
    again = desk.run("plain", task="Hello?", headers={"idempotency-key": "order 7"})
    other = desk.run("plain", task="Another?", headers={"idempotency-key": "order 7"})
    assert again.json["id"] == first.json["id"]
    assert (again.headers["idempotency-replayed"], len(upstreams.seen)) == ("true", 1)
    assert (other.status, other.error["code"]) == (409, "request.key_reused")


@pytest.mark.parametrize("other", [{"user": "bob"}, {"tags": {"page": "shop"}}, {}])
def test_a_key_of_a_run_for_one_person_gives_nobody_else_its_run(desk, other):
    """What it did was done on somebody's behalf, and is told under his tags."""
    mine = {"user": "ann", "tags": {"page": "help"}}
    first = desk.run("plain", task="Hello?", headers={"idempotency-key": "order 8"}, **mine)
    again = desk.run("plain", task="Hello?", headers={"idempotency-key": "order 8"}, **mine)
    asked = {**mine, **other} if other else {}
    refused = desk.run("plain", task="Hello?", headers={"idempotency-key": "order 8"}, **asked)
    assert again.json["id"] == first.json["id"]
    assert (refused.status, refused.error["code"]) == (409, "request.key_reused")


def test_a_key_that_runs_below_have_cannot_be_sent(desk):
    answer = desk.run("plain", task="Hello?", headers={"idempotency-key": "child:run_1:0.0"})
    assert (answer.status, answer.error["code"]) == (400, "request.unreadable")


def test_a_run_is_called_off(desk, upstreams):
    upstreams.then(stalled())
    run = desk.run("plain", task="Hello?", wait_s=0).json["id"]
    desk.gateway.wait_for(lambda: upstreams.seen)
    answer = desk.ask("POST", f"/v1/runs/{run}/cancel")
    assert (answer.status, answer.json["status"], answer.json["why"]) == (200, "cancelled", "run.cancelled")
    assert upstreams.seen[0].gone.wait(5), "the model is asked no more"
    assert desk.ask("POST", f"/v1/runs/{run}/cancel").json["status"] == "cancelled"


def test_a_client_that_hangs_up_stops_nothing(desk, upstreams):
    upstreams.then(says("Still", " here", gap_s=0.3))
    connection, _ = _hung_up(desk, {"task": "Hello?", "stream": True})
    connection.close()
    run = desk.ask("GET", "/v1/runs").json["runs"][0]["id"]
    assert desk.ended(run)["output"] == {"text": "Still here"}


@pytest.mark.parametrize("streams", [True, False])
def test_a_client_that_hangs_up_calls_a_run_off_where_it_said_so(desk, upstreams, streams):
    upstreams.then(stalled())
    body = {"task": "Hello?", "stream": streams, "cancel_on_disconnect": True}
    if streams:
        connection, _ = _hung_up(desk, body)
    else:
        connection = _asked(desk, body)
    desk.gateway.wait_for(lambda: upstreams.seen)
    connection.close()
    run = desk.ask("GET", "/v1/runs").json["runs"][0]["id"]
    assert desk.ended(run)["status"] == "cancelled"


def _hung_up(desk, body):
    connection, response = opened(desk.gateway, "POST", "/v1/agents/plain/runs", body)
    assert response.read1(20)
    return connection, response


def _asked(desk, body):
    connection = http.client.HTTPConnection(*desk.gateway.address, timeout=30)
    headers = {"authorization": f"Bearer {desk.gateway.secret}", "content-type": "application/json"}
    connection.request("POST", "/v1/agents/plain/runs", json.dumps(body), headers)
    return connection


def test_runs_are_listed_by_pages(desk, upstreams):
    ids = [desk.run("short", task=f"Number {n}?").json["id"] for n in range(3)]
    desk.run("track", "graph", input={"parcel": 7})
    first = desk.ask("GET", "/v1/runs?agent=short&limit=2").json
    second = desk.ask("GET", f"/v1/runs?agent=short&limit=2&before={first['next']}").json
    assert [each["id"] for each in [*first["runs"], *second["runs"]]] == ids[::-1]
    assert second["next"] is None
    assert {each["graph"] for each in desk.ask("GET", "/v1/runs?graph=track&status=done").json["runs"]} == {"track"}
    assert desk.ask("GET", "/v1/runs?status=done,failed").json["runs"][0]["graph"] == "track"


@pytest.mark.parametrize("query", ["?agents=plain", "?status=gone", "?limit=0", "?limit=x", "?agent=a&graph=b"])
def test_a_query_that_is_not_known_is_an_error(desk, query):
    assert desk.ask("GET", f"/v1/runs{query}").status == 400


def test_a_team_sees_its_own_runs_and_asks_what_it_may(desk, admin):
    run = desk.run("plain", task="Hello?").json["id"]
    other = desk.as_(desk.gateway.world.key("other"))
    desk.gateway.wait_for(lambda: other.ask("GET", "/v1/runs").status == 200)
    assert other.ask("GET", f"/v1/runs/{run}").status == 404
    assert other.ask("GET", f"/v1/runs/{run}/events").status == 404
    assert other.ask("POST", f"/v1/runs/{run}/cancel").status == 404
    assert other.ask("GET", "/v1/runs").json["runs"] == []
    assert other.run("desk", task="Hello?").status == 404
    assert [each["name"] for each in other.ask("GET", "/v1/agents").json["agents"]] == ["plain"]
    assert admin.ask("GET", f"/v1/runs/{run}").status == 200
    assert desk.as_("pk-perdure-none").ask("GET", "/v1/runs").status == 401


def test_what_answers_for_an_agent_is_told(desk):
    found = desk.ask("GET", "/v1/agents/desk").json
    assert found["served"][0]["version"].startswith("desk@")
    assert [each["name"] for each in desk.ask("GET", "/v1/graphs").json["graphs"]] == ["track"]
    assert desk.ask("GET", "/v1/agents/none").status == 404
    assert desk.ask("DELETE", "/v1/agents/desk").status == 405
    assert desk.ask("GET", "/v1/runs/run_none").status == 404
    assert desk.ask("GET", "/v1/agents/desk/runs/x").status == 404


@pytest.mark.parametrize(
    "body",
    [
        {}, {"task": 7}, {"task": "x", "wait_s": 1e9}, {"task": "x", "wait_s": -1}, {"task": "x", "tag": {}},
        {"task": "x", "tags": {str(n): "" for n in range(99)}}, {"task": "x", "user": "u" * 999}, [], "task",
    ],
)  # fmt: skip
def test_a_body_that_asks_nothing_or_wrongly_is_an_error(desk, body):
    answer = desk.ask("POST", "/v1/agents/plain/runs", body)
    assert (answer.status, answer.error["code"]) == (400, "request.unreadable"), answer.json
    assert answer.error["hint"] or answer.error["message"]


def test_a_body_that_is_too_large_is_refused(desk):
    answer = desk.run("plain", task="x" * 1_100_000)
    assert (answer.status, answer.error["code"]) == (413, "request.too_large")


def test_a_graph_is_run_by_its_input_or_not_begun(desk):
    answer = desk.run("track", "graph", input={"parcel": 7})
    assert (answer.status, answer.json["output"]) == (200, "Parcel 7 is in Köln."), answer.json
    refused = desk.run("track", "graph", input={"parcel": "seven"})
    assert (refused.status, refused.error["code"]) == (422, "declaration.graph")
    assert desk.run("track", "graph", task="Where?").status == 400


def test_runs_are_counted_for_prometheus(desk, upstreams):
    upstreams.then(calls(("broken", {"parcel": 7})), says("No."))
    desk.run(task="Where is parcel 7?")
    text = desk.ask("GET", "/metrics").content.decode()
    assert 'perdure_runs_total{asset="desk",kind="agent",status="done"}' in text
    assert 'error="tool.failed"' in text
    assert "perdure_run_steps_bucket" in text


def test_feedback_may_name_a_run(desk):
    run = desk.run("plain", task="Hello?").json["id"]
    told = {"name": "helpful", "value": 1}
    assert desk.ask("POST", "/v1/feedback", {"run": run, **told}).json == {"accepted": 1}
    assert desk.ask("POST", "/v1/feedback", {"call_id": "c1", "run": run, **told}).status == 400
    assert desk.ask("POST", "/v1/feedback", told).status == 400
    assert len(said_of(desk, run)) == 1


def said_of(desk, run):
    """What is on record of what people said of a run."""
    return [each for each in desk.gateway.world.captured() if type(each).__name__ == "Feedback" and each.call_id == run]


@pytest.mark.parametrize("named", ["run", "call_id"])
def test_feedback_on_a_run_of_another_team_is_refused_unless_an_administrator_says_it(desk, admin, named):
    """Else whoever may call anything could have another team's agent look ill, or well."""
    run = desk.run("plain", task="Hello?").json["id"]
    told = [{named: run, "name": "success", "value": 0}]
    other = desk.as_(desk.gateway.world.key("other"))
    desk.gateway.wait_for(lambda: other.ask("GET", "/v1/runs").status == 200)

    refused = other.ask("POST", "/v1/feedback", told)

    assert (refused.status, refused.json["error"]["code"]) == (404, "not_found"), refused.json
    assert said_of(desk, run) == []
    assert admin.ask("POST", "/v1/feedback", told).json == {"accepted": 1}
    assert len(said_of(desk, run)) == 1
    assert other.ask("POST", "/v1/feedback", [{named: "c_of_nobody", "name": "helpful", "value": 1}]).status == 202
