"""The share of runs that did what they were asked, where a judge's word decides some of them: corrected by people's labels.

Runs that people, scorers or an error decide are counted. Those that a judge alone decides are a part of their own, whose share is corrected
as figures of production are; both together are their mean by numbers of runs, with the bounds of a sum of shares that were estimated apart.
Where a judge's word is one of several, no label can correct it, and it counts as it was said.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from perdure.assets.judge import Judge
from perdure.assets.objective import SignalSpec
from perdure.assets.version import Version
from perdure.core.stats import Interval, proportion_interval
from perdure.engines.judges.correcting import told
from perdure.loop.protocols import Watched, Workplace
from perdure.loop.work.prompts.online_judged import at_confidence, figure_of, scorer_by
from perdure.loop.work.prompts.online_rounds import stopped_by
from perdure.loop.work.runs.judged import as_judged, heard_in
from perdure.loop.work.runs.outcomes import WELL, Outcomes
from perdure.loop.work.runs.reading import Seen


def share_of_success(
    place: Workplace,
    asset: Watched,
    spec: SignalSpec,
    outcomes: Outcomes,
    judged: Sequence[tuple[Seen, float]],
    now: datetime,
) -> tuple[Interval | None, Mapping[str, Any]]:
    """The share, and what judges had to do with it; None where only judges decide, and none of their figures can be used.

    Args:
        place: where labels and calibrations are.
        asset: whose runs.
        spec: at which confidence.
        outcomes: how runs are judged.
        judged: runs, each with 1 or 0; at least one.
        now: labels of later count not.
    """
    by_judge: dict[str, list[Seen]] = {}
    counted: list[float] = []
    for seen, value in judged:
        label = outcomes.sole_judge(seen)
        if label:
            by_judge.setdefault(label, []).append(seen)
        else:
            counted.append(value)
    good = sum(value >= WELL for value in counted)
    shares = [proportion_interval(good, len(counted), confidence=spec.confidence)] if counted else []
    facts: dict[str, Any] = {}
    for label, judge, version in heard_in(place, asset):
        if label in by_judge:
            share, facts[label] = _share(place, (label, judge, version), spec, by_judge[label], now)
            shares += [] if share is None else [share]
    ended = stopped_by(place, asset.name) if facts else ""
    more = {"judges": facts, "n_by_judge": sum(map(len, by_judge.values()))} if facts else {}
    return together(shares), {**more, "partial": ended} if ended else more


def _share(
    place: Workplace, heard: tuple[str, Judge, Version], spec: SignalSpec, runs: Sequence[Seen], now: datetime
) -> tuple[Interval | None, Mapping[str, Any]]:
    """What was asked and answered in the same words is one case of the figure, and as many runs as there are."""
    label, judge, version = heard
    by = scorer_by(version)
    asked = [(one.id, seen.words[label]) for seen in runs if (one := as_judged(seen.run, by)) is not None]
    figure = figure_of(place, judge, version, dict(asked), now)
    if isinstance(figure, str):
        return None, {"judge": version.id, "text": figure}
    facts = {"judge": version.id, **told(figure)}
    return None if figure.corrected is None else at_confidence(figure.corrected, spec.confidence, len(runs)), facts


def together(shares: Sequence[Interval]) -> Interval | None:
    """The mean of shares by their numbers; None of none.

    Source: G. Zou, A. Donner, Construction of confidence limits about effect measures (2008), of a weighted sum.

    >>> found = together([Interval(0.5, 0.4, 0.6, 100), Interval(1.0, 0.9, 1.0, 100)])
    >>> found.value, round(found.low, 3), round(found.high, 3), found.n
    (0.75, 0.679, 0.8, 200)
    """
    if not shares:
        return None
    n = sum(each.n for each in shares)
    value = sum(each.n * each.value for each in shares) / n
    below = math.sqrt(sum((each.n / n * (each.value - each.low)) ** 2 for each in shares))
    above = math.sqrt(sum((each.n / n * (each.high - each.value)) ** 2 for each in shares))
    return Interval(value, max(0.0, value - below), min(1.0, value + above), n)
