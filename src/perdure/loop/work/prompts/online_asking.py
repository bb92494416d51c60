"""Judges are asked about production at the end of a round: about a sample of kept answers, within a day's money, of each answer once.

    objectives on judges → sample of the window → what no judge has judged → batch → judges → scores, rows → run, day's money

Signals only read what is known by then. What a judge says is kept by content as soon as it is said, and the batch is on record before
anybody is asked: a worker that is killed loses what was under way, the next one goes on under the same run, asks nothing twice,
and counts what was paid. Nobody is asked whose word would not be used: of a judge without a calibration, or one that it refused.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from perdure.core.canonical import plain
from perdure.core.errors import BadSuite, NotFound, NotReady, UpstreamError
from perdure.core.usage import PICO
from perdure.loop.protocols import Watched, Workplace
from perdure.loop.work.evals.pacing import OUT_OF_MONEY, Paced, PriceOf, Purse
from perdure.loop.work.evals.prices import prices_of
from perdure.loop.work.evals.running import version_of
from perdure.loop.work.evals.scoring import Given, JudgedBy, JudgeScorer, KeptJudgement, ScorerSet, find_judgements
from perdure.loop.work.prompts.online_judged import (
    Judging,
    Sampled,
    scorer_by,
    why_unasked,
)
from perdure.loop.work.prompts.online_rounds import begin, finish, is_due, newest_round, spent_today
from perdure.loop.work.versions import find_champion
from perdure.stores.ledger.protocols import Run
from perdure.stores.results.protocols import RunRow


@dataclass(frozen=True, slots=True, eq=False)
class _Question:
    """One answer of production that a judge is to be asked about."""

    label: str
    by: JudgeScorer
    of: Sampled


class OnlineJudging:
    """Asks judges about production for each asset with an objective that rests on one.

    Args:
        wanted: each prompt, agent or graph as the loop watches it, with what its objectives want to know of judges.
    """

    def __init__(self, wanted: Sequence[tuple[Watched, Sequence[Judging]]]) -> None:
        self._wanted = [(asset, each) for asset, each in wanted if each]

    def run(self, place: Workplace, now: datetime) -> None:
        """Ask about the next `evals.batch_cases` answers of each asset that is due.

        Cost: a read of the ledger an asset; where one is due the window's texts, and what judges take for a batch.

        Raises:
            LostLease: another worker took over, and goes on with the batch.
        """
        if place.open_answerer is None:
            return
        newest = {asset.name: newest_round(place, asset.name) for asset, _ in self._wanted}
        # What a killed worker had paid counts before anything else is paid.
        for asset, wanted in sorted(self._wanted, key=lambda each: not _is_open(newest[each[0].name])):
            window = min(each.spec.over for each in wanted)
            if is_due(newest[asset.name], now, window, _limit(place)):
                _judge(place, asset, wanted, newest[asset.name], now)


def _is_open(run: Run | None) -> bool:
    return run is not None and run.finished_at is None


def _limit(place: Workplace) -> int:
    return int(place.settings.evals.online_usd * PICO)


def _judge(place: Workplace, asset: Watched, wanted: Sequence[Judging], newest: Run | None, now: datetime) -> None:
    champion = find_champion(place.stores.ledger, asset.name)
    if champion is None:
        return
    is_open = _is_open(newest)
    run = newest.id if newest is not None and is_open else ""
    waiting = list(_waiting(place, asset, wanted, run, now))
    if not waiting and not is_open:
        return
    record = begin(place, asset.name, champion.id, newest, now)
    # What could not be judged before goes last: answers that a judge's route refuses stand in nobody's way.
    failed = set(newest.facts.get("failed", ())) if newest is not None else set()
    waiting.sort(key=lambda each: each.of.key in failed)
    batch = waiting[: place.settings.evals.batch_cases]
    purse = Purse(_limit(place), spent=spent_today(place, now))
    before = purse.spent
    ended = _asked(place, batch, record.id, purse) if batch else ""
    known = find_judgements(place.stores.results, [each.of.key for each in batch])
    place.stores.results.put_run(record.id, _rows(batch, known, champion.id, record.id))
    lost = [each.of.key for each in batch if each.of.key not in known]
    if lost and not ended:
        ended = f"{len(lost)} of {len(batch)} answers could not be judged, for nobody answered"
    told = {
        "version": champion.id,
        "suite": ", ".join(dict.fromkeys(each.among for each in wanted)),
        "n_answers": len(known),
        "n_waiting": len(waiting) - len(known),
        "partial": _words(place, ended),
        "spent_out": ended == OUT_OF_MONEY,
        "limit_pusd": _limit(place),
        "failed": [each.of.key for each in waiting if each.of.key in failed.union(lost) and each.of.key not in known],
    }
    told["figures"] = [_figure(place, asset, each, now) | {"partial": told["partial"]} for each in wanted]
    finish(place, record, now, purse.spent - before, plain(told))


def _waiting(
    place: Workplace, asset: Watched, wanted: Sequence[Judging], run: str, now: datetime
) -> Iterator[_Question]:
    """What no judge has judged, and what the run of a killed worker had: that costs nothing again."""
    seen: set[str] = set()
    for each in wanted:
        version = find_champion(place.stores.ledger, each.judge.name)
        if version is None or why_unasked(place, each.judge, version):
            continue
        by = scorer_by(version)
        sample = each.sampled(place, asset, by, now)
        known = find_judgements(place.stores.results, [one.key for one in sample])
        for one in sample:
            if one.key not in seen and (one.key not in known or known[one.key].run == run):
                seen.add(one.key)
                yield _Question(each.label, by, one)


def _asked(place: Workplace, batch: Sequence[_Question], run: str, purse: Purse) -> str:
    """Ask; what ended it before its end, empty where nothing did. What was said until then is kept."""
    try:
        return asyncio.run(_ask_all(place, batch, run, purse, _prices(place, batch)))
    except (BadSuite, NotFound, NotReady, UpstreamError) as error:
        return error.message


async def _ask_all(place: Workplace, batch: Sequence[_Question], run: str, purse: Purse, price_of: PriceOf) -> str:
    assert place.open_answerer is not None
    paced = Paced(place.open_answerer(), place.settings.evals.concurrency, purse, price_of)
    judged_by = JudgedBy(run, place.stores.results, paced)
    try:
        async with asyncio.TaskGroup() as group:
            for each in batch:
                group.create_task(_ask(each, judged_by))
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
    finally:
        await paced.close()
    return paced.stopped


async def _ask(question: _Question, judged_by: JudgedBy) -> None:
    given = Given(question.of.answer, question.of.kept.answered)
    await ScorerSet((), [question.by]).ask_judges(question.of.kept.case, [given], judged_by)


def _prices(place: Workplace, batch: Sequence[_Question]) -> PriceOf:
    told = [each.by.definition for each in batch]
    routes = dict.fromkeys(route for each in told for route in (each["route"], *each["panel"]))
    return prices_of({route: version_of(place, route, {}).definition for route in routes})


def _words(place: Workplace, ended: str) -> str:
    if ended != OUT_OF_MONEY:
        return ended
    return f"what judges may cost in a day is spent (evals.online_usd = {place.settings.evals.online_usd:g})"


def _rows(batch: Sequence[_Question], known: dict[str, KeptJudgement], version: str, run: str) -> Sequence[RunRow]:
    """A row an answer, with the word of each judge that was asked about it."""
    by_answer: dict[str, list[_Question]] = {}
    for each in batch:
        if each.of.key in known:
            by_answer.setdefault(each.of.id, []).append(each)
    return [_row(questions, known, version, run) for questions in by_answer.values()]


def _row(questions: Sequence[_Question], known: dict[str, KeptJudgement], version: str, run: str) -> RunRow:
    of = questions[0].of
    said = [(each.label, known[each.of.key]) for each in questions]
    values = [each.value for _, each in said if each.value is not None]
    return RunRow(
        case=of.id,
        case_id=of.kept.case.id,
        cluster=of.id,
        sample=0,
        subject=version,
        answer=of.answer,
        scores=[(label, each.value, each.outcome, each.why) for label, each in said],
        score=sum(values) / len(values) if values else None,
        usage=None,
        cost_pusd=of.kept.answered.cost_pusd,
        spent_pusd=sum(each.cost_pusd for _, each in said if each.run == run),
        latency_us=of.kept.answered.latency_us,
    )


def _figure(place: Workplace, asset: Watched, wanted: Judging, now: datetime) -> dict[str, Any]:
    """What the objective's reading says now, for who is told of evaluations."""
    readings = wanted.readings(place, asset, now)
    told: dict[str, Any] = {"label": wanted.label, "suite": wanted.among}
    for each in readings:
        told |= {**each.facts, "value": each.value, "low": each.low, "high": each.high}
    return told
