"""A small declared model and its data, for the tests of the training engine."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import polars as pl
import pytest
from lightgbm import LGBMRegressor

from perdure.assets.contract import Contract
from perdure.assets.feature_view import feature_view
from perdure.assets.model import Label, Model, TrainingData
from perdure.assets.source import Source
from perdure.core.units import hours

RECIPE = {"verbose": -1, "deterministic": True, "force_row_wise": True, "n_jobs": 1}


class Trip(Contract):
    trip_id: str
    distance: float
    depot: str


class Landing(Contract):
    trip_id: str
    minutes: float
    landed_at: datetime


trips = Source("trips", Trip, pl.DataFrame, event_at="trip_id")
landings = Source("landings", Landing, pl.DataFrame, event_at="landed_at")


@feature_view(on=Trip)
def shape(t):
    return {"distance": t.distance}


class Duration(Model):
    contract = Trip
    features = (shape,)
    rows = trips
    label = Label(landings, "minutes", key="trip_id", known_at="landed_at", delay=hours(1))

    def fit(self, data, warm_start=None):
        return LGBMRegressor(**{"n_estimators": 20, **RECIPE, **data.params}, random_state=data.seed).fit(
            data.x, data.y, categorical_feature=data.categorical
        )


def make_arrays(n, seed=0):
    """Rows of a wave, a line, noise and a category, with missing values; and what they lead to."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 4)).astype(np.float32)
    x[rng.random(n) < 0.1, 0] = np.nan
    x[:, 3] = rng.integers(0, 5, n)
    y = np.nan_to_num(np.sin(2 * x[:, 0])) * 3 + x[:, 1] + (x[:, 3] % 2) * 2 + rng.normal(0, 0.1, n) + 10
    return x, y.astype(np.float64)


def make_data(n=600, *, params=None, seed=0):
    x, y = make_arrays(n)
    cut = int(n * 0.8)
    return TrainingData(
        x[:cut],
        y[:cut],
        x[cut:],
        y[cut:],
        ["wave", "line", "noise", "kind"],
        {"kind": list("abcde")},
        params or {},
        seed,
    )


@pytest.fixture
def data():
    return make_data()


@pytest.fixture
def duration():
    return Duration
