"""Two versions of a prompt in all of its suites, as one thing that may be interrupted and gone on with: `perdure eval compare`.

Each suite has a run of its own. All of them are known before the first question is asked, and stand on the record of each, so that
any of them is enough to go on with all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from perdure.core.errors import BadSuite, not_found
from perdure.core.ids import new_id
from perdure.loop.work.evals.comparing import alpha_of, compare_versions, kept_verdict
from perdure.loop.work.evals.running import find_run
from perdure.surface.eval_asking import Asking, options_of
from perdure.surface.eval_here import find_versions

if TYPE_CHECKING:
    from datetime import datetime

    from perdure.assets.suite import Suite
    from perdure.assets.version import Version
    from perdure.surface.evaluating import Evaluating

TOGETHER = "together"
"""Among a run's facts: the runs of all suites that are compared together, by suite."""


@dataclass(frozen=True, slots=True, eq=False)
class Comparing:
    """A comparison that was begun, or is to be."""

    incumbent: Version
    candidate: Version
    suites: Sequence[Suite]
    """They share the error that may be made."""
    runs: Mapping[str, str]
    """Run of each suite by its name."""


def new_comparing(
    project: Evaluating, prompt: str, names: tuple[str, str], suites: Sequence[Suite], now: datetime
) -> Comparing:
    """A comparison of two versions by what people call them; nothing is asked yet.

    Raises:
        NotFound: no such version.
        BadSuite: both are one version.
    """
    first, second = find_versions(project, prompt, names, now)
    if first.id == second.id:
        raise BadSuite(
            f"{names[0]!r} and {names[1]!r} are one version, {first.id}.",
            hint="Change the prompt, or name another one.",
        )
    return Comparing(first, second, suites, {each.name: new_id("evl") for each in suites})


def begun_comparing(
    project: Evaluating, prompt: str, run: str, now: datetime, names: tuple[str, str] | None = None
) -> Comparing:
    """The comparison that a run is of, as it was begun.

    Args:
        project: whose.
        prompt: whose versions.
        run: of any of its suites.
        now: domain time.
        names: the versions that are expected, where somebody names them.

    Raises:
        NotFound: no such run, or a version or a suite of it is not there any more.
        BadSuite: the run compares nothing, or other versions.
    """
    record = find_run(project.place, run)
    if record is None:
        raise not_found("run", run, ())
    subjects: list[str] = record.facts["subjects"]
    if len(subjects) != 2 or record.asset != prompt:
        raise BadSuite(
            f"The run {run!r} does not compare two versions of {prompt!r}: it asks {' and '.join(subjects)}.",
            hint="perdure eval list; a run of one version goes on by perdure eval run SUITE --run RUN",
        )
    first, second = find_versions(project, prompt, subjects, now)
    if names is not None and [each.id for each in find_versions(project, prompt, names, now)] != subjects:
        raise BadSuite(
            f"The run {run!r} compares {subjects[0]} with {subjects[1]}.", hint="Name these, or leave --run out."
        )
    runs: Mapping[str, str] = record.facts.get(TOGETHER) or {str(record.facts["suite"]): run}
    return Comparing(first, second, [project.project.suite(name) for name in runs], runs)


def compare_in(project: Evaluating, comparing: Comparing, suite: Suite, asking: Asking | None, now: datetime) -> None:
    """Ask one suite of both versions, or go on with that; what was concluded stays as it is.

    Raises: as `comparing.compare_versions`.
    """
    place, run = project.place, comparing.runs[suite.name]
    record = find_run(place, run)
    if record is not None and not record.facts["partial"] and kept_verdict(record, record.facts["subjects"]):
        return
    options = options_of(project.project, place, suite, now, asking)
    compare_versions(
        place,
        suite,
        comparing.incumbent,
        comparing.candidate,
        run,
        now,
        replace(options, facts={TOGETHER: dict(comparing.runs)}),
        alpha=alpha_of(suite, comparing.suites),
    )
