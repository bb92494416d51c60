"""What the loop really writes is told, made again and packed: a toy asset that decays and is repaired."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from perdure.assets.policy import Policy, Ramp
from perdure.assets.project import Project
from perdure.core.settings import ProjectSettings, Settings
from perdure.core.units import days, hours
from perdure.loop.protocols import Watched
from perdure.loop.round import Loop
from perdure.surface.sdk import Perdure
from perdure.testing.toy import TOY, Gauge, level, toy_kind

START = datetime(2025, 3, 1, tzinfo=UTC)
SETTINGS = Settings(ProjectSettings("toys", actor="loop"), roles={"reviewer": ("ann",)})


@pytest.fixture
def opened(tmp_path):
    """A gauge that moved away, was recalibrated after a yes, and is healthy again."""
    ann = Perdure(tmp_path, SETTINGS, project=Project("toys"), actor="ann")
    project = Perdure(tmp_path, SETTINGS, project=Project("toys"))
    points = {START + timedelta(hours=hour): 20.0 if hour < 30 else 27.0 for hour in range(0, 24 * 12, 2)}
    gauge = Gauge("boiler", points, target=20.0, margin=1.0)
    policy = Policy.act(approve_by="reviewer", ramp=Ramp(hours(2), hours(2)), watch=hours(12))
    asset = Watched("boiler", TOY, (level(over=days(1)) <= 23.0,), policy, gauge)
    loop = Loop(project.place, {TOY: toy_kind()}, [], [asset], list)
    with project.hold_lease() as held:
        for hour in range(0, 24 * 10, 2):
            loop.tick(START + timedelta(hours=hour), held.lease)
            for question in ann.approvals():
                ann.approve(question.id, reason="it is off", at=START + timedelta(hours=hour))
    return project


def test_its_story_is_told_to_the_end_and_every_decision_comes_out_the_same(opened, tmp_path):
    [incident] = opened.incidents(open_only=False)
    story = opened.explain(incident.id)

    assert [each.facts["outcome"] for each in story.outcomes] == ["released"]
    assert [answer.actor for approval in story.approvals for answer in approval.answers] == ["ann"]
    assert [row.pointer for row in story.moves][-1] == "champion"
    assert {answer.actor for row in story.moves for answer in row.approved_by} == {"ann"}
    [effect] = story.effects
    assert (effect.before, effect.after) == (27.0, 20.0)
    assert opened.replay().n == opened.replay("boiler").n == len(story.decisions) >= 1
    assert opened.evidence("boiler", tmp_path / "pack").n_entries == opened.check_evidence(tmp_path / "pack").n_entries
