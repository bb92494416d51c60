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
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

from perdure.assets.contract import Contract
from perdure.assets.feature_view import KEY_TYPES, FeatureView
from perdure.assets.fields import contract_fields
from perdure.assets.objective import Objective
from perdure.assets.policy import Policy
from perdure.assets.source import Source
from perdure.core.errors import BadModel, nearest
from perdure.core.units import days

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Float1D = NDArray[np.float64]
    Float2D = NDArray[np.float32]
Task = Literal["regression", "classification"]

REMEDIES = (
    "retrain_full",
    "retrain_recent",
    "warm_start",
    "past_version",
    "recalibrate",
    "rollback",
    "fallback_default",
)
"""What can be done for a model: the names that `Model.remedies` may list."""

_NAME = re.compile(r"[a-z][a-z0-9_]*")


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
        kinds = {spec.name: spec.type for spec in contract_fields(self.source.contract)}
        if kinds[self.key] not in KEY_TYPES:
            raise BadModel(
                f"The label's key {self.key!r} is a {kinds[self.key]}, which is not written in one way only.",
                hint="Join labels by a text or int field.",
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
    """The model's parameters, or those of one trial of a search."""
    seed: int = 0

    @property
    def categorical(self) -> list[int]:
        """Positions of the categorical features in `x`."""
        return [at for at, name in enumerate(self.features) if name in self.categories]


class Model:
    """Subclass it to declare a model. See the module for an example.

    Class attributes: `contract`, `features`, `rows`, `label` are required; all others have defaults.
    """

    contract: ClassVar[type[Contract]]
    """The row that a request carries."""
    features: ClassVar[Sequence[FeatureView]]
    """Feature views, in the order of the features; no two may share a feature's name."""
    rows: ClassVar[Source]
    """History: rows of the past, each as a request would have carried it."""
    label: ClassVar[Label]
    purpose: ClassVar[str] = ""
    owner: ClassVar[str] = ""
    healthy: ClassVar[Sequence[Objective]] = ()
    policy: ClassVar[Policy] = Policy.observe()
    task: ClassVar[Task] = "regression"
    """`classification` tells 0 from 1, and predicts the probability of 1."""
    params: ClassVar[Mapping[str, Any]] = {}
    """Handed to `fit` as `data.params`."""
    seed: ClassVar[int] = 0
    slices: ClassVar[Sequence[str]] = ()
    """Fields of the contract by which metrics are told apart; no value of one may get worse by a release."""
    fair: ClassVar[Sequence[str]] = ()
    """Fields of the contract whose groups are treated alike: the gap in error between the best and the worst
    served group may not widen by a release."""
    recent: ClassVar[Sequence[timedelta]] = (days(60), days(30))
    """Windows for retraining on recent rows; a candidate each."""
    holdout: ClassVar[timedelta] = days(3)
    """The newest labelled rows that a repair keeps from fitting: on them candidates compete with what runs."""
    gate_confidence: ClassVar[float] = 0.9
    """How sure a candidate must be better, 0.5 to 1; of all candidates of one repair together."""
    remedies: ClassVar[Sequence[str]] = ()
    """Names of the remedies that may be used, of `REMEDIES`; none named: all."""
    name: ClassVar[str] = ""
    """By default the class's name in lower case with underscores."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if not cls.__dict__.get("name"):
            cls.name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", cls.__name__).lower()
        _check_model(cls)

    def fit(self, data: TrainingData, warm_start: Any = None) -> Any:  # noqa: ARG002 - overridden
        """Fit and return any object with `predict(x)`.

        Args:
            data: encoded rows with their labels, `data.params` and `data.seed`; see `TrainingData`.
            warm_start: a fitted model to go on from (a LightGBM Booster, or the object that an
                earlier `fit` returned), or None to begin anew.
        """
        raise BadModel(f"{type(self).__name__} has no fit method.")

    def search(self, trial: Any) -> Mapping[str, Any]:  # noqa: ARG002 - overridden
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
    if not _NAME.fullmatch(cls.name):
        raise BadModel(f"{_where(cls)}The model name {cls.name!r} is not legal.", hint="Use a-z, 0-9 and _.")
    if cls.task not in get_args(Task):
        raise BadModel(
            f"{_where(cls)}Model {cls.__name__} has the task {cls.task!r}.", hint=f"Known: {', '.join(get_args(Task))}."
        )
    _check_views(cls)
    _check_repairs(cls)
    _check_fields(cls)


def _check_views(cls: type[Model]) -> None:
    origin: dict[str, str] = {}
    for view in cls.features:
        if not isinstance(view, FeatureView):
            raise BadModel(
                f"{_where(cls)}Model {cls.__name__} lists {view!r} as a feature view, but it is a {type(view).__name__}.",
                hint="Decorate the function with @feature_view(...).",
            )
        for feature in view.features:
            if feature in origin:
                raise BadModel(
                    f"{_where(cls)}Model {cls.__name__} has the feature {feature!r} twice, "
                    f"from {origin[feature]!r} and {view.name!r}.",
                    hint="Rename it in one of the views.",
                )
            origin[feature] = view.name
    if not origin:
        raise BadModel(f"{_where(cls)}Model {cls.__name__} has no feature.", hint="Write: features = [calendar, route]")


def _check_fields(cls: type[Model]) -> None:
    fields = cls.contract.model_fields
    needed = [cls.label.key, *cls.slices, *cls.fair]
    for view in cls.features:
        needed += [*view.key] if view.source is not None else list(view.contract.model_fields)
    needed += [objective.spec.by for objective in cls.healthy if objective.spec.by]
    for named in needed:
        if named not in fields:
            near = nearest(named, fields)
            raise BadModel(
                f"{_where(cls)}Model {cls.__name__} needs the field {named!r}, which {cls.contract.__name__} lacks.",
                hint=f"Did you mean {near!r}?" if near else f"Add it to {cls.contract.__name__}.",
            )


def _check_repairs(cls: type[Model]) -> None:
    """The attributes that say how the model is repaired and judged."""
    for attribute in ("remedies", "slices", "fair"):
        if isinstance(getattr(cls, attribute), str):
            raise BadModel(
                f"{_where(cls)}Model {cls.__name__} has {attribute} = {getattr(cls, attribute)!r}, which is one text.",
                hint=f"Write a list: {attribute} = [{getattr(cls, attribute)!r}]",
            )
    for name in cls.remedies:
        if name not in REMEDIES:
            near = nearest(name, REMEDIES)
            raise BadModel(
                f"{_where(cls)}Model {cls.__name__} lists the remedy {name!r}, which there is not.",
                hint=f"Did you mean {near!r}?" if near else f"Known: {', '.join(REMEDIES)}.",
            )
    if not _is_span(cls.holdout):
        raise BadModel(
            f"{_where(cls)}Model {cls.__name__} has holdout = {cls.holdout!r}, which is no stretch of time.",
            hint="Write holdout = days(3).",
        )
    for window in cls.recent:
        if not _is_span(window) or window <= cls.holdout:
            raise BadModel(
                f"{_where(cls)}Model {cls.__name__} has the recent window {window!r}, of which the holdout "
                f"of {cls.holdout} leaves nothing to fit on.",
                hint="Write recent = [days(60), days(30)], each longer than holdout; recent = [] for none.",
            )
    if not 0.5 < cls.gate_confidence < 1.0:
        raise BadModel(
            f"{_where(cls)}Model {cls.__name__} has gate_confidence = {cls.gate_confidence!r}, which means nothing.",
            hint="Use 0.5 to 1, exclusive, such as 0.9.",
        )


def _is_span(value: object) -> bool:
    return isinstance(value, timedelta) and value > timedelta(0)
