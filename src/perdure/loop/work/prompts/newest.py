"""The newest scores of a version in a suite: of a run by hand or on a schedule, or of one in a repair."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from perdure.assets.suite import Suite
from perdure.assets.version import Version
from perdure.loop.protocols import Workplace
from perdure.loop.work.evals.pairing import Scores, judged_only, scores_of
from perdure.loop.work.evals.running import KIND
from perdure.loop.work.prompts.paired import held_out
from perdure.loop.work.versions import find_champion

IMPROVED = "prompt_improve"
"""The remedy whose versions have seen the improve split."""
_LOOKED_AT = 2000


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """One version's scores by case, and where they are from."""

    run: str
    """In the store of results."""
    suite_version: str
    at: datetime
    scores: Scores


def newest_scores(place: Workplace, suite: Suite, version: Version, start: datetime, end: datetime) -> Scored | None:
    """Of the newest whole run in `(start, end]` that asked this version; None: there is none.

    Of a version that improvement made, cases that it has learned from are left out. A run that asked a version of a route
    which is only tried, as the gate `route_suites` does, is no score of what answers.
    """
    with place.stores.ledger.read() as session:
        runs = session.runs.list(version.asset, limit=_LOOKED_AT)
    for run in runs:
        facts = run.facts
        if run.kind != KIND or facts["suite"] != suite.name or facts["partial"] or version.id not in facts["subjects"]:
            continue
        if not start < run.started_at <= end or _is_tried(place, facts.get("route", "")):
            continue
        rows = list(place.stores.results.list_run(run.id))
        learned = version.lineage.get("remedy") == IMPROVED
        scores = judged_only(scores_of(held_out(rows, suite) if learned else rows, version.id))
        if scores:
            return Scored(run.id, facts["suite_version"], run.started_at, scores)
    return None


def _is_tried(place: Workplace, route: str) -> bool:
    """Whether a run asked a version of a route that does not answer now; empty: it asked whichever did."""
    if not route:
        return False
    champion = find_champion(place.stores.ledger, route.partition("@")[0])
    return champion is None or champion.id != route
