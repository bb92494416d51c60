"""Answers of a suite's newest run that people are worth asking about: where measures contradict one another.

An incident is open and the answer failed (`incident`); two versions answered one case and only one did well (`flip`); a judge says
good where the scorers that compute say bad, or the other way round (`disputed`). All are chosen, none is drawn: no estimate rests on them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from perdure.assets.scorer_specs import flattened, label_of
from perdure.assets.scorers import Judged
from perdure.assets.suite import Suite
from perdure.core.errors import NotFound
from perdure.engines.judges.anchors import Judgeable
from perdure.loop.incidents import find_incident
from perdure.loop.protocols import Workplace
from perdure.loop.work.evals.answers import texts_of
from perdure.loop.work.evals.frozen import FrozenCase, cases_in, thaw
from perdure.loop.work.evals.running import KIND
from perdure.loop.work.judges.labels import put_case
from perdure.loop.work.judges.queue import review_of
from perdure.stores.ledger.protocols import Review, Run
from perdure.stores.results.protocols import RunRow

APART = 0.5
"""Two measures from 0 to 1 that are at least so far apart contradict each other."""
_LOOKED_AT = 2000
_ORDER = ("incident", "flip", "disputed")


@dataclass(frozen=True, slots=True)
class _Doubt:
    """An answer that people are asked about."""

    why: str
    subject: str
    """The suite; of a dispute the judge."""
    row: RunRow
    gap: float


def ask_about(place: Workplace, suite: Suite, n: int, now: datetime) -> list[Review]:
    """Put the doubtful answers of a suite's newest run up to `now` into the queue; of one that is there already, no other is made.

    Args:
        place: results, and the queue.
        suite: as declared.
        n: how many at most: incidents first, then flips, then disputes; of each the clearest first.
        now: domain time.

    Raises:
        NotFound: the suite was not run to its end yet.
    """
    runs = _runs(place, suite, now)
    if not runs:
        raise NotFound(f"The suite {suite.name!r} was not run yet.", hint=f"Run it: perdure eval run {suite.name}")
    newest, rows = runs[0], list(place.stores.results.list_run(runs[0].id))
    subject = str(list(newest.facts["subjects"])[-1])
    doubts = [*_flips(suite, rows, _before(place, runs), subject), *_disputes(suite, rows)]
    if _is_ill(place, suite):
        doubts += _failed(suite, rows, subject)
    doubts.sort(key=lambda each: (_ORDER.index(each.why), -each.gap, each.row.case, each.row.sample))
    texts = texts_of(place.stores.results, [each.row.answer for each in doubts])
    cases = {each.digest: each for each in cases_in(thaw(place.stores.blobs, newest.facts["frozen"]))}
    known: dict[tuple[str, str], Review] = {}
    for doubt in doubts:
        text, case = texts.get(doubt.row.answer), cases.get(doubt.row.case)
        if text is not None and case is not None and len(known) < n:
            shown = _shown(case, text)
            facts = {"run": newest.id, "version": doubt.row.subject}
            asked = review_of(doubt.subject, f"run:{shown.id}", put_case(place, shown), doubt.why, now)
            known.setdefault((doubt.subject, shown.id), replace(asked, facts=facts))
    with place.transaction(now, "people are asked about a run") as session:
        return session.reviews.ask(list(known.values()))


def _shown(case: FrozenCase, text: str) -> Judgeable:
    return Judgeable.of(case.case.inputs, [text], case.case.expected, case.cluster)


def _runs(place: Workplace, suite: Suite, now: datetime) -> list[Run]:
    """Whole runs of the suite, newest first."""
    with place.stores.ledger.read() as session:
        runs = session.runs.list(suite.prompt or suite.route, limit=_LOOKED_AT)
    return [
        run
        for run in runs
        if run.kind == KIND
        and run.facts["suite"] == suite.name
        and not run.facts["partial"]
        and run.status == "done"
        and run.started_at <= now
    ]


def _before(place: Workplace, runs: Sequence[Run]) -> list[RunRow]:
    """Rows of the newest run before of another version; none where the newest has two itself."""
    newest = runs[0].facts["subjects"]
    for run in runs[1:] if len(newest) == 1 else ():
        if list(run.facts["subjects"]) != list(newest):
            return [row for row in place.stores.results.list_run(run.id) if row.subject not in newest]
    return []


def _value(row: RunRow) -> float | None:
    return 0.0 if row.error else row.score


def _is_ill(place: Workplace, suite: Suite) -> bool:
    with place.stores.ledger.read() as session:
        return find_incident(session, suite.prompt or suite.route) is not None


def _failed(suite: Suite, rows: Sequence[RunRow], subject: str) -> Iterator[_Doubt]:
    """Bad answers of the newest version."""
    for row in rows:
        value = _value(row)
        if row.subject == subject and value is not None and value < APART:
            yield _Doubt("incident", suite.name, row, 1.0 - value)


def _flips(suite: Suite, rows: Sequence[RunRow], before: Sequence[RunRow], subject: str) -> Iterator[_Doubt]:
    """The newest version's answers to cases that it is much better or worse at than the one before."""
    old = {(row.case, row.sample): _value(row) for row in (*before, *rows) if row.subject != subject}
    for row in rows:
        then, value = old.get((row.case, row.sample)), _value(row)
        if row.subject == subject and then is not None and value is not None and abs(value - then) >= APART:
            yield _Doubt("flip", suite.name, row, abs(value - then))


def _disputes(suite: Suite, rows: Sequence[RunRow]) -> Iterator[_Doubt]:
    """Answers that a judge sees otherwise than the mean of the scorers that compute."""
    judges: Mapping[str, str] = {label_of(each): each.judge for each in suite.scorers if isinstance(each, Judged)}
    asking = {label_of(each) for each in suite.scorers if any(isinstance(one, Judged) for one in flattened([each]))}
    for row in rows:
        said = {label: value for label, value, _, _ in row.scores if value is not None}
        computed = [value for label, value in said.items() if label not in asking]
        for label in judges.keys() & said.keys() if computed else ():
            gap = abs(said[label] - sum(computed) / len(computed))
            if gap >= APART:
                yield _Doubt("disputed", judges[label], row, gap)
