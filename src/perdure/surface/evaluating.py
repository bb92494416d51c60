"""Verbs of evals: run suites, compare two versions, list and report runs.

    project.evals.run("refunds", budget_usd=0.5)
    project.evals.compare("support_answer", "champion", "declared")

No server is needed: without `[evals] url` models are asked through the project's own gateway in this process.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from perdure.assets.version import CHAMPION, Version
from perdure.core.clock import machine_now
from perdure.core.errors import BadSuite, NotFound, not_found
from perdure.core.ids import new_id
from perdure.core.usage import PICO, picodollars
from perdure.surface.opened import When, instant_of
from perdure.surface.prompting import DECLARED, Prompting

if TYPE_CHECKING:
    from datetime import datetime

    from perdure.assets.project import Project
    from perdure.assets.suite import Suite
    from perdure.engines.evals.parts import Tools
    from perdure.loop.work.evals.comparing import ComparedSuite
    from perdure.loop.work.evals.driving import Progress
    from perdure.loop.work.evals.running import RunOptions
    from perdure.stores.ledger.protocols import Run
    from perdure.surface.eval_told import EvalTold

Watching = Callable[["Suite", "Progress"], None]
_LOOKED_AT = 2000


@dataclass(frozen=True, slots=True)
class Asking:
    """How suites are run.

    Args:
        samples: answers a case; None: as each suite says.
        budget_usd: of each suite; None: as `[evals] budget_usd` says.
        fresh: known answers are asked anew.
        watching: told of progress.
    """

    samples: int | None = None
    budget_usd: float | None = None
    fresh: bool = False
    watching: Watching | None = None


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


class Evals:
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
        from perdure.loop.work.evals.running import run_suite

        now, name, wanted = instant_of(at), *_named(prompt)
        chosen = self._suites(suites, name)
        if run and len(chosen) != 1:
            raise BadSuite("A run that goes on is of one suite.", hint="Name it: perdure eval run SUITE --run RUN")
        told = []
        for suite in chosen:
            version = self._subject(suite, wanted if suite.prompt == name or not name else "")
            options = self._options(suite, asking or Asking())
            ran = run_suite(self._project.place, suite, [version], run or new_id("evl"), now, options)
            told.append(self._told(ran.run, now))
        return told

    def compare(
        self,
        prompt: str,
        before: str = CHAMPION,
        after: str = DECLARED,
        *,
        asking: Asking | None = None,
        at: When = None,
    ) -> list[EvalTold]:
        """Compare two versions of a prompt in every suite of it; each ends as soon as a difference is clear.

        Raises:
            NotFound: no such prompt or version.
            BadSuite: no suite tests it.
        """
        from perdure.loop.work.evals.comparing import alpha_of, compare_versions

        now, suites = instant_of(at), self._suites((), prompt)
        first, second = self._version(prompt, before), self._version(prompt, after)
        if first.id == second.id:
            raise BadSuite(
                f"{before!r} and {after!r} are one version, {first.id}.", hint="Change the prompt, or name another one."
            )
        told = []
        for suite in suites:
            options, place = self._options(suite, asking or Asking()), self._project.place
            found = compare_versions(
                place, suite, first, second, new_id("evl"), now, options, alpha=alpha_of(suite, suites)
            )
            told.append(self._compared(found, now))
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
        from perdure.surface.governance.entries import by_beginning

        known = {row.run: row for row in self.runs(_LOOKED_AT)}
        if not known:
            raise NotFound("No suite was run yet.", hint="Run one: perdure eval run")
        return self._told(by_beginning("run", run, known), instant_of(at))

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

    def _subject(self, suite: Suite, wanted: str) -> Version:
        return self._version(suite.prompt or suite.route, wanted or DECLARED)

    def _version(self, name: str, wanted: str) -> Version:
        """A version of a prompt or route, registered or not."""
        project, now = self._project, machine_now()
        if name in project.project.prompts:
            shown = project.show_prompt(name, wanted)
            return Version(shown.version, name, "prompt", shown.definition, {}, {}, {}, now, project.actor)
        declared = self._declared()
        if name not in declared:
            raise not_found("route", name, project.project.routes)
        return declared[name]

    def _declared(self) -> Mapping[str, Version]:
        """What is declared now, by name: it stands for what is not released yet."""
        from perdure.surface.declaring import declared_versions

        project = self._project
        with project.place.stores.ledger.read() as session:
            found = declared_versions(project.project, session, project.actor, machine_now())
        return {each.version.asset: each.version for each in found}

    def _options(self, suite: Suite, asking: Asking) -> RunOptions:
        from perdure.loop.work.evals.running import RunOptions

        budget, watching, prompts = asking.budget_usd, asking.watching, self._project.project.prompts
        return RunOptions(
            n_samples=asking.samples,
            budget_pusd=None if budget is None else picodollars(budget),
            use_known=False if asking.fresh else None,
            progress=None if watching is None else lambda progress: watching(suite, progress),
            declared=self._declared(),
            prompts=[prompts[suite.prompt]] if suite.prompt in prompts else [],
            tools=tools_of(self._project.project),
        )

    def _told(self, run: str, now: datetime) -> EvalTold:
        from perdure.surface.eval_made import ToldOf, eval_told

        of = ToldOf(run, judges=self._project.project.judges, declared=self._declared())
        return eval_told(self._project.place, of, now)

    def _compared(self, found: ComparedSuite, now: datetime) -> EvalTold:
        from perdure.assets.health import Verdict
        from perdure.core.verdict import Comparison

        told, verdict = self._told(found.ran.run, now), found.verdict
        wanted = {Comparison.BETTER} if found.suite.role == "primary" else {Comparison.BETTER, Comparison.EQUIVALENT}
        gate = Verdict(
            f"{found.suite.role} suite {found.suite.name}",
            verdict.comparison,
            verdict.comparison in wanted,
            verdict.text,
            {"n_more": verdict.n_more, "look": verdict.look},
        )
        return replace(
            told, gates=(gate,), comparison=verdict.comparison, difference=verdict.difference, text=verdict.text
        )


class Evaluating(Prompting):
    """Evals of a project."""

    @cached_property
    def evals(self) -> Evals:
        """Runs of suites."""
        return Evals(self)


def tools_of(project: Project) -> Tools:
    """What scorers ask of the outside: who makes vectors, who runs code."""
    from perdure.engines.evals.parts import Tools
    from perdure.engines.evals.wordllama import WordLlamaEmbed
    from perdure.surface.embedding import HttpEmbed
    from perdure.surface.sandbox import Sandbox

    embed = WordLlamaEmbed(HttpEmbed(project.routes, project.upstreams, os.environ))
    return Tools(embed=embed, run_code=Sandbox())


def _named(prompt: str) -> tuple[str, str]:
    name, _, version = prompt.partition("@")
    return name, version


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
