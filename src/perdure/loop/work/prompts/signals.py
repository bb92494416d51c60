"""What is measured of a prompt: its score in suites and in production, claims without support, and who let it answer.

Scores of suites are of the version that answers, from the newest run that asked it. No model is asked here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

import polars as pl

from perdure.assets.health import Reading
from perdure.assets.objective import SignalSpec
from perdure.assets.suite import Suite
from perdure.core.stats import proportion_interval
from perdure.loop.protocols import Signal, Watched, Workplace
from perdure.loop.work.prompts.newest import Scored, newest_scores
from perdure.loop.work.prompts.online import computed_scores, hallucinations
from perdure.loop.work.prompts.online_judged import find_wanted, judged_scores
from perdure.loop.work.prompts.paired import mean_score
from perdure.loop.work.prompts.proving import unproven_since
from perdure.loop.work.prompts.served import read_served, unapproved
from perdure.loop.work.prompts.tested import UNPROVEN, suites_of
from perdure.loop.work.readings import exactly, reading_of
from perdure.loop.work.versions import find_champion


def prompt_signals() -> Mapping[str, Callable[[], Signal]]:
    """The signals of the kind "prompt": name → what makes it."""
    return {
        "eval_score": EvalScore,
        "hallucination_ratio": HallucinationRatio,
        "online_score": OnlineScore,
        "unapproved_ratio": UnapprovedRatio,
        UNPROVEN: Unproven,
    }


class EvalScore:
    """The clustered mean score of the version that answers, in the newest run of a suite within the window."""

    name = "eval_score"

    def observe(self, place: Workplace, asset: Watched, spec: SignalSpec, now: datetime) -> Sequence[Reading]:
        """One reading; none where no run of the window asked this version, or the suite is not declared."""
        suite = find_suite(asset, str(spec.params["suite"]))
        champion = find_champion(place.stores.ledger, asset.name)
        if suite is None or champion is None:
            return []
        found = newest_scores(place, suite, champion, now - spec.over, now)
        if found is None:
            return []
        score = mean_score(found.scores, spec.confidence)
        return [reading_of(asset, spec, now, score, unit="score", version=champion.id, facts=_facts(found))]


def find_suite(asset: Watched, name: str) -> Suite | None:
    """The asset's suite of that name, or None."""
    return next((suite for suite in suites_of(asset) if suite.name == name), None)


def _facts(found: Scored) -> dict[str, object]:
    return {
        "suite_version": found.suite_version,
        "run": found.run,
        "n_failed": sum(each.n_failed for each in found.scores.values()),
    }


class OnlineScore:
    """The mean of a suite's scorer over answers of production, by the version that answers."""

    name = "online_score"

    def observe(self, place: Workplace, asset: Watched, spec: SignalSpec, now: datetime) -> Sequence[Reading]:
        """One reading; none where no kept answer can be scored by it. A judge's word is that of the rounds before."""
        wanted = find_wanted(asset, spec)
        if wanted is not None:
            return judged_scores(place, asset, wanted, now)
        return computed_scores(place, asset, spec, now)


class HallucinationRatio:
    """Share of claims in answers of production that the request they were given does not support."""

    name = "hallucination_ratio"

    def observe(self, place: Workplace, asset: Watched, spec: SignalSpec, now: datetime) -> Sequence[Reading]:
        """One reading with the calls to look at; none where no kept answer claims anything."""
        return hallucinations(place, asset, spec, now)


class UnapprovedRatio:
    """Share of a prompt's calls that a version answered which no pointer held then."""

    name = "unapproved_ratio"

    def observe(self, place: Workplace, asset: Watched, spec: SignalSpec, now: datetime) -> Sequence[Reading]:
        """One reading with the versions that answered so; none while nobody called."""
        calls = read_served(place.stores.lake, asset.name, now - spec.over, now)
        if calls.is_empty():
            return []
        wrong = unapproved(place, asset.name, calls)
        found = proportion_interval(wrong.height, calls.height, confidence=spec.confidence)
        counted = wrong.group_by("prompt").len().sort(["len", "prompt"], descending=[True, False])
        facts = {"versions": {str(version): int(n) for version, n in counted.iter_rows()}, **_last(wrong)}
        return [reading_of(asset, spec, now, found, unit="ratio", facts=facts)]


def _last(wrong: pl.DataFrame) -> dict[str, object]:
    return {} if wrong.is_empty() else {"last_at": wrong["served_at"].max().isoformat()}  # type: ignore[union-attr]


class Unproven:
    """1 while a version answers that was released past its suites, and has not passed them since; else 0."""

    name = UNPROVEN

    def observe(self, place: Workplace, asset: Watched, spec: SignalSpec, now: datetime) -> Sequence[Reading]:
        """One reading, once anything answers."""
        champion = find_champion(place.stores.ledger, asset.name)
        if champion is None:
            return []
        found = unproven_since(place, asset)
        facts = {} if found is None else {"reason": found.reason, "since": found.at.isoformat(), "worse": found.worse}
        value = exactly(0.0 if found is None else 1.0, 1)
        return [reading_of(asset, spec, now, value, unit="", version=champion.id, facts=facts)]
