"""What tests assert of evals: `evals.run(…)` and the `Result` it gives. The pytest plugin's fixture makes it.

    def test_refunds(evals):
        evals.run("refunds", prompt="support").assert_at_least(0.9)

An assertion passes only on proof: the whole interval on the right side. Where the measured value is on the right side and the proof is
missing, a test is skipped with how many cases would tell, and fails under `--eval-strict`; on the wrong side it fails.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from perdure.core.errors import DeclarationError, NotFound, not_found
from perdure.core.stats.intervals import Interval
from perdure.surface.eval_asking import Asking
from perdure.surface.eval_here import run_eval, subject_name
from perdure.surface.eval_made import compared
from perdure.surface.eval_told import EvalTold, case_line, interval_text, notable, share
from perdure.surface.prompting import DECLARED
from perdure.surface.report.versus import write_versus
from perdure.surface.words import counted, money

if TYPE_CHECKING:
    from perdure.assets.prompt import Prompt
    from perdure.assets.suite import Suite
    from perdure.surface.sdk import Perdure

CHAMPION = "champion"
_CASES = 8
"""Cases that a message names."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What all processes of one pytest run may spend: a file that holds what was spent, locked while one spends."""

    file: Path
    limit_usd: float

    @contextmanager
    def left(self) -> Iterator[_Left]:
        """What is left, for one run of a suite at a time; what it spends is written down whatever comes of it."""
        with self.file.open("r+", encoding="utf-8") as opened:
            fcntl.flock(opened, fcntl.LOCK_EX)
            told = opened.read()
            before = float(json.loads(told)["spent_usd"]) if told else 0.0
            found = _Left(max(0.0, self.limit_usd - before))
            try:
                yield found
            finally:
                opened.seek(0)
                opened.truncate()
                opened.write(json.dumps({"spent_usd": before + found.spent_usd}))


@dataclass(slots=True)
class _Left:
    usd: float
    spent_usd: float = 0.0


@dataclass(frozen=True, slots=True)
class EvalSettingsGiven:
    """What the command line and the test's marker say."""

    suite: str | None = None
    prompt: str | None = None
    n_samples: int | None = None
    strict: bool = False
    budget: Budget | None = None


class Evals:
    """The fixture `evals`.

    Args:
        project: whose suites are run.
        given: by the command line and the test's marker.
        tell: takes what a run came to, for the summary at the end.
    """

    def __init__(self, project: Perdure, given: EvalSettingsGiven, tell: Callable[[dict[str, Any]], None]) -> None:
        self.project = project
        self.given = given
        self._tell = tell

    def run(
        self, suite: str | Suite | None = None, *, prompt: str | Prompt | None = None, n_samples: int | None = None
    ) -> Result:
        """Ask a suite of one version, and score the answers; what was asked before costs nothing.

        Args:
            suite: name of a declared suite, or one made in the test; by default the marker's.
            prompt: `declared` (what the files say now, the default), `champion`, a version's id, or the prompt's own name.
            n_samples: answers a case; by default `--eval-samples`, else as the suite says.

        Raises:
            NotFound: no such suite or version.
        """
        declared = self._suite(suite)
        version = self._version(declared, prompt)
        samples = n_samples or self.given.n_samples
        return Result(self, declared, version, samples, self.measure(declared, (version,), samples))

    def measure(self, suite: Suite, versions: tuple[str, ...], n_samples: int | None) -> EvalTold:
        """Run, within the budget of all of pytest, and tell it."""
        if self.given.budget is None:
            told = run_eval(self.project, suite, versions, Asking(n_samples))
        else:
            with self.given.budget.left() as left:
                told = run_eval(self.project, suite, versions, Asking(n_samples, left.usd))
                left.spent_usd = told.spent_usd
        self._tell(_summary(told))
        return told

    def _suite(self, suite: str | Suite | None) -> Suite:
        wanted = self.given.suite if suite is None else suite
        if wanted is None:
            raise DeclarationError("No suite is named.", hint='Write evals.run("…"), or @pytest.mark.eval(suite="…").')
        if not isinstance(wanted, str):
            return wanted
        __tracebackhide__ = True
        if wanted not in self.project.project.suites:
            raise not_found("suite", wanted, self.project.project.suites)
        return self.project.project.suites[wanted]

    def _version(self, suite: Suite, prompt: str | Prompt | None) -> str:
        wanted = self.given.prompt if prompt is None else prompt
        name = wanted if wanted is None or isinstance(wanted, str) else wanted.name
        if name is None or name in (subject_name(suite), DECLARED):
            return DECLARED
        if name != CHAMPION and "@" not in name:
            raise DeclarationError(
                f"Suite {suite.name!r} tests {subject_name(suite)!r}, not {name!r}.",
                hint="Leave prompt out, or give champion or a version's id.",
            )
        return name


def _summary(told: EvalTold) -> dict[str, Any]:
    answers = [each for case in told.cases for side in case.answers for each in side]
    last = told.sides[-1]
    return {
        "suite": told.suite,
        "versions": " against ".join(side.subject for side in reversed(told.sides)),
        "score": interval_text(last.score, last.mean),
        "n_answers": len(answers),
        "n_cached": sum(each.cached for each in answers),
        "spent_usd": told.spent_usd,
    }


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """One version in one suite, and what can be asserted of it."""

    evals: Evals
    suite: Suite
    version: str
    n_samples: int | None
    told: EvalTold

    @property
    def score(self) -> Interval | None:
        """Mean over cases with its 95% interval; None with fewer than two clusters."""
        return self.told.sides[-1].score

    @property
    def cost_usd(self) -> float | None:
        """What its answers cost when they were made; None where no price is known."""
        return self.told.sides[-1].cost_usd

    @property
    def spent_usd(self) -> float:
        """What this run spent: 0 where every answer was known."""
        return self.told.spent_usd

    def assert_at_least(self, bound: float) -> None:
        """The lower end of the score's 95% interval reaches `bound`, 0 to 1."""
        __tracebackhide__ = True
        side = self.told.sides[-1]
        found = f"{self.suite.name}: {interval_text(side.score, side.mean)} for {side.subject}"
        if side.mean is not None and side.mean < bound:
            self._fails(f"{found} is less than {share(bound)}", self.told)
        if self.told.partial:
            self._unsure(f"{found}; partial: {self.told.partial}", self.told)
        if side.score is None or side.score.low < bound:
            self._unsure(f"{found}: not proven to be at least {share(bound)}; more cases would tell", self.told)

    def assert_not_worse(self, than: str = CHAMPION, *, margin: float | None = None) -> None:
        """Not worse than another version by `margin` (by default the suite's), one-sided at 5%, case by case.

        A version that is the same passes at once. Where nothing is released yet the test is skipped.
        """
        __tracebackhide__ = True
        suite = self.suite if margin is None else replace(self.suite, margin=margin)
        against = self._against(than)
        if against is None:
            return
        verdict = compared(*against.rows, suite, partial=bool(against.told.partial))
        found = f"{self.suite.name}: {verdict.text}"
        if verdict.comparison.value == "worse" or verdict.difference.value < -suite.margin:
            self._fails(f"{found}; the margin is {share(suite.margin)}", against.told)
        at_5 = compared(*against.rows, suite, alpha=0.1)  # one-sided: the lower end of the 90% interval
        if against.told.partial or at_5.difference.low <= -suite.margin:
            self._unsure(found, against.told)

    def assert_better(self, than: str = CHAMPION) -> None:
        """Better than another version: the whole 95% interval of the difference lies above 0."""
        __tracebackhide__ = True
        against = self._against(than)
        if against is None:
            raise AssertionError(f"{self.suite.name}: {self.told.sides[-1].subject} is {than} itself.")
        verdict = compared(*against.rows, self.suite, partial=bool(against.told.partial))
        found = f"{self.suite.name}: {verdict.text}"
        if verdict.comparison.value in ("worse", "equivalent") or verdict.difference.value <= 0.0:
            self._fails(found, against.told)
        if verdict.comparison.value != "better":
            self._unsure(found, against.told)

    def write_page(self, path: str | Path, *, than: str | None = None) -> Path:
        """The page of it, case by case; beside another version where one is named."""
        against = self._against(than) if than is not None else None
        found = Path(path)
        write_versus(self.told if against is None else against.told, found)
        return found

    def _against(self, than: str) -> _Against | None:
        """Both versions in one run; None where they are the same."""
        __tracebackhide__ = True
        from perdure.core.clock import machine_now
        from perdure.surface.eval_here import find_versions

        project = self.evals.project
        try:
            ids = [
                each.id
                for each in find_versions(project, subject_name(self.suite), (than, self.version), machine_now())
            ]
        except NotFound as error:
            if than != CHAMPION:
                raise
            pytest.skip(f"{self.suite.name}: {error.message} There is nothing to compare with.")
        if ids[0] == ids[1]:
            return None
        told = self.evals.measure(self.suite, (ids[0], ids[1]), self.n_samples)
        rows = list(project.place.stores.results.list_run(told.run))
        return _Against(told, (rows, (ids[0], ids[1])))

    def _fails(self, text: str, told: EvalTold) -> NoReturn:
        __tracebackhide__ = True
        raise AssertionError(_message(text, told))

    def _unsure(self, text: str, told: EvalTold) -> NoReturn:
        __tracebackhide__ = True
        if self.evals.given.strict:
            raise AssertionError(_message(text, told))
        pytest.skip(text)


@dataclass(frozen=True, slots=True, eq=False)
class _Against:
    told: EvalTold
    rows: tuple[list[Any], tuple[str, str]]


def _message(text: str, told: EvalTold) -> str:
    """What failed, in words, and the cases to look at."""
    cases = notable(told)
    lines = [text, f"  spent {money(told.spent_usd)}", *(f"  {case_line(each)}" for each in cases[:_CASES])]
    if len(cases) > _CASES:
        lines.append(f"  and {counted(len(cases) - _CASES, 'case')} more: Result.write_page shows all")
    return "\n".join(lines)
