"""What `perdure check` says of objectives `online_score`: those that could never be measured are errors. Called by `check_suites`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from perdure.assets.scorer_specs import flattened, label_of
from perdure.assets.scorers import Judged, Scorer
from perdure.core.errors import BadSuite, nearest
from perdure.surface.check_policies import Said

if TYPE_CHECKING:
    from perdure.assets.judge import Judge
    from perdure.assets.project import Project
    from perdure.assets.prompt import Prompt
    from perdure.assets.suite import Suite
    from perdure.core.settings import Settings

_PRICES = "Declare it: Target(…, prices=UnitPrices(input=…, output=…)); 0 for a model that costs nothing."


def online_notes(prompt: Prompt, label: str, suites: Sequence[Suite], project: Project, settings: Settings) -> Said:
    """An objective on production against the scorer that it names, who judges for it, what they cost, and the texts that are kept."""
    scorers = {label_of(scorer): scorer for suite in reversed(suites) for scorer in suite.scorers}
    told = f"is held to the scorer {label!r}"
    route = project.routes.get(prompt.route)
    if label not in scorers:
        near = nearest(label, scorers)
        hint = f"Did you mean {near!r}?" if near else f"Scorers: {', '.join(sorted(scorers)) or 'none'}."
        yield "error", f"{told}, which none of its suites has.", hint
        return
    if route is not None and route.bodies == "none":
        yield (
            "error",
            f"{told} over production, but its route {route.name!r} keeps no texts: nothing can be scored.",
            'Write bodies="redacted" on the route.',
        )
    if not isinstance(scorers[label], Judged) and _asks(scorers[label]):
        yield (
            "error",
            f"{told}, which puts a judge's word together with others: such a figure cannot be corrected by labels.",
            "Hold it to the judge by itself, as a scorer of its own with weight=0.",
        )
    elif isinstance(found := scorers[label], Judged) and found.judge in project.judges:
        yield from _judged(told, project.judges[found.judge], project, settings)


def _asks(scorer: Scorer) -> bool:
    return any(isinstance(each, Judged) for each in flattened([scorer]))


def _judged(told: str, judge: Judge, project: Project, settings: Settings) -> Said:
    """Whether a judge can be asked about production."""
    if judge.form != "pointwise":
        lacks = "compares two answers" if judge.form == "pairwise" else "is shown what was expected"
        yield (
            "error",
            f"{told}, whose judge {judge.name!r} {lacks}: production has neither.",
            'Hold it to a judge of form="pointwise".',
        )
        return
    if settings.evals.online_usd <= 0.0:
        yield (
            "error",
            f"{told}, which asks the judge {judge.name!r}, but judges may cost nothing in production.",
            "Write online_usd = 1.0 under [evals]: US dollars a day.",
        )
        return
    yield from _unpriced(told, judge, project)


def _unpriced(told: str, judge: Judge, project: Project) -> Said:
    from perdure.loop.work.evals.prices import prices_of

    for name in dict.fromkeys((judge.route, *judge.panel)):
        if name in project.routes:
            try:
                prices_of({name: project.routes[name].definition()})
            except BadSuite as error:
                yield "error", f"{told}, whose judge cannot be asked within a day's money. {error.message}", _PRICES
