"""Incidents that people take, snooze and hand on: each is told in the history, and leaves the loop alone."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest

from perdure.core.errors import DeclarationError, NotFound, Refused
from perdure.surface.console.records import Duty
from perdure.surface.governance.handing import DUTIES, find_taken
from perdure.surface.governance.snoozing import find_snooze
from perdure.surface.sdk import open_project

NOW = datetime(2025, 3, 3, 8, tzinfo=UTC)


@pytest.fixture
def broken(project):
    """The project with an open incident of its model; gives (folder, the incident's id)."""
    opened = open_project(project)
    with opened._ledger.transaction(actor="loop", at=NOW, reason="broken") as session:
        incident = session.incidents.open("eta", "concept_drift", "The relation moved.", {})
    opened._ledger.close()
    return project, incident.id


def actions(opened, *names):
    return [(each.actor, each.action) for each in opened.audit(limit=1000) if each.action in names]


def test_who_takes_an_incident_stands_on_it_and_in_the_history(broken):
    folder, incident = broken
    ann, bob = open_project(folder, actor="ann"), open_project(folder, actor="bob")
    ann.take_over(incident, reason="mine", at=NOW)
    assert bob.take_over(incident[:8], reason="ann is ill", at=NOW).actor == "bob"
    with ann._ledger.read() as session:
        assert find_taken(session, incident).reason == "ann is ill"
    taken = [each for each in ann.audit(limit=1000) if each.action == "incident.taken"]
    assert [(each.actor, each.reason, each.facts["from"]) for each in taken] == [
        ("ann", "mine", ""),
        ("bob", "ann is ill", "ann"),
    ]
    assert ann.verify_ledger().intact


def test_a_hand_off_waits_for_its_person_until_the_incident_is_taken(broken):
    folder, incident = broken
    ann, bob = open_project(folder, actor="ann"), open_project(folder, actor="bob")
    made = ann.hand_off(incident, to="bob", reason="you know the feed", at=NOW)
    assert [(each.about, each.asset, each.to) for each in bob.hand_offs()] == [(incident, "eta", "bob")]
    bob.take_over(made.id, reason="yes", at=NOW)
    assert bob.hand_offs() == []
    with bob._ledger.read() as session:
        assert find_taken(session, incident).actor == "bob"
    assert actions(bob, "handed_off", "hand_off.taken", "incident.taken") == [
        ("ann", "handed_off"),
        ("bob", "incident.taken"),
        ("bob", "hand_off.taken"),
    ]


def test_an_asset_may_be_handed_to_a_duty_and_is_told_once(project):
    ann = open_project(project, actor="ann")
    first = ann.hand_off("eta", duty="ml_engineer", reason="the candidate is good: release it", at=NOW)
    assert ann.hand_off("eta", duty="ml_engineer", reason="again", at=NOW).id == first.id
    assert open_project(project, actor="cid").take_over(first.id, reason="on it", at=NOW).id == first.id
    assert ann.hand_offs() == []


@pytest.mark.parametrize(
    ("given", "error", "told"),
    [
        ({}, DeclarationError, "one person or for one duty"),
        ({"to": "bob", "duty": "owner"}, DeclarationError, "one person or for one duty"),
        ({"to": "ann"}, DeclarationError, "Nobody hands off to themselves"),
        ({"to": "bobb"}, NotFound, "no person 'bobb'"),
        ({"duty": "oncall"}, NotFound, "no duty 'oncall'"),
    ],
)
def test_a_hand_off_to_nobody_is_refused_and_nothing_is_written(broken, given, error, told):
    folder, incident = broken
    ann = open_project(folder, actor="ann")
    before = ann._ledger.sequence()
    with pytest.raises(error, match=told):
        ann.hand_off(incident, **given, reason="because", at=NOW)
    assert ann._ledger.sequence() == before


def test_a_snooze_ends_by_itself_or_by_hand(broken):
    folder, incident = broken
    ann = open_project(folder, actor="ann")
    ann.snooze(incident, until=NOW + timedelta(hours=8), reason="the feed's owner sleeps", at=NOW)
    assert [each.incident for each in ann.snoozed(at=NOW + timedelta(hours=7))] == [incident]
    assert ann.snoozed(at=NOW + timedelta(hours=8)) == []
    assert ann.wake(incident, reason="it got worse", at=NOW)
    assert not ann.wake(incident, reason="it got worse", at=NOW)
    with ann._ledger.read() as session:
        assert find_snooze(session, incident, NOW) is None
    assert actions(ann, "incident.snoozed", "incident.woken") == [
        ("ann", "incident.snoozed"),
        ("ann", "incident.woken"),
    ]


def test_a_snooze_without_a_reason_or_with_an_end_in_the_past_is_refused(broken):
    folder, incident = broken
    ann = open_project(folder, actor="ann")
    with pytest.raises(DeclarationError, match="before it begins"):
        ann.snooze(incident, until=NOW, reason="later", at=NOW)
    with pytest.raises(DeclarationError, match="A snooze needs a reason"):
        ann.snooze(incident, until=NOW + timedelta(hours=1), reason=" ", at=NOW)


def test_nobody_looks_after_an_incident_that_is_over(broken):
    folder, incident = broken
    ann = open_project(folder, actor="ann")
    with ann._ledger.transaction(actor="loop", at=NOW, reason="well") as session:
        session.incidents.close(incident, "Healthy again.")
    for deed in (
        lambda: ann.take_over(incident, reason="mine", at=NOW),
        lambda: ann.snooze(incident, until=NOW + timedelta(hours=1), reason="later", at=NOW),
        lambda: ann.hand_off(incident, to="bob", reason="yours", at=NOW),
    ):
        with pytest.raises(Refused, match="is closed"):
            deed()


def test_the_commands_do_the_same_and_list_what_stands(cli, broken):
    folder, incident = broken
    cli(f'perdure hand-off {incident} --to bob --reason "you know it" --as ann --at 2025-03-03', folder)
    assert f"{incident} of eta, from ann to bob: you know it" in cli("perdure hand-off", folder).out.replace("\n", " ")
    cli(f"perdure snooze {incident} --until 2025-03-04 --reason wait --as ann --at 2025-03-03", folder)
    [asleep] = json.loads(cli("perdure snooze --json --at 2025-03-03T12:00Z", folder).out)
    assert (asleep["incident"], asleep["actor"]) == (incident, "ann")
    assert "awake" in cli(f"perdure snooze {incident} --wake --reason now --at 2025-03-03", folder).out
    assert "taken" in cli(f"perdure take {incident} --reason mine --as bob --at 2025-03-03", folder).out
    assert "Nothing is handed off." in cli("perdure hand-off", folder).out
    assert "A snooze needs an end." in cli(f"perdure snooze {incident} --reason x", folder, expect=2).err


def test_duties_have_the_same_names_for_the_console_and_for_hand_offs():
    assert set(DUTIES) == set(get_args(Duty))
