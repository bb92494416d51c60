"""The toy kind: four honest recipes, each deterministic."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from perdure.assets.health import Comparison, Finding, State
from perdure.assets.project import Project
from perdure.assets.repair import Action, Trial
from perdure.assets.version import Version
from perdure.core.errors import NotFound, NotReady
from perdure.core.settings import Settings
from perdure.core.units import days, hours
from perdure.surface.sdk import Perdure
from perdure.testing.toy import TOY, Closer, Gauge, Level, Loads, Moved, Recalibrate, level, toy_kind, watch

T0 = datetime(2025, 1, 1, tzinfo=UTC)
DAY = level(over=days(1))


@pytest.fixture
def place(tmp_path):
    return Perdure(tmp_path, Settings(), project=Project("toys")).place


def gauge(*values, target=20.0, margin=1.0):
    return watch(Gauge("boiler", [(T0 + hours(n), each) for n, each in enumerate(values)], target, margin), DAY <= 25.0)


def broken(place, asset, now):
    [reading] = Level().observe(place, asset, DAY, now)
    return [Finding("boiler", "level over 1d <= 25", State.BROKEN, reading)]


def repaired(place, asset, now):
    """Candidates of a whole correction."""
    action = Action("recalibrate", "correct wholly", params={"gain": 1.0})
    return Recalibrate().repair(place, asset, action, "step", now)


def test_points_may_be_a_mapping_or_pairs_in_any_order(place):
    pairs = [(T0 + hours(2), 7.0), (T0 + hours(1), 5.0)]
    for points in (pairs, dict(pairs)):
        [reading] = Level().observe(place, watch(Gauge("boiler", points)), DAY, T0 + hours(3))
        assert (reading.value, reading.n) == (7.0, 2)


def test_a_window_takes_its_end_in_and_leaves_its_beginning_out(place):
    asset = gauge(1.0, 2.0, 3.0)
    two = level(over=hours(2))
    [reading] = Level().observe(place, asset, two, T0 + hours(2))
    assert (reading.value, reading.n) == (3.0, 2)
    assert Level().observe(place, asset, two, T0 + hours(4)) == []


def test_a_gauge_that_moved_further_than_its_margin_has_a_cause(place):
    asset, now = gauge(20.0, 22.0, 30.0), T0 + hours(2)
    cause = Moved().weigh(place, asset, broken(place, asset, now), now)
    assert cause is not None
    assert (cause.evidence["moved_by"], cause.weight) == (10.0, 0.9)


def test_a_steady_gauge_and_healthy_findings_have_no_cause(place):
    asset, now = gauge(30.0, 30.5), T0 + hours(1)
    assert Moved().weigh(place, asset, broken(place, asset, now), now) is None
    assert Moved().weigh(place, asset, [], now) is None


def test_a_repair_that_is_done_again_makes_the_same_candidate(place):
    asset, now = gauge(20.0, 30.0), T0 + hours(1)
    first = repaired(place, asset, now)
    assert repaired(place, asset, now + hours(5)) == first
    with place.stores.ledger.read() as session:
        [version] = session.registry.list_versions("boiler")
    assert (version.definition, version.created_at) == ({"offset": -10.0}, now)


def test_a_gauge_that_showed_nothing_has_no_candidate_and_no_verdict(place):
    asset = gauge(20.0)
    assert Recalibrate().propose(place, asset, [], T0 - hours(1)) == []
    assert repaired(place, asset, T0 - hours(1)) == []
    [candidate] = repaired(place, asset, T0)
    with pytest.raises(NotReady):
        Closer().judge(place, asset, Trial(candidate, None), T0 - hours(1))


def test_the_gate_tells_better_worse_and_not_enough_apart(place):
    at_30, at_21 = T0, T0 + hours(1)
    asset = gauge(30.0, 21.0)
    [for_30] = repaired(place, asset, at_30)
    [for_21] = repaired(place, asset, at_21)
    found = {
        (candidate, incumbent): Closer().judge(place, asset, Trial(candidate, incumbent), at_30).comparison
        for candidate, incumbent in [(for_30, None), (for_21, for_30), (for_21, None)]
    }
    assert list(found.values()) == [Comparison.BETTER, Comparison.WORSE, Comparison.NOT_ENOUGH_EVIDENCE]


def test_an_unknown_candidate_is_not_found(place):
    with pytest.raises(NotFound):
        Closer().judge(place, gauge(20.0), Trial("boiler@nothing", None), T0)


def test_after_a_release_it_is_enough_not_to_be_worse(place):
    asset = gauge(20.0, 20.5)
    [at_20], [at_20_5] = (repaired(place, asset, T0 + hours(hour)) for hour in (0, 1))
    passed = {
        stage: Closer().judge(place, asset, Trial(at_20, at_20_5, stage), T0).passed
        for stage in ("verify", "shadow", "canary", "watch")
    }
    assert passed == {"verify": False, "shadow": True, "canary": True, "watch": True}


@pytest.mark.parametrize(("offset", "sound"), [(0.0, True), ("gone", False), (None, False)])
def test_the_way_back_is_proved_by_the_version_that_is_gone_back_to(place, offset, sound):
    """In a verification that is the incumbent, in a rollback the trial's candidate."""
    version = Version("boiler@old", "boiler", TOY, {"offset": offset}, {}, {}, {}, T0, "test")
    with place.stores.ledger.transaction(actor="test", at=T0) as session:
        session.registry.put_version(version)
    for trial in (Trial("boiler@new", "boiler@old", "verify"), Trial("boiler@old", "boiler@new", "rollback")):
        assert Loads().judge(place, gauge(20.0), trial, T0).passed is sound


def test_a_gauge_proposes_an_action_a_gain(place):
    asset = watch(Gauge("boiler", [(T0, 30.0)], 20.0, 1.0, gains=(1.0, 0.5)), DAY <= 25.0)
    actions = Recalibrate().propose(place, asset, [], T0)
    assert [action.key for action in actions] == ["recalibrate gain=1.0", "recalibrate gain=0.5"]
    candidates = [Recalibrate().repair(place, asset, action, "step", T0) for action in actions]
    with place.stores.ledger.read() as session:
        offsets = [session.registry.get_version(candidate).definition["offset"] for [candidate] in candidates]
    assert offsets == [-10.0, -5.0]


def test_the_kind_has_one_recipe_of_each_sort():
    kind = toy_kind()
    assert (list(kind.signals), [each.name for each in (*kind.causes, *kind.remedies, *kind.gates)]) == (
        ["level"],
        ["moved", "recalibrate", "closer", "loads"],
    )
