"""Runs as server-sent events: from the begin, in order, gone on with after a break, quiet while they wait."""

from __future__ import annotations

import asyncio
import http.client
import json
import threading

from agents_world import calls, events, opened, says
from gateway_upstream import Said, stalled
from gateway_upstream import events as pieces

from perdure.core.clock import monotonic_s


def test_a_run_is_followed_as_it_goes(desk, upstreams):
    upstreams.then(calls(("look_up", {"parcel": 7})), says("It is", " in", " Köln.", gap_s=0.02))
    answer = desk.run(task="Where is parcel 7?", stream=True)
    found = events(answer.content)
    assert answer.headers["content-type"] == "text/event-stream"
    assert [name for _, name, _ in found][0 :: len(found) - 1] == ["begin", "end"]
    assert [id_ for id_, name, _ in found if name == "step"] == ["0", "1", "2"]
    assert "".join(data["text"] for _, name, data in found if name == "text") == "It is in Köln."
    assert found[-1][2]["output"] == {"text": "It is in Köln."}
    assert answer.headers["perdure-run-id"] == found[0][2]["id"] == found[-1][2]["id"]


def test_text_comes_before_the_run_is_over(desk, upstreams):
    goes_on = asyncio.Event()

    async def slow(wire, seen):
        first, *rest = pieces("chat", Said(words=("First", " last")))
        wire.begin()
        for each in (first, rest[0]):
            await wire.piece(each)
        await goes_on.wait()
        for each in rest[1:]:
            await wire.piece(each)
        wire.end()

    upstreams.then(slow)
    connection, response = opened(desk.gateway, "POST", "/v1/agents/plain/runs", {"task": "Hello?", "stream": True})
    told = b""
    while b"First" not in told:
        told += response.read1(1000)
    assert b"last" not in told
    upstreams._loop.call_soon_threadsafe(goes_on.set)
    told += response.read()
    assert events(told)[-1][2]["output"] == {"text": "First last"}
    connection.close()


def test_the_events_of_a_run_that_is_over_are_told_again_from_any_step_on(desk, upstreams):
    upstreams.then(calls(("look_up", {"parcel": 7})), says("There."))
    run = desk.run(task="Where is parcel 7?").json["id"]
    whole = events(desk.ask("GET", f"/v1/runs/{run}/events").content)
    assert [name for _, name, _ in whole] == ["begin", "step", "step", "step", "end"]
    rest = events(desk.ask("GET", f"/v1/runs/{run}/events", last_event_id="1").content)
    assert [(id_, name) for id_, name, _ in rest] == [("", "begin"), ("2", "step"), ("", "end")]
    assert desk.ask("GET", f"/v1/runs/{run}/events", last_event_id="last").status == 400


def test_several_follow_one_run(desk, upstreams):
    upstreams.then(says("Still", " here", gap_s=0.3))
    run = desk.run("plain", task="Hello?", wait_s=0).json["id"]
    pairs = [opened(desk.gateway, "GET", f"/v1/runs/{run}/events") for _ in range(3)]
    told = [events(response.read()) for _, response in pairs]
    assert [each[-1][2]["output"] for each in told] == [{"text": "Still here"}] * 3
    for connection, _ in pairs:
        connection.close()


def test_a_run_that_waits_for_a_person_is_followed_for_a_while_only(desk, upstreams):
    upstreams.then(calls(("send_notice", {"text": "Late."})))
    found = events(desk.run(task="Tell them.", stream=True, wait_s=0.3).content)
    assert [name for _, name, _ in found][-1] == "wait"
    assert found[-1][2]["arguments"] == {"text": "Late."}


def test_a_stop_ends_what_is_followed_and_waited_for_at_once(world, upstreams):
    upstreams.then(stalled(), stalled())
    began_s = monotonic_s()
    with world.serving() as gateway:
        streamed, response = opened(gateway, "POST", "/v1/agents/plain/runs", {"task": "A?", "stream": True})
        waiting, _ = _asked(gateway)
        gateway.wait_for(lambda: len(upstreams.seen) == 2)

        def told():
            found.append(waiting.getresponse())
            found.append(json.loads(found[0].read()))

        found = []
        thread = threading.Thread(target=told)
        thread.start()
        began_s = monotonic_s()
    thread.join(5)
    assert monotonic_s() - began_s < 8.0
    assert (found[0].status, found[1]["status"]) == (202, "running")
    assert [name for _, name, _ in events(response.read())] == ["begin"]
    for connection in (streamed, waiting):
        connection.close()


def _asked(gateway):
    connection = http.client.HTTPConnection(*gateway.address, timeout=30)
    headers = {"authorization": f"Bearer {gateway.secret}", "content-type": "application/json"}
    connection.request("POST", "/v1/agents/plain/runs", json.dumps({"task": "B?"}), headers)
    return connection, None
