"""Runs a suite of an opened project in this process and makes it what is shown: for tests and for pull requests.

Versions go by what people call them: `declared` (what the files say now), `champion` (what answers callers), or a version's id. What
is declared needs not be applied, and is not by this.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from perdure.assets.version import Version
from perdure.core.clock import machine_now, monotonic_s
from perdure.core.errors import NotFound, not_found
from perdure.core.ids import new_id
from perdure.core.usage import picodollars
from perdure.loop.work.evals.running import RunOptions, run_suite
from perdure.surface.declaring import declared_versions
from perdure.surface.eval_made import ToldOf, eval_told
from perdure.surface.evaluating import tools_of
from perdure.surface.prompting import DECLARED

if TYPE_CHECKING:
    from datetime import datetime

    from perdure.assets.suite import Suite
    from perdure.surface.eval_told import EvalTold
    from perdure.surface.evaluating import Evaluating


@dataclass(frozen=True, slots=True)
class How:
    """How a suite is run.

    Args:
        n_samples: answers a case; None: as the suite says.
        budget_usd: what it may spend; None: as `[evals] budget_usd` says.
    """

    n_samples: int | None = None
    budget_usd: float | None = None


def subject_name(suite: Suite) -> str:
    """The prompt or route that a suite tests."""
    return suite.prompt or suite.route


def find_versions(project: Evaluating, suite: Suite, names: Sequence[str], now: datetime) -> list[Version]:
    """The versions by what people call them; nothing is written down.

    Raises:
        NotFound: nothing is declared under that name, no champion is released, or there is no such version.
    """
    asset = subject_name(suite)
    known = declared_by_name(project, now)
    if asset not in known:
        raise not_found("prompt or route", asset, known)
    return [known[asset] if name in (DECLARED, known[asset].id) else _released(project, asset, name) for name in names]


def declared_by_name(project: Evaluating, now: datetime) -> dict[str, Version]:
    """The versions of what the files say now: they stand for what is not released yet."""
    with project.place.stores.ledger.read() as session:
        found = declared_versions(project.project, session, project.actor, now)
    return {each.version.asset: each.version for each in found}


def _released(project: Evaluating, asset: str, name: str) -> Version:
    with project.place.stores.ledger.read() as session:
        if "@" in name:
            return session.registry.get_version(name)
        pointed = {each.name: each.version for each in session.pointers.list(asset)}
        if name not in pointed:
            known = ", ".join(sorted(pointed))
            hint = f"Known: {known}." if known else "Release one: perdure apply"
            raise NotFound(f"No version of {asset!r} is released as {name!r}.", hint=hint)
        return session.registry.get_version(pointed[name])


def options_of(project: Evaluating, suite: Suite, how: How, now: datetime) -> RunOptions:
    """How a suite is run, with what is declared and what its scorers ask of the outside."""
    prompts = project.project.prompts
    return RunOptions(
        n_samples=how.n_samples,
        budget_pusd=None if how.budget_usd is None else picodollars(how.budget_usd),
        declared=declared_by_name(project, now),
        prompts=[prompts[suite.prompt]] if suite.prompt in prompts else [],
        tools=tools_of(project.project),
    )


def run_eval(
    project: Evaluating, suite: Suite, versions: Sequence[str] = (DECLARED,), how: How | None = None
) -> EvalTold:
    """Ask versions all cases, as far as answers are not known, score them, tell it.

    Args:
        project: whose stores and models.
        suite: declared, or made by hand.
        versions: one, or two to be compared, the present one first: `declared`, `champion`, or a version's id.
        how: samples and budget.

    Raises: as `find_versions` and `running.run_suite`.
    """
    now, began_s = machine_now(), monotonic_s()
    subjects = find_versions(project, suite, versions, now)
    options = options_of(project, suite, how or How(), now)
    ran = run_suite(project.place, suite, subjects, new_id("evl"), now, options)
    took_s = monotonic_s() - began_s
    of = ToldOf(ran.run, judges=project.project.judges, declared=options.declared, took_s=took_s)
    return eval_told(project.place, of, now)
