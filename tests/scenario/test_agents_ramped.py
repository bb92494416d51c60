"""The whole way of an agent's version: shadow, canary, all; and what ends it on the way, or brings the old one back."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest
from agents_at_work import AgentWorld, Flaw
from msgspec.structs import replace

from perdure.assets.agent import RunLimits
from perdure.assets.policy import Policy, Ramp
from perdure.assets.version import CHALLENGER, CHAMPION, SHADOW
from perdure.core.errors import Refused
from perdure.core.runs import ReplayAsked
from perdure.core.settings import CaptureSettings
from perdure.core.units import hours
from perdure.loop.work.captured_runs import read_runs
from perdure.serve.routing import build_routes
from perdure.stores.capture.events import RunTold
from perdure.stores.capture.segments import SegmentWriter
from perdure.surface.shadow_seen import ShadowSeen, shadow_seen
from perdure.testing.agents import ScriptedReplays

pytestmark = pytest.mark.scenario
RAMPED = Policy.act(ramp=Ramp(hours(3), hours(3), 0.4), watch=hours(2), cool_down=hours(1))


@dataclass
class Ramped(AgentWorld):
    """Runs go by the pointers, as serving does it: a share by the challenger, each of the champion's again by the shadow."""

    policy: Policy = RAMPED

    def __post_init__(self):
        self.stages = []
        super().__post_init__()

    def _serve(self, say):
        with self.perdure.place.stores.ledger.read() as session:
            pointers = session.pointers.list("desk")
        self.stages.append({each.name for each in pointers} - {CHAMPION})
        route = build_routes(pointers, ["desk"])["desk"]
        writer = SegmentWriter(self.folder / ".perdure" / "capture", CaptureSettings())
        for place in range(self.per_hour):
            arm, script = route.choose(str(self.n)), self.script()
            script.versions["agent:desk"] = arm.version
            told = script.run(self.n, self.now + place * hours(1) / (self.per_hour + 1), arm.name)
            writer.append(told)
            if route.shadow is not None and arm.name == CHAMPION:
                writer.append(self._again(script, told, route.shadow.version))
            self.n += 1
        writer.close()

    def _again(self, script, told, version):
        asked = ReplayAsked(run=told.run, steps=tuple(told.steps), swaps={"agent:desk": version})
        done = asyncio.run(ScriptedReplays(script).replay(asked))
        run = replace(done.run, id=f"{told.run.id}_again", arm=SHADOW, version=version, served_us=told.run.served_us)
        return RunTold(run=run, steps=list(done.steps), waits=[], recorded_us=told.recorded_us)

    def verdicts(self, stage):
        """What gates said at a stage of the newest repair, by gate."""
        with self.perdure.place.stores.ledger.read() as session:
            told = [each for each in session.audit.list() if each.action == "loop.verify" and each.subject == "desk"]
        facts = [each.facts for each in told if each.facts.get("stage") == stage]
        return {each["gate"]: each for each in facts[-1]["trials"][0]["verdicts"]} if facts else {}


def test_a_version_of_an_agent_goes_from_shadow_to_canary_to_all(tmp_path):
    """Its shadow is held against the champion in pairs; no signal counts a run of it."""
    world = Ramped(tmp_path)
    world.live(14)
    old = world.version("desk")
    [told] = world.redeclare(limits=RunLimits(steps=12))
    assert told.what == "proving", told
    world.live(14)
    new = world.version("desk")
    assert new not in (old, "")
    trials = [next(iter(each), "") for each in world.stages]
    ordered = [each for place, each in enumerate(trials) if each and each != trials[place - 1]]
    assert ordered == [SHADOW, CHALLENGER]
    said = world.verdicts("shadow")["run_shadows"]
    assert said["passed"]
    assert said["evidence"]["n"] >= 12
    assert said["text"].startswith("As a shadow: ")
    assert set(world.verdicts("canary")) == {"run_answers"}
    runs = read_runs(world.perdure.place.stores.lake, "desk", None, None, ["arm", "version", "replay_of"])
    shadows = runs.filter(runs["arm"] == SHADOW)
    assert set(shadows["version"]) == {new}
    assert set(shadows["replay_of"]) <= set(runs.filter(runs["version"] == old)["run_id"])
    assert world.incidents() == []
    seen = shadow_seen(world.perdure.place, "desk", new, world.now)
    assert seen == ShadowSeen(shadows.height, {"done": shadows.height}, seen.usd, seen.usd_then)
    assert seen.usd_then > 0.0
    assert shadow_seen(world.perdure.place, "desk", old, world.now) is None


def test_a_version_that_does_worse_as_a_shadow_ends_there(tmp_path):
    """Recorded runs found nothing wrong with it; what came after did. No caller ever met it, and the agent's own health never moved."""
    world = Ramped(tmp_path)
    world.live(14)
    old = world.version("desk")
    known = {old}

    class Later(dict):
        def get(self, version, default=None):
            new = str(version).startswith("desk@") and version not in known and world.now > since
            return Flaw("wrong_tool", 0.9) if new else default

    since = world.now + hours(0.5)
    world.flaws = Later()
    [told] = world.redeclare(limits=RunLimits(steps=12))
    assert told.what == "proving", told
    world.live(10)
    assert world.version("desk") == old
    assert {CHALLENGER} not in world.stages
    said = world.verdicts("shadow")["run_shadows"]
    assert not said["passed"]
    assert "It does worse." in said["text"]
    assert world.incidents() == []


def test_a_way_back_is_proven_by_the_old_version_at_work(tmp_path):
    """It does recorded runs again; one that cannot be loaded is not gone back to, and nothing was changed."""
    world = Ramped(tmp_path, policy=Policy.act(ramp=Ramp(hours(0), hours(0), 0.4), watch=hours(1)))
    world.live(3)
    old = world.version("desk")
    world.redeclare(limits=RunLimits(steps=12), unproven="in a hurry")
    new = world.version("desk")
    assert new != old
    world.live(2)
    world.replaying.unknown = frozenset({old})
    with pytest.raises(Refused, match="run_loads") as refused:
        world.perdure.rollback("desk", reason="it is slow", at=world.now)
    assert "cannot be loaded" in str(refused.value)
    assert world.version("desk") == new
    world.replaying.unknown = frozenset()
    n = world.replaying.n_replayed
    world.perdure.rollback("desk", reason="it is slow", at=world.now)
    assert world.version("desk") == old
    assert world.replaying.n_replayed == n + 3
