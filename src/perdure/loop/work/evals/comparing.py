"""Two versions in one suite, looked at as the cases come in: a clear difference ends the run early, and no look is for free.

Clusters come in an order that only their names and the run's id decide, since the first cases of a file are seldom like the rest.
Each look is planned and pays for itself (`core.stats.sequential`), so that to look is no way to find what is not there.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime

from perdure.assets.suite import Suite
from perdure.assets.version import Version
from perdure.core.canonical import plain
from perdure.core.stats.intervals import Interval
from perdure.core.stats.sequential import shuffled
from perdure.core.stats.verdicts import Compared, Plan
from perdure.core.verdict import Comparison
from perdure.loop.protocols import Workplace
from perdure.loop.work.evals.frozen import cases_in, thaw
from perdure.loop.work.evals.pairing import scores_of, verdict_on
from perdure.loop.work.evals.running import VERDICT, Ran, RunOptions, begin_run, find_run, run_suite
from perdure.stores.ledger.protocols import Run
from perdure.stores.results.protocols import RunRow

N_LOOKS = 4
_ALPHA = "alpha"
"""Among a run's facts: the two-sided error with which it was begun."""
_CLEAR = (Comparison.BETTER, Comparison.WORSE)


@dataclass(frozen=True, slots=True)
class ComparedSuite:
    """A candidate beside the incumbent in one suite."""

    suite: Suite
    ran: Ran
    verdict: Compared


@dataclass(frozen=True, slots=True)
class Together:
    """What several suites say of one change."""

    passes: bool
    text: str


def compare_versions(  # noqa: PLR0913 - both versions, where, when and how
    place: Workplace,
    suite: Suite,
    incumbent: Version,
    candidate: Version,
    run: str,
    now: datetime,
    options: RunOptions | None = None,
    *,
    alpha: float = 0.05,
) -> ComparedSuite:
    """Ask a suite of both versions until a difference is clear, at the looks that are planned.

    Done again under the same id it goes on: with the suite, the order of its cases and the error that it began with. A run that stops
    before its plan (budget, nobody there) concludes nothing, and between two looks it is told as under way.

    Args:
        place: stores, and who asks models.
        suite: as declared.
        incumbent: what the candidate is compared with.
        candidate: what would be released.
        run: id of the run.
        now: domain time of the record.
        options: how; its `order` is not taken.
        alpha: two-sided error of the whole run.

    Raises: as `run_suite`.
    """
    chosen, subjects = options or RunOptions(), [incumbent, candidate]
    chosen = replace(chosen, facts={**chosen.facts, _ALPHA: alpha})
    record = begin_run(place, suite, subjects, run, now, chosen)
    frozen = thaw(place.stores.blobs, record.facts["frozen"])
    order = shuffled([each.cluster for each in cases_in(frozen)], run)
    plan = Plan(
        frozen.definition["margin"], frozen.definition["smallest"], len(order),
        n_looks=N_LOOKS, alpha=record.facts.get(_ALPHA, alpha),
    )  # fmt: skip
    look = 0
    while True:
        look += 1
        part = order[: math.ceil(len(order) * look / N_LOOKS)]
        ran = run_suite(place, suite, subjects, run, now, replace(chosen, order=part))
        seen = set(part)
        rows = [row for row in place.stores.results.list_run(run) if row.cluster in seen]
        verdict = verdict_of(rows, (incumbent.id, candidate.id), plan, look=look, partial=bool(ran.partial))
        if ran.partial or look == N_LOOKS or verdict.comparison in _CLEAR:
            _keep(place, ran, (incumbent.id, candidate.id), verdict, now, plan=plan)
            return ComparedSuite(suite, ran, verdict)


def _keep(
    place: Workplace, ran: Ran, versions: tuple[str, str], verdict: Compared, now: datetime, *, plan: Plan
) -> None:
    """What was concluded, in the run's facts: a report made without its looks and its alpha would tell another interval."""
    record = find_run(place, ran.run)
    assert record is not None
    told = {**asdict(verdict), "versions": list(versions), "alpha": plan.alpha, "n_looks": plan.n_looks}
    with place.transaction(now, f"compared in {record.facts['suite']}") as session:
        session.runs.put(replace(record, facts={**record.facts, "partial": ran.partial, VERDICT: plain(told)}))


def kept_verdict(record: Run, versions: Sequence[str]) -> Compared | None:
    """What a run concluded of two versions, the present one first; None: it compared none, or others, or went on since."""
    told = record.facts.get(VERDICT)
    if told is None or told["versions"] != list(versions):
        return None
    members = {each.name: told[each.name] for each in fields(Compared)}
    comparison, difference = Comparison(members["comparison"]), Interval(**members["difference"])
    return Compared(**{**members, "comparison": comparison, "difference": difference})


def verdict_of(
    rows: Iterable[RunRow], versions: tuple[str, str], plan: Plan, *, look: int, partial: bool = False
) -> Compared:
    """The verdict on the second version against the first, from a run's rows: means over samples, as `pairing` tells."""
    found = list(rows)
    first, second = (scores_of(found, each) for each in versions)
    return verdict_on(second, first, plan, look=look, partial=partial)


def alpha_of(suite: Suite, suites: Sequence[Suite], alpha: float = 0.05) -> float:
    """The error that one suite may make: primaries share it, for any of them may promote; guarded ones have it each.

    That no guarded suite is worse must hold of all at once, which needs no correction (R. Berger, 1982).
    """
    n_primaries = sum(each.role == "primary" for each in suites)
    return alpha / n_primaries if suite.role == "primary" else alpha


def together(found: Sequence[ComparedSuite]) -> Together:
    """What the suites say of a change, controlled together: none of them worse, and a primary one better.

    >>> together([]).text
    'not passed: no suite tests it'
    """
    if not found:
        return Together(False, "not passed: no suite tests it")
    worse = [each.suite.name for each in found if each.verdict.comparison is Comparison.WORSE]
    if worse:
        return Together(False, f"not passed: worse in {', '.join(worse)}")
    early = [each.suite.name for each in found if each.verdict.partial]
    if early:
        return Together(False, f"not passed: ended early in {', '.join(early)}")
    drops = [each.suite.name for each in found if each.verdict.difference.value < -each.suite.margin]
    if drops:
        return Together(False, f"not passed: looks worse beyond the margin in {', '.join(drops)}")
    better = [
        each.suite.name
        for each in found
        if each.suite.role == "primary" and each.verdict.comparison is Comparison.BETTER
    ]
    unsure = [each.suite.name for each in found if each.suite.role == "guarded" and not _no_worse(each)]
    if unsure:
        return Together(False, f"not passed: not proven to be no worse in {', '.join(unsure)}")
    if not better:
        return Together(False, "not passed: better in no primary suite")
    return Together(True, f"passed: better in {', '.join(better)}, and worse in none")


def _no_worse(found: ComparedSuite) -> bool:
    """Better, equivalent, or at worst worse by less than the margin."""
    sure = found.verdict.comparison in (Comparison.BETTER, Comparison.EQUIVALENT)
    return sure or (not found.verdict.partial and found.verdict.difference.low > -found.suite.margin)
