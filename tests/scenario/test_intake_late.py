"""Rows that come after the instant they declare, corrections that are put back, sources that are gone."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from perdure.assets.project import Project
from perdure.assets.version import Pointer, Version
from perdure.core.errors import NotFound
from perdure.core.settings import ProjectSettings, Settings
from perdure.core.units import hours, minutes
from perdure.engines.features import FeaturePlan
from perdure.loop.work.feed import Feeds
from perdure.loop.work.skew import SkewSignal, histories
from perdure.loop.work.taken import known_until
from perdure.stores.lake.protocols import AppTransaction
from perdure.surface.sdk import Perdure
from perdure.testing.world import START, World

SETTINGS = Settings(project=ProjectSettings(name="world"))
NOON = START + hours(24)
NEWEST = (pl.col("shop") == "north") & (pl.col("seen_at") == NOON - hours(1))


def _open(world: World, folder: Path, *, every: timedelta = hours(6)) -> Perdure:
    project = world.project()
    object.__setattr__(project.source("sky"), "every", every)
    return Perdure(folder, SETTINGS, project=project)


def _rainy(world: World, value: float, until: datetime) -> pl.DataFrame:
    """The world's sky until an instant, with one value in the newest row of the north."""
    return world.sky.filter(pl.col("seen_at") <= until).with_columns(
        rain_mm=pl.when(NEWEST).then(value).otherwise("rain_mm")
    )


def _online_rain(perdure: Perdure) -> float:
    [view] = perdure.place.stores.online.views()
    return perdure.place.stores.online.get(view, ["north"])["north"].values[0]


def _offline_rain(perdure: Perdure, at: datetime) -> float:
    plan = FeaturePlan.from_views([view for view in perdure.project.views.values() if view.source is not None])
    asked = pl.DataFrame({"shop": ["north"], "_as_of": [at]}, schema_overrides={"_as_of": pl.Datetime("us", "UTC")})
    return plan.offline(asked, "_as_of", histories(perdure.place.stores.lake, plan, until=at)).frame.row(0)[0]


@pytest.mark.parametrize("restarted", [False, True])
def test_a_row_later_than_it_says_by_less_than_an_intake_is_known_online_and_offline_from_when_it_came(
    tmp_path: Path, restarted: bool
) -> None:
    """The last intake was before its declared instant, the last look after it: nobody could have used it before."""
    world = World(n_days=3)
    whole = _rainy(world, 77.0, NOON + hours(8))
    world.sky = whole.filter(pl.col("seen_at") < NOON - hours(1))
    perdure = _open(world, tmp_path)
    perdure.tick(at=NOON - minutes(20))
    perdure.tick(at=NOON + minutes(10))
    # After a restart the process has no memory of what was looked at; newer rows came with the late ones.
    world.sky = whole if restarted else whole.filter(pl.col("seen_at") <= NOON - hours(1))
    perdure = _open(world, tmp_path) if restarted else perdure
    [report] = [part for part in perdure.tick(at=NOON + minutes(30)).ingested if part.source == "sky"]
    assert (report.n_rows, report.n_late) == (2, 2)
    assert _online_rain(perdure) == 77.0
    assert _offline_rain(perdure, NOON + minutes(30)) == 77.0
    assert _offline_rain(perdure, NOON + minutes(29)) != 77.0
    assert perdure.place.stores.lake.read("sources/sky").filter(NEWEST)["_available_at"].to_list() == [
        NOON + minutes(30)
    ]
    world.sky = whole
    perdure.tick(at=NOON + hours(8))
    rows = perdure.place.stores.lake.read("sources/sky")
    assert rows.select("shop", "seen_at").is_duplicated().sum() == 0
    assert rows.height == 2 * 32


@pytest.mark.parametrize("is_late", [False, True])
def test_after_a_restart_late_rows_are_due_at_once_and_ordinary_ones_are_not(tmp_path: Path, is_late: bool) -> None:
    world = World(n_days=3)
    whole, late = world.sky, pl.col("seen_at") == NOON - hours(1)
    world.sky = whole.filter(pl.col("seen_at") < NOON - hours(1))
    perdure = _open(world, tmp_path)
    perdure.tick(at=NOON + minutes(10))
    world.sky = whole if is_late else whole.filter(~late)
    again = _open(world, tmp_path)
    sky = again.project.source("sky")
    assert again.loop.intake.due(sky, NOON + minutes(65), online=True) is is_late


def test_a_row_that_comes_between_two_looks_and_was_not_yet_known_at_the_first_is_not_late(tmp_path: Path) -> None:
    world = World(n_days=3)
    whole = world.sky
    world.sky = whole.filter(pl.col("seen_at") < NOON - hours(1))
    perdure = _open(world, tmp_path)
    perdure.tick(at=NOON - minutes(20))
    world.sky = whole
    assert [part for part in perdure.tick(at=NOON + minutes(10)).ingested if part.source == "sky"] == []
    perdure.tick(at=NOON + hours(6))
    assert perdure.place.stores.lake.read("sources/sky").filter(NEWEST)["_available_at"].to_list() == [NOON]


def test_a_source_that_shows_nothing_new_is_known_up_to_each_round_whatever_its_period_is(tmp_path: Path) -> None:
    """A feed that seldom changes does not hold up the check of what was served."""
    world = World(n_days=3)
    world.sky = world.sky.filter(pl.col("seen_at") < NOON - hours(1))
    perdure = _open(world, tmp_path, every=hours(24 * 7))
    perdure.tick(at=NOON)
    version = perdure.place.stores.lake.version("sources/sky")
    perdure.tick(at=NOON + hours(5))
    assert known_until(perdure.place.stores.ledger, "sky") == NOON + hours(5)
    assert perdure.place.stores.lake.version("sources/sky") == version


def test_looking_at_an_unchanged_source_judges_nothing_again(tmp_path: Path) -> None:
    world = World(n_days=2)
    sky, feeds = world.project().source("sky"), Feeds()
    assert feeds.rows(sky, NOON) is feeds.rows(sky, NOON + hours(1))
    assert feeds.late_at(sky) is None


@pytest.mark.parametrize("restarted", [False, True])
def test_a_correction_that_is_taken_back_is_taken_back_online_and_offline(tmp_path: Path, restarted: bool) -> None:
    world = World(n_days=2)
    original, corrected = (_rainy(world, value, NOON - hours(1)) for value in (5.0, 50.0))
    perdure = _open(world, tmp_path, every=hours(1))
    for k, frame in enumerate((original, corrected, original)):
        world.sky = frame
        perdure = _open(world, tmp_path, every=hours(1)) if restarted else perdure
        perdure.tick(at=NOON + k * hours(1))
    assert _online_rain(perdure) == 5.0
    assert [_offline_rain(perdure, NOON + k * hours(1)) for k in range(3)] == [5.0, 50.0, 5.0]
    perdure.tick(at=NOON + hours(30))
    kept = perdure.place.stores.lake.read("sources/sky")
    assert kept.filter(NEWEST).sort("_available_at")["rain_mm"].to_list() == [5.0, 50.0, 5.0]
    assert kept.height == 2 * 24 + 2


def test_an_older_revision_beside_its_correction_is_not_taken_for_one_that_was_put_back(tmp_path: Path) -> None:
    """A source that shows all its revisions, and one more late row: only that row is new."""
    world = World(n_days=2)
    first = _rainy(world, 5.0, NOON - hours(1))
    world.sky = pl.concat([first, first.filter(NEWEST).with_columns(rain_mm=pl.lit(50.0))])
    whole, late = world.sky, (pl.col("shop") == "south") & (pl.col("seen_at") == NOON - hours(5))
    world.sky = whole.filter(~late)
    perdure = _open(world, tmp_path)
    perdure.tick(at=NOON)
    world.sky = whole
    [report] = [part for part in perdure.tick(at=NOON + hours(6)).ingested if part.source == "sky"]
    assert (report.n_rows, report.n_late) == (1, 1)
    assert _online_rain(perdure) == 50.0


def _release(perdure: Perdure, requests: pl.DataFrame, history: pl.DataFrame) -> tuple[FeaturePlan, Version]:
    """A released version with the world's plan, its categories learned of the requests."""
    declared = FeaturePlan.from_views(list(perdure.project.views.values()))
    plan = declared.with_categories(declared.learn_categories(_raw(declared, requests, history)))
    version = Version("minutes@1", "minutes", "model", plan.definition(), {}, {}, {}, START)
    with perdure.place.stores.ledger.transaction(actor="test", at=START) as session:
        session.registry.put_version(version)
        session.pointers.set([Pointer("minutes", "champion", version.id)])
    return plan, version


def _raw(plan: FeaturePlan, requests: pl.DataFrame, history: pl.DataFrame) -> pl.DataFrame:
    return plan.offline(requests.with_columns(_as_of="ordered_at"), "_as_of", {"sky": history}).frame


def _serve(perdure: Perdure, plan: FeaturePlan, requests: pl.DataFrame, history: pl.DataFrame) -> None:
    """Captures of the requests, each answered at its instant with what the history had by then."""
    rows = [
        f'{{"order_id":"{row["order_id"]}","shop":"{row["shop"]}","distance_km":{row["distance_km"]},'
        f'"ordered_at":"{row["ordered_at"].isoformat()}"}}'
        for row in requests.to_dicts()
    ]
    captures = pl.DataFrame(
        {
            "prediction_id": requests["order_id"],
            "key": requests["order_id"],
            "version": "minutes@1",
            "arm": "champion",
            "served_at": requests["ordered_at"],
            "row": rows,
            "features": pl.Series(plan.encode(_raw(plan, requests, history)).tolist(), dtype=pl.List(pl.Float32)),
        }
    )
    perdure.place.stores.lake.append("captures/minutes", captures, transaction=AppTransaction("drain", 1))


def test_what_was_served_ahead_of_the_lake_is_checked_when_the_lake_has_caught_up(tmp_path: Path) -> None:
    """Online rows are newer than the last intake: not a skew, and no served row stays unchecked."""
    world = World(n_days=3)
    world.sky = world.sky.with_columns(rain_mm=pl.int_range(pl.len()).mod(24).cast(pl.Float64))
    perdure = _open(world, tmp_path)
    perdure.tick(at=NOON)
    history = Feeds().rows(perdure.project.source("sky")).good
    requests = world.orders.filter(pl.col("ordered_at").is_between(NOON, NOON + hours(20), closed="left"))
    plan, _ = _release(perdure, requests, history)
    _serve(perdure, plan, requests, history)
    [watched] = [asset for asset in perdure.loop._watched if asset.name == "minutes"]
    [spec] = [objective.spec for objective in watched.healthy if objective.spec.signal == "skew"]
    place, signal = perdure.place, SkewSignal()
    assert signal.observe(place, watched, spec, NOON + hours(3)) == []
    checked = []
    with perdure.hold_lease() as held:
        for hour in (7, 10, 14, 20):
            if hour != 10:
                perdure.loop.intake.ingest(perdure.project.source("sky"), NOON + hours(hour), held.lease)
            [reading] = signal.observe(place, watched, spec, NOON + hours(hour))
            place.stores.readings.put([reading])
            checked.append((reading.n, reading.facts["n_mismatched"], reading.window_end))
    ends = [NOON + hours(hour) for hour in (7, 7, 14, 20)]
    assert [end for _, _, end in checked] == ends
    assert [n for n, _, _ in checked] == [requests.filter(pl.col("ordered_at") < end).height for end in ends]
    assert sum(n_mismatched for _, n_mismatched, _ in checked) == 0


def test_a_window_of_skew_begins_where_the_last_one_ended_when_the_lake_lagged_for_longer_than_a_window(
    tmp_path: Path,
) -> None:
    world = World(n_days=5)
    perdure = _open(world, tmp_path)
    perdure.tick(at=NOON)
    history = Feeds().rows(perdure.project.source("sky")).good
    requests = world.orders.filter(pl.col("ordered_at").is_between(START, NOON + hours(72), closed="left"))
    plan, _ = _release(perdure, requests, history)
    _serve(perdure, plan, requests, history)
    [watched] = [asset for asset in perdure.loop._watched if asset.name == "minutes"]
    [spec] = [objective.spec for objective in watched.healthy if objective.spec.signal == "skew"]
    [first] = SkewSignal().observe(perdure.place, watched, spec, NOON)
    perdure.place.stores.readings.put([first])
    with perdure.hold_lease() as held:
        perdure.loop.intake.ingest(perdure.project.source("sky"), NOON + hours(72), held.lease)
    [second] = SkewSignal().observe(perdure.place, watched, spec, NOON + hours(72))
    assert (first.window_end, second.window_start) == (NOON, NOON)
    assert first.n + second.n == requests.height


def test_a_released_view_whose_source_is_gone_is_told_when_the_rest_of_the_round_is_done(tmp_path: Path) -> None:
    world = World(n_days=3)
    perdure = _open(world, tmp_path)
    perdure.tick(at=NOON)
    history = Feeds().rows(perdure.project.source("sky")).good
    _release(perdure, world.orders.head(20), history)
    whole = perdure.project
    sources = {name: source for name, source in whole.sources.items() if name != "sky"}
    views = {name: view for name, view in whole.views.items() if view.source is None}
    without = Project("world", whole.contracts, sources, views, whole.models)
    again = Perdure(tmp_path, SETTINGS, project=without)
    for day in (1, 2):
        with pytest.raises(NotFound, match="reads source 'sky', which is not declared any more"):
            again.tick(at=NOON + hours(24 * day))
        newest = again.place.stores.lake.read("sources/orders")["_available_at"].max()
        assert NOON + hours(24 * day - 2) < newest <= NOON + hours(24 * day)
        with again.place.stores.ledger.read() as session:
            assert len(session.cursors.get("observed/model/minutes")) == len(whole.model("minutes").healthy)
