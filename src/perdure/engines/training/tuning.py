"""A search over parameters with Optuna: what `perdure train --tune` runs.

The study lives in memory and its sampler is seeded, so the same search finds the same parameters.
Optuna's own logging stays quiet; `progress` hears of every trial.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from perdure.assets.model import Model, TrainingData
from perdure.core.clock import monotonic_s
from perdure.core.errors import BadModel
from perdure.engines.training.code import UserCode
from perdure.engines.training.fitted import check_fitted, predict
from perdure.engines.training.metrics import GREATER_IS_BETTER, metrics_of
from perdure.engines.training.training import check_data

if TYPE_CHECKING:
    import optuna

TrialState = Literal["done", "failed"]


@dataclass(frozen=True, slots=True)
class TrialRecord:
    """One trial. `value` is the validation metric, None when the trial failed; `error` says why."""

    params: Mapping[str, Any]
    value: float | None
    seconds: float
    state: TrialState
    error: str = ""


@dataclass(frozen=True, slots=True)
class Tuned:
    """Outcome of a search: the best parameters, by which metric, and every trial in order."""

    best_params: Mapping[str, Any]
    best_value: float
    metric: str
    trials: list[TrialRecord]


def tune(
    model: type[Model],
    data: TrainingData,
    *,
    n_trials: int,
    seed: int,
    progress: Callable[[TrialRecord], None] | None = None,
) -> Tuned:
    """Search the space of `model.search` for the parameters with the best validation metric.

    The metric is the first of the model's objectives that can be computed here, else `mae` or
    `log_loss`. A trial that fails is recorded and the search goes on. The best parameters are chosen
    on the validation rows, so their metric flatters them a little.

    Args:
        model: declares `search(trial)`; what it returns is laid over `data.params`.
        data: the same for every trial.
        n_trials: how many; the first ten are random.
        seed: of the sampler.
        progress: called after each trial.

    Raises:
        BadModel: no search space, an error in `search`, or every trial failed.
    """
    if n_trials < 1:
        raise BadModel(f"A search of {n_trials} trials finds nothing.", hint="Give at least one.")
    check_data(data, model.task)
    metric = tuning_metric(model)
    study = _new_study(metric, seed)
    trials: list[TrialRecord] = []
    for _ in range(n_trials):
        trials.append(_run_trial(study, model, data, metric))
        if progress is not None:
            progress(trials[-1])
    return _best(trials, metric)


def tuning_metric(model: type[Model]) -> str:
    """The metric that a search of this model improves."""
    known = ("mae", "rmse") if model.task == "regression" else ("accuracy",)
    for objective in model.healthy:
        if objective.spec.signal in known:
            return objective.spec.signal
    return "mae" if model.task == "regression" else "log_loss"


def _new_study(metric: str, seed: int) -> optuna.Study:
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        return optuna.create_study(
            direction="maximize" if metric in GREATER_IS_BETTER else "minimize",
            sampler=optuna.samplers.TPESampler(seed=seed),
        )
    finally:
        optuna.logging.set_verbosity(before)


def _run_trial(study: optuna.Study, model: type[Model], data: TrainingData, metric: str) -> TrialRecord:
    from optuna.trial import TrialState as OptunaState

    trial = study.ask()
    with UserCode(model, "search"):
        params = {**data.params, **model().search(trial)}
    began_s = monotonic_s()
    try:
        value = _score(model, replace(data, params=params), metric)
    except BadModel as error:
        study.tell(trial, state=OptunaState.FAIL)
        return TrialRecord(params, None, monotonic_s() - began_s, "failed", str(error))
    study.tell(trial, value)
    return TrialRecord(params, value, monotonic_s() - began_s, "done")


def _score(model: type[Model], data: TrainingData, metric: str) -> float:
    with UserCode(model, "fit"):
        fitted = model().fit(data, warm_start=None)
    check_fitted(fitted, model.task)
    with UserCode(model, "fit", f"predict of what {model.__name__}.fit returned"):
        predicted = predict(fitted, data.x_valid, model.task)
    value = metrics_of(data.y_valid, predicted, model.task)[metric]
    if math.isnan(value):
        raise BadModel(f"{model.__name__} predicts no number for some validation rows.")
    return value


def _best(trials: list[TrialRecord], metric: str) -> Tuned:
    done = [(trial.value, trial) for trial in trials if trial.value is not None]
    if not done:
        raise BadModel(f"All {len(trials)} trials failed; the last: {trials[-1].error}")
    pick = max if metric in GREATER_IS_BETTER else min
    value, best = pick(done, key=lambda pair: pair[0])
    return Tuned(best.params, value, metric, trials)
