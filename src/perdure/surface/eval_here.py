"""Runs a suite of an opened project in this process and makes it what is shown: for verbs, tests and pull requests.

Versions go by what people call them: `declared` (what the files say now), `champion` (what answers callers) or another pointer's
name, or a version's id or how that begins. What is declared needs not be applied, and is not by this.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from perdure.core.clock import machine_now, monotonic_s
from perdure.core.errors import NotFound, not_found
from perdure.core.ids import new_id
from perdure.loop.work.evals.running import run_suite
from perdure.surface.eval_asking import Asking, declared_by_name, options_of
from perdure.surface.eval_made import ToldOf, eval_told
from perdure.surface.governance.entries import by_beginning
from perdure.surface.prompting import DECLARED

if TYPE_CHECKING:
    from datetime import datetime

    from perdure.assets.suite import Suite
    from perdure.assets.version import Version
    from perdure.surface.eval_told import EvalTold
    from perdure.surface.evaluating import Evaluating


def subject_name(suite: Suite) -> str:
    """The prompt or route that a suite tests."""
    return suite.prompt or suite.route


def find_versions(project: Evaluating, asset: str, names: Sequence[str], now: datetime) -> list[Version]:
    """The versions of a prompt or route by what people call them; nothing is written down.

    Raises:
        NotFound: nothing is declared under that name, no champion is released, or there is no such version.
        BadRequest: several versions begin so.
    """
    known = declared_by_name(project.project, project.place, now)
    if asset not in known:
        raise not_found("prompt or route", asset, known)
    return [
        known[asset] if name in (DECLARED, known[asset].id) else _find(project, known[asset], name) for name in names
    ]


def _find(project: Evaluating, declared: Version, name: str) -> Version:
    asset = declared.asset
    with project.place.stores.ledger.read() as session:
        pointed = {each.name: each.version for each in session.pointers.list(asset)}
        versions = {each.id: each for each in session.registry.list_versions(asset)} | {declared.id: declared}
    if name in pointed:
        return versions[pointed[name]]
    whole = name if "@" in name else f"{asset}@{name}"
    if any(each.startswith(whole) for each in versions):
        return versions[by_beginning("version", whole, versions)]
    if "@" in name:
        raise not_found("version", name, versions)
    known = ", ".join(sorted(pointed))
    hint = f"Known: {known}." if known else "Release one: perdure apply"
    raise NotFound(f"No version of {asset!r} is released as {name!r}.", hint=hint)


def run_eval(
    project: Evaluating,
    suite: Suite,
    versions: Sequence[str] = (DECLARED,),
    asking: Asking | None = None,
    *,
    run: str = "",
    now: datetime | None = None,
) -> EvalTold:
    """Ask versions all cases, as far as answers are not known, score them, tell it.

    Args:
        project: whose stores and models.
        suite: declared, or made by hand.
        versions: one, or two to be compared, the present one first: by what people call them.
        asking: how.
        run: of an earlier run that goes on; empty: a new one.
        now: domain time of the record; None: this machine's.

    Raises: as `find_versions` and `running.run_suite`.
    """
    now, began_s = now or machine_now(), monotonic_s()
    subjects = find_versions(project, subject_name(suite), versions, now)
    options = options_of(project.project, project.place, suite, now, asking)
    ran = run_suite(project.place, suite, subjects, run or new_id("evl"), now, options)
    took_s = monotonic_s() - began_s
    of = ToldOf(ran.run, judges=project.project.judges, declared=options.declared, took_s=took_s)
    return eval_told(project.place, of, now)
