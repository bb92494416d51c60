"""A model that cannot work fails where it is defined, and says what to write."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import polars as pl
import pytest

from perdure.assets.contract import Contract
from perdure.assets.feature_view import feature_view
from perdure.assets.model import Label, Model, TrainingData
from perdure.assets.objective import mae
from perdure.assets.source import Source
from perdure.core.errors import BadModel
from perdure.core.units import days, hours


class Ride(Contract):
    ride_id: str
    distance: float
    zone: str


class Fare(Contract):
    ride_id: str
    fare: float
    paid_at: datetime


rides = Source("rides", Ride, pl.DataFrame, event_at="ride_id")
fares = Source("fares", Fare, pl.DataFrame, event_at="paid_at")
label = Label(fares, "fare", key="ride_id", known_at="paid_at", delay=hours(1))


@feature_view(on=Ride)
def length(r):
    return {"distance": r.distance}


@feature_view(on=Ride)
def length_again(r):
    return {"distance": r.distance * 2}


WHOLE = {"contract": Ride, "features": [length], "rows": rides, "label": label, "fit": lambda self, data, warm_start: 0}


def declare(class_name="Fares", **changes):
    body = {key: value for key, value in {**WHOLE, **changes}.items() if value is not None}
    return type(class_name, (Model,), body)


def test_a_whole_declaration_gets_its_name_from_the_class():
    """Unless it gives one."""
    assert declare("RideFares").name == "ride_fares"
    assert declare("RideFares", name="fares").name == "fares"


@pytest.mark.parametrize("attribute", ["contract", "features", "rows", "label", "fit"])
def test_a_missing_declaration_is_told_with_what_to_write(attribute):
    """At definition, not at use."""
    with pytest.raises(BadModel, match=rf"Model Fares lacks .*'{attribute}'.*Write: .*{attribute}"):
        declare(**{attribute: None})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"slices": ["zoned"]}, "needs the field 'zoned', which Ride lacks.*'zone'"),
        ({"healthy": [mae(over=days(1), by="city") <= 1]}, "needs the field 'city'"),
        ({"features": [length, length_again]}, "feature 'distance' twice, from 'length' and 'length_again'"),
        ({"features": ["length"]}, "lists 'length' as a feature view, but it is a str"),
        ({"features": []}, "has no feature"),
        ({"task": "ranking"}, "has the task 'ranking'.*regression, classification"),
        ({"name": "Ride-Fares"}, "name 'Ride-Fares' is not legal"),
    ],
)
def test_a_declaration_that_cannot_work_is_refused(changes, message):
    """With the nearest name where there is one."""
    with pytest.raises(BadModel, match=message):
        declare(**changes)


def test_a_label_names_fields_of_its_source():
    """With the nearest one."""
    with pytest.raises(BadModel, match=r"names the field 'fair'.*Did you mean 'fare'"):
        Label(fares, "fair", key="ride_id", known_at="paid_at", delay=hours(1))


def test_the_message_names_file_and_line():
    """Of the class."""
    with pytest.raises(BadModel, match=r"test_model\.py:\d+: Model Fares lacks the method 'fit'"):

        class Fares(Model):
            contract = Ride
            features = (length,)
            rows = rides
            label = Label(fares, "fare", key="ride_id", known_at="paid_at", delay=hours(1))


def test_a_search_without_a_space_says_what_to_write():
    """It is optional until somebody tunes."""
    with pytest.raises(BadModel, match="declares no search space"):
        declare()().search(None)


def test_categorical_features_are_known_by_their_position():
    """In the order of the features."""
    x, y = np.zeros((1, 3), np.float32), np.zeros(1)
    data = TrainingData(x, y, x, y, ["a", "b", "c"], {"c": ["u"], "a": ["v"]})
    assert data.categorical == [0, 2]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"remedies": ["retrain_ful"]}, "Did you mean 'retrain_full'"),
        ({"remedies": "retrain_full"}, r"remedies = \['retrain_full'\]"),
        ({"fair": ["zonne"]}, "Did you mean 'zone'"),
        ({"fair": "zone"}, r"fair = \['zone'\]"),
        ({"holdout": days(0)}, "holdout = days"),
        ({"holdout": 3}, "holdout = days"),
        ({"recent": [days(3)]}, "leaves nothing to fit on"),
        ({"recent": [60]}, "recent = "),
        ({"gate_confidence": 0.5}, "0.5 to 1"),
        ({"gate_confidence": 1.0}, "0.5 to 1"),
    ],
)
def test_what_cannot_repair_a_model_is_told_with_what_to_write(changes, told):
    with pytest.raises(BadModel, match=told):
        declare(**changes)


def test_a_model_may_say_how_it_is_repaired_and_judged():
    model = declare(remedies=["warm_start"], fair=["zone"], recent=[], holdout=hours(12), gate_confidence=0.95)
    assert (model.recent, model.holdout) == ([], hours(12))
