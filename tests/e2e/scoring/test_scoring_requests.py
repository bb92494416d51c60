"""Scoring over HTTP: right answers, and clear refusals of everything else."""

from __future__ import annotations

import gzip
import json
import socket
from collections.abc import Iterator
from datetime import timedelta

import numpy as np
import pytest
from scoring_world import (
    MODELS,
    MOODY,
    MOODY_LIMIT_MI,
    SERVED_AT,
    Client,
    Fares,
    World,
    made_version,
    shape,
    trip,
    weather_now,
)

from perdure.assets.version import Pointer
from perdure.core.clock import from_us, iso, machine_us, to_us
from perdure.stores.capture.events import Labels, Predictions, Rejected


@pytest.fixture(scope="module")
def served(tmp_path_factory) -> Iterator[tuple[World, Client]]:
    """One world and server for all requests of this module: a champion, and weather at JFK only."""
    world = World(tmp_path_factory.mktemp("served"))
    version, *_ = world.found(0)
    world.point(Pointer("air_time", "champion", version.id))
    world.put_weather("JFK", 12.5)
    with world.serving(max_rows=50, max_body_bytes=20_000, models={**MODELS, "fares": Fares}) as client:
        yield world, client


@pytest.fixture
def client(served) -> Client:
    return served[1]


def expected_value(row, wind_mph: float = 12.5) -> float:
    """The prediction of version 0 by its own predictor, without serve."""
    hour = from_us(to_us(SERVED_AT)).hour
    codes = {"wind_mph": wind_mph, "low_visibility": 1.0, "distance_mi": row["distance_mi"], "hour": hour}
    names = [*weather_now.features, *shape.features]
    x = np.array([[codes.get(name, float(["JFK", "LGA"].index(row["origin"]))) for name in names]], dtype=np.float32)
    return float(made_version(0).predictor().predict(x)[0])


def test_a_row_is_answered_with_its_id_version_and_arm(client):
    answer = client.predict(trip(1))
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    found = answer.first
    assert answer.json["model"] == "air_time"
    assert found["value"] == expected_value(trip(1))
    assert found["version"].startswith("air_time@")
    assert found["arm"] == "champion"
    assert set(found) == {"id", "value", "version", "arm"}, "a fresh view needs no word"


def test_rows_are_answered_in_their_order_as_one_by_one(client):
    rows = [trip(n, distance_mi=float(n)) for n in range(1, 9)]
    together = client.predict(*rows).json["predictions"]
    assert [found["value"] for found in together] == [client.predict(row).first["value"] for row in rows]
    assert len({found["id"] for found in together}) == 8


def test_an_answer_is_captured_with_its_row_features_and_status(served):
    world, client = served
    prediction_id = client.predict(trip(3)).first["id"]
    events = [event for event in world.captured() if isinstance(event, Predictions)]
    event, row = next((event, row) for event in events for row in event.rows if row.id == prediction_id)
    assert (event.model, row.key, row.arm) == ("air_time", "t3", "champion")
    assert json.loads(row.row)["distance_mi"] == 1003.0
    assert row.status == b"\0"
    assert np.frombuffer(row.features, "<f4").tolist() == [12.5, 1.0, 1003.0, 12.0, 0.0]
    assert 0 <= event.latency_us < 5_000_000
    assert abs(event.served_us - machine_us()) < 60_000_000


def test_a_view_that_is_not_fresh_is_named_with_its_status(served):
    world, client = served
    assert client.predict(trip(origin="LGA")).first["status"] == {"weather_now": "missing"}
    world.put_weather("LGA", 3.0, at_us=machine_us() - 10 * 3_600_000_000)
    assert client.predict(trip(origin="LGA")).first["status"] == {"weather_now": "expired"}


def test_an_explanation_sums_to_the_prediction(client):
    found = client.predict(trip(1), trip(2, distance_mi=3.0), query="?explain=true").json["predictions"]
    for prediction in found:
        explanation = prediction["explanation"]
        assert set(explanation["contributions"]) == {*weather_now.features, *shape.features}
        assert explanation["scale"] == "prediction"
        total = explanation["base"] + sum(explanation["contributions"].values())
        assert total == pytest.approx(prediction["value"], rel=1e-6)
    assert len({json.dumps(prediction["explanation"]) for prediction in found}) == 2


# ------------------------------------------------------------------------------------------------ refusals


def test_an_unknown_model_is_404_and_the_nearest_is_named(client):
    answer = client.predict(trip(), model="air_tme")
    assert (answer.status, answer.error["code"]) == (404, "not_found")
    assert answer.error["facts"]["nearest"] == "air_time"
    assert "Did you mean 'air_time'?" in answer.error["hint"]


def test_an_unknown_path_is_404_as_json(client):
    for path in ("/", "/v1/models/air_time", "/v2", "/v1/models/a/b/predict/", "/%ff%00"):
        answer = client.get(path)
        assert (answer.status, answer.error["code"]) == (404, "not_found")


def test_a_model_without_a_version_is_503_with_retry_after(client):
    answer = client.predict(trip(), model="fares")
    assert (answer.status, answer.error["code"]) == (503, "not_ready")
    assert int(answer.headers["retry-after"]) >= 1
    assert "fares" in answer.error["message"]


def test_bad_rows_are_422_with_every_error_of_every_row_and_kept(served):
    world, client = served
    bad = trip(2, origin="SFO", distance_mi=-1.0, wings=2)
    answer = client.predict(trip(1), bad, trip(3, scheduled_at="yesterday"))
    assert (answer.status, answer.error["code"]) == (422, "contract.row")
    errors = answer.error["facts"]["errors"]
    found = {(error["row"], error["field"]) for error in errors}
    assert found == {(1, "origin"), (1, "distance_mi"), (1, "wings"), (2, "scheduled_at")}
    request_id = answer.error["facts"]["request_id"]
    kept = next(e for e in world.captured() if isinstance(e, Rejected) and e.request_id == request_id)
    assert [json.loads(row)["trip_id"] for row in kept.rows] == ["t2", "t3"]
    assert json.loads(kept.errors) == errors


UNREADABLE = {
    "empty": b"",
    "cut off": b'{"row": {"trip_id": "t1", ',
    "no object": b"[1, 2]",
    "text behind": b'{"row": {}} {"row": {}}',
    "neither": b"{}",
    "no rows": b'{"rows": []}',
    "not utf-8": b'{"row": {"trip_id": "\xff\xfe"}}',
    "utf-16": '{"row": {}}'.encode("utf-16"),
    "a lone surrogate": b'{"row": {"trip_id": "\\ud800", "origin": "JFK"}}',
    "deep": b'{"row": ' + b"[" * 5_000 + b"]" * 5_000 + b"}",
    "NaN": json.dumps({"row": trip(distance_mi=float("nan"))}).encode(),
    "Infinity": json.dumps({"row": trip(distance_mi=float("inf"))}).encode(),
    "a huge number": json.dumps({"row": trip()}).replace("1001.0", "1e999").encode(),
    "a huge integer": json.dumps({"row": trip(seats=10**30)}).encode(),
    "an integer of 5,000 digits": json.dumps({"row": trip()}).replace("1001.0", "9" * 5_000).encode(),
    "text for a number": json.dumps({"row": trip(distance_mi="far")}).encode(),
    "null for text": json.dumps({"row": trip(trip_id=None)}).encode(),
}


@pytest.mark.parametrize("body", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_a_body_that_means_nothing_is_a_clear_4xx_and_the_connection_goes_on(client, body):
    answer = client.ask("POST", "/v1/models/air_time/predict", body)
    assert answer.status in (400, 422)
    assert set(answer.error) == {"code", "message", "hint", "facts"}
    assert answer.error["message"]
    assert "Traceback" not in answer.content.decode()
    assert client.predict(trip()).status == 200


def test_malformed_json_is_400(client):
    assert client.ask("POST", "/v1/models/air_time/predict", UNREADABLE["cut off"]).status == 400


def test_a_body_over_the_limit_is_413_by_its_length_and_while_reading(client):
    large = json.dumps({"rows": [trip(n) for n in range(400)]}).encode()
    assert client.ask("POST", "/v1/models/air_time/predict", large).status == 413
    chunked = client.ask("POST", "/v1/models/air_time/predict", iter([large[:9_000]] * 4))
    assert (chunked.status, chunked.error["code"]) == (413, "request.too_large")
    assert client.predict(trip()).status == 200


def test_more_rows_than_allowed_are_413(client):
    answer = client.predict(*(trip(n) for n in range(51)))
    assert (answer.status, answer.error["facts"]["max_rows"]) == (413, 50)


def test_a_chunked_body_is_read(client):
    body = json.dumps({"row": trip()}).encode()
    assert client.ask("POST", "/v1/models/air_time/predict", iter([body[:20], body[20:]])).status == 200


def test_another_media_type_charset_or_encoding_is_415(client):
    body = json.dumps({"row": trip()}).encode()
    path = "/v1/models/air_time/predict"
    assert client.ask("POST", path, body, content_type="text/csv").status == 415
    assert client.ask("POST", path, body, content_type="application/json; charset=latin-1").status == 415
    assert client.ask("POST", path, gzip.compress(body), content_encoding="gzip").status == 415


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v1/models/air_time/predict", "POST"),
        ("PUT", "/v1/labels", "POST"),
        ("POST", "/readyz", "GET, HEAD"),
        ("DELETE", "/v1/models", "GET, HEAD"),
    ],
)
def test_a_wrong_method_is_405_and_names_the_right_one(client, method, path, allowed):
    answer = client.ask(method, path)
    assert (answer.status, answer.headers["allow"]) == (405, allowed)


def test_a_query_that_means_nothing_is_400(client):
    assert client.predict(trip(), query="?explain=perhaps").status == 400
    assert "explain" in client.predict(trip(), query="?explian=true").error["hint"]


def test_bytes_that_are_no_http_do_not_disturb_the_server(client):
    with socket.create_connection(client.address) as connection:
        connection.sendall(b"\x16\x03\x01 hello\r\n\r\n")
        assert b"400" in connection.recv(1000)
    assert client.predict(trip()).status == 200


def test_a_client_that_hangs_up_in_the_middle_does_not_disturb_the_server(client):
    with socket.create_connection(client.address) as connection:
        connection.sendall(b"POST /v1/models/air_time/predict HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\n{")
    assert client.predict(trip()).status == 200


def test_domain_time_is_refused_outside_a_replay(client):
    answer = client.predict(trip(), perdure_now=iso(SERVED_AT))
    assert answer.status == 400
    assert "replay" in answer.error["hint"]


# ------------------------------------------------------------------------------------------------ reports


def test_the_server_tells_how_it_is(client):
    assert client.get("/healthz").json == {"status": "alive"}
    ready = client.get("/readyz")
    assert ready.status == 503, "a declared model has no champion"
    assert ready.json["without_champion"] == ["fares"]
    assert ready.json["models"]["air_time"]["champion"].startswith("air_time@")
    assert (ready.json["ledger_reachable"], ready.json["last_error"], ready.json["source"]) == (True, None, "ledger")
    listed = {model["name"]: model for model in client.get("/v1/models").json["models"]}
    assert listed["air_time"]["arms"][0]["share"] == 1.0
    assert (listed["air_time"]["owner"], listed["fares"]["arms"]) == ("flight-ops", [])


def test_head_is_answered_as_get_without_a_body(client):
    answer = client.ask("HEAD", "/healthz")
    assert (answer.status, answer.content) == (200, b"")


def test_requests_are_counted_by_model_and_status(client):
    name = 'perdure_requests_total{model="air_time",path="/v1/models/{name}/predict",status="200"}'
    client.predict(trip())
    before = client.metric(name)
    rows = client.metric('perdure_rows_total{model="air_time"}')
    client.predict(trip(1), trip(2))
    client.predict(trip(), model="nobody")
    assert client.metric(name) == before + 1
    assert client.metric('perdure_rows_total{model="air_time"}') == rows + 2
    assert client.metric('perdure_requests_total{model="",path="/v1/models/{name}/predict",status="404"}') >= 1
    assert client.metric("perdure_captures_lost_total") == 0
    assert client.metric("perdure_generation") >= 1


# ------------------------------------------------------------------------------------------------ other servers


def test_a_replay_takes_the_time_from_each_request(world):
    (version,) = world.found(0)
    world.point(Pointer("air_time", "champion", version.id))
    now_us = to_us(SERVED_AT)
    world.put_weather("JFK", 12.5, at_us=now_us)
    with world.serving(replay=True) as client:
        assert "status" not in client.predict(trip(), perdure_now=iso(SERVED_AT)).first
        earlier, later = SERVED_AT - timedelta(minutes=1), SERVED_AT + timedelta(hours=4)
        assert client.predict(trip(), perdure_now=iso(earlier)).first["status"] == {"weather_now": "not_yet_available"}
        assert client.predict(trip(), perdure_now=iso(later)).first["status"] == {"weather_now": "expired"}
        missing = client.predict(trip())
        assert (missing.status, "perdure-now" in missing.error["message"]) == (400, True)
        assert client.predict(trip(), perdure_now="noon").status == 400
        outside = client.predict(trip(), perdure_now="0001-01-01T00:00:00+14:00")
        assert (outside.status, "years 1 to 9999" in outside.error["message"]) == (400, True)
        assert client.post_labels([{"key": "t1", "value": 1.0}]).status == 400
        assert client.post_labels([{"key": "t1", "value": 1.0}], perdure_now=iso(later)).status == 202
    served = [event.served_us for event in world.captured() if isinstance(event, Predictions)]
    assert served == [now_us, to_us(earlier), to_us(later)]
    assert [event.rows[0].known_us for event in world.captured() if isinstance(event, Labels)] == [to_us(later)]


def test_a_damaged_online_store_costs_features_and_not_answers(world):
    (version,) = world.found(0)
    world.point(Pointer("air_time", "champion", version.id))
    (world.root / "online.db").write_bytes(b"no database at all, but long enough " * 100)
    with world.serving() as client:
        answer = client.predict(trip())
        assert (answer.status, answer.first["status"]) == (200, {"weather_now": "missing"})
        assert client.metric("perdure_online_errors_total") >= 1


def test_without_room_for_captures_rows_are_answered_and_labels_are_not_accepted(world):
    (version,) = world.found(0)
    world.point(Pointer("air_time", "champion", version.id))
    with world.serving(min_free=2**62) as client:
        assert client.predict(trip()).status == 200
        assert client.metric("perdure_captures_lost_total") == 1
        refused = client.post_labels([{"key": "t1", "value": 1.0}])
        assert (refused.status, refused.error["code"]) == (503, "store.full")
        assert int(refused.headers["retry-after"]) >= 1
        assert client.get("/readyz").json["captures_lost"] == 2


def test_a_failure_inside_the_model_is_500_with_an_id_and_no_traceback(world, caplog):
    (version,) = world.found(MOODY)
    world.point(Pointer("air_time", "champion", version.id))
    with world.serving() as client:
        answer = client.predict(trip(distance_mi=MOODY_LIMIT_MI + 1))
        assert (answer.status, answer.error["code"]) == (500, "internal")
        assert "too far" not in answer.content.decode()
        assert answer.error["facts"]["error_id"] in caplog.text
        assert "too far for me" in caplog.text
        assert client.predict(trip()).status == 200


def test_a_model_that_cannot_be_explained_says_so(world):
    (version,) = world.found(MOODY)
    world.point(Pointer("air_time", "champion", version.id))
    with world.serving() as client:
        answer = client.predict(trip(), query="?explain=true")
        assert (answer.status, answer.error["code"]) == (403, "refused")
