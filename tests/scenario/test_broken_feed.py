"""A weather feed changes its unit, goes silent, grows thin, breaks its contract: found, set aside, taken back."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from perdure.assets.health import State
from perdure.assets.policy import Policy
from perdure.assets.project import Project
from perdure.core.clock import parse_at, to_us
from perdure.core.units import hours
from perdure.loop.quarantine import (
    open_range,
    quarantined,
    recomputable,
    review,
    untainted,
    untainted_by,
    usable_rows,
)
from perdure.loop.work.ranges import read_ranges
from perdure.surface.sdk import Perdure
from perdure.testing.world import World

_PROGRAM = Path(__file__).parent / "feeding.py"


def _load() -> Any:
    spec = importlib.util.spec_from_file_location("feeding", _PROGRAM)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["feeding"] = module
    spec.loader.exec_module(module)
    return module


feeding = _load()
at, BAD, GOOD = feeding.at, feeding.BAD, feeding.GOOD


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stores of a world in which the last round before the fault is over."""
    folder = tmp_path_factory.mktemp("found")
    rounds = feeding.Rounds(folder, feeding.inches(feeding.rainy_world()))
    causes, closed = rounds.round(at(BAD))
    assert (causes, closed) == ([], [])
    rounds.close()
    return folder


def _rounds(found: Path, tmp_path: Path, world: Any = None) -> Any:
    shutil.copytree(found, tmp_path / "copy")
    return feeding.Rounds(tmp_path / "copy", world or feeding.inches(feeding.rainy_world()))


def test_a_quiet_world_is_left_alone(tmp_path: Path) -> None:
    """A round a day for two weeks, and at odd hours."""
    rounds = feeding.Rounds(tmp_path, feeding.rainy_world())
    for day in [24.0, *range(25, 38), 38.3]:
        rounds.take_in(at(day))
        assert {each.state for each in rounds.findings(at(day))} == {State.HEALTHY}
        assert rounds.causes(at(day)) == []


def test_a_new_source_is_not_judged_by_a_past_that_is_too_short(tmp_path: Path) -> None:
    rounds = feeding.Rounds(tmp_path, feeding.inches(feeding.rainy_world(), 10, 12))
    rounds.take_in(at(11))
    [profile] = [each for each in rounds.findings(at(11)) if each.reading.signal == "off_profile"]
    assert profile.state is State.UNSURE
    assert profile.reading.value is None


@pytest.mark.parametrize("bad_hours", [14, 24])
def test_some_bad_hours_tell_the_change_of_unit_and_its_first_row(found: Path, tmp_path: Path, bad_hours: int) -> None:
    start = BAD + 1 - bad_hours / 24
    rounds = _rounds(found, tmp_path, feeding.inches(feeding.rainy_world(), start, GOOD))
    now = at(BAD + 1)
    rounds.take_in(now)
    [profile, *others] = rounds.findings(now)
    assert profile.state is State.BROKEN
    assert {each.state for each in others} == {State.HEALTHY}
    [cause] = rounds.causes(now)
    assert cause.name == "unit_change"
    assert "inches instead of mm" in cause.text
    fit = cause.evidence["columns"]["rain_mm"]
    assert fit["factor"] == pytest.approx(1 / 25.4, abs=1e-6)
    assert fit["on_grid_after"] == 1.0
    # The first row that is wet: no rain is no rain in any unit.
    sky = rounds.perdure.project.sources["sky"].read.function()
    wet = sky.filter((pl.col("seen_at") >= at(start)) & (pl.col("rain_mm") > 0))["seen_at"].min()
    assert parse_at(cause.evidence["onset"]) == wet + hours(1)


def test_bad_rows_are_set_aside_in_the_round_that_finds_them_and_come_back_with_the_feed(
    found: Path, tmp_path: Path
) -> None:
    rounds = _rounds(found, tmp_path)
    rounds.perdure.loop.materialise(at(BAD + 1) - hours(1))
    served_before = rounds.online()
    causes, _ = rounds.round(at(BAD + 1))
    onset = parse_at(causes[0].evidence["onset"])
    [kept] = quarantined(rounds.place.stores.ledger, "sky")
    assert (kept.start, kept.end, kept.found_at, kept.mended_at) == (onset, None, at(BAD + 1), at(BAD + 1))
    served = rounds.online()
    assert all(event_us < to_us(onset) for _, event_us in served.values())
    assert any(event_us >= to_us(onset) for _, event_us in served_before.values())

    # While it lasts: nothing new is proposed or served, also not after a restart, and the incident stays.
    rounds.close()
    rounds = feeding.Rounds(tmp_path / "copy", feeding.inches(feeding.rainy_world()))
    for day in (BAD + 1.5, BAD + 2, GOOD):
        causes, closed = rounds.round(at(day))
        assert [cause.name for cause in causes] == ["unit_change"]
        assert parse_at(causes[0].evidence["onset"]) >= onset
        assert rounds.actions(causes, at(day)) == []
        assert closed == []
        assert rounds.online() == served

    # Right again, but not for long enough; then it is over.
    _, closed = rounds.round(at(GOOD) + hours(8))
    assert (closed, rounds.online()) == ([], served)
    causes, [closed] = rounds.round(at(GOOD + 1))
    assert causes == []
    assert closed.start == onset
    assert at(GOOD) - hours(6) < closed.end <= at(GOOD) + hours(1)
    assert all(event_us > to_us(at(GOOD)) for _, event_us in rounds.online().values())
    [kept] = quarantined(rounds.place.stores.ledger, "sky")
    assert (kept.closed_at, kept.restored_at) == (at(GOOD + 1), at(GOOD + 1))
    assert rounds.findings(at(GOOD + 1))[0].state is State.HEALTHY
    assert review(rounds.place, [rounds.source], at(GOOD + 2)) == []
    actions = [entry.action for entry in rounds.perdure.audit(limit=1000) if entry.action.startswith("quarantine.")]
    assert sorted(actions) == ["quarantine.close", "quarantine.open"]
    assert rounds.perdure.verify_ledger().intact


def test_nobody_uses_quarantined_rows_and_what_was_served_with_them(found: Path, tmp_path: Path) -> None:
    rounds = _rounds(found, tmp_path)
    rounds.round(at(BAD + 1))
    [kept] = quarantined(rounds.place.stores.ledger, "sky")
    rows = rounds.place.stores.lake.read("sources/sky")
    used = usable_rows(rounds.place, "sky", rows)
    assert used.height == rows.filter(pl.col("_available_at") < kept.start).height < rows.height
    instants = [kept.start - hours(1), kept.start, at(BAD + 1), at(BAD + 1) + hours(1)]
    served = pl.DataFrame({"served_at": instants}, schema={"served_at": pl.Datetime("us", "UTC")})
    model = rounds.perdure.project.models["minutes"]
    assert untainted(rounds.place, model, served, "served_at")["served_at"].to_list() == [instants[0], instants[3]]
    assert untainted_by(rounds.place, ["orders"], served, "served_at").height == 4
    for day in (BAD + 2, GOOD, GOOD + 1):
        rounds.round(at(day))
    [kept] = quarantined(rounds.place.stores.ledger, "sky")
    assert kept.end is not None
    later = [kept.end - hours(1), kept.end + hours(1), at(GOOD + 1) + hours(1)]
    served = pl.DataFrame({"served_at": later}, schema={"served_at": pl.Datetime("us", "UTC")})
    assert untainted(rounds.place, model, served, "served_at").height == 3
    explained = recomputable(rounds.place, ["sky"], served, "served_at")
    assert explained["served_at"].to_list() == [later[0], later[2]]
    used = usable_rows(rounds.place, "sky", rounds.place.stores.lake.read("sources/sky"))
    assert used.filter(pl.col("_available_at").is_between(kept.start, kept.end, closed="left")).is_empty()
    assert used.filter(pl.col("_available_at") >= kept.end).height > 0


def test_a_range_opened_twice_is_one_and_takes_the_earlier_start(found: Path, tmp_path: Path) -> None:
    rounds = _rounds(found, tmp_path)
    for start in (BAD - 1, BAD - 1, BAD - 0.5, BAD - 2):
        open_range(rounds.place, "sky", at(start), reason="by hand", at=at(BAD), evidence={})
    ranges = read_ranges(rounds.place.stores.ledger, "sky")
    assert [each.start for each in ranges.ranges] == [at(BAD - 2)]
    assert ranges.revision == 2


def test_a_feed_that_stops_is_waited_for_and_nothing_is_set_aside(found: Path, tmp_path: Path) -> None:
    world = feeding.rainy_world()
    world.sky = world.sky.filter(~pl.col("seen_at").is_between(at(BAD), at(BAD + 3), closed="left"))
    rounds = _rounds(found, tmp_path, world)
    causes, _ = rounds.round(at(BAD + 1))
    assert [cause.name for cause in causes] == ["stale_feed"]
    assert causes[0].evidence["silent_h"] == 24.0
    assert parse_at(causes[0].evidence["onset"]) == at(BAD)
    rounds.round(at(BAD + 2))
    assert quarantined(rounds.place.stores.ledger, "sky") == ()
    assert [entry.action for entry in rounds.perdure.audit(limit=1000)].count("feed.await") == 1
    causes, _ = rounds.round(at(BAD + 4))
    assert causes == []


def test_a_feed_that_grows_thin_tells_how_many_rows_are_usual(found: Path, tmp_path: Path) -> None:
    world = feeding.rainy_world()
    kept = (pl.col("seen_at") < at(BAD)) | (pl.col("seen_at").dt.hour() % 3 == 0)
    world.sky = world.sky.filter(kept)
    rounds = _rounds(found, tmp_path, world)
    causes, _ = rounds.round(at(BAD + 1))
    assert [cause.name for cause in causes] == ["volume_drop"]
    assert causes[0].evidence["usual"] == pytest.approx(48, abs=1)
    assert at(BAD) <= parse_at(causes[0].evidence["onset"]) <= at(BAD) + hours(4)


def test_rows_that_the_contract_refuses_are_told_by_field_and_set_aside(found: Path, tmp_path: Path) -> None:
    world = feeding.rainy_world()
    late = pl.col("seen_at") >= at(BAD + 0.5)
    broken = late & (pl.col("shop") == "north") & (pl.col("seen_at") < at(BAD + 1.5))
    world.sky = world.sky.with_columns(rain_mm=pl.when(broken).then(-1.0).otherwise("rain_mm"))
    rounds = _rounds(found, tmp_path, world)
    causes, _ = rounds.round(at(BAD + 1))
    [cause] = [each for each in causes if each.name == "contract_broken"]
    assert cause.evidence["fields"] == {"rain_mm": cause.evidence["n_bad"]}
    assert parse_at(cause.evidence["onset"]) == at(BAD + 0.5) + hours(1)
    assert quarantined(rounds.place.stores.ledger, "sky")[0].start == at(BAD + 0.5) + hours(1)
    _, closed = rounds.round(at(BAD + 1.75))
    assert closed == []
    _, [closed] = rounds.round(at(BAD + 3))
    assert at(BAD + 1.5) < closed.end <= at(BAD + 1.5) + hours(2)


def test_values_that_no_unit_explains_are_a_shift_of_the_profile(found: Path, tmp_path: Path) -> None:
    world = feeding.rainy_world()
    noise = pl.Series("noise", [(17 * n % 101) / 263.0 for n in range(world.sky.height)])
    bad = (pl.col("seen_at") >= at(BAD)) & (pl.col("rain_mm") > 0)
    world.sky = world.sky.with_columns(
        rain_mm=pl.when(bad).then(pl.col("rain_mm") + noise).otherwise(pl.col("rain_mm"))
    )
    rounds = _rounds(found, tmp_path, world)
    causes, _ = rounds.round(at(BAD + 1))
    assert [cause.name for cause in causes] == ["profile_shift"]
    assert len(quarantined(rounds.place.stores.ledger, "sky")) == 1


@pytest.mark.slow
@pytest.mark.parametrize("step", [1, 2, 4], ids=["opening", "before the online rows", "before the ledger notes them"])
def test_a_round_killed_between_ledger_and_online_rows_is_healed_by_the_next(
    found: Path, tmp_path: Path, step: int
) -> None:
    """What the next round leaves is what an undisturbed one leaves."""
    rounds = _rounds(found, tmp_path)
    rounds.round(at(BAD + 1))
    undisturbed = rounds.online()
    folder = tmp_path / "killed"
    shutil.copytree(found, folder)
    done = subprocess.run([sys.executable, _PROGRAM, folder, str(step)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (-9, "")
    rounds = feeding.Rounds(folder, feeding.inches(feeding.rainy_world()))
    n_open = len(quarantined(rounds.place.stores.ledger, "sky"))
    assert n_open == (0 if step == 1 else 1)
    assert (rounds.online() == undisturbed) is (step == 4)
    rounds.round(at(BAD + 1) + timedelta(hours=1))
    [kept] = quarantined(rounds.place.stores.ledger, "sky")
    assert (kept.end, kept.mended_at) == (None, at(BAD + 1) + timedelta(hours=1))
    assert rounds.online() == undisturbed
    assert [entry.action for entry in rounds.perdure.audit(limit=1000)].count("quarantine.open") == 1
    assert rounds.perdure.verify_ledger().intact


def test_bad_hours_that_were_missed_do_not_make_the_next_day_healthy(found: Path, tmp_path: Path) -> None:
    """Three bad hours of a day are too few to be sure; on the next day they are part of its past."""
    rounds = _rounds(found, tmp_path, feeding.inches(feeding.rainy_world(), BAD + 1 - 3 / 24, GOOD))
    assert rounds.round(at(BAD + 1))[0] == []
    causes, _ = rounds.round(at(BAD + 2))
    assert [cause.name for cause in causes] == ["unit_change"]
    assert at(BAD + 1) - hours(3) <= parse_at(causes[0].evidence["onset"]) <= at(BAD + 1)


def test_instants_of_a_range_survive_the_ledger(found: Path, tmp_path: Path) -> None:
    rounds = _rounds(found, tmp_path)
    opened = open_range(rounds.place, "sky", at(BAD), reason="by hand", at=at(BAD + 1), evidence={"n": 3})
    assert quarantined(rounds.place.stores.ledger, "sky") == (opened,)
    assert isinstance(opened.start, datetime)


@pytest.mark.parametrize("seed", [0, 1])
def test_an_incident_lasts_as_long_as_rows_are_set_aside_and_both_end(tmp_path: Path, seed: int) -> None:
    """Dry hours tell nothing of a unit, and the first bad rows were missed: neither ends it early, nor keeps it open."""
    world = World(seed=seed, n_days=40, per_day=5, feed_policy=Policy.act(), profiled=True)
    bad = pl.col("seen_at").is_between(at(24), at(27), closed="left")
    world.sky = world.sky.with_columns(rain_mm=pl.when(bad).then(pl.col("rain_mm") / 2.54).otherwise("rain_mm"))
    declared = world.project()
    project = Project(declared.name, declared.contracts, declared.sources, declared.views)
    perdure = Perdure(tmp_path, feeding.SETTINGS, project=project)
    for day in [23.0, *(24 + half / 2 for half in range(14))]:
        perdure.tick(at=at(day))
        [kept] = quarantined(perdure.place.stores.ledger, "sky") or [None]
        with perdure.place.stores.ledger.read() as session:
            incidents = session.incidents.list()
        if kept is not None and kept.closed_at is None:
            assert [each.closed_at for each in incidents] == [None]
    assert kept is not None
    assert at(26) < kept.end <= kept.closed_at <= at(29)
    [incident] = incidents
    assert kept.closed_at <= incident.closed_at <= at(30)
