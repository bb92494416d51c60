"""A search is seeded, records every trial, and improves the metric that the model cares for."""

from __future__ import annotations

import pytest

from perdure.assets.objective import accuracy, mae, rmse
from perdure.core.errors import BadModel
from perdure.core.units import days
from perdure.engines.training.tuning import tune, tuning_metric


@pytest.fixture
def searching(duration):
    class Searching(duration):
        def search(self, trial):
            return {"num_leaves": trial.suggest_int("num_leaves", 2, 31), "n_estimators": 5}

    return Searching


def test_the_best_trial_is_the_one_of_least_error_and_is_repeatable(searching, data, capfd):
    """The same seed makes the same trials; Optuna says nothing; progress hears of each."""
    heard = []
    first = tune(searching, data, n_trials=5, seed=3, progress=heard.append)
    again = tune(searching, data, n_trials=5, seed=3)
    assert [trial.params for trial in first.trials] == [trial.params for trial in again.trials]
    assert first.best_value == min(trial.value for trial in first.trials) == again.best_value
    assert first.metric == "mae"
    assert heard == first.trials
    assert {trial.state for trial in first.trials} == {"done"}
    assert len({trial.params["num_leaves"] for trial in first.trials}) > 1
    assert "".join(capfd.readouterr()) == ""


def test_a_failed_trial_is_recorded_and_the_search_goes_on(searching, data):
    """Its error is kept with it."""

    class Fragile(searching):
        def fit(self, data, warm_start=None):
            if data.params["num_leaves"] > 16:
                raise RuntimeError("too many leaves")
            return super().fit(data)

    found = tune(Fragile, data, n_trials=6, seed=0)
    failed = [trial for trial in found.trials if trial.state == "failed"]
    assert failed
    assert all(trial.value is None and "too many leaves" in trial.error for trial in failed)
    assert found.best_params["num_leaves"] <= 16


def test_when_every_trial_fails_the_last_error_is_told(searching, data):
    """There is no best then."""

    class Broken(searching):
        def fit(self, data, warm_start=None):
            raise RuntimeError("no luck")

    with pytest.raises(BadModel, match=r"All 2 trials failed.*no luck"):
        tune(Broken, data, n_trials=2, seed=0)


def test_a_model_without_a_search_space_says_what_to_write(duration, data):
    """And a search of no trials is refused."""
    with pytest.raises(BadModel, match=r"no search space.*def search"):
        tune(duration, data, n_trials=1, seed=0)
    with pytest.raises(BadModel, match="0 trials"):
        tune(duration, data, n_trials=0, seed=0)


def test_an_error_inside_search_is_the_users(searching, data):
    """With its file and line."""

    class Broken(searching):
        def search(self, trial):
            return {"num_leaves": trial.suggest_whole("num_leaves", 2, 4)}

    with pytest.raises(BadModel, match=r"test_tuning\.py:\d+: Broken\.search raised AttributeError"):
        tune(Broken, data, n_trials=1, seed=0)


def test_the_metric_is_the_first_objective_that_can_be_computed(duration):
    """Else mae, or log_loss for a classification."""
    assert tuning_metric(duration) == "mae"
    duration_by_rmse = type("ByRmse", (duration,), {"healthy": [rmse(over=days(1)) <= 1, mae(over=days(1)) <= 1]})
    assert tuning_metric(duration_by_rmse) == "rmse"
    sorter = type("Sorter", (duration,), {"task": "classification"})
    assert tuning_metric(sorter) == "log_loss"
    assert tuning_metric(type("S2", (sorter,), {"healthy": [accuracy(over=days(1)) >= 0.9]})) == "accuracy"
