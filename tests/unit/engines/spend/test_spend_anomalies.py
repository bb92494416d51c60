from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from perdure.core.errors import NotFound
from perdure.core.usage import PICO
from perdure.engines.spend import Rule, anomalies

START = datetime(2026, 3, 2, tzinfo=UTC)  # a Monday
WEEK = timedelta(days=7)
JUDGED = (START + 4 * WEEK, START + 5 * WEEK)


def traffic(seed: int, weeks: int = 5, busy: float = 40.0, team: str = "care", jitter: float = 0.1) -> pl.DataFrame:
    """Calls by a daily and weekly rhythm; hours vary with their calls, whose costs are skewed, and days among themselves."""
    rng = np.random.default_rng(seed)
    hours = np.arange(weeks * 168)
    rhythm = 0.1 + np.maximum(0.0, np.sin((hours % 24 - 6) / 24 * 2 * np.pi))
    weekend = np.where(hours % 168 >= 120, 0.2, 1.0)
    by_day = np.repeat(rng.lognormal(0.0, jitter, weeks * 7), 24)
    n_calls = rng.poisson(busy * rhythm * weekend * by_day)
    hour = np.repeat(hours, n_calls)
    seconds = hour * 3600 + rng.integers(0, 3600, len(hour))
    cost = rng.lognormal(-2.5, 0.9, len(hour))
    return frame([START + timedelta(seconds=int(each)) for each in seconds], cost, team)


def frame(at: list[datetime], usd, team: str = "care") -> pl.DataFrame:
    return pl.DataFrame(
        {
            "served_at": pl.Series(at, dtype=pl.Datetime("us", "UTC")),
            "team": pl.Series([team] * len(at), dtype=pl.String),
            "cost_pusd": pl.Series([int(each * PICO) for each in usd], dtype=pl.Int64),
        }
    )


@pytest.fixture(scope="module")
def quiet() -> list[pl.DataFrame]:
    return [traffic(seed) for seed in range(12)]


@pytest.mark.parametrize(("busy", "jitter"), [(0.5, 0.1), (4.0, 0.1), (40.0, 0.25), (200.0, 0.25)])
def test_quiet_traffic_raises_at_most_one_false_alarm_in_a_thousand_hours(busy, jitter):
    worlds = [traffic(100 + seed, busy=busy, jitter=jitter) for seed in range(12)]
    n_told = sum(anomalies(each, *JUDGED, rule=Rule(least_usd=0.0)).height for each in worlds)
    assert n_told <= len(worlds) * 168 / 1000


@pytest.mark.parametrize(("day", "hour"), [(1, 13), (2, 3), (5, 12)])
def test_a_planted_burst_is_found_in_its_hour_by_day_by_night_and_at_the_weekend(quiet, day, hour):
    at = JUDGED[0] + timedelta(days=day, hours=hour)
    for each in quiet:
        expected = each.filter(pl.col("served_at").dt.truncate("1h") == at - WEEK)["cost_pusd"].sum() / PICO
        burst = frame([at + timedelta(minutes=minute) for minute in range(60)], [(10.0 + 3 * expected) / 60] * 60)
        told = anomalies(pl.concat([each, burst]), *JUDGED)
        assert told["hour"].to_list()[0] == at
        assert told["score"][0] > 6
        assert told["cost_usd"][0] > told["expected_usd"][0] + 9


def test_what_is_usual_on_a_monday_is_an_anomaly_on_a_sunday(quiet):
    monday_noon = JUDGED[0] + timedelta(hours=12)
    moved = quiet[0].filter(pl.col("served_at").dt.truncate("1h") == monday_noon)
    sunday = moved.with_columns(pl.col("served_at") + timedelta(days=6))
    assert monday_noon not in anomalies(quiet[0], *JUDGED)["hour"]
    told = anomalies(pl.concat([quiet[0], sunday]), *JUDGED, rule=Rule(threshold=4.0))
    assert told["hour"].to_list() == [monday_noon + timedelta(days=6)]


def test_traffic_that_stops_at_noon_is_told_as_too_little():
    noon = JUDGED[0] + timedelta(days=1, hours=12)
    busy = traffic(3, busy=400.0)
    told = anomalies(busy.filter(pl.col("served_at").dt.truncate("1h") != noon), *JUDGED)
    assert told["hour"].to_list() == [noon]
    assert told["score"][0] < -6
    assert told["cost_usd"][0] == 0.0


def test_an_anomaly_of_last_week_does_not_hide_the_one_of_today(quiet):
    at = JUDGED[0] + timedelta(days=1, hours=13)
    bursts = frame([at, at - WEEK], [60.0, 60.0])
    assert anomalies(pl.concat([quiet[0], bursts]), *JUDGED)["hour"].to_list() == [at]


def test_groups_are_judged_by_themselves(quiet):
    at = JUDGED[0] + timedelta(days=2, hours=3)
    small = traffic(5, busy=4.0, team="small")
    calls = pl.concat([traffic(6, busy=4_000.0), small, frame([at], [30.0], "small")])
    assert anomalies(calls, *JUDGED, by=["team"]).select("hour", "team").rows() == [(at, "small")]
    assert anomalies(calls, *JUDGED).is_empty(), "lost in the sum"


def test_a_group_without_history_is_not_judged_until_it_has_some():
    young = traffic(7).filter(pl.col("served_at") >= JUDGED[0] - timedelta(days=13))
    burst = frame([JUDGED[0] + timedelta(hours=2)], [500.0])
    calls = pl.concat([young, burst])
    assert anomalies(calls, *JUDGED).is_empty()
    assert anomalies(calls, *JUDGED, rule=Rule(history_weeks=1)).height == 1


def test_a_small_sum_is_not_told_however_far_off():
    calls = frame([START + timedelta(hours=hour) for hour in range(5 * 168)], [0.001] * (5 * 168))
    calls = pl.concat([calls, frame([JUDGED[0]], [0.5])])
    assert anomalies(calls, *JUDGED).is_empty()
    assert anomalies(calls, *JUDGED, rule=Rule(least_usd=0.1)).height == 1


def test_an_hour_that_is_not_over_and_calls_of_unknown_price_are_not_judged():
    end = JUDGED[0] + timedelta(hours=5, minutes=30)
    burst = frame([end - timedelta(minutes=10)], [900.0])
    unknown = burst.with_columns(pl.lit(None, pl.Int64).alias("cost_pusd"), pl.lit(JUDGED[0]).alias("served_at"))
    unknown = unknown.with_columns(pl.col("served_at").cast(pl.Datetime("us", "UTC")))
    calls = pl.concat([traffic(8), burst, unknown]).filter(pl.col("served_at") < end)
    assert anomalies(calls, JUDGED[0], end).is_empty()


def test_no_calls_have_no_anomalies_and_an_unknown_dimension_is_said():
    assert anomalies(frame([], []), *JUDGED).is_empty()
    assert anomalies(frame([], []), *JUDGED, by=["team"]).columns[1] == "team"
    with pytest.raises(NotFound):
        anomalies(frame([], []), *JUDGED, by=["teem"])
