"""Verbs of evals: run suites, compare two versions, list and report runs.

    project.evals.run("refunds", budget_usd=0.5)
    project.evals.compare("support_answer", "champion", "declared")

No server is needed: without `[evals] url` models are asked through the project's own gateway in this process.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from perdure.assets.version import CHAMPION
from perdure.core.clock import monotonic_s
from perdure.core.errors import BadSuite, NotFound
from perdure.core.usage import PICO
from perdure.surface.eval_asking import Asking, declared_by_name
from perdure.surface.eval_drafting import EvalDrafting
from perdure.surface.opened import When, instant_of
from perdure.surface.prompting import DECLARED, Prompting

if TYPE_CHECKING:
    from datetime import datetime

    from perdure.assets.suite import Suite
    from perdure.stores.ledger.protocols import Run
    from perdure.surface.eval_told import EvalTold

_LOOKED_AT = 2000


@dataclass(frozen=True, slots=True)
class EvalRow:
    """One run, as `eval list` tells it."""

    run: str
    suite: str
    versions: Sequence[str]
    at: datetime
    status: str
    """`done`, `partial` or `running`."""
    n_answers: int
    spent_usd: float


class Evals(EvalDrafting):
    """`project.evals`."""

    def __init__(self, project: Evaluating) -> None:
        self._project = project

    def run(
        self, *suites: str, prompt: str = "", run: str = "", asking: Asking | None = None, at: When = None
    ) -> list[EvalTold]:
        """Run suites on one version each, and tell what came of it.

        Args:
            suites: by name; none: all, or all of `prompt`.
            prompt: `NAME` or `NAME@version`: which version is asked; a version is an id or how it begins, a pointer's
                name, or `declared`, which it is unless said.
            run: of an earlier run that goes on; empty: a new one. With one suite only.
            asking: how.
            at: domain time of the record.

        Raises:
            NotFound: no such suite, prompt or version.
            BadSuite: none is declared, or it cannot be used.
        """
        from perdure.surface.eval_here import run_eval

        now, name, wanted = instant_of(at), *_named(prompt)
        chosen = self._suites(suites, name)
        if run and len(chosen) != 1:
            raise BadSuite("A run that goes on is of one suite.", hint="Name it: perdure eval run SUITE --run RUN")
        return [
            run_eval(
                self._project,
                suite,
                [wanted if suite.prompt == name or not name else DECLARED],
                asking,
                run=run,
                now=now,
            )
            for suite in chosen
        ]

    def compare(
        self,
        prompt: str,
        before: str = CHAMPION,
        after: str = DECLARED,
        *,
        run: str = "",
        asking: Asking | None = None,
        at: When = None,
    ) -> list[EvalTold]:
        """Compare two versions of a prompt in every suite of it; each ends as soon as a difference is clear.

        Args:
            prompt: whose.
            before: the version that is compared with, by what people call it.
            after: the one that would replace it.
            run: of a comparison that stopped, any of its suites': it goes on, with its own versions, in all of them.
            asking: how.
            at: domain time of the record.

        Raises:
            NotFound: no such prompt, version or run.
            BadSuite: no suite tests it, both are one version, or the run compares something else.
        """
        from perdure.surface.eval_comparing import begun_comparing, compare_in, new_comparing

        now, suites = instant_of(at), self._suites((), prompt)
        if run:
            named = None if (before, after) == (CHAMPION, DECLARED) else (before, after)
            comparing = begun_comparing(self._project, prompt, run, now, named)
        else:
            comparing = new_comparing(self._project, prompt, (before, after), suites, now)
        told = []
        for suite in comparing.suites:
            began_s = monotonic_s()
            compare_in(self._project, comparing, suite, asking, now)
            told.append(self._told(comparing.runs[suite.name], now, monotonic_s() - began_s))
        return told

    def runs(self, limit: int = 20) -> list[EvalRow]:
        """Runs of suites, newest first."""
        from perdure.loop.work.evals.running import KIND

        with self._project.place.stores.ledger.read() as session:
            runs = [run for run in session.runs.list(limit=_LOOKED_AT) if run.kind == KIND]
        return [_row(run) for run in runs[:limit]]

    def report(self, run: str, *, at: When = None) -> EvalTold:
        """A run as it is shown, by its id or how it begins.

        Raises:
            NotFound: no such run.
        """
        return self._told(self.find(run), instant_of(at))

    def find(self, run: str) -> str:
        """A run's id by how it begins.

        Raises:
            NotFound: no such run.
            BadRequest: several begin so.
        """
        from perdure.surface.governance.entries import by_beginning

        known = {row.run: row for row in self.runs(_LOOKED_AT)}
        if not known:
            raise NotFound("No suite was run yet.", hint="Run one: perdure eval run")
        return by_beginning("run", run, known)

    def _suites(self, names: Sequence[str], prompt: str) -> list[Suite]:
        project = self._project.project
        if prompt:
            project.prompt(prompt)
        if names:
            return [project.suite(name) for name in names]
        found = project.suites_of(prompt) if prompt else [each for _, each in sorted(project.suites.items())]
        if not found:
            what = f"No suite tests the prompt {prompt!r}." if prompt else "No suite is declared."
            raise BadSuite(what, hint='Declare one: Suite("refunds", "suites/refunds.yaml", [Exact()], prompt="NAME")')
        return found

    def _told(self, run: str, now: datetime, took_s: float = 0.0) -> EvalTold:
        from perdure.surface.eval_made import ToldOf, eval_told

        project = self._project.project
        declared = declared_by_name(project, self._project.place, now)
        of = ToldOf(run, judges=project.judges, declared=declared, took_s=took_s)
        return eval_told(self._project.place, of, now)


class Evaluating(Prompting):
    """Evals of a project."""

    @cached_property
    def evals(self) -> Evals:
        """Runs of suites."""
        return Evals(self)


def _named(prompt: str) -> tuple[str, str]:
    name, _, version = prompt.partition("@")
    return name, version or DECLARED


def _row(run: Run) -> EvalRow:
    partial = bool(run.facts.get("partial"))
    status = "running" if run.status == "running" else "partial" if partial else run.status
    return EvalRow(
        run.id,
        str(run.facts["suite"]),
        list(run.facts["subjects"]),
        run.started_at,
        status,
        int(run.metrics.get("n_answers", 0)),
        run.metrics.get("spent_pusd", 0.0) / PICO,
    )
