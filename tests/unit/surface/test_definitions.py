"""What `apply` compares is all that was declared."""

from __future__ import annotations

import dataclasses
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from perdure import Contract, Label, Model, Policy, Source, csv, days, feature_view, freshness_h, hours, mae
from perdure.assets.objective import Objective, SignalSpec
from perdure.assets.policy import Hours, Ramp
from perdure.core.canonical import content_hash
from perdure.core.units import Rate, per_month, weeks
from perdure.surface.definitions import (
    model_definition,
    objective_definition,
    policy_definition,
    reader_definition,
    source_definition,
)


class Trip(Contract):
    trip_id: str
    distance_km: float
    left_at: datetime


def fetched() -> Any:
    return None


trips = Source("trips", Trip, csv("/here/t.csv"), event_at="left_at", healthy=[freshness_h(over=days(1)) <= 6])
others = dataclasses.replace(trips, name="others")


@feature_view(on=Trip)
def length(t: Any) -> dict[str, Any]:
    return {"km": t.distance_km}


class Duration(Model):
    contract = Trip
    features = [length]
    rows = trips
    label = Label(trips, "distance_km", key="trip_id", known_at="left_at", delay=hours(12))
    healthy = [mae(over=days(7)) <= 9.0]

    def fit(self, data: Any, warm_start: Any = None) -> Any:
        return None


POLICY = Policy.act(approve_by="reviewer", every=days(30))
OTHER_POLICY = {
    "autonomy": "propose", "trigger": "schedule", "training": "stateful", "retrains": per_month(5), "every": days(1),
    "approve_by": "owner", "four_eyes": True, "watch": days(3), "ramp": Ramp(share=0.3), "cool_down": days(4),
    "breaker": 6, "rest": days(15), "windows": (Hours(1, 2),),
}  # fmt: skip
OTHER_MODEL = {
    "contract": type("Ride", (Trip,), {"__module__": __name__}), "rows": others, "purpose": "Dispatch", "owner": "taxi",
    "label": dataclasses.replace(Duration.label, source=others), "features": [length, feature_view(on=Trip, name="far")(
        lambda t: {"far": t.distance_km > 9})], "healthy": [mae(over=days(7)) <= 9.5],
    "policy": Policy.propose(), "task": "classification", "params": {"n": 2}, "seed": 1, "slices": ["trip_id"],
    "fair": ["trip_id"], "recent": [days(90)], "holdout": days(4), "gate_confidence": 0.95,
    "remedies": ["retrain_full"], "name": "minutes",
}  # fmt: skip
OTHER_SOURCE = {
    "name": "others", "contract": OTHER_MODEL["contract"], "read": csv("/here/u.csv"), "event_at": "trip_id",
    "available_at": "left_at", "key": ("trip_id",), "every": days(1), "healthy": (), "owner": "data",
    "policy": Policy.act(),
}  # fmt: skip


@pytest.mark.parametrize("field", [each.name for each in dataclasses.fields(Policy)])
def test_every_field_of_a_policy_is_a_part_of_its_definition(field: str) -> None:
    other = dataclasses.replace(POLICY, **{field: OTHER_POLICY[field]})

    changed = {
        key for key in policy_definition(POLICY) if policy_definition(POLICY)[key] != policy_definition(other)[key]
    }
    assert changed == {field}


@pytest.mark.parametrize("attribute", list(Model.__annotations__))
def test_every_attribute_of_a_model_is_a_part_of_its_definition(attribute: str) -> None:
    same, other = (
        type("Duration", (Duration,), {"name": "duration", "__module__": __name__, **more})
        for more in ({}, {attribute: OTHER_MODEL[attribute]})
    )

    before, after = model_definition(same), model_definition(other)
    assert {key for key in before if before[key] != after[key]} == {attribute}


@pytest.mark.parametrize("field", [each.name for each in dataclasses.fields(Source)])
def test_every_field_of_a_source_is_a_part_of_its_definition(field: str) -> None:
    other = source_definition(dataclasses.replace(trips, **{field: OTHER_SOURCE[field]}))

    assert {key for key in other if other[key] != source_definition(trips)[key]} == {field}


def test_every_part_of_a_label_and_of_an_objective_is_told() -> None:
    objective = (mae(over=days(7), by="trip_id") <= 9.0).sure(0.99).owed_to("dispatch")

    assert set(model_definition(Duration)["label"]) == {each.name for each in dataclasses.fields(Label)}
    parts = {each.name for cls in (Objective, SignalSpec) for each in dataclasses.fields(cls)} - {"spec"}
    assert set(objective_definition(objective)) == parts | {"objective"}
    assert objective_definition(objective)["bound"] == 9.0


def test_a_file_has_a_name_but_no_folder_so_two_checkouts_declare_the_same() -> None:
    here, there = (source_definition(dataclasses.replace(trips, read=csv(Path(f, "t.csv")))) for f in ("/a", "/b"))

    assert content_hash(here) == content_hash(there)
    assert here["read"]["path"] == "t.csv"


def test_another_function_or_another_way_to_read_is_another_definition() -> None:
    read = dataclasses.replace(trips, read=fetched)

    assert reader_definition(read.read)["name"] == "fetched"
    assert source_definition(read) != source_definition(dataclasses.replace(trips, read=lambda: None))
    assert reader_definition(csv("t.csv", timezone="UTC")) != reader_definition(csv("t.csv"))


def test_the_code_of_fit_is_a_part_and_the_name_of_a_class_is_none() -> None:
    class Other(Duration):
        name = "duration"

        def fit(self, data: Any, warm_start: Any = None) -> Any:
            return data

    assert model_definition(Other)["code"] != model_definition(Duration)["code"]
    assert {**model_definition(Other), "code": {}} == {**model_definition(Duration), "code": {}}


def test_durations_and_rates_are_told_as_they_are_written() -> None:
    told = policy_definition(dataclasses.replace(POLICY, rest=weeks(2), retrains=Rate(4, timedelta(days=30))))

    assert (told["rest"], told["retrains"], told["ramp"]) == (
        "14d",
        "4 per 30d",
        {"shadow": "12h", "canary": "12h", "share": 0.2},
    )
