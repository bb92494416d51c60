"""Evaluations, told at the end of a round: what scorers said of answers goes to a collector, each run of a suite once.

    finished runs → rows → one `gen_ai.evaluation.result` a score → sender → cursor

As of spans (`loop.telemetry`): the ledger's cursor says which run was told last and how far within the next one; it moves after a try
that arrived; a crash sends the same again; a collector that is down is left alone for a while, and what it refuses for good is given
up and counted. When telemetry is switched on, the newest run is told and what lies before it is not. A run that ended before its
plan and goes on later is told again, whole, when it ends.

An evaluation stands below the call's span where the answer came through the gateway: both ids are hashes of the call's id. Texts of
answers are not told; why a score is what it is goes out only through a mask, or not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import islice
from typing import Protocol

import msgspec

from perdure.core.canonical import plain
from perdure.core.clock import Clock, MachineClock, iso, monotonic_s, to_us
from perdure.core.usage import PICO
from perdure.loop.alerts import Answer
from perdure.loop.protocols import Workplace
from perdure.loop.telemetry_tries import AT_MOST, Tried, after_try
from perdure.loop.work.evals.answers import read_kept
from perdure.loop.work.evals.running import KIND, ONLINE
from perdure.loop.work.spans import Value, span_ids
from perdure.stores.ledger.protocols import LedgerSession, Run
from perdure.stores.results.protocols import Results, RunRow

EVALUATIONS = "evaluations"
"""The ledger's cursor."""
_ROWS_A_TRY = 200
_RUNS = 200
"""Of the newest runs, those that are looked at."""
_WHY_CHARS = 500


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One `gen_ai.evaluation.result`."""

    at_us: int
    name: str
    value: float | None
    label: str
    """`pass`, `partial` or `fail`; of a figure that is not used `refused`; else empty."""
    explanation: str = ""
    response_id: str = ""
    """The call's."""
    error: str = ""
    trace_id: int = 0
    span_id: int = 0
    """Of the call's span; zeros where the answer came through no gateway."""
    attributes: Mapping[str, Value] = field(default_factory=dict)


class EvaluationSender(Protocol):
    """Sends evaluations."""

    def send_evaluations(self, found: Sequence[Evaluation]) -> Answer:
        """Try once, within the time-out; what goes wrong is in the answer, never raised."""
        ...


Figures = Callable[[Workplace, Run, datetime], Sequence[Evaluation]]
"""Makes evaluations of a whole run."""


@dataclass(frozen=True, slots=True)
class EvaluationsSent(Tried):
    """What the cursor holds."""

    finished_at: str
    """Of the run that was told last; later ones were not told."""
    run: str
    """Its id: of runs that finished at one instant, those up to it in the order of ids were told."""
    n_rows: int = 0
    """Rows of the next run that were told."""


def find_told(session: LedgerSession) -> EvaluationsSent | None:
    """How far evaluations were told; None before the first round with telemetry."""
    kept = session.cursors.get(EVALUATIONS)
    return None if kept is None else msgspec.convert(kept, EvaluationsSent)


class EvaluationTelemetry:
    """Tells evaluations of finished runs.

    Args:
        sender: takes them out.
        mask: what explanations go through; None: none is told.
        figures: figures of a whole run, such as those of judges corrected by labels, told behind its scores.
        timeout_s: a round tries no longer than this.
        clock: the machine's.
    """

    def __init__(
        self,
        sender: EvaluationSender,
        *,
        mask: Callable[[str], str] | None = None,
        figures: Figures | None = None,
        timeout_s: float = 5.0,
        clock: Clock | None = None,
    ) -> None:
        self._sender = sender
        self._mask = mask
        self._figures = figures
        self._timeout_s = timeout_s
        self._clock = clock or MachineClock()
        self._seen = -1

    def run(self, place: Workplace, now: datetime) -> None:
        """Tell what finished and was not told. Cost: a number read when the ledger has not moved.

        Raises:
            LostLease: another worker took over, and tells again what was not yet written down.
        """
        sequence = place.stores.ledger.sequence()
        if sequence == self._seen:
            return
        with place.stores.ledger.read() as session:
            kept, runs = find_told(session), _finished(session)
        told = kept or _begin(runs)
        if told.must_wait(self._clock.now()):
            return
        until = monotonic_s() + self._timeout_s
        n_tries = 0
        for run in runs:
            if _mark(run) <= (told.finished_at, told.run):
                continue
            for rows in _parts(place.stores.results, run.id, told.n_rows):
                if n_tries >= AT_MOST or monotonic_s() >= until:
                    return
                n_tries += 1
                told = self._try(place, now, told, run, rows)
                if told.next_at:
                    return
            whole = self._whole(place, run, now)
            if whole:
                told = self._send(place, now, told, whole, 0)
                if told.next_at:
                    return
            told = self._keep(place, now, replace(told, finished_at=_mark(run)[0], run=run.id, n_rows=0))
        self._seen = place.stores.ledger.sequence() if n_tries else sequence

    def _whole(self, place: Workplace, run: Run, now: datetime) -> Sequence[Evaluation]:
        if run.kind == ONLINE:
            return list(online_figures(run))
        return self._figures(place, run, now) if self._figures else ()

    def _try(
        self, place: Workplace, now: datetime, told: EvaluationsSent, run: Run, rows: Sequence[RunRow]
    ) -> EvaluationsSent:
        calls = _calls_online(rows) if run.kind == ONLINE else _calls(place.stores.results, rows)
        found = list(evaluations(run, rows, calls, self._mask))
        return self._send(place, now, told, found, len(rows))

    def _send(
        self, place: Workplace, now: datetime, told: EvaluationsSent, found: Sequence[Evaluation], n_rows: int
    ) -> EvaluationsSent:
        answer = self._sender.send_evaluations(found) if found else Answer(200)
        moved = replace(told, n_rows=told.n_rows + n_rows)
        return self._keep(place, now, after_try(told, moved, len(found), answer, self._clock.now()))

    def _keep(self, place: Workplace, now: datetime, told: EvaluationsSent) -> EvaluationsSent:
        with place.transaction(now, EVALUATIONS) as session:
            session.cursors.put(EVALUATIONS, plain(told))
        return told


def _finished(session: LedgerSession) -> list[Run]:
    """Runs of suites, and judges' of production, that ended, in the order in which they did."""
    ended = [
        run for run in session.runs.list(limit=_RUNS) if run.kind in (KIND, ONLINE) and run.finished_at is not None
    ]
    return sorted(ended, key=_mark)


def _mark(run: Run) -> tuple[str, str]:
    return ("" if run.finished_at is None else iso(run.finished_at), run.id)


def _begin(runs: Sequence[Run]) -> EvaluationsSent:
    return EvaluationsSent(*_mark(runs[-2])) if len(runs) > 1 else EvaluationsSent("", "")


def _parts(results: Results, run: str, after: int) -> Iterator[list[RunRow]]:
    rows = islice(results.list_run(run), after, None)
    while part := list(islice(rows, _ROWS_A_TRY)):
        yield part


def _calls(results: Results, rows: Sequence[RunRow]) -> dict[str, str]:
    """Ids of the calls that the answers came from, by the answer's key."""
    kept = results.find_answers([row.answer for row in rows if row.answer])
    return {key: read_kept(body).call_id for key, body in kept.items()}


def _calls_online(rows: Sequence[RunRow]) -> dict[str, str]:
    """The same where what was judged is a call itself."""
    return {row.answer: row.case_id for row in rows}


def online_figures(run: Run) -> Iterator[Evaluation]:
    """`<scorer>.corrected` of each objective that a judge's word on production decides, as it stood when the run ended."""
    for each in run.facts.get("figures", ()):
        if each.get("raw") is None:
            continue
        kept = {"low": "score.low", "high": "score.high", "raw": "score.raw", "method": "score.method",
                "n_labels": "n_labels", "n_scored": "n_answers", "partial": "partial", "suite": "suite"}  # fmt: skip
        told = {f"perdure.{name}": each[key] for key, name in kept.items() if each.get(key) not in (None, "")}
        yield Evaluation(
            at_us=to_us(run.finished_at or run.started_at),
            name=f"{each['label']}.corrected",
            value=each["value"],
            label="" if each["value"] is not None else "refused",
            explanation=each["text"],
            attributes={**told, "perdure.run": run.id, "perdure.version": str(run.facts["version"])},
        )


def evaluations(
    run: Run, rows: Sequence[RunRow], calls: Mapping[str, str], mask: Callable[[str], str] | None
) -> Iterator[Evaluation]:
    """One evaluation a score of these rows; a scorer that did not apply says none.

    Args:
        run: that they are of.
        rows: some of its rows.
        calls: id of the call by the answer's key.
        mask: of explanations; None: none is told.
    """
    at_us = to_us(run.finished_at or run.started_at)
    for row in rows:
        call = calls.get(row.answer, "")
        trace_id, span_id = span_ids(call) if call else (0, 0)
        attributes = _attributes(run, row)
        for label, value, outcome, why in row.scores:
            if outcome == "not_applicable":
                continue
            failed = outcome == "failed"
            yield Evaluation(
                at_us=at_us,
                name=label,
                value=value,
                label=_label(value),
                explanation=mask(why)[:_WHY_CHARS] if mask and why else "",
                response_id=call,
                error=(row.error or outcome) if failed else "",
                trace_id=trace_id,
                span_id=span_id,
                attributes=attributes,
            )


def _label(value: float | None) -> str:
    """A score as one of few words."""
    if value is None:
        return ""
    return "pass" if value >= 1.0 else "fail" if value <= 0.0 else "partial"


def _attributes(run: Run, row: RunRow) -> dict[str, Value]:
    found: dict[str, Value] = {
        "perdure.suite": str(run.facts.get("suite", "")),
        "perdure.suite.version": str(run.facts.get("suite_version", "")),
        "perdure.run": run.id,
        "perdure.version": row.subject,
        "perdure.case": row.case_id,
        "perdure.sample": row.sample,
        "perdure.cached": row.cached,
    }
    if row.cost_pusd is not None:
        found["perdure.cost_usd"] = row.cost_pusd / PICO
    return {name: value for name, value in found.items() if value != ""}
