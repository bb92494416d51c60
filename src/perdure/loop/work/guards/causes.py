"""What may be behind a guard's ill health: the causes of the kind "guard".

| cause | what speaks for it | weight when it is real |
|---|---|---|
| `label_trouble` | labels that contradict one another or the suite, or mistakes that only a key tells which never labelled before | 0.88 to 0.95 |
| `new_attacks` | misses; the more so, the fewer of them are like what was trained on | 0.5 to 0.8 |
| `over_defence` | false blocks | 0.7 |
| `traffic_moved` | scores of the traffic are spread otherwise than before | 0.2, and 0.4 where only the share of blocks is broken |

Labels come first: whoever can send feedback could else teach the guard to let their own attacks pass.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from perdure.assets.health import Cause as RankedCause
from perdure.assets.health import Finding, State
from perdure.assets.version import Version
from perdure.engines.guards.learned_text import normalise
from perdure.loop.protocols import Cause, Watched, Workplace
from perdure.loop.work.guards.cases import HARMFUL_AT, MEMORY, Case, guard_of, judged_calls, labelled_calls, read_cases
from perdure.loop.work.guards.estimates import suite_of
from perdure.loop.work.guards.judging import Judge, is_whole, load_judge
from perdure.loop.work.versions import find_champion

NEW_ATTACKS = "new_attacks"
OVER_DEFENCE = "over_defence"
TRAFFIC_MOVED = "traffic_moved"
LABEL_TROUBLE = "label_trouble"

_MOST_NAMED = 5
_N_SCORES = 100
_KS_99 = 1.628
"""Quantile 0.99 of the Kolmogorov distribution."""
_CONTRADICTED = 0.2
_N_LABELS = 5
_DOMINANT = 0.8
_N_DOMINANT = 10


def guard_causes() -> tuple[Cause, ...]:
    """The causes of the kind "guard"."""
    return (LabelTrouble(), NewAttacks(), OverDefence(), TrafficMoved())


def _broken(findings: Sequence[Finding], signal: str) -> Finding | None:
    """The newest broken finding of a signal; overall ones before those of a family."""
    found = [
        finding
        for finding in findings
        if finding.state is State.BROKEN and finding.reading.signal.partition("@")[0] == signal
    ]
    return min(found, key=lambda finding: (finding.reading.slice != "", -(finding.reading.value or 0.0)), default=None)


def _judge(place: Workplace, champion: Version | None) -> Judge | None:
    return None if champion is None or not is_whole(place, champion) else load_judge(place, champion)


class NewAttacks:
    """It misses more than it may: because what comes is like nothing that it was trained on, or in spite of that."""

    name = NEW_ATTACKS

    def weigh(self, place: Workplace, asset: Watched, findings: Sequence[Finding], now: datetime) -> RankedCause | None:
        """Where the misses are broken: 0.5, and up to 0.8 as they are unlike what was trained on; None else."""
        broken = _broken(findings, "miss_ratio")
        if broken is None:
            return None
        judge = _judge(place, find_champion(place.stores.ledger, asset.name))
        if judge is None:
            return RankedCause(self.name, 0.5, {"ratio": broken.reading.value}, "It misses more than it may.")
        missed = _wrong(judge, read_cases(place, guard_of(asset), now), broken, harmful=True)
        families = [_family_of(judge, case) for case in missed]
        strange = [case for case, family in zip(missed, families, strict=True) if family is None]
        share = len(strange) / len(missed) if missed else 0.0
        unseen = sorted({case.family for case in strange if case.family})
        evidence: dict[str, Any] = {
            "ratio": broken.reading.value,
            "n_missed": len(missed),
            "n_strange": len(strange),
            "unseen_families": unseen[:_MOST_NAMED],
            "known_families": sorted({family for family in families if family})[:_MOST_NAMED],
        }
        named = f" (such as {', '.join(unseen[:_MOST_NAMED])})" if unseen else ""
        text = f"{len(strange)} of {len(missed)} missed texts are like nothing that it was trained on{named}."
        return RankedCause(self.name, round(0.5 + 0.3 * share, 4), evidence, text)


def _wrong(judge: Judge, cases: Sequence[Case], broken: Finding, *, harmful: bool) -> list[Case]:
    """Texts that it judges wrongly: of the standing suite, and of what people said within the window."""
    since = broken.reading.window_start
    recent = [case for case in cases if case.origin == "calls" and case.known_at and case.known_at > since]
    asked = [case for case in [*suite_of(cases, judge), *recent] if case.harmful == harmful]
    caught = judge.caught(asked)
    return [case for case, found in zip(asked, caught, strict=True) if bool(found) != harmful]


def _family_of(judge: Judge, case: Case) -> str | None:
    """A family that it was trained on, as labelled or by likeness (empty: one without a name); None: like none."""
    if case.family:
        return case.family if case.family in judge.trained_on.families else None
    return judge.scorer.family(case.text) if judge.scorer.knows(case.text) else None


class OverDefence:
    """It acts on more harmless texts than it may."""

    name = OVER_DEFENCE

    def weigh(self, place: Workplace, asset: Watched, findings: Sequence[Finding], now: datetime) -> RankedCause | None:
        """0.7 where the false blocks are broken; None else."""
        broken = _broken(findings, "false_block_ratio")
        if broken is None:
            return None
        judge = _judge(place, find_champion(place.stores.ledger, asset.name))
        cases = [] if judge is None else read_cases(place, guard_of(asset), now)
        wrong = [] if judge is None else _wrong(judge, cases, broken, harmful=False)
        kinds = sorted({case.family for case in wrong if case.family})
        evidence = {"ratio": broken.reading.value, "n_in_vain": len(wrong), "look_alikes": kinds[:_MOST_NAMED]}
        named = f", among them {', '.join(kinds[:_MOST_NAMED])}" if kinds else ""
        text = f"It acts on {broken.reading.value or 0.0:.1%} of harmless texts{named}."
        return RankedCause(self.name, 0.7, evidence, text)


class TrafficMoved:
    """Other texts come than before; that alone is no harm, and nothing is learned for it."""

    name = TRAFFIC_MOVED

    def weigh(self, place: Workplace, asset: Watched, findings: Sequence[Finding], now: datetime) -> RankedCause | None:
        """Where scores of one version moved for sure between the window and the one before it; None else."""
        sick = [finding for finding in findings if finding.state is State.BROKEN]
        champion = find_champion(place.stores.ledger, asset.name)
        if not sick or champion is None:
            return None
        over = max(finding.reading.window_end - finding.reading.window_start for finding in sick)
        judged = judged_calls(place.stores.lake, asset.name, now - 2 * over, now)
        judged = judged.filter(pl.col("version") == champion.id)
        late = (judged["served_at"] >= now - over).to_numpy()
        scores = judged["score"].fill_null(0.0).to_numpy()
        distance, surely = moved(scores[~late], scores[late])
        if not surely:
            return None
        alone = all(finding.reading.signal.partition("@")[0] == "block_ratio" for finding in sick)
        evidence = {"distance": round(distance, 4), "n_before": int((~late).sum()), "n": int(late.sum())}
        text = f"The scores of what comes are spread otherwise than before (distance {distance:.2f})."
        return RankedCause(self.name, 0.4 if alone else 0.2, evidence, text)


def moved(before: NDArray[np.float64], now: NDArray[np.float64]) -> tuple[float, bool]:
    """Kolmogorov and Smirnov's distance of two samples, and whether it is larger than chance makes it (at 99%).

    >>> moved(np.linspace(0.0, 1.0, 200), np.linspace(0.5, 1.0, 200))
    (0.5, True)
    """
    n, m = len(before), len(now)
    if min(n, m) < _N_SCORES:
        return 0.0, False
    grid = np.concatenate([before, now])
    first = np.searchsorted(np.sort(before), grid, "right") / n
    second = np.searchsorted(np.sort(now), grid, "right") / m
    distance = float(np.abs(first - second).max())
    return distance, distance > _KS_99 * math.sqrt((n + m) / (n * m))


class LabelTrouble:
    """What people say cannot be right: nothing is to be learned from it before a person looked."""

    name = LABEL_TROUBLE

    def weigh(self, place: Workplace, asset: Watched, findings: Sequence[Finding], now: datetime) -> RankedCause | None:
        """0.95 where labels contradict one another or the suite, 0.88 where a new key tells nearly all mistakes; None else."""
        sick = [finding for finding in findings if finding.state is State.BROKEN]
        if not sick:
            return None
        start = now - max(finding.reading.window_end - finding.reading.window_start for finding in sick)
        said = labelled_calls(place.stores.lake, asset.name, now - MEMORY, now)
        recent = said.filter(pl.col("received_at") > start)
        return self._contradictions(place, asset, recent, now) or self._newcomer(said, recent, start)

    def _contradictions(
        self, place: Workplace, asset: Watched, recent: pl.DataFrame, now: datetime
    ) -> RankedCause | None:
        told = recent.filter(pl.col("text").is_not_null() & (pl.col("text") != ""))
        if told.height < _N_LABELS:
            return None
        cases = read_cases(place, guard_of(asset), now)
        standing = {case.group: case.harmful for case in cases if case.origin == "examples"}
        of_text = {normalise(case.text): case.group for case in cases}
        by_group: dict[int, set[bool]] = {}
        pairs = [
            (of_text.get(normalise(text)), value >= HARMFUL_AT)
            for text, value in told.select("text", "value").iter_rows()
        ]
        for group, harmful in pairs:
            if group is not None:
                by_group.setdefault(group, {standing[group]} if group in standing else set()).add(harmful)
        torn = {group for group, labels in by_group.items() if len(labels) > 1}
        n_torn = sum(group in torn for group, _ in pairs)
        if n_torn < _CONTRADICTED * told.height or n_torn < _N_LABELS:
            return None
        text = f"{n_torn} of {told.height} labels contradict others of the same text."
        return RankedCause(self.name, 0.95, {"n": told.height, "n_contradicted": n_torn}, text)

    def _newcomer(self, said: pl.DataFrame, recent: pl.DataFrame, start: datetime) -> RankedCause | None:
        """A key that began to label within the window, after others, and tells nearly all mistakes of it."""
        mistakes = recent.filter((pl.col("value") >= HARMFUL_AT) != pl.col("acted"))
        if mistakes.height < _N_DOMINANT:
            return None
        counted = mistakes["said_by"].value_counts().sort(["count", "said_by"], descending=[True, False])
        key, n = counted.row(0)
        began = said.filter(pl.col("said_by") == key)["received_at"].min()
        n_before = said.filter((pl.col("received_at") < began) & (pl.col("said_by") != key)).height
        if n < _DOMINANT * mistakes.height or n_before < _N_LABELS or (isinstance(began, datetime) and began <= start):
            return None
        text = f"{n} of {mistakes.height} mistakes were told by one key that never labelled before."
        return RankedCause(self.name, 0.88, {"n": mistakes.height, "n_of_key": n, "key": key}, text)
