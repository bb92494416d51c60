"""Many runs done again with one change, told as a table: same, better, worse, what they cost and took.

Better and worse go by the asset's own measure of success (`loop.work.runs.outcomes`): feedback and scorers of the recorded run, scorers of the
replay. Where nothing judges, a run that gave the same is the same, and one that gave something else is told as other: nobody knows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from perdure.assets.graph import ToolNode
from perdure.assets.tools import McpTools
from perdure.core.errors import DeclarationError, NotReady, not_found
from perdure.core.runs import ReplayAsked, Replayed, RunRecord
from perdure.core.usage import PICO
from perdure.engines.agents.differing import RunDiff, diff_runs

if TYPE_CHECKING:
    from perdure.assets.project import Project
    from perdure.core.ports import Replays
    from perdure.loop.work.runs.outcomes import Outcomes
    from perdure.loop.work.runs.reading import Seen
    from perdure.stores.runs.protocols import Told
    from perdure.surface.sdk import Perdure

Verdict = Literal["same", "better", "worse", "other"]
_AT_ONCE = 4
_ENDS = {"done": 3, "limited": 2, "cancelled": 1, "failed": 0}


@dataclass(frozen=True, slots=True)
class ReplayRow:
    """One run and its replay."""

    run: RunRecord
    replayed: Replayed
    verdict: Verdict
    success: float | None
    """Of the recorded run, 0 to 1; None: nothing judges it."""
    success_again: float | None
    diff: RunDiff

    @property
    def cost_usd(self) -> float | None:
        """Of the recorded run; None: no price of it is known."""
        return _cost_usd(self.run)

    @property
    def cost_again_usd(self) -> float | None:
        """As it would have cost: what was answered by the record at its recorded price. None: no price of it is known."""
        return _cost_usd(self.replayed.run)

    @property
    def took_s(self) -> float:
        """Its steps together, recorded."""
        return _took_s(self.diff, "before")

    @property
    def took_again_s(self) -> float:
        """Its steps together: what was answered by the record took what it took then."""
        return _took_s(self.diff, "after")


def _cost_usd(run: RunRecord) -> float | None:
    return None if run.unpriced and not run.cost_pusd else run.cost_pusd / PICO


@dataclass(frozen=True, slots=True)
class ReplayTable:
    """Runs done again with one change."""

    swaps: Mapping[str, str]
    rows: Sequence[ReplayRow]

    def count(self, verdict: Verdict) -> int:
        """Replays that came out so."""
        return sum(row.verdict == verdict for row in self.rows)


def _check_named(declared: Project, told: Sequence[Told], swaps: Mapping[str, str]) -> None:
    """That swapped tools and nodes are declared, or stand in the records: a name that nothing has would change nothing.

    Raises:
        NotFound: there is none of that name.
    """
    known = {step.node for each in told for step in each.steps} | {
        f"node:{n.name}" for g in declared.graphs.values() for n in g.nodes
    }
    tools = [tool for agent in declared.agents.values() for tool in agent.tools]
    tools += [node.tool for graph in declared.graphs.values() for node in graph.nodes if isinstance(node, ToolNode)]
    known |= {f"tool:{tool.name}" for tool in tools}
    servers = tuple(f"tool:{tool.name}_" for tool in tools if isinstance(tool, McpTools))
    for swapped in swaps:
        kind, _, name = swapped.partition(":")
        if kind in ("tool", "node") and swapped not in known and not swapped.startswith(servers):
            raise not_found(kind, name, [each.partition(":")[2] for each in known if each.startswith(f"{kind}:")])


async def replay_all(
    project: Perdure, told: Sequence[Told], swaps: Mapping[str, str], watching: Callable[[int, int], None] | None = None
) -> ReplayTable:
    """Do runs again, some at a time.

    Raises:
        NotFound: a swap names what is not there.
        NotReady: a version cannot be loaded here, or nothing replays runs.
        DeclarationError: nothing is to be done again.
    """
    if not told:
        raise DeclarationError("There is no run to do again.", hint="perdure agent runs lists those that there are.")
    _check_named(project.project, told, swaps)
    opens = project.place.open_replays
    if opens is None:
        raise NotReady("Nothing here replays runs.", hint="Declare an agent or a graph.")
    replays, gate, n_done = opens(), asyncio.Semaphore(_AT_ONCE), 0
    outcomes = _outcomes(project, told)

    async def one(each: Told) -> ReplayRow:
        nonlocal n_done
        async with gate:
            found = await _replayed(replays, each, swaps)
        n_done += 1
        if watching is not None:
            watching(n_done, len(told))
        return _row(each, found, outcomes.get(each.run.asset))

    try:
        rows = [await one(told[0])]  # what is not there or cannot be loaded is told once
        rows += await asyncio.gather(*(one(each) for each in told[1:]))
    finally:
        await replays.close()
    return ReplayTable(swaps, rows)


async def _replayed(replays: Replays, told: Told, swaps: Mapping[str, str]) -> Replayed:
    return await replays.replay(ReplayAsked(run=told.run, steps=tuple(told.steps), swaps=swaps))


def _row(told: Told, found: Replayed, judging: tuple[Outcomes, Mapping[str, Seen]] | None) -> ReplayRow:
    diff = diff_runs((told.run, told.steps), (found.run, found.steps))
    before = after = None
    if judging is not None:
        outcomes, seen = judging
        own = seen[told.run.id]
        before = outcomes.succeeded(own)
        after = outcomes.scored(found.run, found.steps, own.input)
        if after is None and diff.same_output:
            after = before
    return ReplayRow(told.run, found, _verdict(diff, before, after), before, after, diff)


def _verdict(diff: RunDiff, before: float | None, after: float | None) -> Verdict:
    if before is not None and after is not None and before != after:
        return "better" if after > before else "worse"
    ends = _ENDS.get(diff.before.status, 0), _ENDS.get(diff.after.status, 0)
    if (before is None or after is None) and ends[0] != ends[1]:
        return "better" if ends[1] > ends[0] else "worse"
    if diff.same_output or (before is not None and after is not None):
        return "same"
    return "other"


def _outcomes(project: Perdure, told: Sequence[Told]) -> dict[str, tuple[Outcomes, Mapping[str, Seen]]]:
    """Asset → how well its runs did, with what people said of each."""
    from perdure.loop.work.runs.outcomes import Outcomes
    from perdure.loop.work.runs.reading import Seen
    from perdure.surface.compose import watched_assets

    watched = {each.name: each for each in watched_assets(project.project) if each.kind in ("agent", "graph")}
    found: dict[str, tuple[Outcomes, Mapping[str, Seen]]] = {}
    for name in {each.run.asset for each in told} & watched.keys():
        said = _said(project, [each.run for each in told if each.run.asset == name])
        seen = {
            each.run.id: Seen(each.run, each.steps, each.waits, said.get(each.run.id))
            for each in told
            if each.run.asset == name
        }
        found[name] = (Outcomes.of(watched[name]), seen)
    return found


def _said(project: Perdure, runs: Sequence[RunRecord]) -> Mapping[str, float]:
    from datetime import timedelta

    from perdure.core.clock import from_us, machine_now
    from perdure.loop.work.runs.reading import feedback_on

    start = from_us(min(run.served_us or run.began_us for run in runs)) - timedelta(minutes=1)
    return feedback_on(project.place, {run.id: run.team for run in runs}, start, machine_now() + timedelta(minutes=1))


def _took_s(diff: RunDiff, side: Literal["before", "after"]) -> float:
    steps = [pair.before if side == "before" else pair.after for pair in diff.pairs]
    return sum(step.took_us for step in steps if step is not None) / 1e6
