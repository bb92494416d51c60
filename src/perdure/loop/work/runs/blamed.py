"""What every kind has that agents and graphs use: the signal and the cause `blamed`, and the gate `agent_replays`.

Blame is found at the agent (`blaming`), kept in the ledger (`handed`), and mended here by the asset's own remedies. Its own gates ask for what
they always ask; but what nothing of its own proves better may be proven by the runs that it was blamed for, done again with the candidate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from perdure.assets.health import Cause as RankedCause
from perdure.assets.health import Comparison, Finding, Reading, State, Verdict
from perdure.assets.objective import SignalSpec
from perdure.assets.repair import BLAMED, Stage, Trial
from perdure.core.errors import NotFound
from perdure.loop.protocols import Gate, Kind, Watched, Workplace
from perdure.loop.work.captured_runs import read_told
from perdure.loop.work.comparing import surely
from perdure.loop.work.indexes.kept import newest_census
from perdure.loop.work.readings import exactly, reading_of
from perdure.loop.work.runs.blaming import GOOD_SHARE
from perdure.loop.work.runs.gates import paired
from perdure.loop.work.runs.handed import Standing, find_standing
from perdure.loop.work.runs.judged import with_words
from perdure.loop.work.runs.outcomes import goodness_of
from perdure.loop.work.runs.reading import Seen, feedback_on
from perdure.loop.work.runs.replaying import Redo, replay
from perdure.loop.work.versions import find_champion

PROVING = ("prompt_quality", "prompt_guarded", "route_evidence", "paired_error", "run_replays")
"""Gates that let nothing through which is not proven better: that proof may be the runs of who blames it. All others stay as they are."""
_BETTER, _WORSE, _UNSURE = Comparison.BETTER, Comparison.WORSE, Comparison.NOT_ENOUGH_EVIDENCE
_CONFIDENCE = 0.9


def with_blame(kind: Kind, agents: Sequence[Watched]) -> Kind:
    """The kind, able to be blamed by agents and graphs.

    Args:
        kind: with its own recipes.
        agents: agents and graphs as they are watched; others say nothing here.
    """
    replays = AgentReplays(agents)
    gates = tuple(ProvenByRuns(each, replays) if each.name in PROVING else each for each in kind.gates)
    return replace(
        kind,
        signals={**kind.signals, BLAMED: BlamedSignal()},
        causes=(*kind.causes, BlamedCause()),
        gates=(*gates, replays),
    )


class BlamedSignal:
    """1 while runs of an agent or a graph are laid at its door, else 0."""

    name = BLAMED

    def observe(self, place: Workplace, asset: Watched, spec: SignalSpec, now: datetime) -> Sequence[Reading]:
        """One reading with who blames it, since when, and why. Another version than the blamed one is not blamed."""
        champion = find_champion(place.stores.ledger, asset.name)
        standing = find_standing(place, asset.name)
        version = champion.id if champion else ""
        holds = standing is not None and version == standing.facts["version"]
        facts = _facts(standing) if standing is not None and holds else {}
        return [reading_of(asset, spec, now, exactly(float(holds), 1), unit="", version=version, facts=facts)]


def _facts(standing: Standing) -> dict[str, object]:
    told = ("by", "node", "since", "sure", "swap", "objective", "text")
    return {name: standing.facts[name] for name in told}


class BlamedCause:
    """An agent or a graph went worse, and this is why."""

    name = BLAMED

    def weigh(self, place: Workplace, asset: Watched, findings: Sequence[Finding], now: datetime) -> RankedCause | None:  # noqa: ARG002 - the Protocol's
        """0.5 to 0.8, by how sure it is; what its own signals found weighs more."""
        sick = [each for each in findings if each.reading.signal == BLAMED and each.state is State.BROKEN]
        if not sick:
            return None
        facts = sick[0].reading.facts
        sure = min(1.0, float(facts.get("sure", 0.0)))
        text = f"{facts.get('by', 'An agent')} blames it: {facts.get('text', '')}"
        return RankedCause(self.name, 0.5 + 0.3 * sure, dict(facts), text)


class AgentReplays:
    """Runs of who blames it, done again with the candidate: those that went badly and some that went well."""

    name = "agent_replays"
    stages: Sequence[Stage] = ("verify",)

    def __init__(self, agents: Sequence[Watched]) -> None:
        self._agents = {asset.name: asset for asset in agents if asset.kind in ("agent", "graph")}

    def judge(self, place: Workplace, asset: Watched, trial: Trial, now: datetime) -> Verdict:
        """Passes unless they come out worse; where nobody blames it there is nothing to replay."""
        standing = find_standing(place, asset.name)
        agent = None if standing is None else self._agents.get(standing.by)
        if standing is None or agent is None:
            return Verdict(self.name, _UNSURE, True, "No agent and no graph blames it.")
        objective = next((each for each in agent.healthy if each.text() == standing.facts["objective"]), None)
        if objective is None:
            return Verdict(self.name, _UNSURE, True, f"{agent.name} does not declare what it was blamed for any more.")
        swap = _swap(place, asset, trial.candidate)
        runs = with_words(place, agent, self._runs(place, standing, now))
        if not swap:
            return Verdict(
                self.name, _UNSURE, True, f"Nobody counted {trial.candidate}, so no run can be replayed with it."
            )
        good = set(standing.facts["good"])
        goodness = goodness_of(agent, objective, [seen for seen in runs if seen.run.id in good])
        node = f"{asset.kind}:{asset.name}"
        swaps: Mapping[str, Mapping[str, str]] = {seen.run.id: {node: swap} for seen in runs}
        came = replay(place, Redo(agent.name, runs, swaps, goodness, objective.text()), now)
        found = paired(runs, goodness, came, surely(_CONFIDENCE, trial.n_rivals))
        word = _WORSE if found.looks_worse else found.comparison
        gain = max(0.0, found.after - found.before)
        return Verdict(self.name, word, word is not _WORSE, found.told(agent.name), found.facts(), gain)

    def _runs(self, place: Workplace, standing: Standing, now: datetime) -> list[Seen]:
        most = place.settings.agents.replays
        good = list(standing.facts["good"])[: most // GOOD_SHARE]
        ids = [*list(standing.facts["bad"])[: most - len(good)], *good]
        told = []
        for run_id in ids:
            try:
                told.append(read_told(place.stores.lake, run_id))
            except NotFound:
                continue
        said = feedback_on(place, {each.run.id: each.run.team for each in told}, None, now)
        return [Seen(each.run, each.steps, each.waits, said.get(each.run.id)) for each in told]


def _swap(place: Workplace, asset: Watched, candidate: str) -> str:
    """What a replay takes in the asset's place; of an index with the generation that was counted; empty: none was."""
    if asset.kind != "index":
        return candidate
    census = newest_census(place, asset.name, candidate)
    return f"{candidate}:{census.generation}" if census is not None else ""


class ProvenByRuns:
    """A gate of the asset's own that asks for proof: runs of who blames it are proof too, where they come out better for sure."""

    def __init__(self, gate: Gate, replays: AgentReplays) -> None:
        self.name = gate.name
        self.stages: Sequence[Stage] = tuple(gate.stages)
        self._gate = gate
        self._replays = replays

    def judge(self, place: Workplace, asset: Watched, trial: Trial, now: datetime) -> Verdict:
        """As the gate says; what it finds not proven, and no worse, passes where replays prove it."""
        verdict = self._gate.judge(place, asset, trial, now)
        unproven = trial.stage == "verify" and not verdict.passed and verdict.comparison is not _WORSE
        lacks_only_proof = verdict.evidence.get("lacks_only_proof", verdict.gain >= 0.0)
        if not unproven or not lacks_only_proof or find_standing(place, asset.name) is None:
            return verdict
        proof = self._replays.judge(place, asset, trial, now)
        if proof.comparison is not _BETTER:
            return verdict
        return replace(verdict, passed=True, text=f"{verdict.text} Runs of who blames it prove it: {proof.text}")
