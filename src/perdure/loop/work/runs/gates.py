"""Gates of agents and graphs: what another version of one must prove against the one that answers.

`run_replays`: recorded runs, done again with the candidate: better where something is broken, else no worse, and not twice as dear.
`run_answers`: later, whether its own runs end in errors or limits more often.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from perdure.assets.agent_objectives import task_success
from perdure.assets.health import Comparison, Verdict
from perdure.assets.objective import Objective
from perdure.assets.repair import Stage, Trial
from perdure.core.errors import TooFewRows
from perdure.core.stats import Interval, proportion_interval
from perdure.core.stats.clustered import clustered_interval
from perdure.core.units import days
from perdure.loop.observe import newest_findings
from perdure.loop.protocols import Gate, Watched, Workplace
from perdure.loop.work.comparing import LATER_CONFIDENCE, surely
from perdure.loop.work.runs.gathering import spread, worst
from perdure.loop.work.runs.judged import with_words
from perdure.loop.work.runs.outcomes import WELL, Goodness, goodness_of
from perdure.loop.work.runs.reading import Reader, Seen, Window, counted, read_seen
from perdure.loop.work.runs.replaying import Redo, Redone, replay
from perdure.loop.work.runs.watched import own_node

MARGIN = 0.05
"""Differences of success within it count as none."""
MOST_DEARER = 2.0
LEAST = 4
"""Replays; of fewer nothing is said."""
_CONFIDENCE = 0.9
_SAME_PRICE = 0.05
_LATELY = days(7)
_N_LATER = 20
_BETTER, _WORSE, _SAME, _UNSURE = (
    Comparison.BETTER,
    Comparison.WORSE,
    Comparison.EQUIVALENT,
    Comparison.NOT_ENOUGH_EVIDENCE,
)


def run_gates(reader: Reader) -> tuple[Gate, ...]:
    """The gates of the kinds "agent" and "graph" that compare versions by recorded runs; `shadows` has the others."""
    return (RunReplays(reader), RunAnswers())


@dataclass(frozen=True, slots=True)
class Paired:
    """Recorded runs beside their replays."""

    n: int
    before: float
    """How well they did, in the mean."""
    after: float
    difference: Interval | None
    """None: too few, or all alike."""
    usd_ratio: float | None
    n_unknown: int
    why_not: str = ""

    @property
    def comparison(self) -> Comparison:
        """What it says of what was swapped in."""
        if self.difference is None or self.n < LEAST:
            return _UNSURE
        if self.difference.low > 0.0:
            return _BETTER
        if self.difference.high < 0.0:
            return _WORSE
        return _SAME if self.difference.low > -MARGIN and self.difference.high < MARGIN else _UNSURE

    @property
    def looks_worse(self) -> bool:
        """Worse for sure, or beyond the margin in the mean."""
        return self.comparison is _WORSE or self.after - self.before < -MARGIN

    def told(self, whose: str) -> str:
        """In words."""
        if self.why_not:
            return f"Runs of {whose} cannot be replayed with it: {self.why_not}."
        dearer = self.usd_ratio is not None and abs(self.usd_ratio - 1.0) > _SAME_PRICE
        cost = f"; at {self.usd_ratio:.2g} times the price" if dearer else ""
        unknown = f"; {self.n_unknown} effects that stand in no record were not done" if self.n_unknown else ""
        bounds = "" if self.difference is None else f" ({self.difference.low:+.0%} to {self.difference.high:+.0%})"
        return (
            f"{self.n} runs of {whose} done again with it: {self.after:.0%} come out well, {self.before:.0%} as recorded, "
            f"{self.after - self.before:+.0%}{bounds}{cost}{unknown}."
        )

    def facts(self) -> dict[str, Any]:
        """For the ledger."""
        found = self.difference
        return {
            "n": self.n,
            "before": self.before,
            "after": self.after,
            "difference": None if found is None else [found.value, found.low, found.high],
            "usd_ratio": self.usd_ratio,
            "n_unknown": self.n_unknown,
        }


def paired(runs: Sequence[Seen], goodness: Goodness, came: Redone, confidence: float) -> Paired:
    """What replays say beside the runs as they were; runs of which nothing says how well they did are left out."""
    recorded = [goodness.of(seen) for seen in runs]
    pairs = [
        (float(before), each.value, seen.run.cost_pusd, each.cost_pusd, each.n_unknown)
        for before, each, seen in zip(recorded, came.outcomes, runs, strict=False)
        if before is not None
    ]
    if not pairs:
        return Paired(0, 0.0, 0.0, None, None, 0, came.why_not or "nothing says how well they did")
    before, after = (np.array([pair[at] for pair in pairs]) for at in (0, 1))
    paid, pays = sum(pair[2] for pair in pairs), sum(pair[3] for pair in pairs)
    return Paired(
        len(pairs),
        float(before.mean()),
        float(after.mean()),
        _difference(after - before, confidence),
        pays / paid if paid else None,
        sum(pair[4] for pair in pairs),
    )


def _difference(differences: np.ndarray[Any, Any], confidence: float) -> Interval | None:
    """The mean of paired differences. One run more of each sort stands in, so that a handful that agree is not taken for certain."""
    added = np.concatenate([differences, [-1.0, 1.0]]) if len(differences) else differences
    try:
        found = clustered_interval(added, confidence=confidence, within=(-1.0, 1.0))
    except TooFewRows:
        return None
    return Interval(float(differences.mean()), found.low, found.high, len(differences))


class RunReplays:
    """Recorded runs done again with the candidate in place of what answers."""

    name = "run_replays"
    stages: Sequence[Stage] = ("verify",)

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def judge(self, place: Workplace, asset: Watched, trial: Trial, now: datetime) -> Verdict:
        """Better for sure where something of its runs is broken; else not worse. A first version has nothing to be held against."""
        if trial.incumbent is None:
            return Verdict(self.name, _UNSURE, True, "Nothing runs that it could be compared with.")
        broken = worst(asset, newest_findings(place, asset, now))
        objective = broken[1] if broken else usual(asset)
        goodness = goodness_of(asset, objective)
        over = objective.spec.over if broken else _LATELY
        seen = with_words(place, asset, read_seen(place, asset.name, Window(now - over, now, trial.incumbent), now))
        runs = spread([each for each in seen if goodness.of(each) is not None], place.settings.agents.replays)
        goodness = goodness_of(asset, objective, [each for each in runs if (goodness.of(each) or 0.0) >= WELL])
        swaps: Mapping[str, Mapping[str, str]] = {each.run.id: {own_node(asset): trial.candidate} for each in runs}
        came = replay(place, Redo(asset.name, runs, swaps, goodness, objective.text()), now)
        found = paired(runs, goodness, came, surely(_CONFIDENCE, trial.n_rivals))
        return self._verdict(asset, found, must_be_better=broken is not None)

    def _verdict(self, asset: Watched, found: Paired, *, must_be_better: bool) -> Verdict:
        told, word = found.told(asset.name), found.comparison
        dear = found.usd_ratio is not None and found.usd_ratio > MOST_DEARER and found.after <= found.before + MARGIN
        if found.looks_worse or dear:
            why = " More than twice as dear, and no better." if dear else ""
            return Verdict(self.name, _WORSE, False, told + why, found.facts())
        passed = word is _BETTER or not must_be_better
        return Verdict(self.name, word, passed, told, found.facts(), max(0.0, found.after - found.before))


def usual(asset: Watched) -> Objective:
    """What runs are judged by where nothing is broken: its own objective of success, else plain success."""
    own = [each for each in asset.healthy if each.spec.signal == "task_success" and each.bound is not None]
    return own[0] if own else task_success(over=_LATELY) >= 0.5


class RunAnswers:
    """Whether the runs of a version in production end in errors or limits more often than those of the other one."""

    name = "run_answers"
    stages: Sequence[Stage] = ("canary", "watch")

    def judge(self, place: Workplace, asset: Watched, trial: Trial, now: datetime) -> Verdict:
        """Too few runs are no proof against it."""
        since = trial.since or now
        mine = self._ends(place, asset, Window(since, now, trial.candidate))
        others = self._ends(place, asset, Window(since - (now - since), now, str(trial.incumbent)))
        if min(mine[1], others[1]) < _N_LATER:
            text = f"{mine[1]} runs, and {others[1]} of the other version, are too few to tell."
            return Verdict(self.name, _UNSURE, True, text)
        sure = surely(LATER_CONFIDENCE, trial.n_rivals)
        ill, usual = (proportion_interval(n, of, confidence=sure) for n, of in (mine, others))
        worse = ill.low > usual.high
        text = (
            f"{ill.value:.1%} of {ill.n} runs ended in an error or a limit, {usual.value:.1%} of the other version's."
        )
        return Verdict(self.name, _WORSE if worse else _UNSURE, not worse, text, {"ended": [ill.low, ill.high]})

    def _ends(self, place: Workplace, asset: Watched, window: Window) -> tuple[int, int]:
        rows = counted(place, asset.name, window, ["status"])
        return int(rows["status"].is_in(["failed", "limited"]).sum()), rows.height
