"""What a route's answers are worth: its score in suites, and claims in production that the request does not support.

A suite tests a route by itself, or a prompt that the route answers. The score is of the newest whole run that asked what answers now;
of a prompt's suite no older one than the route's present version is, for it was asked of another. No model is asked here.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from perdure.assets.health import Reading
from perdure.assets.objective import SignalSpec
from perdure.assets.version import CHAMPION
from perdure.loop.protocols import Watched, Workplace
from perdure.loop.work.prompts.newest import newest_scores
from perdure.loop.work.prompts.online import read_kept_of_route, unsupported
from perdure.loop.work.prompts.paired import mean_score
from perdure.loop.work.readings import reading_of
from perdure.loop.work.routes.suites import RouteSuites
from perdure.loop.work.versions import find_champion


class RouteScore:
    """The clustered mean score of what answers, in the newest run of a suite within the window."""

    name = "eval_score"

    def __init__(self, suites: RouteSuites | None = None) -> None:
        self._suites = suites

    def observe(self, place: Workplace, asset: Watched, spec: SignalSpec, now: datetime) -> Sequence[Reading]:
        """One reading; none where no run of the window asked what answers now, or the suite tests something else."""
        suites = () if self._suites is None else (*self._suites.own(asset.name), *self._suites.of(asset.name))
        suite = next((each for each in suites if each.name == spec.params["suite"]), None)
        route = find_champion(place.stores.ledger, asset.name)
        subject = find_champion(place.stores.ledger, suite.prompt) if suite is not None and suite.prompt else route
        if suite is None or route is None or subject is None:
            return []
        start = now - spec.over
        if suite.prompt:
            start = max(start, _released_at(place, asset.name))
        found = newest_scores(place, suite, subject, start, now)
        if found is None:
            return []
        score = mean_score(found.scores, spec.confidence)
        facts = {"suite_version": found.suite_version, "run": found.run, "asked": subject.id,
                 "n_failed": sum(each.n_failed for each in found.scores.values())}  # fmt: skip
        return [reading_of(asset, spec, now, score, unit="score", version=route.id, facts=facts)]


def _released_at(place: Workplace, route: str) -> datetime:
    with place.stores.ledger.read() as session:
        return [each for each in session.pointers.history(route) if each.name == CHAMPION][-1].at


class RouteHallucinations:
    """Share of claims in a route's answers of production that the request they were given does not support."""

    name = "hallucination_ratio"

    def observe(self, place: Workplace, asset: Watched, spec: SignalSpec, now: datetime) -> Sequence[Reading]:
        """One reading with the calls to look at; none where no kept answer claims anything."""
        kept = read_kept_of_route(place, asset.name, now - spec.over, now)
        champion = find_champion(place.stores.ledger, asset.name)
        return unsupported(asset, spec, now, kept, "" if champion is None else champion.id)
