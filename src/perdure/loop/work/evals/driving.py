"""Asks and scores all questions of one run: a few workers of one event loop, and no task, span or log line a case.

Cases come in the order that they are given, all subjects and samples of a case together, so that what is finished is finished
on both sides. Answers, scores and rows are written every `batch` answers and four times a second: what is lost when the process is
killed is what was under way.

What surprised us: an answer that a killed run had written, and whose row it had not, looks like a cached one when the run goes
on. So each answer keeps the name of the run that asked it, and is that run's own draw, which it paid for.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from perdure.core.clock import monotonic_s
from perdure.core.errors import BadPrompt, BadSuite, TooFewRows
from perdure.core.ports import Answered
from perdure.core.stats.clustered import clustered_interval
from perdure.core.stats.intervals import Interval
from perdure.loop.work.evals.answers import kept, read_kept
from perdure.loop.work.evals.frozen import FrozenCase
from perdure.loop.work.evals.pacing import Paced
from perdure.loop.work.evals.scoring import Given, JudgedBy, Scored, ScorerSet, no_money
from perdure.loop.work.evals.subjects import Question, Subject
from perdure.stores.results.protocols import Results, RunRow

_TICK_S = 0.25


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is."""

    n_done: int
    """Answers that are asked and scored."""
    n_total: int
    n_failed: int
    n_cached: int
    spent_pusd: int
    scores: Sequence[tuple[str, float]] = ()
    """(cluster, score) of each answer so far."""
    took_s: float = 0.0

    @property
    def eta_s(self) -> float | None:
        """Seconds until it is done, at the pace so far; None where nothing is done yet."""
        asked = self.n_done - self.n_cached
        left = self.n_total - self.n_done
        return None if asked <= 0 or not self.took_s else self.took_s / asked * left


@dataclass(frozen=True, slots=True, eq=False)
class DriveParts:
    """What is asked of whom, and where what comes of it goes.

    Args:
        run: id of the run.
        cases: in the order in which they are asked.
        subjects: versions.
        samples: answers a case and subject.
        scorers: of the suite.
        results: the store.
        paced: who answers.
        use_known: answers that are known are not asked again.
        batch: answers between two writes.
        progress: told four times a second, and at the end.
    """

    run: str
    cases: Sequence[FrozenCase]
    subjects: Sequence[Subject]
    samples: int
    scorers: ScorerSet
    results: Results
    paced: Paced
    use_known: bool = True
    batch: int = 50
    progress: Callable[[Progress], None] | None = None


@dataclass(slots=True, eq=False)
class _Group:
    """All samples of one case by one subject."""

    at: int
    subject: int
    given: list[Given | None]
    own: list[bool]
    """Of each sample whether this run asked it."""
    left: int


_Item = Question | _Group


@dataclass(slots=True, eq=False, repr=False)
class Driving:
    """One drive of a run; `run` once.

    It has no representation in words: asyncio makes one of what a task returned, and it would name every case.
    """

    parts: DriveParts
    done: set[tuple[str, str, int]] = field(default_factory=set)
    """(case, subject, sample) whose rows are there, and in what the purse has spent."""
    n_done: int = 0
    n_failed: int = 0
    n_cached: int = 0
    _items: deque[_Item] = field(default_factory=deque)
    _groups: dict[tuple[int, int], _Group] = field(default_factory=dict)
    _answers: list[tuple[str, bytes]] = field(default_factory=list)
    _rows: list[RunRow] = field(default_factory=list)
    _scores: list[tuple[str, float]] = field(default_factory=list)
    _next: int = 0
    _began_s: float = field(default_factory=monotonic_s)
    _plain: bool = field(init=False)
    """Scorers are quick, and no judge is asked."""

    def __post_init__(self) -> None:
        self._plain = self.parts.scorers.quick and not self.parts.scorers.judges

    async def run(self) -> None:
        """Ask everything that is not known yet, until all is done or the pace stops it.

        Raises: what scorers and stores raise; what was asked until then is written.
        """
        ticking = asyncio.get_running_loop().create_task(self._tick())
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self.parts.paced.most):
                    group.create_task(self._work())
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        finally:
            ticking.cancel()
            self._write()
            self._tell()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_TICK_S)
            self._write()
            self._tell()

    async def _work(self) -> None:
        ask = self.parts.paced.ask
        while (item := self._take()) is not None:
            if isinstance(item, _Group):
                await self._finish(item)
                continue
            answered = await ask(item.asked)
            if no_money(answered) or self.parts.paced.stopped:
                if not answered.error:
                    self._answered(item, answered)
                continue
            group = self._answered(item, answered)
            if group.left == 0:
                if self._plain:
                    self._rows_of(group, self._given(group))
                else:
                    await self._finish(group)

    def _take(self) -> _Item | None:
        """The next thing to do; None where nothing is left, or nothing may be asked any more."""
        while not self._items:
            if self._next >= len(self.parts.cases) or self.parts.paced.stopped:
                return None
            self._refill()
        return None if self.parts.paced.stopped else self._items.popleft()

    def _refill(self) -> None:
        """The questions of the next cases, as far as their answers are not known."""
        parts = self.parts
        each = max(1, len(parts.subjects) * parts.samples)
        until = min(len(parts.cases), self._next + max(1, parts.batch // each))
        asked: list[Question] = []
        for at in range(self._next, until):
            self._add_questions(at, asked)
        self._next = until
        known = parts.results.find_answers([each.key for each in asked]) if parts.use_known else {}
        for question in asked:
            body = known.get(question.key)
            if body is None:
                self._items.append(question)
                continue
            old = read_kept(body)
            own = old.run == parts.run
            parts.paced.purse.spent += (old.cost_pusd or 0) if own else 0
            group = self._give(question, old.answered(), own=own)
            if group.left == 0:
                self._items.append(group)

    def _add_questions(self, at: int, asked: list[Question]) -> None:
        parts, frozen = self.parts, self.parts.cases[at]
        for place, subject in enumerate(parts.subjects):
            missing = range(parts.samples)
            if self.done and all((frozen.digest, subject.id, sample) in self.done for sample in missing):
                self.n_done += parts.samples
                continue
            self._groups[at, place] = group = _Group(
                at, place, [None] * parts.samples, [True] * parts.samples, parts.samples
            )
            try:
                asked.extend(subject.ask(frozen, at, place, missing))
            except (BadPrompt, BadSuite) as error:  # the case is not the version's: an answer that failed
                group.given = [Given("", Answered({}, error=error.code)) for _ in missing]
                group.left = 0
                self._items.append(group)

    def _give(self, question: Question, answered: Answered, *, own: bool) -> _Group:
        group = self._groups[question.at, question.subject]
        group.given[question.sample] = Given("" if answered.error else question.key, answered)
        group.own[question.sample] = own
        group.left -= 1
        return group

    def _answered(self, question: Question, answered: Answered) -> _Group:
        if not answered.error:
            self._answers.append((question.key, kept(answered, self.parts.run)))
        return self._give(question, answered, own=True)

    async def _finish(self, group: _Group) -> None:
        """Score the answers of one case by judges too, or in a thread, and make their rows."""
        parts, case, given = self.parts, self.parts.cases[group.at].case, self._given(group)
        scorers, said, spent = parts.scorers, None, [0] * len(given)
        if scorers.judges:
            said, spent = await scorers.ask_judges(case, given, JudgedBy(parts.run, parts.results, parts.paced))
            if parts.paced.stopped:
                return  # a judge may not have been asked: the answers are kept, and judged when the run goes on
        scored = None
        if not scorers.quick:
            scored = await asyncio.get_running_loop().run_in_executor(None, scorers.score, case, given, said)
        self._rows_of(group, given, scored or scorers.score(case, given, said), spent)

    def _given(self, group: _Group) -> list[Given]:
        return [each for each in group.given if each is not None]

    def _rows_of(
        self, group: _Group, given: list[Given], scored: list[Scored] | None = None, spent: Sequence[int] = ()
    ) -> None:
        """The rows of one case; scored here where nothing has to be waited for."""
        parts = self.parts
        if scored is None:
            scored = parts.scorers.score(parts.cases[group.at].case, given)
        del self._groups[group.at, group.subject]
        for sample, each in enumerate(given):
            self._row(group, sample, each, scored[sample], spent[sample] if spent else 0)
        if len(self._answers) >= parts.batch or len(self._rows) >= 10 * parts.batch:
            self._write()

    def _row(self, group: _Group, sample: int, given: Given, scored: Scored, judged_pusd: int) -> None:
        frozen, answered, own = self.parts.cases[group.at], given.answered, group.own[sample]
        self.n_done += 1
        self.n_failed += bool(answered.error)
        self.n_cached += not own
        if scored.score is not None:
            self._scores.append((frozen.cluster, scored.score))
        self._rows.append(
            RunRow(
                frozen.digest,
                frozen.case.id,
                frozen.cluster,
                sample,
                self.parts.subjects[group.subject].id,
                given.key,
                scored.told,
                scored.score,
                answered.usage,
                answered.cost_pusd,
                (answered.cost_pusd or 0 if own else 0) + judged_pusd,
                answered.latency_us,
                answered.error,
                frozen.case.weight,
                list(frozen.case.tags),
                not own,
            )
        )

    def _write(self) -> None:
        """Answers first: what is paid for is kept, whatever becomes of its row."""
        if self._answers:
            self.parts.results.put_answers(self._answers)
            self._answers = []
        if self._rows:
            self.parts.results.put_run(self.parts.run, self._rows)
            self._rows = []

    def _tell(self) -> None:
        if self.parts.progress is None:
            return
        total = len(self.parts.cases) * len(self.parts.subjects) * self.parts.samples
        self.parts.progress(
            Progress(
                self.n_done,
                total,
                self.n_failed,
                self.n_cached,
                self.parts.paced.purse.spent,
                self._scores,
                monotonic_s() - self._began_s,
            )
        )


def score_so_far(progress: Progress) -> Interval | None:
    """The score of what is done, with its interval over clusters; None where they are too few. Cost: some 0.3 ms for 2,000."""
    numbers: dict[str, int] = {}
    clusters = np.array([numbers.setdefault(cluster, len(numbers)) for cluster, _ in progress.scores], dtype=np.int64)
    values = np.array([score for _, score in progress.scores], dtype=np.float64)
    try:
        return clustered_interval(values, clusters, within=(0.0, 1.0))
    except TooFewRows:
        return None
