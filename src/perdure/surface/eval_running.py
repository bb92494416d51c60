"""Suites as the loop asks them: with the project's declared versions, examples and tools. Compose and `apply` make these."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from perdure.assets.project import Project
from perdure.assets.suite import Suite
from perdure.assets.version import Version
from perdure.loop.protocols import Workplace
from perdure.loop.work.evals.running import Ran, RunOptions, run_suite
from perdure.loop.work.routes.suites import RouteSuites


@dataclass(frozen=True, slots=True, eq=False)
class RunsOf:
    """Runs suites of a project."""

    project: Project

    def __call__(self, place: Workplace, suite: Suite, subjects: Sequence[Version], run: str, now: datetime, /) -> Ran:
        """As `loop.work.evals.running.run_suite`.

        Raises: as it does.
        """
        return run_suite(place, suite, subjects, run, now, self._options(place, suite, now))

    def _options(self, place: Workplace, suite: Suite, now: datetime) -> RunOptions:
        from perdure.engines.evals.parts import Tools
        from perdure.surface.declaring import declared_versions
        from perdure.surface.embedding import HttpEmbed
        from perdure.surface.sandbox import Sandbox

        project = self.project
        with place.stores.ledger.read() as session:
            declared = declared_versions(project, session, place.actor, now)
        shown = [project.prompts[suite.prompt]] if suite.prompt in project.prompts else []
        tools = Tools(embed=HttpEmbed(project.routes, project.upstreams, os.environ), run_code=Sandbox())
        return RunOptions(declared={each.version.asset: each.version for each in declared}, prompts=shown, tools=tools)


def route_suites(project: Project) -> RouteSuites:
    """What the routes of a project owe the prompts that they answer."""

    def of(route: str) -> list[Suite]:
        return [
            suite
            for name, prompt in sorted(project.prompts.items())
            for suite in project.suites_of(name)
            if (suite.route or prompt.route) == route
        ]

    return RouteSuites(of, RunsOf(project))
