"""A compiled model answers as its library does, or is not used; damaged and untrusted ones are refused."""

from __future__ import annotations

import importlib
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import lightgbm
import numpy as np
import pytest
from lightgbm import LGBMClassifier, LGBMRegressor
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from perdure.core.canonical import canonical_json
from perdure.core.errors import BadModel, Corrupt, Refused, UntrustedArtifact
from perdure.engines.explain.contributions import contributions
from perdure.engines.training.compile import compile_model
from perdure.engines.training.conversion import to_onnx
from perdure.engines.training.lightgbm_text import explicit_text
from perdure.engines.training.parity import compare, probe_rows
from perdure.engines.training.predictor import load_native, load_predictor

RECIPE = {"verbose": -1, "deterministic": True, "force_row_wise": True, "n_jobs": 1, "random_state": 0}


@pytest.fixture
def filled(data):
    return replace(data, x=np.nan_to_num(data.x), x_valid=np.nan_to_num(data.x_valid))


@pytest.fixture
def grown(data):
    return LGBMRegressor(n_estimators=30, **RECIPE).fit(data.x, data.y, categorical_feature=[3])


class Constant:
    """A library of one's own: nothing can convert it."""

    def __init__(self, value):
        self.value = value

    def predict(self, x):
        return np.full(len(x), self.value)


class Planted:
    """A pickle that leaves a mark when it is opened."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def loaded(compiled, **more):
    return load_predictor(compiled.definition(), compiled.artifacts, **{"trusted": False, **more})


class TestLightgbm:
    def test_regression_runs_on_onnx_and_agrees(self, grown, data):
        """With missing values, categories and thresholds among the rows compared."""
        compiled = compile_model(grown, 4, data.x_valid)
        assert (compiled.runtime, compiled.native_format, compiled.accepts_missing) == ("onnx", "lightgbm", True)
        assert compiled.parity.agreed
        assert compiled.parity.n_rows > 2_000
        predicted = loaded(compiled).predict(data.x)
        assert predicted.dtype == np.float64
        np.testing.assert_allclose(predicted, grown.predict(data.x), rtol=1e-5)

    def test_classification_answers_the_probability_of_1(self, data):
        """As predict_proba does."""
        fitted = LGBMClassifier(n_estimators=20, **RECIPE).fit(data.x, data.y > 10)
        compiled = compile_model(fitted, 4, data.x_valid, task="classification")
        assert compiled.runtime == "onnx"
        np.testing.assert_allclose(
            loaded(compiled).predict(data.x), fitted.predict_proba(data.x)[:, 1], rtol=1e-5, atol=1e-6
        )

    def test_a_bare_booster_and_the_best_iteration_are_kept(self, data):
        """What early stopping cut off is not served."""
        rows = lightgbm.Dataset(data.x, data.y)
        booster = lightgbm.train(
            {"learning_rate": 0.9, "num_threads": 1, "verbosity": -1},
            rows,
            num_boost_round=300,
            valid_sets=[lightgbm.Dataset(data.x_valid, data.y_valid, reference=rows)],
            callbacks=[lightgbm.early_stopping(2, verbose=False)],
            keep_training_booster=True,
        )
        assert booster.best_iteration < booster.num_trees()
        compiled = compile_model(booster, 4, data.x_valid)
        assert compiled.runtime == "onnx"
        np.testing.assert_allclose(loaded(compiled).predict(data.x), booster.predict(data.x), rtol=1e-5)

    @pytest.mark.parametrize("objective", ["poisson", "huber", "quantile", "regression_l1", "fair", "tweedie"])
    def test_other_objectives_agree_on_one_runtime_or_the_other(self, data, objective):
        """Their links are in the compiled model, or the native one answers."""
        fitted = LGBMRegressor(n_estimators=10, objective=objective, **RECIPE).fit(data.x, data.y - data.y.min())
        predictor = loaded(compile_model(fitted, 4, data.x_valid))
        np.testing.assert_allclose(predictor.predict(data.x), fitted.predict(data.x), rtol=1e-5)

    @pytest.mark.parametrize(
        "params", [{"linear_tree": True}, {"boosting_type": "rf", "bagging_freq": 1, "bagging_fraction": 0.5}]
    )
    def test_what_the_converter_gets_wrong_runs_natively(self, filled, params):
        """The gate finds it; the report says so."""
        fitted = LGBMRegressor(n_estimators=10, **params, **RECIPE).fit(filled.x, filled.y)
        compiled = compile_model(fitted, 4, filled.x_valid)
        assert compiled.runtime == "native"
        assert not compiled.parity.agreed
        assert "rows differ" in compiled.parity.reason
        assert set(compiled.artifacts) == {"native"}
        np.testing.assert_array_equal(loaded(compiled).predict(filled.x), fitted.predict(filled.x))

    def test_zero_as_missing_runs_natively(self, data):
        """ONNX has no word for it."""
        fitted = LGBMRegressor(n_estimators=10, zero_as_missing=True, **RECIPE).fit(data.x, data.y)
        compiled = compile_model(fitted, 4, data.x_valid)
        assert compiled.runtime == "native"
        assert "zero for missing" in compiled.parity.reason
        np.testing.assert_array_equal(loaded(compiled).predict(data.x), fitted.predict(data.x))

    def test_the_same_model_compiles_to_the_same_bytes(self, grown, data):
        """So the digest of an artifact names the model."""
        first = compile_model(grown, 4, data.x_valid)
        again = compile_model(load_native("lightgbm", first.artifacts["native"], trusted=False), 4, data.x_valid)
        assert first.artifacts == again.artifacts

    def test_several_classes_are_refused(self, data):
        """Only one number a row is served."""
        fitted = LGBMClassifier(n_estimators=2, **RECIPE).fit(data.x, np.arange(len(data.x)) % 3)
        with pytest.raises(BadModel, match="several classes"):
            compile_model(fitted, 4, data.x_valid, task="classification")

    def test_a_damaged_text_is_refused_before_lightgbm_sees_it(self, grown, data):
        """LightGBM itself would end the process."""
        compiled = compile_model(grown, 4, data.x_valid)
        text = compiled.artifacts["native"]
        at = text.find(b"split_feature=")
        for damaged in (text[:at] + b" " + text[at:], text[: len(text) // 2], b"tree\nnothing", b"\xff\xfe"):
            with pytest.raises(Corrupt):
                load_native("lightgbm", damaged, trusted=True)

    def test_rounding_down_changes_no_prediction_of_a_float32_row(self, grown, data):
        """Bit by bit, next to every threshold too."""
        explicit = lightgbm.Booster(model_str=explicit_text(grown.booster_.model_to_string()))
        thresholds = [(0, 0.5), *[(at, float(v)) for at in range(3) for v in data.x[:50, at] if not np.isnan(v)]]
        rows = probe_rows(data.x, thresholds, with_missing=True)
        np.testing.assert_array_equal(explicit.predict(rows), grown.booster_.predict(rows))


class TestScikitLearn:
    @pytest.mark.parametrize(
        "estimator",
        [
            make_pipeline(StandardScaler(), LinearRegression()),
            RandomForestRegressor(n_estimators=5, random_state=0),
            HistGradientBoostingRegressor(max_iter=10),
        ],
    )
    def test_estimators_agree_on_one_runtime_or_the_other(self, filled, estimator):
        """Whether or not the converter is exact at thresholds."""
        fitted = estimator.fit(filled.x, filled.y)
        compiled = compile_model(fitted, 4, filled.x_valid)
        predicted = loaded(compiled, trusted=True).predict(filled.x)
        np.testing.assert_allclose(predicted, fitted.predict(filled.x), rtol=1e-5)

    def test_a_linear_pipeline_and_a_forest_run_on_onnx_without_their_pickle(self, filled):
        """ONNX runs no code of the model's, so nothing needs to be trusted."""
        fitted = make_pipeline(StandardScaler(), LinearRegression()).fit(filled.x, filled.y)
        compiled = compile_model(fitted, 4, filled.x_valid)
        assert (compiled.runtime, compiled.native_format) == ("onnx", "pickle")
        assert loaded(compiled).predict(filled.x[:3]).shape == (3,)

    def test_a_model_without_missing_values_answers_nan_for_them(self, filled):
        """On both runtimes alike, and only in those rows."""
        fitted = RandomForestRegressor(n_estimators=3, random_state=0).fit(filled.x, filled.y)
        linear = make_pipeline(StandardScaler(), LinearRegression()).fit(filled.x, filled.y)
        rows = filled.x[:4].copy()
        rows[1, 0] = np.nan
        for model in (linear, make_pipeline(FunctionTransformer(np.sign), linear[-1])):
            compiled = compile_model(model, 4, filled.x_valid)
            assert not compiled.accepts_missing
            answers = loaded(compiled, trusted=True).predict(rows)
            assert np.isnan(answers).tolist() == [False, True, False, False]
            assert np.isnan(loaded(compiled, trusted=True).predict(rows[1:2])).all()
        assert compile_model(fitted, 4, filled.x_valid).accepts_missing

    def test_binary_classification_agrees(self, filled):
        """The probability of class 1."""
        fitted = LogisticRegression().fit(filled.x, filled.y > 10)
        compiled = compile_model(fitted, 4, filled.x_valid, task="classification")
        assert compiled.runtime == "onnx"
        np.testing.assert_allclose(
            loaded(compiled).predict(filled.x), fitted.predict_proba(filled.x)[:, 1], rtol=1e-4, atol=1e-6
        )

    def test_onnx_bytes_are_repeatable(self, filled):
        """Names hold nothing random."""
        fitted = make_pipeline(StandardScaler(), LinearRegression()).fit(filled.x, filled.y)
        first, again = (compile_model(fitted, 4, filled.x_valid).artifacts["onnx"] for _ in range(2))
        assert first == again


class TestOthers:
    def test_an_object_of_ones_own_runs_natively(self, data):
        """With the reason in the report, which is plain data."""
        compiled = compile_model(Constant(3.5), 4, data.x_valid)
        assert (compiled.runtime, compiled.native_format) == ("native", "pickle")
        assert "neither a LightGBM nor a scikit-learn" in compiled.parity.reason
        assert loaded(compiled, trusted=True).predict(data.x[:2]).tolist() == [3.5, 3.5]
        assert b'"runtime":"native"' in canonical_json(compiled.definition())

    def test_an_object_that_cannot_be_stored_is_refused(self, data):
        """It could not be served by another process."""
        fitted = Constant(1.0)
        fitted.hook = lambda: None
        with pytest.raises(BadModel, match="Constant cannot be stored"):
            compile_model(fitted, 4, data.x_valid)

    @pytest.mark.parametrize("sample", [np.zeros((0, 4), np.float32), np.zeros((2, 3), np.float32)])
    def test_a_sample_must_be_rows_of_the_features(self, sample):
        """Without one there is nothing to compare on."""
        with pytest.raises(BadModel, match="expected at least one row of 4"):
            compile_model(Constant(1.0), 4, sample)


class TestPredictor:
    def test_an_unknown_pickle_is_not_opened(self, tmp_path):
        """Not even a bit of it runs."""
        mark = tmp_path / "opened"
        definition = {
            "runtime": "native",
            "native_format": "pickle",
            "task": "regression",
            "n_features": 1,
            "accepts_missing": True,
        }
        planted = {"native": pickle.dumps(Planted(mark))}
        with pytest.raises(UntrustedArtifact, match="does not know"):
            load_predictor(definition, planted, trusted=False)
        assert not mark.exists()
        load_predictor(definition, planted, trusted=True)
        assert mark.exists()

    def test_an_onnx_version_of_a_pickled_model_explains_only_when_trusted(self, filled):
        """It predicts without."""
        fitted = LinearRegression().fit(filled.x, filled.y)
        compiled = compile_model(fitted, 4, filled.x_valid)
        wary = loaded(compiled, explainer=contributions)
        assert wary.predict(filled.x[:1]).shape == (1,)
        with pytest.raises(UntrustedArtifact):
            wary.explain(filled.x[:1])
        values, base = loaded(compiled, trusted=True, explainer=contributions).explain(filled.x[:5])
        np.testing.assert_allclose(values.sum(axis=1) + base, fitted.predict(filled.x[:5]), rtol=1e-6)

    @pytest.mark.parametrize("damage", [b"", b"not a pickle", pickle.dumps(Constant(1))[:-9], b"cno.such\nthing\n."])
    def test_a_damaged_pickle_is_told_as_such(self, damage):
        """Not as an error of Python."""
        with pytest.raises(Corrupt, match="cannot be opened"):
            load_native("pickle", damage, trusted=True)

    def test_damaged_onnx_is_told_as_such(self, grown, data):
        """Cut, or not ONNX at all."""
        compiled = compile_model(grown, 4, data.x_valid)
        for damage in (b"no onnx", compiled.artifacts["onnx"][:-100], b""):
            with pytest.raises(Corrupt, match="cannot be loaded"):
                load_predictor(compiled.definition(), {**compiled.artifacts, "onnx": damage}, trusted=True)

    def test_a_missing_artifact_is_named(self, grown, data):
        """The version is not whole then."""
        compiled = compile_model(grown, 4, data.x_valid)
        with pytest.raises(BadModel, match="no artifact 'onnx'"):
            load_predictor(compiled.definition(), {"native": b""}, trusted=True)

    def test_rows_of_another_shape_or_type_are_refused(self, grown, data):
        """With what came and what was expected; no row at all is fine."""
        predictor = loaded(compile_model(grown, 4, data.x_valid))
        for wrong in (data.x[0], data.x[:, :3], data.x.astype(np.float64)):
            with pytest.raises(BadModel, match=r"expected float32 of \(n, 4\)"):
                predictor.predict(wrong)
        assert predictor.predict(data.x[:0]).shape == (0,)

    def test_without_an_explainer_it_says_how_to_give_one(self, grown, data):
        """Engines do not know each other."""
        with pytest.raises(Refused, match="without an explainer"):
            loaded(compile_model(grown, 4, data.x_valid)).explain(data.x[:1])


class TestParity:
    def test_a_number_on_one_side_only_is_a_difference(self):
        """NaN against NaN is none."""
        native = np.array([1.0, np.nan, np.nan, 1.0, np.inf, np.inf])
        compiled = np.array([1.0, np.nan, 1.0, np.nan, np.inf, -np.inf])
        report = compare(native, compiled)
        assert (report.n_different, report.max_abs_diff, report.agreed) == (3, 0.0, False)

    def test_the_tolerance_follows_the_predictions_scale(self):
        """A small prediction among large ones is judged by the median."""
        assert compare(np.array([1000.0, 1000.0, 0.0]), np.array([1000.0, 1000.0, 0.005])).agreed
        assert not compare(np.array([1.0, 1.0, 0.0]), np.array([1.0, 1.0, 0.005])).agreed

    def test_probes_sit_at_thresholds_and_beside_them(self, data):
        """And leave the sample unchanged."""
        sample = data.x[:20].copy()
        rows = probe_rows(sample, [(1, 0.25)], with_missing=False)
        beside = {float(np.nextafter(np.float32(0.25), np.float32(side))) for side in (-np.inf, 0.25, np.inf)}
        assert beside <= set(rows[:, 1].tolist())
        np.testing.assert_array_equal(sample, data.x[:20])


def test_loading_a_predictor_imports_no_training_library():
    """A serving process pays for ONNX Runtime alone, and only when a version needs it."""
    program = (
        "import sys, perdure.engines.training.predictor;"
        "print([name for name in ('lightgbm', 'sklearn', 'optuna', 'onnx', 'onnxruntime', 'polars') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_order_in_which_a_converter_lists_its_opsets_leaves_no_trace(grown, monkeypatch):
    converter = importlib.import_module("onnxmltools.convert.lightgbm.convert")
    once = to_onnx(grown, 4, "regression").onnx
    convert = converter.convert

    def shuffled(*args, **kwargs):
        model = convert(*args, **kwargs)
        opsets = list(model.opset_import)[::-1]
        del model.opset_import[:]
        model.opset_import.extend(opsets)
        return model

    monkeypatch.setattr(converter, "convert", shuffled)
    assert to_onnx(grown, 4, "regression").onnx == once
