"""Runs a suite of an opened project in this process and makes it what is shown: for tests and for pull requests.

Versions go by what people call them: `declared` (what the files say now), `champion` (what answers callers), or a version's id. What
is declared needs not be applied: its version is registered, and no pointer moves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from perdure.assets.version import CHAMPION, Version
from perdure.core.clock import machine_now, monotonic_s
from perdure.core.errors import NotFound, not_found
from perdure.core.ids import new_id
from perdure.core.usage import PICO
from perdure.engines.evals.parts import Tools
from perdure.loop.work.evals.running import RunOptions, run_suite
from perdure.surface.declaring import declared_versions
from perdure.surface.eval_made import ToldOf, eval_told
from perdure.surface.sandbox import Sandbox

if TYPE_CHECKING:
    from datetime import datetime

    from perdure.assets.suite import Suite
    from perdure.loop.work.evals.driving import Progress
    from perdure.surface.eval_told import EvalTold
    from perdure.surface.opened import Opened

DECLARED = "declared"
"""The version of what the files say now."""


@dataclass(frozen=True, slots=True)
class EvalAsked:
    """What is to be run.

    Args:
        suite: of the project.
        versions: one, or two to be compared, the present one first: `declared`, `champion`, or a version's id.
        n_samples: answers a case; None: as the suite says.
        budget_usd: what it may spend; None: as `[evals] budget_usd` says.
        progress: told four times a second.
    """

    suite: Suite
    versions: tuple[str, ...] = (DECLARED,)
    n_samples: int | None = None
    budget_usd: float | None = None
    progress: Callable[[Progress], None] | None = None


def subject_name(suite: Suite) -> str:
    """The prompt or route that a suite tests."""
    return suite.prompt or suite.route


def find_versions(opened: Opened, suite: Suite, names: Sequence[str], now: datetime) -> list[Version]:
    """The versions by what people call them; declared ones are registered.

    Raises:
        NotFound: nothing is declared under that name, no champion is released, or there is no such version.
    """
    asset = subject_name(suite)
    known = _declared(opened, now)
    found = []
    for name in names:
        if name == DECLARED:
            if asset not in known:
                raise not_found("prompt or route", asset, known)
            found.append(known[asset])
        else:
            found.append(_released(opened, asset, name))
    with opened.place.transaction(now, f"eval {suite.name}") as session:
        registered = {each.id for each in session.registry.list_versions(asset)}
        for version in found:
            if version.id not in registered:
                session.registry.put_version(version)
    return found


def _declared(opened: Opened, now: datetime) -> dict[str, Version]:
    with opened.place.stores.ledger.read() as session:
        return {
            each.version.asset: each.version for each in declared_versions(opened.project, session, opened.actor, now)
        }


def _released(opened: Opened, asset: str, name: str) -> Version:
    with opened.place.stores.ledger.read() as session:
        if "@" in name:
            return session.registry.get_version(name)
        pointed = {each.name: each.version for each in session.pointers.list(asset)}
        if name not in pointed:
            raise NotFound(
                f"No version of {asset!r} is released as {name!r}.",
                hint="Release one, `perdure apply`, or name a version: perdure prompts" if name == CHAMPION else "Known: "
                + (", ".join(sorted(pointed)) or "none"),
            )  # fmt: skip
        return session.registry.get_version(pointed[name])


def run_eval(opened: Opened, asked: EvalAsked) -> EvalTold:
    """Ask what is not known yet, score it, tell it. Cost: what the answers cost that were never asked before.

    Raises: as `find_versions` and `running.run_suite`.
    """
    now, began_s = machine_now(), monotonic_s()
    subjects = find_versions(opened, asked.suite, asked.versions, now)
    declared = _declared(opened, now)
    options = RunOptions(
        n_samples=asked.n_samples,
        budget_pusd=None if asked.budget_usd is None else int(asked.budget_usd * PICO),
        progress=asked.progress,
        declared=declared,
        tools=Tools(run_code=Sandbox()),
    )
    ran = run_suite(opened.place, asked.suite, subjects, new_id("eval"), now, options)
    told = ToldOf(
        ran.run,
        tuple(each.id for each in subjects),
        judges=opened.project.judges,
        declared=declared,
        took_s=monotonic_s() - began_s,
    )
    return eval_told(opened.place, told, now)
