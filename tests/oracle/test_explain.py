"""Contributions against their definition: they sum to the prediction, and are the Shapley values of the trees."""

from __future__ import annotations

from itertools import combinations
from math import factorial

import numpy as np
import pytest
from lightgbm import LGBMClassifier, LGBMRegressor
from sklearn.decomposition import PCA
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from perdure.core.errors import Refused
from perdure.engines.explain.contributions import contributions, mean_contributions, scale_of

RECIPE = {"verbose": -1, "n_jobs": 1, "random_state": 0}


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(7)
    x = rng.normal(size=(400, 3)).astype(np.float32)
    y = x[:, 0] * 2 + np.where(x[:, 1] > 0, x[:, 2], -x[:, 0]) + 5
    return x, y.astype(np.float64)


def expectation(node, x, known):
    """What a tree predicts of `x` when only the features in `known` are known: a mean weighted by rows seen."""
    if "leaf_value" in node:
        return node["leaf_value"]
    left, right = node["left_child"], node["right_child"]
    if node["split_feature"] in known:
        value = x[node["split_feature"]]
        goes_left = node["default_left"] if np.isnan(value) else value <= node["threshold"]
        return expectation(left if goes_left else right, x, known)
    n_left, n_right = (child.get("leaf_count", child.get("internal_count")) for child in (left, right))
    return (n_left * expectation(left, x, known) + n_right * expectation(right, x, known)) / (n_left + n_right)


def shapley(trees, x):
    """Shapley values by their definition, over every subset of the features."""
    n = len(x)

    def worth(known):
        return sum(expectation(tree["tree_structure"], x, known) for tree in trees)

    values = np.zeros(n)
    for feature in range(n):
        others = [each for each in range(n) if each != feature]
        for size in range(n):
            weight = factorial(size) * factorial(n - size - 1) / factorial(n)
            for known in combinations(others, size):
                values[feature] += weight * (worth({*known, feature}) - worth(set(known)))
    return values, worth(set())


def test_tree_contributions_are_the_shapley_values_by_definition(rows):
    """Every subset of three features, on small trees, with missing values too."""
    x, y = rows
    holed = x.copy()
    holed[::5, 1] = np.nan
    fitted = LGBMRegressor(n_estimators=3, num_leaves=5, **RECIPE).fit(holed, y)
    values, base = contributions(fitted, holed[:12])
    trees = fitted.booster_.dump_model()["tree_info"]
    for row, (own, own_base) in enumerate(zip(values, base, strict=True)):
        expected, expected_base = shapley(trees, holed[row].astype(np.float64))
        np.testing.assert_allclose(own, expected, rtol=1e-6, atol=1e-9)
        assert own_base == pytest.approx(expected_base, rel=1e-6)


def test_tree_contributions_sum_to_the_prediction(rows):
    """To 1e-6 relative."""
    x, y = rows
    fitted = LGBMRegressor(n_estimators=50, **RECIPE).fit(x, y)
    values, base = contributions(fitted, x)
    np.testing.assert_allclose(values.sum(axis=1) + base, fitted.predict(x), rtol=1e-6)
    assert scale_of(fitted) == "prediction"


@pytest.mark.parametrize("library", [LGBMClassifier, LogisticRegression])
def test_a_classifiers_contributions_sum_to_its_log_odds(rows, library):
    """And `scale_of` says so."""
    x, y = rows
    fitted = library(**(RECIPE if library is LGBMClassifier else {})).fit(x, y > 5)
    values, base = contributions(fitted, x)
    chance = 1 / (1 + np.exp(-(values.sum(axis=1) + base)))
    np.testing.assert_allclose(chance, fitted.predict_proba(x)[:, 1], rtol=1e-6, atol=1e-7)
    assert scale_of(fitted) == "log_odds"


def test_a_poisson_models_contributions_sum_to_the_logarithm(rows):
    """Its link is the logarithm."""
    x, y = rows
    fitted = LGBMRegressor(objective="poisson", n_estimators=10, **RECIPE).fit(x, y - y.min())
    values, base = contributions(fitted, x)
    np.testing.assert_allclose(np.exp(values.sum(axis=1) + base), fitted.predict(x), rtol=1e-6)
    assert scale_of(fitted) == "log"


@pytest.mark.parametrize(
    "estimator",
    [LinearRegression(), Ridge(), make_pipeline(SimpleImputer(), StandardScaler(), LinearRegression())],
    ids=["linear", "ridge", "pipeline"],
)
def test_linear_contributions_are_coefficient_times_value(rows, estimator):
    """With the intercept as base; scalers and imputers keep each feature in its place."""
    x, y = rows
    fitted = estimator.fit(x, y)
    values, base = contributions(fitted, x)
    np.testing.assert_allclose(values.sum(axis=1) + base, fitted.predict(x), rtol=1e-6, atol=1e-6)
    inputs = fitted[:-1].transform(x) if hasattr(fitted, "steps") else x
    last = fitted[-1] if hasattr(fitted, "steps") else fitted
    np.testing.assert_allclose(values[:, 1], inputs[:, 1] * last.coef_[1], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (KNeighborsRegressor, "no exact contributions for a KNeighborsRegressor"),
        (lambda: make_pipeline(PCA(), LinearRegression()), "PCA mixes features"),
        (lambda: LGBMRegressor(linear_tree=True, n_estimators=2, **RECIPE), "cannot explain|do not sum"),
    ],
    ids=["neighbours", "mixing", "linear trees"],
)
def test_a_model_without_exact_contributions_is_refused(rows, make, message):
    """Nothing is estimated in silence."""
    x, y = rows
    with pytest.raises(Refused, match=message):
        contributions(make().fit(x, y), x)


def test_contributions_that_do_not_sum_are_refused(rows):
    """An object that only looks linear is found out."""
    x, y = rows

    class Looks(LinearRegression):
        def predict(self, x):
            return super().predict(x) + 1.0

    with pytest.raises(Refused, match="do not sum"):
        contributions(Looks().fit(x, y), x)


def test_mean_contributions_rank_features_and_sum_to_1(rows):
    """All zero when nothing contributes."""
    x, y = rows
    fitted = LGBMRegressor(n_estimators=20, **RECIPE).fit(x, y)
    shares = mean_contributions(contributions(fitted, x)[0])
    assert shares.sum() == pytest.approx(1.0)
    assert shares.argmax() == 0
    assert mean_contributions(np.zeros((3, 2))).tolist() == [0.0, 0.0]
