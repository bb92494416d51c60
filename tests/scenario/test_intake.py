"""Intake over real stores: every row once, late ones seen only from when they came, crashes harmless."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from perdure.core.settings import ProjectSettings, Settings
from perdure.stores.lake.protocols import AppTransaction
from perdure.surface.sdk import Perdure
from perdure.testing.world import START, World


def _open(world: World, folder: Path) -> Perdure:
    return Perdure(folder, Settings(project=ProjectSettings(name="world")), project=world.project())


def _at(days: float) -> datetime:
    return START + timedelta(days=days)


def _sky(perdure: Perdure) -> pl.DataFrame:
    return perdure.place.stores.lake.read("sources/sky")


def test_each_row_enters_the_lake_once_and_only_when_it_could_be_known(tmp_path: Path) -> None:
    perdure = _open(World(n_days=4), tmp_path)
    perdure.tick(at=_at(1))
    assert _sky(perdure)["_available_at"].max() == _at(1)
    perdure.tick(at=_at(1))
    perdure.tick(at=_at(2.5))
    rows = _sky(perdure)
    assert rows.height == 2 * (24 * 2.5)
    assert rows.select("shop", "seen_at").is_duplicated().sum() == 0


def test_rows_that_break_the_contract_are_quarantined_once_with_their_reasons(tmp_path: Path) -> None:
    world = World(n_days=3)
    world.sky = world.sky.with_columns(rain_mm=pl.when(pl.int_range(pl.len()) == 5).then(900.0).otherwise("rain_mm"))
    perdure = _open(world, tmp_path)
    report = perdure.tick(at=_at(1))
    assert {part.source: part.n_quarantined for part in report.ingested}["sky"] == 1
    perdure.tick(at=_at(2))
    kept = perdure.place.stores.lake.read("quarantine")
    assert kept["origin"].to_list() == ["source:sky"]
    assert "900" in kept["row"][0]
    assert "less than or equal to 100" in kept["errors"][0]


def test_a_late_row_becomes_known_when_it_came_and_not_before(tmp_path: Path) -> None:
    """A row of the past that turns up late must not be visible to joins of the time before it came."""
    world = World(n_days=3)
    whole, late = world.sky, (pl.col("shop") == "north") & (pl.col("seen_at") == _at(0.5))
    world.sky = whole.filter(~late)
    perdure = _open(world, tmp_path)
    perdure.tick(at=_at(1))
    world.sky = whole
    report = perdure.tick(at=_at(2))
    assert {part.source: part.n_late for part in report.ingested}["sky"] == 1
    found = _sky(perdure).filter(late)
    assert found["_available_at"].to_list() == [_at(2)]
    assert _sky(perdure).height == 2 * 48
    # And online, where the newer rows of the shop stay the newest.
    [view] = perdure.place.stores.online.views()
    assert perdure.place.stores.online.get(view, ["north"])["north"].event_us == int(_at(2 - 1 / 24).timestamp() * 1e6)


class _Crash(BaseException):
    """Stands for the end of the process."""


@pytest.mark.parametrize("after", [0, 1, 2])
def test_a_crash_between_intent_append_and_completion_loses_and_doubles_nothing(
    tmp_path: Path, after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The round dies before the first append, before the second, before completion; the next one goes on."""
    world = World(n_days=3)
    world.sky = world.sky.with_columns(rain_mm=pl.when(pl.int_range(pl.len()) == 3).then(900.0).otherwise("rain_mm"))
    perdure = _open(world, tmp_path)
    lake, calls = perdure.place.stores.lake, []
    append = lake.append

    def dying(table: str, frame: pl.DataFrame, *, transaction: AppTransaction | None = None) -> Any:
        calls.append(table)
        if len(calls) > after:
            raise _Crash
        version = append(table, frame, transaction=transaction)
        if len(calls) == 2:
            raise _Crash
        return version

    monkeypatch.setattr(lake, "append", dying)
    with pytest.raises(_Crash), perdure.hold_lease() as held:
        perdure.loop.intake.ingest(perdure.project.source("sky"), _at(1), held.lease)
    monkeypatch.undo()
    again = _open(world, tmp_path)
    again.tick(at=_at(2))
    rows = _sky(again)
    assert rows.height == 2 * 48 - 1
    assert rows.select("shop", "seen_at").is_duplicated().sum() == 0
    assert again.place.stores.lake.read("quarantine").height == 1


def test_online_rows_follow_domain_time_hour_by_hour(tmp_path: Path) -> None:
    perdure = _open(World(n_days=2), tmp_path)
    perdure.loop.materialise(_at(0.5))
    [view] = perdure.place.stores.online.views()
    first = perdure.place.stores.online.get(view, ["south"])["south"]
    perdure.loop.materialise(_at(0.5) + timedelta(hours=1))
    second = perdure.place.stores.online.get(view, ["south"])["south"]
    assert first.available_us == int(_at(0.5).timestamp() * 1e6)
    assert second.event_us - first.event_us == 3_600_000_000
