"""`/language/suites/{name}`: what a suite asks, how it judges, and what came of it lately."""

from __future__ import annotations

from dataclasses import dataclass

from perdure.assets.scorer_specs import label_of
from perdure.assets.scorers import Judged
from perdure.surface.console.asking import address
from perdure.surface.console.language.cells import OVERVIEW, page_of
from perdure.surface.console.language.evals import evals_in
from perdure.surface.console.records import Asked, Cell, Table, View


@dataclass(frozen=True, slots=True)
class SuitePage:
    """The whole page."""

    name: str
    tests: str
    tests_page: str
    role: str
    n_samples: int
    margin: float
    smallest: float
    cases: str
    scorers: Table
    evals: Table
    n_to_label: int
    reviews: str
    may_label: bool
    untrusted: str
    """Why its judges may not decide; empty where they may, or it has none."""


def view(asked: Asked) -> View:
    """The page.

    Raises:
        NotFound: no such suite.
    """
    from perdure.loop.work.judges.trusted import why_untrusted

    name = asked.path["name"]
    suite = asked.project.project.suite(name)
    with asked.project.place.stores.ledger.read() as session:
        n_open = len(session.reviews.list(subject=name, status="open"))
    kind, tested = ("prompt", suite.prompt) if suite.prompt else ("route", suite.route)
    cases = suite.cases
    data = SuitePage(
        name=name,
        tests=f"{kind} {tested}",
        tests_page=page_of(kind, tested),
        role=suite.role,
        n_samples=suite.n_samples,
        margin=suite.margin,
        smallest=suite.smallest,
        cases=f"{len(cases):,} in code" if isinstance(cases, tuple) else str(getattr(cases, "name", cases)),
        scorers=Table(
            ("Scorer", "Kind"),
            [(label_of(each), _kind(each)) for each in suite.scorers],
            f"Scorers of {name}",
        ),
        evals=evals_in(asked, name, 20),
        n_to_label=n_open,
        reviews=address("/language/reviews", subject=name),
        may_label=asked.person.may("bodies"),
        untrusted=why_untrusted(asked.project.place, suite),
    )
    return View(name, data, (OVERVIEW, ("Evals", "/language/evals")), live=("ledger",))


def _kind(scorer: object) -> Cell | str:
    if isinstance(scorer, Judged):
        return Cell(f"judge {scorer.judge}", page_of("judge", scorer.judge))
    return type(scorer).__name__
