"""Labels over HTTP: recorded whole, or refused with every reason and kept in quarantine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta

import pytest
from scoring_world import SERVED_AT, Client, World, trip

from perdure.assets.version import Pointer
from perdure.core.clock import iso, to_us
from perdure.stores.capture.events import Labels, Rejected


@pytest.fixture(scope="module")
def served(tmp_path_factory) -> Iterator[tuple[World, Client]]:
    """One world and server for all requests of this module."""
    world = World(tmp_path_factory.mktemp("labelled"))
    version, *_ = world.found(0)
    world.point(Pointer("air_time", "champion", version.id))
    with world.serving(max_rows=50, max_body_bytes=20_000) as client:
        yield world, client


@pytest.fixture
def client(served) -> Client:
    return served[1]


def test_labels_are_accepted_by_prediction_id_and_by_key_and_recorded(served):
    world, client = served
    prediction_id = client.predict(trip(7)).first["id"]
    known_at = iso(SERVED_AT + timedelta(hours=5))
    answer = client.post_labels(
        [{"prediction_id": prediction_id, "value": 130}, {"key": "t7", "value": 131.5, "known_at": known_at}]
    )
    assert (answer.status, answer.json) == (202, {"accepted": 2})
    event = [event for event in world.captured() if isinstance(event, Labels)][-1]
    by_id, by_key = event.rows
    assert (by_id.prediction_id, by_id.key, by_id.value, by_id.known_us) == (
        prediction_id,
        "",
        130.0,
        event.received_us,
    )
    assert (by_key.prediction_id, by_key.key, by_key.known_us) == ("", "t7", to_us(SERVED_AT + timedelta(hours=5)))


def test_bad_labels_are_422_with_the_error_of_each_and_none_is_recorded(served):
    world, client = served
    n_before = sum(isinstance(event, Labels) for event in world.captured())
    answer = client.post_labels(
        [
            {"key": "t1", "value": 1.0},
            {"key": "t1", "value": "long"},
            {"value": 2.0},
            {"key": "t1", "prediction_id": "p_1", "value": 2.0},
            {"key": "t1", "value": 2.0, "known_at": "tomorrow"},
            {"key": "t1", "value": 2.0, "colour": "red"},
            7,
        ]
    )
    assert (answer.status, answer.error["code"]) == (422, "contract.row")
    assert [error["row"] for error in answer.error["facts"]["errors"]] == [1, 2, 3, 4, 5, 6]
    assert answer.error["facts"]["errors"][0]["field"] == "value"
    assert sum(isinstance(event, Labels) for event in world.captured()) == n_before


def test_labels_that_break_their_contract_are_refused_with_the_constraint_and_kept_in_quarantine(served):
    world, client = served
    bad = {"key": "t2", "value": 1e308, "known_at": "0001-01-01T00:00:00+14:00"}
    answer = client.post_labels([{"key": "t1", "value": 131.5}, bad, {"key": "", "value": 90.0}])
    assert (answer.status, answer.error["code"]) == (422, "contract.row")
    errors = answer.error["facts"]["errors"]
    assert [(error["row"], error["field"]) for error in errors] == [(1, "value"), (1, "known_at"), (2, "key")]
    assert "1e+308, but Landing.air_time_min says: Input should be less than or equal to 2000" in errors[0]["message"]
    request_id = answer.error["facts"]["request_id"]
    kept = next(e for e in world.captured() if isinstance(e, Rejected) and e.request_id == request_id)
    assert [json.loads(row) for row in kept.rows] == [bad, {"key": "", "value": 90.0}]
    assert (kept.model, json.loads(kept.errors)) == ("air_time", errors)
    recorded = [row.value for event in world.captured() if isinstance(event, Labels) for row in event.rows]
    assert not {1e308, 90.0} & set(recorded)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b'{"model": "\xff", "labels": []}', 400),
        (b'{"model": "air_time"}', 422),
        (b'{"model": "air_time", "labels": 3}', 422),
        (b'{"model": "air_tme", "labels": []}', 404),
        (b'{"model": "air_time", "labels": [' + b'{"key": "t", "value": 1},' * 50 + b'{"key": "t", "value": 1}]}', 413),
        (b'{"model": "air_time", "labels": [{"key": "t", "value": ' + b"9" * 400 + b"}]}", 422),
        (b'{"model": "air_time", "labels": ' + b"[" * 5_000 + b"]" * 5_000 + b"}", 400),
    ],
)
def test_a_body_of_labels_that_means_nothing_is_a_clear_4xx(client, body, status):
    answer = client.ask("POST", "/v1/labels", body)
    assert answer.status == status
    assert set(answer.error) == {"code", "message", "hint", "facts"}
