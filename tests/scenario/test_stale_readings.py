"""After a release the loop acts on what is measured of the version that answers, and not on what was measured of the one before."""

from __future__ import annotations

import pytest
from gauges import AT_ONCE, T0, Plant, boiler
from prompting import BASE, GOOD, PromptWorld, score

from perdure.assets.objective import Objective
from perdure.assets.policy import Policy
from perdure.assets.version import CHAMPION, SHADOW, Pointer
from perdure.core.units import days, hours
from perdure.loop.observe import newest_findings
from perdure.testing.toy import level, watch

pytestmark = pytest.mark.scenario


def weekly(*more: Objective):
    """A gauge that is measured once a day, whose repairs are released at once and need no rest between them."""
    policy = Policy.act(ramp=AT_ONCE, watch=hours(1), cool_down=hours(0))
    return watch(boiler(), level(over=days(7)) <= 23.0, *more, policy=policy)


def test_no_second_repair_is_begun_by_a_reading_of_the_version_before(tmp_path):
    plant = Plant(tmp_path, [weekly()])
    plant.release("boiler")
    reports = plant.run(2, 6, 1 / 24)
    assert plant.outcomes() == ["released"]
    assert [choice for _, choice in plant.decisions()] == ["repair"]
    [incident] = plant.incidents()
    assert incident.closed_at is not None
    assert sum(len(each.findings) for each in reports) == 5, (
        "two of the old version, and of the new one at once and each day"
    )


def test_what_was_measured_of_a_version_is_measured_again_as_soon_as_another_one_answers(tmp_path):
    plant = Plant(tmp_path, [weekly()])
    plant.release("boiler")
    assert len(plant.tick(1).findings) == 1
    assert plant.tick(1.25).findings == []
    second = plant.release("boiler", 1.0, T0 + days(1.3))
    assert [each.reading.version for each in plant.tick(1.5).findings] == [second]
    assert plant.tick(1.75).findings == []


def test_readings_are_findings_as_long_as_their_version_has_a_share(tmp_path):
    """A challenger answers, a shadow does not; a version that answers again brings its readings back."""
    asset = weekly()
    plant = Plant(tmp_path, [asset])
    first = plant.release("boiler")
    plant.tick(1)
    now, ledger = T0 + days(1.5), plant.place.stores.ledger

    def known(**pointers):
        moves = [Pointer("boiler", name, version, share) for name, (version, share) in pointers.items()]
        gone = [("boiler", name) for name in plant.pointers() if name not in pointers]
        with ledger.transaction(actor="ann", at=now, reason="move") as session:
            session.pointers.set(moves, remove=gone)
        return [each.reading.version for each in newest_findings(plant.place, asset, now)]

    second = plant.release("boiler", 1.0, T0 + days(1.3))
    assert newest_findings(plant.place, asset, now) == []
    assert known(**{CHAMPION: (second, 1.0), "challenger": (first, 0.2)}) == [first]
    assert known(**{CHAMPION: (second, 1.0), "challenger": (first, 0.0)}) == []
    assert known(**{CHAMPION: (second, 1.0), SHADOW: (first, 1.0)}) == []
    assert known(**{CHAMPION: (first, 1.0)}) == [first]


def test_an_incident_stays_open_until_the_new_version_was_measured(tmp_path):
    """The reading that opened it is no finding any more; what nobody measured since is not healthy for that."""
    asset = weekly(level(over=hours(1)) <= 1000.0)
    plant = Plant(tmp_path, [asset])
    first = plant.release("boiler")
    plant.run(2, 4, 1 / 4)
    assert plant.champion() != first
    closed = [each.closed_at for each in plant.incidents()]
    kept = [each for each in plant.place.stores.readings.list("boiler") if each.version == plant.champion()]
    assert closed == [min(each.at for each in kept if each.window_end - each.window_start == days(7))]


def test_the_score_of_a_released_prompt_is_read_in_the_next_round(tmp_path):
    """Its gate asked the suite of it: the score is there, and nothing is asked for it."""
    world = PromptWorld(tmp_path, healthy=[score(0.5)])
    world.apply()
    world.ask("nightly-1")
    world.live(1)
    world.say(GOOD)
    world.live(6)
    assert world.champion() == GOOD
    read = [each for each in world.perdure.place.stores.readings.list("answer") if each.signal.startswith("eval_score")]
    by_version = [each.version for each in read]
    assert by_version[-1] == world.champion_version().id
    assert read[-1].at - read[0].at < hours(6), "before the next seventh of its window"
    assert world.words == GOOD != BASE
