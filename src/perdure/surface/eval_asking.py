"""What any run of a project's suites goes by: its options, what scorers ask of the outside, and what is declared.

The verbs (`evaluating`), tests and pull requests (`eval_here`) and the loop (`eval_running`) ask by the same.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from perdure.core.usage import picodollars

if TYPE_CHECKING:
    from datetime import datetime

    from perdure.assets.project import Project
    from perdure.assets.suite import Suite
    from perdure.assets.version import Version
    from perdure.engines.evals.parts import Tools
    from perdure.loop.protocols import Workplace
    from perdure.loop.work.evals.driving import Progress
    from perdure.loop.work.evals.running import RunOptions

Watching = Callable[["Suite", "Progress"], None]


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


def declared_by_name(project: Project, place: Workplace, now: datetime) -> dict[str, Version]:
    """The versions of what the files say now: they stand for what is not released yet."""
    from perdure.surface.declaring import declared_versions

    with place.stores.ledger.read() as session:
        found = declared_versions(project, session, place.actor, now)
    return {each.version.asset: each.version for each in found}


def options_of(
    project: Project, place: Workplace, suite: Suite, now: datetime, asking: Asking | None = None
) -> RunOptions:
    """How a suite is run, with what is declared and what its scorers ask of the outside."""
    from perdure.loop.work.evals.running import RunOptions

    how = asking or Asking()
    watching = how.watching
    return RunOptions(
        n_samples=how.samples,
        budget_pusd=None if how.budget_usd is None else picodollars(how.budget_usd),
        use_known=False if how.fresh else None,
        progress=None if watching is None else lambda progress: watching(suite, progress),
        declared=declared_by_name(project, place, now),
        prompts=[project.prompts[suite.prompt]] if suite.prompt in project.prompts else [],
        tools=tools_of(project),
    )


def tools_of(project: Project) -> Tools:
    """Who makes vectors of texts, and who runs code."""
    from perdure.assets.embedders import WordLlama
    from perdure.engines.evals.parts import Tools
    from perdure.engines.evals.unnamed import UnnamedEmbed
    from perdure.engines.retrieval.embedders.opening import open_embedder
    from perdure.surface.embedding import HttpEmbed
    from perdure.surface.sandbox import Sandbox

    embed = UnnamedEmbed(lambda: open_embedder(WordLlama()), HttpEmbed(project.routes, project.upstreams, os.environ))
    return Tools(embed=embed, run_code=Sandbox())
