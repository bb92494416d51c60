"""One training: check the data, run the user's `fit`, measure what came out.

Called by `loop.work` for a training, and by `tuning` for each trial. The same data, parameters and
seed give the same model as long as the user's `fit` is deterministic; LightGBM is, given
`random_state`, `deterministic=True`, `force_row_wise=True` and a fixed number of threads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from perdure.assets.model import Model, Task, TrainingData
from perdure.core.clock import cpu_s, monotonic_s
from perdure.core.errors import BadModel
from perdure.engines.training.code import UserCode
from perdure.engines.training.fitted import booster_of, check_fitted, predict
from perdure.engines.training.importance import feature_importance
from perdure.engines.training.metrics import metrics_by_slice, metrics_of

if TYPE_CHECKING:
    from perdure.assets.model import Float1D

_CURVES = ("loss_curve_", "validation_scores_", "validation_score_", "train_score_")
_LEAN_ROWS = 5_000


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """A fitted model and what was measured of it. All but `fitted` is JSON-compatible."""

    fitted: Any
    metrics: Mapping[str, float]
    """`train_mae`, `valid_mae` … in the label's unit."""
    curves: Mapping[str, Sequence[float]]
    """What the library recorded an iteration, such as `valid_0.l1`; empty where it records nothing."""
    best_iteration: int | None
    """Where early stopping found the best; None without it."""
    slices: Mapping[str, Mapping[str, Mapping[str, float]]]
    """Column → value → metrics of the validation rows, with their `n`."""
    importance: Mapping[str, float]
    """Feature → share; they sum to 1."""
    seconds: float
    """Of `fit` alone, by the clock."""
    cpu_s: float
    """Of `fit` alone, over all threads of the process."""


def train(
    model: type[Model],
    data: TrainingData,
    *,
    warm_start: Any = None,
    slices: Mapping[str, Sequence[str | None]] | None = None,
    lean: bool = False,
) -> Trained:
    """Fit a declared model and measure it on the rows it saw and on the newest ones it did not.

    Args:
        model: its `fit` runs once, on a new instance.
        data: see `TrainingData`.
        warm_start: a fitted model to go on from, handed to `fit` as it is.
        slices: column → its value in each validation row, for metrics by slice.
        lean: for one of many candidates: training metrics are of 5,000 rows at most, spread over time, and
            importance is counted only where the library knows it already.

    Raises:
        BadModel: data that cannot be trained on, an error inside `fit` (with file and line), or an
            answer that cannot be served.
    """
    check_data(data, model.task)
    fitted, seconds, cpu = _fit(model, data, warm_start)
    return measured(model, data, fitted, slices=slices, lean=lean, took=(seconds, cpu))


def measured(
    model: type[Model],
    data: TrainingData,
    fitted: Any,
    *,
    slices: Mapping[str, Sequence[str | None]] | None = None,
    lean: bool = False,
    took: tuple[float, float] = (0.0, 0.0),
) -> Trained:
    """What `train` measures, of a model that was fitted already; `took` is how long, by the clock and in CPU seconds.

    Raises:
        BadModel: an answer that cannot be served.
    """
    check_fitted(fitted, model.task)
    seen = _spread(len(data.x)) if lean else slice(None)
    with UserCode(model, "fit", f"predict of what {model.__name__}.fit returned"):
        on_train = predict(fitted, data.x[seen], model.task)
        on_valid = predict(fitted, data.x_valid, model.task)
    for part, predicted in (("training", on_train), ("validation", on_valid)):
        _check_predictions(model, part, predicted)
    weighed = not lean or booster_of(fitted) is not None
    return Trained(
        fitted,
        metrics={
            **_named("train", metrics_of(data.y[seen], on_train, model.task)),
            **_named("valid", metrics_of(data.y_valid, on_valid, model.task)),
        },
        curves=_curves(fitted),
        best_iteration=_best_iteration(fitted),
        slices=metrics_by_slice(data.y_valid, on_valid, model.task, slices or {}),
        importance=feature_importance(fitted, data, model.task) if weighed else {},
        seconds=took[0],
        cpu_s=took[1],
    )


def _spread(n: int) -> slice:
    """At most `_LEAN_ROWS` rows, at equal distances."""
    return slice(None, None, max(1, -(-n // _LEAN_ROWS)))


def _fit(model: type[Model], data: TrainingData, warm_start: Any) -> tuple[Any, float, float]:
    began_s, began_cpu_s = monotonic_s(), cpu_s()
    with UserCode(model, "fit"):
        fitted = model().fit(data, warm_start=warm_start)
    return fitted, monotonic_s() - began_s, cpu_s() - began_cpu_s


def check_data(data: TrainingData, task: Task) -> None:
    """Refuse arrays that do not fit together, missing labels, and classes other than 0 and 1.

    Raises:
        BadModel: says which array, and what was expected.
    """
    for part, x, y in (("training", data.x, data.y), ("validation", data.x_valid, data.y_valid)):
        if x.ndim != 2 or x.shape[1] != len(data.features):
            raise BadModel(f"The {part} rows have shape {x.shape}, but there are {len(data.features)} features.")
        if y.shape != (x.shape[0],):
            raise BadModel(f"There are {x.shape[0]} {part} rows and labels of shape {y.shape}.")
        if x.shape[0] == 0:
            raise BadModel(f"There is no {part} row.", hint="Give more labelled rows, or a longer history.")
        _check_labels(part, y, task)
    if task == "classification" and len(np.unique(data.y)) != 2:
        raise BadModel(f"All {len(data.y)} training labels are {data.y[0]:g}: there is nothing to tell apart.")


def _check_labels(part: str, y: Float1D, task: Task) -> None:
    n_bad = int((~np.isfinite(y)).sum())
    if n_bad:
        raise BadModel(
            f"{n_bad} of {len(y)} {part} labels are missing or infinite.",
            hint="Train on labelled rows only: filter(pl.col('_label').is_not_null()).",
        )
    if task == "classification" and not np.isin(y, (0.0, 1.0)).all():
        odd = y[~np.isin(y, (0.0, 1.0))][0]
        raise BadModel(f"A {part} label of a classification is {odd:g}.", hint="Label rows 0 and 1.")


def _check_predictions(model: type[Model], part: str, predicted: Float1D) -> None:
    n_bad = int((~np.isfinite(predicted)).sum())
    if n_bad:
        raise BadModel(
            f"{model.__name__} predicts no finite number for {n_bad} of {len(predicted)} {part} rows.",
            hint="Return a model that answers every row, also one with missing features.",
        )


def _named(part: str, metrics: Mapping[str, float]) -> dict[str, float]:
    return {f"{part}_{name}": value for name, value in metrics.items()}


def _curves(fitted: Any) -> dict[str, list[float]]:
    curves: dict[str, list[float]] = {}
    for part, by_metric in (getattr(fitted, "evals_result_", None) or {}).items():
        for metric, values in by_metric.items():
            curves[f"{part}.{metric}"] = [float(value) for value in values]
    for attribute in _CURVES:
        values = getattr(fitted, attribute, None)
        if values is not None:
            curves[attribute.removesuffix("_")] = [float(value) for value in values]
    return curves


def _best_iteration(fitted: Any) -> int | None:
    found = getattr(fitted, "best_iteration_", None) or getattr(fitted, "best_iteration", None)
    return int(found) if isinstance(found, int | np.integer) and found > 0 else None
