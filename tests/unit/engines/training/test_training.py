"""A training measures what `fit` made, is repeatable, and says where the user's code went wrong."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import lightgbm
import numpy as np
import pytest
from lightgbm import LGBMClassifier, LGBMRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import log_loss, mean_absolute_error, root_mean_squared_error

from perdure.core.errors import BadModel
from perdure.engines.training.code import code_hash, is_importable
from perdure.engines.training.training import train

QUIET = {"verbose": -1, "deterministic": True, "force_row_wise": True, "n_jobs": 1, "n_estimators": 10}


def fitting(duration, function, **declared):
    """A model like `duration` with another `fit`."""
    return type("Fitting", (duration,), {"fit": lambda self, data, warm_start=None: function(data), **declared})


def test_metrics_are_those_of_scikit_learn(duration, data):
    """On the rows that were seen and on those held out."""
    trained = train(duration, data)
    for part, x, y in (("train", data.x, data.y), ("valid", data.x_valid, data.y_valid)):
        predicted = trained.fitted.predict(x)
        assert trained.metrics[f"{part}_mae"] == pytest.approx(mean_absolute_error(y, predicted))
        assert trained.metrics[f"{part}_rmse"] == pytest.approx(root_mean_squared_error(y, predicted))
        assert trained.metrics[f"{part}_bias"] == pytest.approx(np.mean(predicted - y))
    assert trained.seconds > 0
    assert trained.cpu_s > 0


def test_the_same_data_and_seed_give_the_same_bytes(duration, data):
    """With the documented recipe; another seed gives others."""
    bagged = replace(data, params={"bagging_fraction": 0.5, "bagging_freq": 1})
    texts = [train(duration, bagged).fitted.booster_.model_to_string() for _ in range(2)]
    assert texts[0] == texts[1]
    other = train(duration, replace(bagged, seed=1)).fitted.booster_.model_to_string()
    assert other != texts[0]


def test_importance_sums_to_1_and_ranks_the_wave_over_the_noise(duration, data):
    """LightGBM by gain, any other model by permutation."""
    filled = replace(data, x=np.nan_to_num(data.x), x_valid=np.nan_to_num(data.x_valid))
    linear = fitting(duration, lambda d: LinearRegression().fit(d.x, d.y))
    for trained in (train(duration, data), train(linear, filled)):
        assert sum(trained.importance.values()) == pytest.approx(1.0)
        assert trained.importance["line"] > trained.importance["noise"]


def test_permutation_importance_is_repeatable(duration, data):
    """The seed of the data decides the shuffles."""
    filled = replace(data, x=np.nan_to_num(data.x), x_valid=np.nan_to_num(data.x_valid))
    linear = fitting(duration, lambda d: LinearRegression().fit(d.x, d.y))
    assert train(linear, filled).importance == train(linear, filled).importance


def test_curves_and_best_iteration_come_from_early_stopping(duration, data):
    """One value an iteration."""

    def fit(d):
        stop = lightgbm.early_stopping(2, verbose=False)
        model = LGBMRegressor(**{**QUIET, "n_estimators": 200}, learning_rate=0.9, metric="l1")
        return model.fit(d.x, d.y, eval_X=d.x_valid, eval_y=d.y_valid, callbacks=[stop])

    trained = train(fitting(duration, fit), data)
    assert trained.best_iteration is not None
    assert len(trained.curves["valid_0.l1"]) == trained.best_iteration + 2
    assert min(trained.curves["valid_0.l1"]) == pytest.approx(trained.metrics["valid_mae"])


def test_slices_are_measured_apart(duration, data):
    """Each value has its own metrics and count; rows without a value are in none."""
    depots = ["east" if at % 3 else "west" for at in range(len(data.y_valid))]
    depots[0] = None
    slices = train(duration, data, slices={"depot": depots}).slices["depot"]
    assert sum(found["n"] for found in slices.values()) == len(depots) - 1
    west = np.array([depot == "west" for depot in depots])
    predicted = train(duration, data).fitted.predict(data.x_valid)
    assert slices["west"]["mae"] == pytest.approx(np.abs(predicted - data.y_valid)[west].mean())


def test_a_warm_start_reaches_fit(duration, data):
    """As it was given."""
    seen = []

    class Warm(duration):
        def fit(self, data, warm_start=None):
            seen.append(warm_start)
            return super().fit(data)

    train(Warm, data, warm_start="earlier")
    assert seen == ["earlier"]


@pytest.mark.parametrize("library", [LGBMClassifier, LogisticRegression])
def test_a_classification_is_measured_by_accuracy_and_log_loss(duration, data, library):
    """Whatever the library."""
    binary = replace(
        data,
        x=np.nan_to_num(data.x),
        x_valid=np.nan_to_num(data.x_valid),
        y=(data.y > 10).astype(float),
        y_valid=(data.y_valid > 10).astype(float),
    )
    params = QUIET if library is LGBMClassifier else {}
    model = fitting(duration, lambda d: library(**params).fit(d.x, d.y), task="classification")
    trained = train(model, binary)
    chance = trained.fitted.predict_proba(binary.x_valid)
    assert trained.metrics["valid_log_loss"] == pytest.approx(log_loss(binary.y_valid, chance))
    assert trained.metrics["valid_accuracy"] == pytest.approx(np.mean(chance.argmax(axis=1) == binary.y_valid))


class TestMistakes:
    def test_an_error_inside_fit_names_file_line_and_message(self, duration, data):
        """Also when a library raised it further down."""

        class Broken(duration):
            def fit(self, data, warm_start=None):
                return np.linalg.inv(np.zeros((2, 2)))  # the line that is named

        source = Path(__file__).read_text().splitlines()
        line = next(at for at, text in enumerate(source, 1) if text.endswith("# the line that is named"))
        with pytest.raises(
            BadModel, match=rf"test_training\.py:{line}: Broken\.fit raised LinAlgError: Singular"
        ) as caught:
            train(Broken, data)
        assert isinstance(caught.value.__cause__, np.linalg.LinAlgError)

    def test_fit_must_return_the_fitted_object(self, duration, data):
        """A forgotten return is told as such."""
        with pytest.raises(BadModel, match=r"NoneType, which has no predict.*Return the fitted"):
            train(fitting(duration, lambda d: None), data)

    def test_missing_labels_are_refused(self, duration, data):
        """With how many there are."""
        y = data.y.copy()
        y[:3] = np.nan
        with pytest.raises(BadModel, match="3 of 480 training labels are missing"):
            train(duration, replace(data, y=y))

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"features": ["a"]}, "there are 1 features"),
            ({"y": np.zeros(3)}, "480 training rows and labels of shape"),
            ({"x_valid": np.zeros((0, 4), np.float32), "y_valid": np.zeros(0)}, "no validation row"),
        ],
    )
    def test_arrays_that_do_not_fit_together_are_refused(self, duration, data, change, message):
        """Before any fit."""
        with pytest.raises(BadModel, match=message):
            train(duration, replace(data, **change))

    def test_a_classifier_is_no_regression(self, duration, data):
        """And classes must be 0 and 1, both there."""
        binary = replace(data, y=(data.y > 10).astype(float), y_valid=(data.y_valid > 10).astype(float))
        classify = fitting(duration, lambda d: LGBMClassifier(**QUIET).fit(d.x, d.y))
        with pytest.raises(BadModel, match="task is regression"):
            train(classify, binary)
        classify.task = "classification"
        with pytest.raises(BadModel, match="label of a classification is 2"):
            train(classify, replace(binary, y=binary.y + 1))
        with pytest.raises(BadModel, match="nothing to tell apart"):
            train(classify, replace(binary, y=np.ones(480)))

    def test_an_answer_of_the_wrong_shape_is_refused(self, duration, data):
        """One number a row."""

        class Wide:
            def predict(self, x):
                return np.zeros((len(x), 3))

        with pytest.raises(BadModel, match=r"shape \(480, 3\) for 480 rows"):
            train(fitting(duration, lambda d: Wide()), data)

    def test_an_error_in_predict_is_told_as_such(self, duration, data):
        """It is not `fit` that raised."""

        class Shy:
            def predict(self, x):
                raise RuntimeError("not now")

        with pytest.raises(BadModel, match=r"predict of what Fitting\.fit returned raised RuntimeError: not now"):
            train(fitting(duration, lambda d: Shy()), data)

    def test_predictions_that_are_no_numbers_are_refused(self, duration, data):
        """A model that cannot answer a validation row is not served."""

        class Unsure:
            def predict(self, x):
                return np.where(np.isnan(x[:, 0]), np.nan, 1.0)

        with pytest.raises(BadModel, match="no finite number"):
            train(fitting(duration, lambda d: Unsure()), data)


class TestCode:
    def test_the_hash_follows_the_source_of_the_class(self, tmp_path, monkeypatch, duration):
        """A changed method changes it; another line of the file does not."""
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.setitem(sys.modules, "trips_fixture", sys.modules[duration.__module__])
        body = "from trips_fixture import Duration\n{}\nclass Mine(Duration):\n    def fit(self, data, warm_start=None):\n        return {}\n"
        hashes = []
        for at, (extra, result) in enumerate([("", 1), ("# more", 1), ("", 2)]):
            (tmp_path / f"declared_{at}.py").write_text(body.format(extra, result))
            module = __import__(f"declared_{at}")
            assert is_importable(module.Mine)
            hashes.append(code_hash(module.Mine))
        assert hashes[0] == hashes[1] != hashes[2]

    def test_code_typed_into_an_interpreter_has_a_hash_but_no_home(self, duration):
        """A server could not import it."""
        scope = {"Duration": duration, "__name__": "__main__"}
        body = "class Mine(Duration):\n    def fit(self, data, warm_start=None):\n        return {}\n"
        found = []
        for result in (1, 1, 2):
            exec(body.format(result), scope)
            found.append(code_hash(scope["Mine"]))
            assert not is_importable(scope["Mine"])
        assert found[0] == found[1] != found[2]

    def test_a_class_inside_a_function_is_not_importable(self, duration):
        """Its name leads nowhere."""

        class Local(duration):
            pass

        assert not is_importable(Local)
