"""Wherever a row lies, on a threshold, beside it, at zero or missing: compiled and native answer alike."""

from __future__ import annotations

import functools

import lightgbm
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lightgbm import LGBMClassifier, LGBMRegressor

from perdure.engines.training.compile import compile_model
from perdure.engines.training.conversion import to_onnx
from perdure.engines.training.lightgbm_text import explicit_text, float32_below
from perdure.engines.training.predictor import load_predictor

RECIPE = {"verbose": -1, "n_jobs": 1, "random_state": 0, "n_estimators": 25}


@functools.cache
def grown(task):
    rng = np.random.default_rng(3)
    x = rng.normal(size=(800, 4)).astype(np.float32)
    x[rng.random(800) < 0.15, 0] = np.nan
    x[rng.random(800) < 0.15, 1] = 0.0
    x[:, 3] = rng.integers(0, 6, 800)
    y = np.nan_to_num(x[:, 0]) + x[:, 1] * x[:, 2] + x[:, 3] % 3
    library = LGBMRegressor if task == "regression" else LGBMClassifier
    fitted = library(**RECIPE).fit(x, y if task == "regression" else y > 1, categorical_feature=[3])
    compiled = compile_model(fitted, 4, x[-100:], task=task)
    assert compiled.runtime == "onnx", compiled.parity
    explicit = lightgbm.Booster(model_str=explicit_text(fitted.booster_.model_to_string()))
    predictor = load_predictor(compiled.definition(), compiled.artifacts, trusted=False)
    return fitted.booster_, explicit, predictor, to_onnx(fitted, 4, task).splits


ODD = st.sampled_from([np.nan, 0.0, -0.0, 1e-35, -1e-35, 1.1e-35, -1.1e-35, 1e-40, -1e-40, 3.4e38, -3.4e38])


@st.composite
def hard_rows(draw, splits):
    """Rows with each feature at one of its thresholds, one float32 beside it, odd, or anything; whole categories."""
    rows = []
    for _ in range(draw(st.integers(1, 6))):
        row = []
        for feature in range(3):
            thresholds = [np.float32(value) for of, value in splits if of == feature]
            value = draw(st.sampled_from(thresholds))
            toward = draw(st.sampled_from([-np.inf, float(value), np.inf]))
            near = st.just(float(np.nextafter(value, np.float32(toward))))
            row.append(draw(near | ODD | st.floats(-4, 4, width=32)))
        row.append(draw(st.sampled_from([0.0, 1.0, 2.0, 5.0, 6.0, 77.0, np.nan])))
        rows.append(row)
    return np.array(rows, dtype=np.float32)


@pytest.mark.parametrize("task", ["regression", "classification"])
@settings(max_examples=50)
@given(data=st.data())
def test_compiled_and_native_answer_alike(task, data):
    """To the precision of float32 sums; the rewritten native model bit by bit."""
    booster, explicit, predictor, splits = grown(task)
    rows = data.draw(hard_rows(splits))
    native = booster.predict(rows)
    np.testing.assert_array_equal(explicit.predict(rows), native)
    np.testing.assert_allclose(predictor.predict(rows), native, rtol=1e-5, atol=1e-5)


@settings(max_examples=50)
@given(st.data())
def test_a_batch_answers_as_its_rows_do(data):
    """How many rows a request carries changes no answer."""
    _, _, predictor, splits = grown("regression")
    rows = data.draw(hard_rows(splits))
    alone = np.concatenate([predictor.predict(row.reshape(1, -1)) for row in rows])
    np.testing.assert_allclose(predictor.predict(rows), alone, rtol=1e-6, atol=1e-6)


@settings(max_examples=50)
@given(st.floats(allow_nan=False, allow_infinity=False), st.floats(width=32, allow_nan=False))
def test_a_threshold_rounded_down_splits_float32_values_alike(threshold, value):
    """`x <= t` equals `x <= float32_below(t)` for every float32 x, infinities too."""
    below = float32_below(np.array([threshold]))[0]
    assert (np.float64(value) <= threshold) == (np.float32(value) <= below)
