"""Intake when sources misbehave: changed, shrunk, replaced between two steps; a ledger that is younger than the lake."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from perdure.core.settings import ProjectSettings, Settings
from perdure.surface.sdk import Perdure
from perdure.testing.world import START, World

KEY = ["shop", "seen_at"]


def _open(world: World, folder: Path) -> Perdure:
    return Perdure(folder, Settings(project=ProjectSettings(name="world")), project=world.project())


def _at(days: float) -> datetime:
    return START + timedelta(days=days)


def _sky(perdure: Perdure) -> pl.DataFrame:
    return perdure.place.stores.lake.read("sources/sky")


def _is(shop: str, day: float) -> pl.Expr:
    return (pl.col("shop") == shop) & (pl.col("seen_at") == _at(day))


def _with_rain(world: World, row: pl.Expr, rain: float) -> pl.DataFrame:
    return world.sky.with_columns(rain_mm=pl.when(row).then(rain).otherwise("rain_mm"))


def _report(perdure: Perdure, day: float):
    [sky] = [part for part in perdure.tick(at=_at(day)).ingested if part.source == "sky"]
    return sky


def test_a_changed_row_is_kept_beside_the_old_one_and_known_from_when_it_was_found(tmp_path: Path) -> None:
    world = World(n_days=3)
    perdure, row = _open(world, tmp_path), _is("north", 0.5)
    perdure.tick(at=_at(1))
    before = _sky(perdure).filter(row)["rain_mm"].item()
    world.sky = _with_rain(world, row, 77.0)
    assert _report(perdure, 2).n_late == 1
    kept = _sky(perdure).filter(row).sort("_available_at")
    assert kept["rain_mm"].to_list() == [before, 77.0]
    assert kept["_available_at"].to_list() == [_at(0.5 + 1 / 24), _at(2)]
    assert _report(perdure, 2.5).n_late == 0


def test_a_late_row_is_found_although_the_source_has_fewer_rows_than_before(tmp_path: Path) -> None:
    """A file that keeps its newest rows only: rows went, and one of the past came."""
    world = World(n_days=4)
    whole, late = world.sky, _is("south", 0.75)
    world.sky = whole.filter(~late)
    perdure = _open(world, tmp_path)
    perdure.tick(at=_at(1))
    world.sky = whole.filter(pl.col("seen_at") >= _at(0.5))
    assert _report(perdure, 2).n_late == 1
    rows = _sky(perdure)
    assert rows.height == 2 * 48
    assert rows.filter(late)["_available_at"].to_list() == [_at(2)]


def test_rows_that_a_source_forgets_stay_known(tmp_path: Path) -> None:
    world = World(n_days=4)
    whole = world.sky
    perdure = _open(world, tmp_path)
    perdure.tick(at=_at(1))
    world.sky = whole.head(0)
    assert _report(perdure, 2).n_rows == 0
    world.sky = whole
    again = _report(perdure, 3)
    assert (again.n_rows, again.n_late) == (2 * 48, 2 * 24)
    assert _sky(perdure).select(KEY).is_duplicated().sum() == 0


def test_a_round_of_the_past_takes_nothing_in_again(tmp_path: Path) -> None:
    world = World(n_days=4)
    perdure = _open(world, tmp_path)
    perdure.tick(at=_at(2))
    sky = perdure.project.source("sky")
    with perdure.hold_lease() as held:
        assert perdure.loop.intake.ingest(sky, _at(1), held.lease).n_rows == 0
    perdure.tick(at=_at(3))
    assert _sky(perdure).height == 2 * 72
    assert _sky(perdure).select(KEY).is_duplicated().sum() == 0


class _Crash(BaseException):
    """Stands for the end of the process."""


@pytest.mark.parametrize("appended", [False, True])
def test_a_source_that_changes_between_a_crash_and_its_repair_loses_and_doubles_nothing(
    tmp_path: Path, appended: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The repair repeats a batch whose number the table may know already: what came meanwhile must not go with it."""
    world = World(n_days=3)
    whole, late = world.sky, _is("north", 0.25)
    world.sky = whole.filter(~late)
    perdure = _open(world, tmp_path)
    lake = perdure.place.stores.lake
    append = lake.append

    def dying(*args, **kwargs):
        if appended:
            append(*args, **kwargs)
        raise _Crash

    monkeypatch.setattr(lake, "append", dying)
    with pytest.raises(_Crash), perdure.hold_lease() as held:
        perdure.loop.intake.ingest(perdure.project.source("sky"), _at(1), held.lease)
    monkeypatch.undo()
    world.sky = whole
    again = _open(world, tmp_path)
    for day in (1, 1.5, 2):
        again.tick(at=_at(day))
    rows = _sky(again)
    assert rows.height == 2 * 48
    assert rows.select(KEY).is_duplicated().sum() == 0


def test_a_new_ledger_over_an_old_lake_takes_in_what_is_missing_and_nothing_twice(tmp_path: Path) -> None:
    """The ledger was lost: its cursors and batch numbers begin anew, the table's do not.

    Its lease's epochs begin anew too, so the online rows, which are fenced by them, are to be made anew as well.
    """
    world = World(n_days=4)
    world.sky = _with_rain(world, _is("north", 0.5), 900.0)
    perdure = _open(world, tmp_path)
    for day in (1, 1.5):
        perdure.tick(at=_at(day))
    perdure.place.stores.ledger.close()
    for name in ("ledger", "online"):
        for path in (tmp_path / ".perdure").glob(f"{name}.db*"):
            path.unlink()
    again = _open(world, tmp_path)
    assert _report(again, 3).n_rows == 2 * 36
    again.tick(at=_at(3.5))
    rows = _sky(again)
    assert rows.height == 2 * 84 - 1
    assert rows.select(KEY).is_duplicated().sum() == 0
    assert again.place.stores.lake.read("quarantine").height == 1


def _online_rain(perdure: Perdure) -> float:
    [view] = perdure.place.stores.online.views()
    return perdure.place.stores.online.get(view, ["north"])["north"].values[0]


@pytest.mark.parametrize("restarted", [False, True])
def test_online_and_offline_agree_on_when_a_changed_row_became_known(tmp_path: Path, restarted: bool) -> None:
    """The newest row is corrected between two intakes: served from the next intake on, not before, also after a restart."""
    world = World(n_days=4)
    perdure, row = _open(world, tmp_path), _is("north", 1 - 1 / 24)
    perdure.tick(at=_at(1))
    before = _online_rain(perdure)
    world.sky = _with_rain(world, row, 77.0)
    if restarted:
        perdure = _open(world, tmp_path)
    perdure.loop.materialise(_at(1))
    assert _online_rain(perdure) == before
    world.sky = world.sky.filter(pl.col("seen_at") <= _at(1 - 1 / 24))  # nothing newer came since
    perdure.tick(at=_at(1.25))
    assert _online_rain(perdure) == 77.0
    [view] = perdure.place.stores.online.views()
    known = perdure.place.stores.online.get(view, ["north"])["north"].available_us
    assert known == int(_at(1.25).timestamp() * 1e6)
    assert _sky(perdure).filter(row)["_available_at"].max() == _at(1.25)


def test_online_rows_follow_an_instant_before_what_was_taken_in(tmp_path: Path) -> None:
    """A model is trained at day 2, and traffic is replayed from day 1 on."""
    perdure = _open(World(n_days=3), tmp_path)
    with perdure.hold_lease() as held:
        perdure.loop.intake.ingest(perdure.project.source("sky"), _at(2), held.lease)
    for day in (1, 1.5):
        perdure.loop.materialise(_at(day))
        [view] = perdure.place.stores.online.views()
        newest = perdure.place.stores.online.get(view, ["north"])["north"]
        assert newest.available_us == int(_at(day).timestamp() * 1e6)


def test_a_late_row_that_another_process_took_in_goes_online_too(tmp_path: Path) -> None:
    world = World(n_days=4)
    perdure, row = _open(world, tmp_path), _is("north", 1 - 1 / 24)
    perdure.tick(at=_at(1))
    world.sky = _with_rain(world, row, 77.0).filter(pl.col("seen_at") <= _at(1 - 1 / 24))
    with _open(world, tmp_path).hold_lease() as held:
        other = _open(world, tmp_path)
        other.loop.intake.ingest(other.project.source("sky"), _at(1.25), held.lease)
    perdure.tick(at=_at(1.3))
    assert _online_rain(perdure) == 77.0


def test_a_contract_that_gains_a_field_takes_no_row_in_twice(tmp_path: Path) -> None:
    """Its table lacks the field, so rows are compared by those it has."""
    from perdure.assets.contract import Contract
    from perdure.assets.project import Project
    from perdure.assets.source import Source
    from perdure.core.units import hours

    class Old(Contract):
        name: str
        at: datetime

    class New(Contract):
        name: str
        at: datetime
        colour: str | None = None

    frame = pl.DataFrame({"name": ["a", "b"], "at": [_at(0), _at(2)]})

    def opened(contract: type[Contract], rows: pl.DataFrame) -> Perdure:
        source = Source("things", contract=contract, read=lambda: rows, event_at="at", every=hours(1))
        return Perdure(tmp_path, Settings(), project=Project("p", sources={"things": source}))

    opened(Old, frame).tick(at=_at(1))
    wider = frame.with_columns(colour=pl.lit("red"))
    opened(New, wider).tick(at=_at(3))
    rows = opened(New, wider).place.stores.lake.read("sources/things").sort("at")
    assert rows["name"].to_list() == ["a", "b"]
    assert rows["colour"].to_list() == [None, "red"]
