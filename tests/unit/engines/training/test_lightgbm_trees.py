"""Trees of LightGBM read from its text: the same ONNX bytes as onnxmltools makes of every tree."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from lightgbm import LGBMClassifier, LGBMRegressor

from perdure.assets.model import Task
from perdure.engines.training import conversion
from perdure.engines.training.conversion import to_onnx
from perdure.engines.training.lightgbm_text import explicit_text
from perdure.engines.training.lightgbm_trees import first_tree, read_trees

_N_FEATURES = 5


def _rows() -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1000, _N_FEATURES)).astype(np.float32)
    x[:, 4] = rng.integers(0, 8, len(x))
    y = x[:, 0] + x[:, 1] ** 2 + 2.0 * (x[:, 4] % 3)
    x[:, :4][rng.random((len(x), 4)) < 0.1] = np.nan
    return x, y


def _fitted(kind: str) -> tuple[Any, Task]:
    x, y = _rows()
    if kind == "classifier":
        return LGBMClassifier(n_estimators=20, verbose=-1).fit(x, (y > 1.0).astype(int)), "classification"
    params: dict[str, dict[str, Any]] = {
        "regressor": {"n_estimators": 20},
        "one tree": {"n_estimators": 1},
        "leaves alone": {"n_estimators": 3, "min_child_samples": 2000},
        "poisson": {"n_estimators": 9, "objective": "poisson"},
        "random forest": {"n_estimators": 9, "boosting_type": "rf", "subsample": 0.5, "subsample_freq": 1},
        "dart": {"n_estimators": 9, "boosting_type": "dart"},
        "categorical": {"n_estimators": 9},
    }
    named = {"categorical_feature": [4]} if kind == "categorical" else {}
    return LGBMRegressor(verbose=-1, **params[kind]).fit(x, np.abs(y), **named), "regression"


_KINDS = (
    "regressor",
    "classifier",
    "one tree",
    "leaves alone",
    "poisson",
    "random forest",
    "dart",
    "categorical",
)


@pytest.mark.parametrize("kind", _KINDS)
def test_the_bytes_are_those_of_a_conversion_of_every_tree(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fitted, task = _fitted(kind)
    found = to_onnx(fitted, _N_FEATURES, task)
    monkeypatch.setattr(conversion, "read_trees", lambda _: None)
    assert found.onnx is not None
    assert found == to_onnx(fitted, _N_FEATURES, task)


def test_a_model_with_categorical_splits_is_left_to_the_converter() -> None:
    """A split by a set of values is unfolded there into several nodes."""
    text = explicit_text(_fitted("categorical")[0].booster_.model_to_string())
    assert text is not None
    assert "\ncat_threshold=" in text
    assert read_trees(text) is None


def test_a_model_with_an_endless_leaf_is_left_to_the_converter() -> None:
    text = explicit_text(_fitted("regressor")[0].booster_.model_to_string())
    assert text is not None
    assert read_trees(text) is not None
    first, rest = text.split("leaf_value=", 1)
    assert read_trees(f"{first}leaf_value=inf {rest.partition(' ')[2]}") is None


def test_the_first_tree_is_all_that_is_left_of_the_trees() -> None:
    text = _fitted("regressor")[0].booster_.model_to_string()
    left = first_tree(text)
    assert "Tree=0\n" in left
    assert "Tree=1\n" not in left
    assert left.endswith(text[text.index("\nend of trees") :])
    assert first_tree(left) == left
