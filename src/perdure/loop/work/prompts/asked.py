"""Suites asked in a repair's durable step: candidates and incumbent on the same cases, and a record that gates find.

A remedy calls `ask_suites` with the versions that are to compete. Rows go to the store of results, which keeps answers by
content: a step that is done again pays for nothing twice. The ledger gets one run a suite and candidate, of the kind
`compare`, with the suite's version, the attempt that it is, and why it ended early where it did.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from perdure.assets.repair import Trial
from perdure.assets.suite import Suite
from perdure.assets.version import Version
from perdure.core.canonical import content_hash
from perdure.loop.protocols import Watched, Workplace
from perdure.loop.work.evals.running import KIND as ASKED
from perdure.loop.work.evals.running import Ran
from perdure.loop.work.prompts.attempts import NEW_SHARE, new_share, sketch
from perdure.loop.work.prompts.paired import held_out
from perdure.loop.work.prompts.tested import suites_of
from perdure.loop.work.versions import find_champion, get_version
from perdure.stores.ledger.protocols import LedgerSession, Run
from perdure.stores.results.protocols import RunRow

COMPARED = "compare"
"""Kind of the ledger's runs that are comparisons of two versions by a suite."""
_LOOKED_AT = 2000


class RunSuite(Protocol):
    """Asks a suite of versions, and puts the rows into the store of results under a run's id."""

    def __call__(self, place: Workplace, suite: Suite, subjects: Sequence[Version], run: str, now: datetime, /) -> Ran:
        """Done again under the same id it goes on from what is known; answers that are known cost nothing."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """One candidate beside the incumbent in one suite, as gates find it."""

    suite: Suite
    run: Run
    rows: Sequence[RunRow]
    """Of the clusters that gates judge by, of both versions."""

    @property
    def attempt(self) -> int:
        """Which it is of the attempts on these cases, from 1."""
        return int(self.run.facts["attempt"])

    @property
    def partial(self) -> str:
        """Why it ended early; empty where it is whole."""
        return str(self.run.facts["partial"])

    @property
    def suite_version(self) -> str:
        """The version of the suite that was asked."""
        return str(self.run.facts["suite_version"])


@dataclass(frozen=True, slots=True)
class Contest:
    """Who is compared with whom, and in which durable step."""

    candidates: Sequence[str]
    incumbent: str | None
    """None: there is nothing to compare with."""
    step: str
    """`<job>/<step>`: what is recorded under it is not asked again."""


def ask_suites(
    place: Workplace, asset: Watched, candidates: Sequence[str], step: str, now: datetime, run_suite: RunSuite
) -> None:
    """Ask every suite of the candidates and of what answers now."""
    champion = find_champion(place.stores.ledger, asset.name)
    rivals = [each for each in dict.fromkeys(candidates) if champion is None or each != champion.id]
    ask_contest(place, asset, Contest(rivals, champion.id if champion else None, step), now, run_suite)


def ask_contest(place: Workplace, asset: Watched, contest: Contest, now: datetime, run_suite: RunSuite) -> None:
    """The same against a version that is named."""
    if not contest.candidates:
        return
    names = [*([contest.incumbent] if contest.incumbent else []), *contest.candidates]
    subjects = [get_version(place.stores.ledger, name) for name in names]
    for suite in suites_of(asset):
        results = f"cmp_{content_hash([asset.name, suite.name, names, contest.step])[:20]}"
        with place.stores.ledger.read() as session:
            done = {_key(run) for run in _runs(session, asset.name) if run.facts.get("results") == results}
        if not all((candidate, contest.incumbent) in done for candidate in contest.candidates):
            ran = run_suite(place, suite, subjects, results, now)
            _record(place, asset, contest, _told(place, suite, contest, results, ran), now)


def _told(place: Workplace, suite: Suite, contest: Contest, results: str, ran: Ran) -> dict[str, Any]:
    """What the ledger keeps of a suite's run, whoever the candidate is."""
    return {
        "suite": suite.name,
        "suite_version": ran.suite_version,
        "role": suite.role,
        "job": contest.step.partition("/")[0],
        "results": results,
        "partial": ran.partial,
        "spent_pusd": ran.spent_pusd,
        "cases": sketch(row.case for row in place.stores.results.list_run(results)),
    }


def _record(place: Workplace, asset: Watched, contest: Contest, told: Mapping[str, Any], now: datetime) -> None:
    with place.transaction(now, f"ask {told['suite']}") as session:
        for candidate in contest.candidates:
            pair = (candidate, contest.incumbent)
            known = [run for run in _runs(session, asset.name) if run.facts["suite"] == told["suite"]]
            attempt = _attempt(known, pair, told["job"], told["cases"])
            facts = {**told, "candidate": candidate, "incumbent": contest.incumbent, "attempt": attempt}
            run_id = f"run_{content_hash([told['results'], candidate])[:17]}"
            session.runs.put(Run(run_id, COMPARED, asset.name, "done", now, now, facts=facts, actor=place.actor))


def _attempt(known: Sequence[Run], pair: tuple[str, str | None], job: str, cases: Sequence[str]) -> int:
    """The same pair, or another of the same repair, is the same attempt: its answers are the same draws.

    A first version is compared with nothing, which is no attempt.
    """
    same = [run for run in known if run.facts["incumbent"] and new_share(run.facts["cases"], cases) < NEW_SHARE]
    for run in same:
        if _key(run) == pair or run.facts["job"] == job:
            return int(run.facts["attempt"])
    return 1 + max((int(run.facts["attempt"]) for run in same), default=0)


def find_comparison(place: Workplace, asset: Watched, suite: Suite, trial: Trial) -> Comparison | None:
    """The newest comparison of a trial's versions in a suite, with its rows; None: it was not asked."""
    with place.stores.ledger.read() as session:
        runs = _runs(session, asset.name)
    for run in runs:
        if run.facts["suite"] == suite.name and _key(run) == (trial.candidate, trial.incumbent):
            rows = held_out(place.stores.results.list_run(run.facts["results"]), suite)
            wanted = (trial.candidate, trial.incumbent)
            return Comparison(suite, run, [row for row in rows if row.subject in wanted])
    return None


def forget_answers(place: Workplace, asset: Watched, before: datetime) -> int:
    """Drop the answers of the asset's earlier runs: another model answers under the names that they were kept by.

    Returns: how many there were.
    """
    with place.stores.ledger.read() as session:
        runs = [run for run in session.runs.list(asset.name, limit=_LOOKED_AT) if run.kind == ASKED]
    old = {run.id for run in runs if run.started_at < before}
    keys = {row.answer for results in sorted(old) for row in place.stores.results.list_run(results) if row.answer}
    return place.stores.results.forget(sorted(keys))


def _runs(session: LedgerSession, asset: str) -> list[Run]:
    return [run for run in session.runs.list(asset, limit=_LOOKED_AT) if run.kind == COMPARED]


def _key(run: Run) -> tuple[str, str | None]:
    return str(run.facts["candidate"]), run.facts["incumbent"]
