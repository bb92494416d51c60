"""A small made-up world that decays: deliveries from two shops, weather, arrivals, and a model of them.

Tests build it with a seed, plant what they need (dirt, gaps, a change of the relation, late rows),
and open its project with real stores in a folder of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

import numpy as np
import polars as pl
from pydantic import Field

from perdure.assets.contract import Contract
from perdure.assets.feature_view import FeatureView, feature_view
from perdure.assets.model import Label, Model, TrainingData
from perdure.assets.objective import drift, freshness_h, latency_ms, mae, off_profile, skew, violations_ratio, volume
from perdure.assets.policy import Policy
from perdure.assets.project import Project
from perdure.assets.source import Source
from perdure.core.units import days, hours

START = datetime(2025, 1, 1, tzinfo=UTC)
_INSTANT = pl.Datetime("us", "UTC")


class Delivery(Contract):
    """What is known when a delivery is ordered."""

    order_id: str
    shop: Literal["north", "south"]
    distance_km: Annotated[float, Field(gt=0, le=50)]
    ordered_at: datetime


class Arrival(Contract):
    """What came true."""

    order_id: str
    minutes: Annotated[float, Field(gt=0)]
    arrived_at: datetime


class Sky(Contract):
    """An hour's weather at a shop."""

    shop: Literal["north", "south"]
    seen_at: datetime
    rain_mm: Annotated[float, Field(ge=0, le=100)] | None


@dataclass(slots=True)
class World:
    """The rows of a world; change the frames before `project` to plant what a test needs.

    `change_at` (days from the start) is when rain begins to cost four times as much: the relation
    moves, the inputs do not. By default the loop only looks; `policy` and `feed_policy` let it act on the
    model and on the weather feed, whose batches are compared with their past where `profiled`.
    """

    seed: int = 0
    n_days: int = 40
    per_day: int = 60
    change_at: float | None = None
    policy: Policy = field(default_factory=Policy.observe)
    feed_policy: Policy = field(default_factory=Policy.observe)
    profiled: bool = False
    recent: Sequence[timedelta] = Model.recent
    orders: pl.DataFrame = field(init=False)
    arrivals: pl.DataFrame = field(init=False)
    sky: pl.DataFrame = field(init=False)

    def __post_init__(self) -> None:
        rng = np.random.default_rng(self.seed)
        self.sky = self._make_sky(rng)
        self.orders = self._make_orders(rng)
        self.arrivals = self._make_arrivals(rng)

    def _make_sky(self, rng: np.random.Generator) -> pl.DataFrame:
        n_hours = self.n_days * 24
        rain = np.where(rng.random(2 * n_hours) < 0.3, rng.gamma(2.0, 1.0, 2 * n_hours).round(1), 0.0)
        at = [START + timedelta(hours=hour) for hour in range(n_hours)]
        return pl.DataFrame(
            {"shop": ["north"] * n_hours + ["south"] * n_hours, "seen_at": at + at, "rain_mm": rain},
            schema_overrides={"seen_at": _INSTANT},
        )

    def _make_orders(self, rng: np.random.Generator) -> pl.DataFrame:
        n = self.n_days * self.per_day
        minute = np.sort(rng.integers(0, self.n_days * 24 * 60, n))
        return pl.DataFrame(
            {
                "order_id": [f"o{number:05d}" for number in range(n)],
                "shop": rng.choice(["north", "south"], n),
                "distance_km": rng.gamma(3.0, 1.2, n).round(2) + 0.1,
                "ordered_at": [START + timedelta(minutes=int(at)) for at in minute],
            },
            schema_overrides={"ordered_at": _INSTANT},
        )

    def _make_arrivals(self, rng: np.random.Generator) -> pl.DataFrame:
        known = self.sky.select("shop", "rain_mm", known_at=pl.col("seen_at") + pl.duration(hours=1)).sort("known_at")
        joined = self.orders.sort("ordered_at").join_asof(
            known, left_on="ordered_at", right_on="known_at", by="shop", check_sortedness=False
        )
        changed = START + timedelta(days=self.change_at if self.change_at is not None else self.n_days + 1)
        cost = pl.when(pl.col("ordered_at") >= changed).then(10.0).otherwise(2.5)
        noise = pl.Series(rng.normal(0, 1.0, joined.height))
        minutes = 8.0 + 4.0 * pl.col("distance_km") + cost * pl.col("rain_mm").fill_null(0.0)
        made = joined.with_columns(minutes=(minutes + noise).clip(1.0).round(2))
        return made.select(
            "order_id",
            "minutes",
            arrived_at=(pl.col("ordered_at") + pl.duration(seconds=(pl.col("minutes") * 60).cast(pl.Int64))),
        )

    def project(self) -> Project:
        """The declarations over this world's frames."""
        orders = _source("orders", Delivery, lambda: self.orders, "ordered_at", ("order_id",))
        arrivals = _source("arrivals", Arrival, lambda: self.arrivals, "arrived_at", ("order_id",))
        sky = Source(
            "sky",
            contract=Sky,
            read=lambda: self.sky,
            event_at="seen_at",
            available_at=hours(1),
            key=("shop", "seen_at"),
            every=hours(6),
            healthy=[
                freshness_h(over=days(1)) <= 6,
                volume(over=days(1)) >= 40,
                violations_ratio(over=days(1)) <= 0.05,
                *([off_profile(over=days(1), reference=days(60)) <= 0.05] if self.profiled else []),
            ],
            policy=self.feed_policy,
        )
        views = [_sky_now(sky), _order]
        model = _model(orders, arrivals, views)
        model.policy, model.recent = self.policy, self.recent
        return Project(
            "world",
            {contract.__name__: contract for contract in (Delivery, Arrival, Sky)},
            {source.name: source for source in (orders, arrivals, sky)},
            {view.name: view for view in views},
            {model.name: model},
        )

    def requests(self, start_day: float, end_day: float) -> pl.DataFrame:
        """Orders of a stretch of days, with `_at` at the full hour before each: what a replay sends."""
        start, end = (START + timedelta(days=day) for day in (start_day, end_day))
        inside = self.orders.filter((pl.col("ordered_at") >= start) & (pl.col("ordered_at") < end))
        return inside.with_columns(_at=pl.col("ordered_at").dt.truncate("1h"))

    def labels(self) -> pl.DataFrame:
        """All arrivals as labels of a replay: key, value, known_at."""
        return self.arrivals.select(key="order_id", value="minutes", known_at="arrived_at")


def _source(
    name: str, contract: type[Contract], read: Callable[[], pl.DataFrame], event_at: str, key: tuple[str, ...]
) -> Source:
    return Source(name, contract=contract, read=read, event_at=event_at, key=key, every=days(1))


def _sky_now(sky: Source) -> FeatureView:
    @feature_view(key="shop", source=sky, ttl=hours(3), name="sky_now")
    def sky_now(s: Any) -> dict[str, Any]:
        return {"rain_mm": s.rain_mm, "wet": s.rain_mm > 0.5}

    return sky_now


@feature_view(on=Delivery, name="order")
def _order(o: Any) -> dict[str, Any]:
    return {"distance_km": o.distance_km, "shop": o.shop, "hour": o.ordered_at.hour()}


def _model(orders: Source, arrivals: Source, views: list[FeatureView]) -> type[Model]:
    class Minutes(Model):
        """Minutes from order to door."""

        purpose = "Tell the customer when to expect the delivery"
        owner = "dispatch"
        contract = Delivery
        features = views
        rows = orders
        label = Label(arrivals, "minutes", key="order_id", known_at="arrived_at", delay=hours(3))
        slices = ("shop",)
        healthy = (
            mae(over=days(7)) <= 3.0,
            mae(over=days(7), by="shop") <= 3.5,
            drift(over=days(7)).unharmful(),
            skew(over=days(1)) <= 0.0,
            latency_ms(quantile=0.99, over=days(1)) <= 500,
        )
        params = {"n_estimators": 60, "num_leaves": 15, "min_child_samples": 10}  # noqa: RUF012 - the shape users write

        def fit(self, data: TrainingData, warm_start: Any = None) -> Any:
            from lightgbm import LGBMRegressor

            fitted = LGBMRegressor(
                **data.params, random_state=data.seed, deterministic=True, force_row_wise=True, n_jobs=1, verbose=-1
            )
            return fitted.fit(data.x, data.y, init_model=warm_start)

        def search(self, trial: Any) -> dict[str, Any]:
            return {"num_leaves": trial.suggest_int("num_leaves", 4, 31)}

    return Minutes
