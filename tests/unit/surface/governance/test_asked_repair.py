"""A repair that a person asks for keeps who asked and why, and by four eyes others must say yes to it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cached_property

import pytest

from perdure.assets.policy import Policy, Ramp
from perdure.assets.project import Project
from perdure.core.errors import DeclarationError, Refused
from perdure.core.settings import ProjectSettings, Settings
from perdure.core.units import days, hours
from perdure.loop.protocols import Watched
from perdure.loop.round import Loop
from perdure.surface.sdk import Perdure
from perdure.testing.toy import TOY, Gauge, level, toy_kind

START = datetime(2025, 3, 1, tzinfo=UTC)
SETTINGS = Settings(ProjectSettings("toys", actor="loop"), roles={"reviewer": ("ann", "bob", "eve")})
WHY = "the technician saw it drift"


class Gauges(Perdure):
    """A project that watches one gauge, which has moved away from its target."""

    @cached_property
    def loop(self):
        points = {START + timedelta(hours=hour): 27.0 for hour in range(0, 24 * 12, 2)}
        gauge = Gauge("boiler", points, target=20.0, margin=1.0)
        ramp = Ramp(hours(0), hours(0))
        policy = Policy.propose(trigger="manual", four_eyes=True, ramp=ramp, watch=hours(2))
        asset = Watched("boiler", TOY, (level(over=days(1)) <= 23.0,), policy, gauge)
        return Loop(self.place, {TOY: toy_kind()}, [], [asset], list)


def killed(*_given, **_options):
    raise KeyboardInterrupt


@pytest.fixture
def gauges(tmp_path):
    """Opens the project for somebody."""
    return lambda actor: Gauges(tmp_path, SETTINGS, project=Project("toys"), actor=actor)


@pytest.fixture
def asked(gauges, monkeypatch):
    """Ann asked for a repair and her process was killed; the loop's own worker brought it to the question."""
    worker = gauges("loop")
    with worker.hold_lease() as held:
        for hour in (0, 24):
            worker.loop.tick(START + timedelta(hours=hour), held.lease)
    ann = gauges("ann")
    monkeypatch.setattr(ann.loop.durable, "drive", killed)
    with pytest.raises(KeyboardInterrupt):
        ann.repair("boiler", reason=WHY, at=START + timedelta(hours=25))
    assert worker.approvals() == []
    with worker.hold_lease() as held:
        worker.loop.tick(START + timedelta(hours=26), held.lease)
    return worker


def test_who_asked_for_a_repair_is_none_of_the_four_eyes(asked, gauges):
    [question] = asked.approvals()
    later = START + timedelta(hours=26)

    assert (question.asked_by, question.n_needed) == ("ann", 2)
    with pytest.raises(Refused):
        gauges("ann").approve(question.id, reason="I asked for it", at=later)
    gauges("bob").approve(question.id, reason="it is off", at=later)
    assert gauges("eve").approve(question.id, reason="indeed", at=later).status == "approved"


def test_the_reason_stands_on_the_decision_the_job_and_the_question(asked):
    decided = [entry for entry in asked.audit(limit=1000) if entry.action == "loop.decide"]

    assert [(entry.actor, entry.reason) for entry in decided][-1] == ("ann", WHY)
    assert "loop.repair" not in {entry.action for entry in asked.audit(limit=1000)}
    assert [(job.input["asked_by"], job.input["reason"]) for job in asked.jobs()] == [("ann", WHY)]
    assert asked.approvals()[0].facts["reasons"][0] == f"ann asked: {WHY}"


def test_a_repair_without_a_reason_is_refused_before_anything_is_written(gauges):
    with pytest.raises(DeclarationError):
        gauges("ann").repair("boiler", reason=" ", at=START)
    assert gauges("ann").jobs() == []
