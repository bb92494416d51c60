"""Runs a suite: freezes it, asks and scores what is not known yet, and writes down what came of it.

`perdure eval run` calls it in the foreground, remedies and the workflow `eval` within a durable step: both may be killed at any
moment and done again under the same id. What is known costs nothing again, for answers are kept by content and by sample: a run
that goes on, a version that was asked before and a scorer that was added all ask only for what is missing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from perdure.assets.prompt import Prompt
from perdure.assets.suite import Suite, judges_of
from perdure.assets.suite_cases import FrozenSuite
from perdure.assets.version import CHAMPION, Version
from perdure.core.canonical import plain
from perdure.core.errors import BadSuite, NotFound, NotReady
from perdure.core.ports import Answerer
from perdure.engines.evals.parts import Tools
from perdure.loop.protocols import Workplace
from perdure.loop.work.evals.answers import outdated
from perdure.loop.work.evals.driving import DriveParts, Driving, Progress
from perdure.loop.work.evals.frozen import FrozenCase, cases_in, freeze, thaw
from perdure.loop.work.evals.pacing import Paced, PriceOf, Purse
from perdure.loop.work.evals.prices import prices_of
from perdure.loop.work.evals.scoring import ScorerSet, scorers_of
from perdure.loop.work.evals.subjects import Subject, answering_of, route_of, subject_of
from perdure.stores.ledger.protocols import Run
from perdure.stores.results.protocols import RunRow

KIND = "eval"
"""Kind of the ledger's runs that are runs of a suite."""
ONLINE = "online"
"""Kind of the ledger's runs in which judges were asked about production."""
VERDICT = "verdict"
"""Among a run's facts: what a comparison concluded of it; gone as soon as the run goes on."""
UNDER_WAY = "it is under way"
"""Why a run is partial that was begun and did not come to its end yet."""


@dataclass(frozen=True, slots=True)
class Ran:
    """What came of one drive of a run."""

    run: str
    suite_version: str
    """Of the cases and scorers that were frozen when it began."""
    n_done: int
    n_total: int
    n_failed: int = 0
    n_asked: int = 0
    """Questions that were asked now, judges' too; the others were known."""
    spent_pusd: int = 0
    """By the whole run so far."""
    partial: str = ""
    """Why it ended before its plan, such as a spent budget; empty: it is whole."""


@dataclass(frozen=True, slots=True, eq=False)
class RunOptions:
    """How a suite is run.

    Args:
        n_samples: answers a case; None: as the suite says.
        budget_pusd: what it may spend, picodollars; None: as `[evals] budget_usd` says.
        use_known: answers that are known are not asked again.
        order: clusters in the order in which they are asked; those that are not named are not asked. None: all, as they stand.
        progress: told four times a second.
        declared: versions that are declared and not released yet, by name: of routes, guards, judges.
        tools: what scorers ask of the outside.
        prompts: those whose examples no case may stand in.
        facts: of the run's record beside its own, as it begins.
    """

    n_samples: int | None = None
    budget_pusd: int | None = None
    use_known: bool | None = None
    order: Sequence[str] | None = None
    progress: Callable[[Progress], None] | None = None
    declared: Mapping[str, Version] = field(default_factory=dict)
    tools: Tools = field(default_factory=Tools)
    prompts: Sequence[Prompt] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class _Begun:
    """A run that is on record."""

    record: Run
    frozen: FrozenSuite
    cases: Sequence[FrozenCase]
    """Those that this drive asks, in its order."""


def run_suite(
    place: Workplace,
    suite: Suite,
    subjects: Sequence[Version],
    run: str,
    now: datetime,
    options: RunOptions | None = None,
) -> Ran:
    """Ask a suite of versions, score the answers, and put the rows into the store of results under the run's id.

    Done again under the same id it goes on: with the suite as it was frozen, past the rows that are there. Rows whose answer
    failed are asked again.

    Args:
        place: stores, and who asks models.
        suite: as declared.
        subjects: versions of prompts or routes, pointed to or not; the incumbent first.
        run: id of the run.
        now: domain time of the record.
        options: how.

    Raises:
        NotReady: nobody can be asked here.
        BadSuite: its cases or scorers cannot be used, or a budget cannot hold since a price is not known.
        NotFound: a judge, route or version that is not there.
    """
    chosen = options or RunOptions()
    if place.open_answerer is None:
        raise NotReady("Nobody can be asked here: no route is declared.", hint="Declare a Route.")
    begun = _begin(place, suite, subjects, run, now, chosen)
    samples = int(begun.record.facts["n_samples"])
    ledger, declared = place.stores.ledger, chosen.declared
    asks = [subject_of(each, suite, answering_of(ledger, route_of(each, suite), declared, run)) for each in subjects]
    scorers = _scorers(place, suite, begun, subjects, chosen)
    driving, paced = asyncio.run(_drive(place, begun, asks, samples, scorers, chosen))
    total = len(begun.cases) * len(asks) * samples
    left = driving.n_done < total
    partial = paced.stopped or ("it was stopped" if left else "")
    ran = Ran(
        run, begun.frozen.version, driving.n_done, total, driving.n_failed, paced.n_asked, paced.purse.spent, partial
    )
    _finish(place, begun, ran, now)
    return ran


async def _drive(
    place: Workplace,
    begun: _Begun,
    subjects: Sequence[Subject],
    samples: int,
    scorers: ScorerSet,
    options: RunOptions,
) -> tuple[Driving, Paced]:
    settings, results, run = place.settings.evals, place.stores.results, begun.record.id
    assert place.open_answerer is not None
    budget = options.budget_pusd if options.budget_pusd is not None else int(settings.budget_usd * 1e12) or None
    price_of = _prices(place, subjects, scorers, options) if budget is not None else _free
    answerer: Answerer = place.open_answerer()
    done = _done(results.list_run(run), scorers.labels)
    purse = Purse(budget, spent=sum(row.spent_pusd for row in done.values()))
    paced = Paced(answerer, settings.concurrency, purse, price_of)
    parts = DriveParts(
        run=run,
        cases=begun.cases,
        subjects=subjects,
        samples=samples,
        scorers=scorers,
        results=results,
        paced=paced,
        use_known=settings.cache if options.use_known is None else options.use_known,
        batch=settings.batch_cases,
        progress=options.progress,
    )
    driving, known = Driving(parts, set(done)), any(row.cached for row in done.values())
    try:
        await driving.run()
        known = known or driving.n_cached > 0
        cases = {each.digest for each in begun.cases} if known else set()
        while known and not paced.stopped:
            done = _done(results.list_run(run), scorers.labels)
            old = outdated(results, [row for row in done.values() if row.case in cases])
            if not old:
                break
            results.forget(sorted(old))
            driving = Driving(parts, {name for name, row in done.items() if row.answer not in old})
            await driving.run()
    finally:
        await paced.close()
    return driving, paced


def _done(rows: Iterable[RunRow], labels: Sequence[str]) -> dict[tuple[str, str, int], RunRow]:
    """The rows that need not be made again, by case, subject and sample."""
    return {
        (row.case, row.subject, row.sample): row
        for row in rows
        if not row.error and [each[0] for each in row.scores] == labels
    }


def _begin(
    place: Workplace, suite: Suite, subjects: Sequence[Version], run: str, now: datetime, options: RunOptions
) -> _Begun:
    record = begin_run(place, suite, subjects, run, now, options)
    frozen = thaw(place.stores.blobs, record.facts["frozen"])
    return _Begun(record, frozen, _ordered(cases_in(frozen), options.order))


def begin_run(
    place: Workplace, suite: Suite, subjects: Sequence[Version], run: str, now: datetime, options: RunOptions
) -> Run:
    """The run's record: a new one with the suite frozen, or the one that is there.

    Raises:
        BadSuite: its cases cannot be read, or the id is of something else, such as of other versions.
    """
    record, asked = find_run(place, run), [each.id for each in subjects]
    if record is None:
        frozen, blob = freeze(place.stores.blobs, suite, options.prompts, subjects)
        facts = {
            **options.facts,
            "suite": suite.name,
            "suite_version": frozen.version,
            "frozen": blob,
            "subjects": asked,
            **({"route": suite.route} if "@" in suite.route else {}),
            "n_samples": options.n_samples or suite.n_samples,
            "role": suite.role,
            "judges": {name: version_of(place, name, options.declared).id for name in judges_of(suite)},
            "partial": UNDER_WAY,
        }
        asset = subjects[0].asset if subjects else suite.name
        record = Run(run, KIND, asset, "running", now, facts=facts, actor=place.actor)
        with place.transaction(now, f"eval {suite.name}") as session:
            session.runs.put(record)
    elif (record.facts["suite"], record.facts["subjects"]) != (suite.name, asked):
        was = f"{record.facts['suite']} of {' and '.join(record.facts['subjects'])}"
        raise BadSuite(
            f"The run {run!r} asks {was}, not {suite.name} of {' and '.join(asked)}.",
            hint="A run goes on with what it began; leave --run out for a new one.",
        )
    return record


def _ordered(cases: Sequence[FrozenCase], order: Sequence[str] | None) -> Sequence[FrozenCase]:
    if order is None:
        return cases
    places = {cluster: at for at, cluster in enumerate(order)}
    return sorted((each for each in cases if each.cluster in places), key=lambda each: places[each.cluster])


def _finish(place: Workplace, begun: _Begun, ran: Ran, now: datetime) -> None:
    record, whole = begun.record, len(begun.cases) == len(begun.frozen.cases)
    metrics = {"n_answers": float(ran.n_done), "n_failed": float(ran.n_failed), "spent_pusd": float(ran.spent_pusd)}
    facts = {name: value for name, value in record.facts.items() if name != VERDICT}
    facts["partial"] = ran.partial or ("" if whole else UNDER_WAY)
    with place.transaction(now, f"eval {record.facts['suite']}") as session:
        session.runs.put(replace(record, status="done", finished_at=now, metrics=metrics, facts=plain(facts)))


def find_run(place: Workplace, run: str) -> Run | None:
    """The record of a run of a suite; None where there is none."""
    with place.stores.ledger.read() as session:
        try:
            found = session.runs.get(run)
        except NotFound:
            return None
    if found.kind != KIND:
        raise BadSuite(f"The run {run!r} is a {found.kind}, not a run of a suite.", hint="perdure eval list")
    return found


def _scorers(
    place: Workplace, suite: Suite, begun: _Begun, subjects: Sequence[Version], options: RunOptions
) -> ScorerSet:
    """The scorers and judges as they were when the run began: a judge that is repaired meanwhile judges the next run."""
    judges = {name: _judge(place, name, begun.record, options.declared) for name in judges_of(suite)}
    tools = options.tools
    if tools.schema is None:
        tools = replace(tools, schema=_schema(subjects))
    return scorers_of(replace(suite, cases=begun.frozen.cases[:1], scorers=begun.frozen.scorers(suite)), judges, tools)


def _judge(place: Workplace, name: str, record: Run, declared: Mapping[str, Version]) -> Version:
    known = record.facts.get("judges", {}).get(name)
    if known is None:
        return version_of(place, name, declared)
    if name in declared and declared[name].id == known:
        return declared[name]
    with place.stores.ledger.read() as session:
        return session.registry.get_version(known)


def _schema(subjects: Sequence[Version]) -> Any:
    import msgspec

    outputs = [each.definition.get("output") for each in subjects if each.kind == "prompt"]
    return msgspec.json.decode(outputs[0]) if outputs and outputs[0] else None


def version_of(place: Workplace, name: str, declared: Mapping[str, Version]) -> Version:
    """The version of an asset that is pointed to, else the declared one.

    Raises:
        NotFound: neither is there.
    """
    with place.stores.ledger.read() as session:
        pointed = [each for each in session.pointers.list(name) if each.name == CHAMPION]
        if pointed:
            return session.registry.get_version(pointed[0].version)
    if name in declared:
        return declared[name]
    raise NotFound(f"No version of {name!r} is released.", hint="Release it: perdure apply")


def _prices(place: Workplace, subjects: Sequence[Subject], scorers: ScorerSet, options: RunOptions) -> PriceOf:
    judges = [route for each in scorers.judges for route in (each.definition["route"], *each.definition["panel"])]
    routes = dict.fromkeys([*(each.route for each in subjects), *judges])
    definitions = {}
    for route in routes:
        if "@" in route:
            with place.stores.ledger.read() as session:
                declared = {each.id: each for each in options.declared.values()}
                definitions[route] = (declared.get(route) or session.registry.get_version(route)).definition
        else:
            definitions[route] = version_of(place, route, options.declared).definition
    return prices_of(definitions)


def _free(_asked: object) -> int:
    return 0
