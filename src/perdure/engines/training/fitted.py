"""What `fit` returned, whatever the library: is it usable, what does it predict, is it LightGBM?

LightGBM's scikit-learn wrapper costs 1 ms a row before it computes anything, so its Booster is asked.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from perdure.assets.model import Task
from perdure.core.errors import BadModel

if TYPE_CHECKING:
    from lightgbm import Booster

    from perdure.assets.model import Float1D, Float2D


def booster_of(fitted: Any) -> Booster | None:
    """The LightGBM booster in `fitted`, or None.

    A subclass of LightGBM's classes is not looked into: it may predict otherwise than its booster.
    """
    lightgbm = sys.modules.get("lightgbm")
    if lightgbm is None:  # then nothing in this process can be one of its objects
        return None
    if type(fitted) is lightgbm.Booster:
        return fitted  # type: ignore[no-any-return]
    if type(fitted) in (lightgbm.LGBMRegressor, lightgbm.LGBMClassifier):
        return fitted.booster_  # type: ignore[no-any-return]
    return None


def check_fitted(fitted: Any, task: Task) -> None:
    """Refuse what cannot be served.

    Raises:
        BadModel: no `predict`; a classifier for a regression or the other way round; classes other than 0 and 1.
    """
    if not callable(getattr(fitted, "predict", None)):
        raise BadModel(
            f"fit returned {type(fitted).__name__}, which has no predict(x).",
            hint="Return the fitted object: return LGBMRegressor().fit(data.x, data.y).",
        )
    booster = booster_of(fitted)
    if booster is not None and booster.num_model_per_iteration() != 1:
        raise BadModel("fit returned a model of several classes or outputs.", hint="Predict one number, or 0 and 1.")
    classes = getattr(fitted, "classes_", None)
    if task == "regression" and classes is not None:
        raise BadModel(
            f"fit returned the classifier {type(fitted).__name__}, but the model's task is regression.",
            hint='Declare task = "classification", or return a regressor.',
        )
    if task == "classification" and classes is not None and [float(each) for each in classes] != [0.0, 1.0]:
        raise BadModel(
            f"{type(fitted).__name__} tells the classes {list(classes)!r} apart, but 0 and 1 are what is served.",
            hint="Label rows 0 and 1; for more classes declare a model a class.",
        )


def predict(fitted: Any, x: Float2D, task: Task, *, n_threads: int | None = None) -> Float1D:
    """Predictions as float64, shape (n,): the label's unit, or the probability of class 1.

    A classifier without `predict_proba` must answer probabilities by `predict`.

    Raises:
        BadModel: the answer is not one number a row.
    """
    booster = booster_of(fitted)
    if booster is not None:
        answer = booster.predict(x) if n_threads is None else booster.predict(x, num_threads=n_threads)
    elif task == "classification" and hasattr(fitted, "predict_proba"):
        answer = fitted.predict_proba(x)[:, 1]
    else:
        answer = fitted.predict(x)
    numbers = np.asarray(answer, dtype=np.float64)
    if numbers.size != x.shape[0]:
        raise BadModel(
            f"{type(fitted).__name__}.predict answered an array of shape {numbers.shape} for {x.shape[0]} rows.",
            hint="Answer one number a row.",
        )
    return numbers.reshape(-1)
