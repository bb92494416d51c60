"""Releases under traffic: pointers move, no request fails, and nothing old answers after a move was reported."""

from __future__ import annotations

import threading

import pytest
from scoring_world import MOODY, MOODY_LIMIT_MI, Client, Hammer, World, hammering, trip

from perdure.assets.version import Pointer
from perdure.core.clock import monotonic_s
from perdure.core.errors import NotReady
from perdure.serve.server import Server
from perdure.stores.capture.events import Predictions
from perdure.stores.capture.log import SegmentLog


def test_pointers_move_under_load_without_a_failed_request_or_an_older_answer(world):
    one, two = world.found(0, 1)
    world.point(Pointer("air_time", "champion", one.id))
    reported: list[tuple[float, int, str]] = []
    with world.serving() as client, hammering(client.url) as hammer:
        for move in range(8):
            version = two if move % 2 == 0 else one
            generation = world.point(Pointer("air_time", "champion", version.id))
            client.wait_for_generation(generation)
            reported.append((monotonic_s(), generation, version.id))
            asked = len(hammer.answers)
            client.wait_until(lambda _, asked=asked: len(hammer.answers) > asked + 20)
    assert {status for _, status, _, _ in hammer.answers} == {200}
    assert {version for *_, version in hammer.answers} == {one.id, two.id}
    for at, (reported_s, generation, version) in enumerate(reported):
        until_s = reported[at + 1][0] if at + 1 < len(reported) else float("inf")
        later = [answer for answer in hammer.answers if answer[0] > reported_s]
        assert all(answer[2] >= generation for answer in later)
        assert any(answer[3] == version for answer in later if answer[0] < until_s)


def test_a_challenger_gets_its_share_and_keeps_its_keys_over_a_ramp_and_a_restart(world):
    one, two = world.found(0, 1)
    champion = Pointer("air_time", "champion", one.id)
    rows = [trip(number) for number in range(400)]

    def challenged(client: Client) -> set[int]:
        found = client.predict(*rows).json["predictions"]
        assert {(each["arm"], each["version"]) for each in found} == {("champion", one.id), ("challenger", two.id)}
        return {number for number, each in enumerate(found) if each["arm"] == "challenger"}

    world.point(champion, Pointer("air_time", "challenger", two.id, 0.1))
    with world.serving() as client:
        few = challenged(client)
    with world.serving() as client:
        assert challenged(client) == few
        client.wait_for_generation(world.point(Pointer("air_time", "challenger", two.id, 0.4)))
        many = challenged(client)
    assert few < many
    assert (0.05 < len(few) / 400 < 0.16, 0.33 < len(many) / 400 < 0.47) == (True, True)
    row_order = [row for event in world.captured() for row in event.rows if isinstance(event, Predictions)]
    assert [row.key for row in row_order[:400]] == [row["trip_id"] for row in rows]


@pytest.mark.parametrize("replay", [False, True])
def test_a_shadow_is_recorded_and_never_answers(world, replay):
    one, two = world.found(0, 1)
    world.point(Pointer("air_time", "champion", one.id), Pointer("air_time", "shadow", two.id))
    now = {"perdure_now": "2013-03-01T12:00:00Z"} if replay else {}
    with world.serving(replay=replay) as client:
        answered = client.predict(trip(1), trip(2), query="?explain=1", **now).json["predictions"]
    assert {each["version"] for each in answered} == {one.id}
    events = [event for event in world.captured() if isinstance(event, Predictions)]
    shadowed = [row for event in events for row in event.rows if row.arm == "shadow"]
    assert [(row.version, row.key) for row in shadowed] == [(two.id, "t1"), (two.id, "t2")]
    assert shadowed[0].prediction != answered[0]["value"]
    assert [event.rows[0].arm for event in events] == ["champion", "shadow"]


def test_a_shadow_that_fails_is_counted_and_the_answer_is_given(world):
    one, moody = world.found(0, MOODY)
    world.point(Pointer("air_time", "champion", one.id), Pointer("air_time", "shadow", moody.id))
    with world.serving() as client:
        answer = client.predict(trip(distance_mi=MOODY_LIMIT_MI + 1))
        assert (answer.status, answer.first["version"]) == (200, one.id)
        assert client.metric("perdure_shadow_errors_total") == 1
    assert [row.arm for event in world.captured() for row in event.rows] == ["champion"]


def test_a_pointer_of_the_users_own_takes_its_share_until_it_moves(world):
    one, two = world.found(0, 1)
    world.point(Pointer("air_time", "champion", one.id), Pointer("air_time", "canary", two.id, 1.0))
    with world.serving() as client:
        assert client.predict(trip()).first["arm"] == "canary"
        client.wait_for_generation(world.point(Pointer("air_time", "canary", two.id, 0.0)))
        assert client.predict(trip()).first["arm"] == "champion"


def test_requests_under_way_are_answered_when_the_server_stops_and_the_segment_is_closed(world):
    (one,) = world.found(0)
    world.point(Pointer("air_time", "champion", one.id))
    server = Server(world.parts())
    url = server.start()
    hammer = Hammer()
    failed: list[BaseException] = []

    def run() -> None:
        try:
            hammer.run(url)
        except OSError as error:  # the server closed the idle connection between two requests
            failed.append(error)

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    while len(hammer.answers) < 30:
        threading.Event().wait(0.01)
    server.stop()
    for thread in threads:
        thread.join()
    assert {status for _, status, *_ in hammer.answers} == {200}
    assert sum(isinstance(event, Predictions) for event in world.captured()) >= len(hammer.answers)
    assert all(segment.closed for segment in SegmentLog(world.capture_path).segments())


def test_a_port_that_is_taken_is_told(world):
    with world.serving() as client:
        taken = Server(World(world.root).parts(port=client.address[1]))
        with pytest.raises(NotReady, match="cannot be bound"):
            taken.start()
