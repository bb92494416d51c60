"""A fault of the weather feed, made on purpose: the demo plants it and says so wherever its effects are told.

For two weeks the feed reports wind in km/h instead of mph; some days after that it stops for three days.
Nothing of perdure knows of it. The demo tells the deployments' processes by the environment variable
`FLIGHTS_FAULT`, and keeps the injector's own record of what it did, against which the loop is counted.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

VARIABLE = "FLIGHTS_FAULT"
"""Environment variable with the fault as JSON; without it the feed is as it really was."""
COLUMNS = ("wind_mph", "gust_mph")
KM_H_IN_A_MPH = 1.609344
KEY = ("origin", "observed_at")
WEATHER = ("temperature_f", "humidity", "wind_mph", "pressure_mb")
"""Features that are an observation's values as they are; together they tell one observation from another."""


@dataclass(frozen=True, slots=True)
class Fault:
    """When the feed is wrong, and when it is silent; by the instant of the observation."""

    onset: datetime = datetime(2013, 10, 7, 5, tzinfo=UTC)
    """An hour past midnight in New York. The one place where the date stands."""
    wrong_for: timedelta = timedelta(days=14)
    stop_after: timedelta = timedelta(days=18)
    """From the onset to the stop of the feed."""
    silent_for: timedelta = timedelta(days=3)

    @property
    def stretches(self) -> list[tuple[str, datetime, datetime]]:
        """What is wrong, from when, until when."""
        stop = self.onset + self.stop_after
        return [
            ("km/h instead of mph", self.onset, self.onset + self.wrong_for),
            ("stop", stop, stop + self.silent_for),
        ]

    def as_json(self) -> str:
        """What `FLIGHTS_FAULT` holds."""
        seconds = {name: getattr(self, name).total_seconds() for name in ("wrong_for", "stop_after", "silent_for")}
        return json.dumps({"onset": self.onset.isoformat(), **seconds})

    @classmethod
    def from_json(cls, text: str) -> Fault:
        """The fault that `as_json` wrote."""
        told = json.loads(text)
        onset = datetime.fromisoformat(told.pop("onset"))
        return cls(onset, **{name: timedelta(seconds=value) for name, value in told.items()})


def inject(weather: pl.DataFrame, fault: Fault) -> tuple[pl.DataFrame, list[dict[str, Any]]]:
    """The weather with the fault in it, and the record of what was done.

    Args:
        weather: observations with `origin`, `observed_at`, `wind_mph` and `gust_mph`.
        fault: when.

    Returns:
        The frame, and for each stretch `kind`, `onset`, `end`, `columns`, `factor` (None: the rows are left
        out), `rows` and the `keys` of these rows: origin and instant.
    """
    (_, onset, wrong_until), (_, stop, silent_until) = fault.stretches
    wrong = pl.col("observed_at").is_between(onset, wrong_until, closed="left")
    silent = pl.col("observed_at").is_between(stop, silent_until, closed="left")
    changed = [pl.when(wrong).then(pl.col(name) * KM_H_IN_A_MPH).otherwise(name).alias(name) for name in COLUMNS]
    record = [
        _told("km/h instead of mph", (onset, wrong_until), weather.filter(wrong), list(COLUMNS), KM_H_IN_A_MPH),
        _told("stop", (stop, silent_until), weather.filter(silent), [], None),
    ]
    return weather.with_columns(changed).filter(~silent), record


def _told(
    kind: str, stretch: tuple[datetime, datetime], rows: pl.DataFrame, columns: list[str], factor: float | None
) -> dict[str, Any]:
    start, end = stretch
    return {
        "kind": kind,
        "onset": start.isoformat(),
        "end": end.isoformat(),
        "columns": columns,
        "factor": factor,
        "rows": rows.height,
        "keys": [[origin, at.isoformat()] for origin, at in rows.select(KEY).iter_rows()],
    }


def injected_keys(record: list[dict[str, Any]]) -> pl.DataFrame:
    """Keys of the rows whose values were changed: origin, observed_at."""
    keys = [key for part in record if part["factor"] is not None for key in part["keys"]]
    return pl.DataFrame(
        {"origin": [key[0] for key in keys], "observed_at": [datetime.fromisoformat(key[1]) for key in keys]},
        schema={"origin": pl.String, "observed_at": pl.Datetime("us", "UTC")},
    )


def n_rows_touched(rows: pl.DataFrame, weather: pl.DataFrame, injected: pl.DataFrame) -> int:
    """Rows that were answered with an injected observation: of their airport, known by then, and equal in value.

    Values tell it, not the time alone: once the feed is set aside, a flight of those days is answered with the last
    good observation, and is as good to learn from as any.

    Args:
        rows: `origin`, `as_of`, and the features of `WEATHER` as they were served, float32, null where missing.
        weather: the observations as the feed showed them; each could be known an hour later.
        injected: keys of the injected ones.
    """
    wrong = weather.join(injected, on=KEY, how="semi").select(
        "origin", pl.col(WEATHER).cast(pl.Float32), known=pl.col("observed_at") + pl.duration(hours=1)
    )
    met = rows.with_row_index("row").join(wrong, on=["origin", *WEATHER], how="inner", nulls_equal=True)
    return met.filter(pl.col("known") <= pl.col("as_of"))["row"].n_unique()
