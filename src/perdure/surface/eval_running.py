"""Suites as the loop asks them: with the project's declared versions, examples and tools. Compose and `apply` make these."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from perdure.assets.project import Project
from perdure.assets.suite import Suite
from perdure.assets.version import Version
from perdure.loop.protocols import Workplace
from perdure.loop.work.evals.running import Ran, run_suite
from perdure.loop.work.routes.suites import RouteSuites
from perdure.surface.eval_asking import options_of


@dataclass(frozen=True, slots=True, eq=False)
class RunsOf:
    """Runs suites of a project."""

    project: Project

    def __call__(self, place: Workplace, suite: Suite, subjects: Sequence[Version], run: str, now: datetime, /) -> Ran:
        """As `loop.work.evals.running.run_suite`.

        Raises: as it does.
        """
        return run_suite(place, suite, subjects, run, now, options_of(self.project, place, suite, now))


def route_suites(project: Project) -> RouteSuites:
    """What the routes of a project owe the prompts that they answer, and what tests them by themselves."""

    def of(route: str) -> list[Suite]:
        return [
            suite
            for name, prompt in sorted(project.prompts.items())
            for suite in project.suites_of(name)
            if (suite.route or prompt.route) == route
        ]

    def own(route: str) -> list[Suite]:
        return [suite for _, suite in sorted(project.suites.items()) if suite.route == route and not suite.prompt]

    return RouteSuites(of, RunsOf(project), own)
