"""Versions that a person released past their suites: since when, why, and whether they have passed them since."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from perdure.assets.repair import Trial
from perdure.assets.version import CHAMPION, PointerMove
from perdure.core.verdict import Comparison
from perdure.loop.protocols import Watched, Workplace
from perdure.loop.work.prompts.gates import absolute_objectives, meet
from perdure.loop.work.prompts.paired import mean_score
from perdure.loop.work.prompts.tested import suites_of

REASON = "unproven"
"""Key of the facts of a pointer's move: why a person released past the suites."""


@dataclass(frozen=True, slots=True)
class UnprovenRelease:
    """A release past the suites that nothing has proven since."""

    version: str
    replaced: str | None
    reason: str
    actor: str
    at: datetime
    worse: tuple[str, ...]
    """Suites that were asked since, and say it is worse."""


def unproven_since(place: Workplace, asset: Watched) -> UnprovenRelease | None:
    """The release of what answers now, where it was one past the suites and they have not passed it since."""
    with place.stores.ledger.read() as session:
        moves = [move for move in session.pointers.history(asset.name) if move.name == CHAMPION and move.version]
    if not moves or REASON not in moves[-1].facts:
        return None
    last, replaced = moves[-1], _replaced(moves)
    says = {
        suite.name: _says(place, asset, Trial(str(last.version), replaced), suite.name) for suite in suites_of(asset)
    }
    if says and all(word == "passed" for word in says.values()):
        return None
    worse = tuple(name for name, word in says.items() if word == "worse")
    return UnprovenRelease(str(last.version), replaced, str(last.facts[REASON]), last.actor, last.at, worse)


def _replaced(moves: list[PointerMove]) -> str | None:
    """The newest champion before, other than the present one."""
    return next((each.version for each in reversed(moves) if each.version != moves[-1].version), None)


def _says(place: Workplace, asset: Watched, trial: Trial, name: str) -> str:
    """`passed`: asked to its end, and not worse than what it replaced, or above what is declared; `worse`; or `unknown`."""
    suite = next(each for each in suites_of(asset) if each.name == name)
    met = meet(place, asset, trial, suite, 1)
    if not met.whole:
        return "unknown"
    owed = absolute_objectives(asset).get(name, ())
    for objective in owed:
        score = mean_score(met.first, objective.confidence)
        bound = float(objective.bound or 0.0)
        if score is not None and (score.high < bound if objective.operator == ">=" else score.low > bound):
            return "worse"
    if trial.incumbent is None:
        return "passed"
    word = met.judged()
    looks_worse = word.comparison is Comparison.WORSE or word.difference.value < -suite.margin
    return "worse" if looks_worse else "passed"
