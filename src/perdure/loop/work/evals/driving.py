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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
import numpy as np

from perdure.core.clock import monotonic_s
from perdure.core.errors import BadPrompt, BadSuite, TooFewRows
from perdure.core.ports import Answered, Asked
from perdure.core.stats.clustered import clustered_interval
from perdure.core.stats.intervals import Interval
from perdure.loop.work.evals.answers import kept, read_kept
from perdure.loop.work.evals.frozen import FrozenCase
from perdure.loop.work.evals.pacing import NO_MONEY, Paced
from perdure.loop.work.evals.scoring import Given, JudgedBy, Scored, ScorerSet
from perdure.loop.work.evals.subjects import Subject
from perdure.stores.results.protocols import Results, RunRow

_TICK_S = 0.25
_AHEAD = 64
"""Questions that are made ahead of time at most: of more that live at once the collector of garbage takes a sixth of a run."""
_NO_TAGS: list[str] = []


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


class _Group(msgspec.Struct, eq=False):
    """All samples of one case by one subject."""

    case: FrozenCase
    subject: Subject
    asked: Asked | None
    """None: the case is not the version's."""
    keys: list[str]
    """Of each sample's answer."""
    answers: list[Answered]
    """Of each sample; `_NONE_YET` where it is not there."""
    known: set[int]
    """Samples whose answers this run has not asked."""
    left: int

    def given(self) -> list[Given]:
        """The answers with their keys; one that failed is kept under none."""
        return [Given("" if each.error else key, each) for key, each in zip(self.keys, self.answers, strict=True)]


_NONE_YET = Answered({})
_NOTHING_KNOWN: set[int] = set()


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
    _items: deque[tuple[_Group, int]] = field(default_factory=deque)
    """Groups with the sample that is to be asked; -1: all of its answers are there."""
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
        items, paced, plain = self._items, self.parts.paced, self._plain
        while not paced.stopped and (items or self._refilled()):
            group, sample = items.popleft()
            if sample >= 0:
                assert group.asked is not None
                answered = await paced.ask(group.asked)
                error = answered.error
                if error == NO_MONEY or (error and paced.stopped):
                    continue
                if not error:
                    self._answers.append((group.keys[sample], kept(answered, self.parts.run)))
                group.answers[sample] = answered
                group.left -= 1
                if group.left or paced.stopped:
                    continue
            if plain:
                self._rows_of(group, self.parts.scorers.score(group.case.case, group.answers))
            else:
                await self._finish(group)

    def _refilled(self) -> bool:
        """Whether there is something to do again; False where nothing is left, or nothing may be asked any more."""
        while not self._items and self._next < len(self.parts.cases) and not self.parts.paced.stopped:
            self._refill()
        return bool(self._items)

    def _refill(self) -> None:
        """The questions of the next cases, as far as their answers are not known."""
        parts = self.parts
        each = max(1, len(parts.subjects) * parts.samples)
        until = min(len(parts.cases), self._next + max(1, min(parts.batch, _AHEAD) // each))
        groups: list[_Group] = []
        for case in parts.cases[self._next : until]:
            self._add_groups(case, groups)
        self._next = until
        known = parts.results.find_answers([key for each in groups for key in each.keys]) if parts.use_known else {}
        for group in groups:
            if known:
                self._look_up(group, known)
            if group.left == 0:
                self._items.append((group, -1))
                continue
            self._items.extend(
                [(group, sample) for sample, answered in enumerate(group.answers) if answered is _NONE_YET]
            )

    def _add_groups(self, case: FrozenCase, groups: list[_Group]) -> None:
        samples = self.parts.samples
        for subject in self.parts.subjects:
            if self.done and all((case.digest, subject.id, sample) in self.done for sample in range(samples)):
                self.n_done += samples
                continue
            try:
                asked, keys = subject.ask(case, samples)
            except (BadPrompt, BadSuite) as error:  # the case is not the version's: an answer that failed
                lost = [Answered({}, error=error.code)] * samples
                self._items.append((_Group(case, subject, None, [""] * samples, lost, _NOTHING_KNOWN, 0), -1))
            else:
                groups.append(_Group(case, subject, asked, keys, [_NONE_YET] * samples, _NOTHING_KNOWN, samples))

    def _look_up(self, group: _Group, known: Mapping[str, bytes]) -> None:
        for sample, key in enumerate(group.keys):
            body = known.get(key)
            if body is None:
                continue
            old = read_kept(body)
            if old.run == self.parts.run:
                self.parts.paced.purse.spent += old.cost_pusd or 0
            else:
                group.known = {*group.known, sample}
            group.answers[sample] = old.answered()
            group.left -= 1

    async def _finish(self, group: _Group) -> None:
        """Score the answers of one case by judges too, or in a thread, and make their rows."""
        parts, case = self.parts, group.case.case
        scorers, said, spent = parts.scorers, None, [0] * len(group.keys)
        if scorers.judges:
            said, spent = await scorers.ask_judges(case, group.given(), JudgedBy(parts.run, parts.results, parts.paced))
            if parts.paced.stopped:
                return  # a judge may not have been asked: the answers are kept, and judged when the run goes on
        if scorers.quick:
            scored = scorers.score(case, group.answers, said)
        else:
            scored = await asyncio.get_running_loop().run_in_executor(None, scorers.score, case, group.answers, said)
        self._rows_of(group, scored, spent)

    def _rows_of(self, group: _Group, scored: Sequence[Scored], judged: Sequence[int] = ()) -> None:
        """The rows of one case; `judged` is what was paid to judges of each sample."""
        frozen, subject, run_rows = group.case, group.subject.id, self._rows
        case, told = frozen.case, self.parts.progress is not None
        for sample, answered in enumerate(group.answers):
            says, own, error = scored[sample], sample not in group.known, answered.error
            self.n_failed += bool(error)
            self.n_cached += not own
            if told and says.score is not None:
                self._scores.append((frozen.cluster, says.score))
            run_rows.append(
                RunRow(
                    frozen.digest,
                    case.id,
                    frozen.cluster,
                    sample,
                    subject,
                    "" if error else group.keys[sample],
                    says.told,
                    says.score,
                    answered.usage,
                    answered.cost_pusd,
                    (answered.cost_pusd or 0 if own else 0) + (judged[sample] if judged else 0),
                    answered.latency_us,
                    error,
                    case.weight,
                    list(case.tags) if case.tags else _NO_TAGS,
                    not own,
                )
            )
        self.n_done += len(group.keys)
        if len(self._answers) >= self.parts.batch or len(run_rows) >= 10 * self.parts.batch:
            self._write()

    def _write(self) -> None:
        """Answers first: what is paid for is kept, whatever becomes of its row."""
        if self._answers:
            results = self.parts.results  # what is asked anew takes the place of what was known
            (results.put_answers if self.parts.use_known else results.replace_answers)(self._answers)
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
