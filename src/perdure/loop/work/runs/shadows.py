"""Gates of agents and graphs that see a version at work: as the shadow of the one that answers, and before it is gone back to.

`run_shadows`: runs of the champion beside the shadow's runs over their records, pair by pair: success, cost, time, needless steps.
`run_loads`: a version that is gone back to is loaded, and does a recorded run again.

What surprised us: a shadow answers from the record in no time, so its own clock says nothing. It took what the champion's run took, but for
what its steps took more or less.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import msgspec
import numpy as np
import polars as pl

from perdure.assets.health import Comparison, Verdict
from perdure.assets.repair import Stage, Trial
from perdure.core.clock import to_us
from perdure.core.errors import (
    BudgetSpent,
    LimitReached,
    NotReady,
    PerdureError,
    UpstreamBad,
    UpstreamBusy,
    UpstreamCut,
    UpstreamError,
    UpstreamTimedOut,
)
from perdure.core.runs import ReplayAsked, Replayed, RunRecord
from perdure.core.stats import Interval
from perdure.core.stats.clustered import clustered_interval
from perdure.core.units import days
from perdure.engines.agents.timing import worked_s
from perdure.engines.agents.trajectory import trajectory_of
from perdure.loop.observe import newest_findings
from perdure.loop.protocols import Watched, Workplace
from perdure.loop.work.captured_runs import read_run_steps, read_runs, read_told, told_of
from perdure.loop.work.comparing import LATER_CONFIDENCE, surely
from perdure.loop.work.runs.gates import LEAST, MARGIN, MOST_DEARER, paired, usual
from perdure.loop.work.runs.gathering import worst
from perdure.loop.work.runs.judged import with_words
from perdure.loop.work.runs.outcomes import Goodness, driven_s, expected_tools, goodness_of
from perdure.loop.work.runs.reading import MOST, Seen, feedback_on
from perdure.loop.work.runs.replaying import Outcome, Redone
from perdure.loop.work.runs.watched import own_node
from perdure.loop.work.versions import get_version

SHADOW = "shadow"
NOT_IN_RECORD = "tool.not_in_record"
"""Error of an effect that a replay asked for and that stands in no record."""
_TRIED = 3
"""Recorded runs that a version does again before it is gone back to."""
_LATELY = days(30)
_ELSEWHERE = frozenset(
    each.code
    for each in (
        LimitReached, BudgetSpent, NotReady, UpstreamError, UpstreamBad, UpstreamBusy, UpstreamCut, UpstreamTimedOut
    )
)  # fmt: skip
"""Codes of failures that are not the version's."""


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """A run of the champion, and what the shadow made of it."""

    seen: Seen
    again: Replayed

    @property
    def seconds(self) -> tuple[float, float]:
        """That the run took, and that its shadow would have taken."""
        took_s = driven_s(self.seen)
        return took_s, max(0.0, took_s + worked_s(self.again.steps) - worked_s(self.seen.steps))

    @property
    def more_needless(self) -> float:
        """Share of needless steps of the shadow, less that of the run."""
        wanted = expected_tools(self.seen.run)
        one, other = (
            trajectory_of(steps, self.seen.run.input, output, wanted).ratio
            for steps, output in (
                (self.again.steps, self.again.run.output),
                (self.seen.steps, self.seen.run.output),
            )
        )
        return one - other


def read_pairs(place: Workplace, asset: str, trial: Trial, now: datetime) -> list[Pair]:
    """Runs of the champion since the trial began that its shadow did again, by time; at most `MOST`, evenly spread."""
    runs = read_runs(place.stores.lake, asset, trial.since, now)
    shadows = runs.filter((pl.col("arm") == SHADOW) & (pl.col("version") == trial.candidate))
    known = runs.filter((pl.col("version") == trial.incumbent) & (pl.col("arm") == "champion"))
    known = known.filter(pl.col("run_id").is_in(shadows["replay_of"].to_list()))
    if known.height > MOST:
        known = known.gather_every(-(-known.height // MOST))
    if known.is_empty():
        return []
    shadows = shadows.filter(pl.col("replay_of").is_in(known["run_id"].to_list()))
    ids = [*known["run_id"].to_list(), *shadows["run_id"].to_list()]
    steps = read_run_steps(place.stores.lake, asset, trial.since, now).filter(pl.col("run_id").is_in(ids))
    said = feedback_on(place, dict(known.select("run_id", "team").iter_rows()), trial.since, now)
    again = {told.run.replay_of: Replayed(run=told.run, steps=tuple(told.steps)) for told in told_of(shadows, steps)}
    return [
        Pair(Seen(told.run, told.steps, told.waits, said.get(told.run.id)), again[told.run.id])
        for told in told_of(known, steps)
    ]


class RunShadows:
    """Runs of production beside their shadows."""

    name = "run_shadows"
    stages: Sequence[Stage] = ("shadow",)

    def judge(self, place: Workplace, asset: Watched, trial: Trial, now: datetime) -> Verdict:
        """A shadow that does worse for sure, is twice as dear or as slow and no better, or goes more needless ways, ends there."""
        broken = worst(asset, newest_findings(place, asset, now))
        goodness = goodness_of(asset, broken[1] if broken else usual(asset))
        found = read_pairs(place, asset.name, trial, now)
        heard = with_words(place, asset, [each.seen for each in found])
        pairs = [
            replace(each, seen=seen) for each, seen in zip(found, heard, strict=True) if goodness.of(seen) is not None
        ]
        if len(pairs) < LEAST:
            text = f"{len(pairs)} runs with their shadows are too few to tell."
            return Verdict(self.name, Comparison.NOT_ENOUGH_EVIDENCE, True, text, {"n": len(pairs)})
        return compared(asset.name, pairs, goodness, surely(LATER_CONFIDENCE, trial.n_rivals))


def compared(name: str, pairs: Sequence[Pair], goodness: Goodness, confidence: float) -> Verdict:
    """What pairs of runs and shadows of an agent or graph say, at a confidence."""
    outcomes = [
        Outcome(each.seen.run.id, goodness.replayed(each.seen, each.again), each.again.run.cost_pusd, _unknown(each))
        for each in pairs
    ]
    found = paired([each.seen for each in pairs], goodness, Redone(tuple(outcomes)), confidence)
    slower, needless = _slower(pairs), _needless(pairs, confidence)
    no_better = found.after <= found.before + MARGIN
    # Recorded runs have spoken for it already: differences that may be chance stop nothing here.
    reasons = (
        ("It does worse.", found.comparison is Comparison.WORSE),
        ("It is more than twice as dear, and no better.", no_better and (found.usd_ratio or 0.0) > MOST_DEARER),
        ("It is more than twice as slow, and no better.", no_better and (slower or 0.0) > MOST_DEARER),
        ("More of its steps are needless.", no_better and needless.low > MARGIN),
    )
    against = [why for why, holds in reasons if holds]
    took = "" if slower is None else f" It takes {slower:.2g} times as long."
    facts = {**found.facts(), "s_ratio": slower, "needless": [needless.value, needless.low, needless.high]}
    text = " ".join([f"As a shadow: {found.told(name)}{took}", *against])
    said = Comparison.WORSE if against else found.comparison
    return Verdict(RunShadows.name, said, not against, text, facts)


def _unknown(pair: Pair) -> int:
    return sum(step.error == NOT_IN_RECORD for step in pair.again.steps)


def _slower(pairs: Sequence[Pair]) -> float | None:
    took = [each.seconds for each in pairs]
    before = sum(one for one, _ in took)
    return sum(other for _, other in took) / before if before > 0.0 else None


def _needless(pairs: Sequence[Pair], confidence: float) -> Interval:
    more = np.array([each.more_needless for each in pairs], dtype=np.float64)
    return clustered_interval(more, confidence=confidence, within=(-1.0, 1.0))


class RunLoads:
    """Whether a version that is gone back to can be loaded, and answers."""

    name = "run_loads"
    stages: Sequence[Stage] = ("rollback",)

    def judge(self, place: Workplace, asset: Watched, trial: Trial, now: datetime) -> Verdict:
        """It does recorded runs again; where none is recorded it is loaded alone. What models and budgets refuse is not held against it.

        Raises:
            NotFound: the ledger does not know the version.
        """
        known = get_version(place.stores.ledger, trial.candidate)
        if place.open_replays is None:
            return self._said(True, f"{known.id} is known; nothing here can load it to see.")
        asked = _recorded(place, asset, trial.candidate, now) or [_nothing_asked(asset, trial.candidate, now)]
        try:
            done = asyncio.run(_done(place, asked))
        except PerdureError as error:
            return self._said(False, f"{known.id} cannot be loaded: {error.message}")
        if not asked[0].steps:
            return self._said(True, f"{known.id} can be loaded; no run is recorded that it could do again.")
        failed = [each.run for each in done if each.run.status == "failed"]
        own = [run for run in failed if run.why not in _ELSEWHERE]
        if own and len(failed) == len(done):
            return self._said(False, f"{known.id} answers none of {len(done)} recorded runs: {own[0].text}")
        text = f"{known.id} can be loaded, and answers {len(done) - len(failed)} of {len(done)} recorded runs."
        return self._said(True, text)

    def _said(self, passed: bool, text: str) -> Verdict:
        return Verdict(self.name, Comparison.NOT_ENOUGH_EVIDENCE, passed, text)


def _recorded(place: Workplace, asset: Watched, version: str, now: datetime) -> list[ReplayAsked]:
    """The newest runs that came to an end, its own first, with the version in the place of what answered."""
    names = ["arm", "status", "version", "replay_of"]
    runs = read_runs(place.stores.lake, asset.name, now - _LATELY, now, names)
    ended = runs.filter((pl.col("status") == "done") & pl.col("arm").is_in(["champion", "challenger"]))
    own = ended.filter(pl.col("version") == version)
    ids = (own if own.height else ended)["run_id"].to_list()
    told = [read_told(place.stores.lake, run) for run in ids[-_TRIED:]]
    swaps = {own_node(asset): version}
    return [ReplayAsked(run=each.run, steps=tuple(each.steps), swaps=swaps) for each in told]


def _nothing_asked(asset: Watched, version: str, now: datetime) -> ReplayAsked:
    """A run that asks nothing: what matters is that the version gets as far."""
    run = RunRecord(
        id="run_0", kind="agent" if asset.kind == "agent" else "graph", asset=asset.name, version=version,
        arm="champion", status="running", input=msgspec.json.encode({}), served_us=to_us(now),
    )  # fmt: skip
    return ReplayAsked(run=run, steps=(), swaps={own_node(asset): version}, limits={"steps": 1})


async def _done(place: Workplace, asked: Sequence[ReplayAsked]) -> list[Replayed]:
    assert place.open_replays is not None
    replays = place.open_replays()
    try:
        return [await replays.replay(each) for each in asked]
    finally:
        await replays.close()
