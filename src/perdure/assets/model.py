"""Models: the interface for any library. Declare what is needed, write `fit`; the rest is perdure's.

    class AirTime(Model):
        purpose = "Crew planning: minutes in the air"
        owner = "flight-ops"
        contract = Flight
        features = [weather_now, calendar]
        rows = flights
        label = Label(landings, "air_time_min", key="flight_id", known_at="landed_at", delay=hours(12))
        healthy = [mae(over=days(7)) <= 9.0]

        def fit(self, data, warm_start=None):
            return LGBMRegressor(**data.params, random_state=data.seed).fit(data.x, data.y)

A missing declaration or method fails when the class is defined, not when it is used.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from perdure.assets.contract import Contract
from perdure.assets.feature_view import FeatureView
from perdure.assets.objective import Objective
from perdure.assets.policy import Policy
from perdure.assets.source import Source
from perdure.core.errors import BadModel, nearest

Float1D = NDArray[np.float64]
Float2D = NDArray[np.float32]
Task = Literal["regression", "classification"]


@dataclass(frozen=True, slots=True, eq=False)
class Label:
    """What the model predicts, and when the truth is known.

    Args:
        source: rows that bring the truth.
        column: its field with the label's value.
        key: field that joins a label with a row or a prediction (by prediction id works always).
        known_at: its field with the instant from which the label could be known.
        delay: watermark: how long after a prediction to wait before its label counts as missing.
    """

    source: Source
    column: str
    key: str
    known_at: str
    delay: timedelta

    def __post_init__(self) -> None:
        fields = self.source.contract.model_fields
        for named in (self.column, self.key, self.known_at):
            if named not in fields:
                near = nearest(named, fields)
                raise BadModel(
                    f"The label names the field {named!r}, which source {self.source.name!r} does not have.",
                    hint=f"Did you mean {near!r}?" if near else f"It has {', '.join(fields)}.",
                )


@dataclass(frozen=True, slots=True, eq=False)
class TrainingData:
    """What `fit` gets: encoded features and labels, in order of time.

    `x` has shape (n, d), float32, NaN for missing; categories are codes 0, 1, … in the order of
    `categories[feature]`, and unseen ones are NaN. `x_valid` and `y_valid` are the newest rows, held
    out for early stopping and for the metrics that are recorded.
    """

    x: Float2D
    y: Float1D
    x_valid: Float2D
    y_valid: Float1D
    features: Sequence[str]
    categories: Mapping[str, Sequence[str]] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0

    @property
    def categorical(self) -> list[int]:
        """Positions of the categorical features in `x`."""
        return [at for at, name in enumerate(self.features) if name in self.categories]


class Model:
    """Subclass it to declare a model. See the module for an example.

    Class attributes: `contract`, `features`, `rows`, `label` are required; `purpose`, `owner`,
    `healthy`, `policy`, `task`, `params`, `seed`, `slices`, `name` have defaults.
    """

    contract: ClassVar[type[Contract]]
    features: ClassVar[Sequence[FeatureView]]
    rows: ClassVar[Source]
    label: ClassVar[Label]
    purpose: ClassVar[str] = ""
    owner: ClassVar[str] = ""
    healthy: ClassVar[Sequence[Objective]] = ()
    policy: ClassVar[Policy] = Policy.observe()
    task: ClassVar[Task] = "regression"
    params: ClassVar[Mapping[str, Any]] = {}
    seed: ClassVar[int] = 0
    slices: ClassVar[Sequence[str]] = ()
    """Fields of the contract by which metrics are told apart at training."""
    name: ClassVar[str] = ""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if not cls.__dict__.get("name"):
            cls.name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", cls.__name__).lower()
        _check_model(cls)

    def fit(self, data: TrainingData, warm_start: Any = None) -> Any:
        """Fit and return any object with `predict(x)`; `warm_start` is a fitted one to go on from."""
        raise BadModel(f"{type(self).__name__} has no fit method.")

    def search(self, trial: Any) -> Mapping[str, Any]:
        """Parameters of one trial of `perdure train --tune`; `trial` is an Optuna trial."""
        raise BadModel(
            f"{type(self).__name__} declares no search space.",
            hint="Write def search(self, trial): return {'num_leaves': trial.suggest_int('num_leaves', 15, 255)}.",
        )


_REQUIRED = {
    "contract": "contract = Flight  # the request's row, a Contract",
    "features": "features = [calendar, route]  # feature views",
    "rows": "rows = flights  # the Source of historic rows",
    "label": 'label = Label(landings, "air_time_min", key="flight_id", known_at="landed_at", delay=hours(12))',
}


def _where(cls: type) -> str:
    try:
        return f"{inspect.getsourcefile(cls)}:{inspect.getsourcelines(cls)[1]}: "
    except (OSError, TypeError):
        return ""


def _check_model(cls: type[Model]) -> None:
    for attribute, example in _REQUIRED.items():
        if not hasattr(cls, attribute):
            raise BadModel(f"{_where(cls)}Model {cls.__name__} lacks {attribute!r}.", hint=f"Write: {example}")
    if cls.fit is Model.fit:
        raise BadModel(
            f"{_where(cls)}Model {cls.__name__} lacks the method 'fit'.",
            hint="Write: def fit(self, data, warm_start=None): return LGBMRegressor().fit(data.x, data.y)",
        )
    fields = cls.contract.model_fields
    needed = [cls.label.key, *cls.slices]
    for view in cls.features:
        if not isinstance(view, FeatureView):
            raise BadModel(
                f"{_where(cls)}Model {cls.__name__} lists {view!r} as a feature view, but it is a {type(view).__name__}.",
                hint="Decorate the function with @feature_view(...).",
            )
        needed += [*view.key] if view.source is not None else list(view.contract.model_fields)
    needed += [objective.spec.by for objective in cls.healthy if objective.spec.by]
    for named in needed:
        if named not in fields:
            near = nearest(named, fields)
            raise BadModel(
                f"{_where(cls)}Model {cls.__name__} needs the field {named!r}, which {cls.contract.__name__} lacks.",
                hint=f"Did you mean {near!r}?" if near else f"Add it to {cls.contract.__name__}.",
            )
