"""What a pull request does to answers: the suites of what it changes, run on both versions, as a review that can refuse.

    snapshot of the base → prompts and routes that are others now → their suites, both versions on the same cases → gates

`perdure check --ci` reads declarations only and costs nothing; this asks models. Answers are kept by content, so a second push
asks only for what changed since the first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perdure.assets.health import Verdict
from perdure.assets.version import Version
from perdure.core.canonical import content_hash
from perdure.core.clock import machine_now, monotonic_s
from perdure.core.errors import Refused
from perdure.core.ids import new_id, version_id
from perdure.core.verdict import Comparison
from perdure.surface.ci.snapshot import LEDGER_FILE, Snapshot, find_base
from perdure.surface.definitions import definitions
from perdure.surface.eval_asking import Asking, declared_by_name, options_of
from perdure.surface.eval_gates import CHANGE, GATE
from perdure.surface.eval_here import subject_name
from perdure.surface.eval_made import ToldOf, eval_told

if TYPE_CHECKING:
    from perdure.assets.suite import Suite
    from perdure.surface.eval_told import EvalTold
    from perdure.surface.evaluating import Evaluating

_OPTIONAL = frozenset({"examples", "variants"})
"""Members that a version has only where they are declared."""


@dataclass(frozen=True, slots=True)
class Touched:
    """A suite that a change concerns."""

    suite: Suite
    before: Version | None
    """None: there is nothing to compare with, or the version is the same and something that it rests on is not."""
    after: Version
    why: str


@dataclass(frozen=True, slots=True)
class EvalReview:
    """What suites say of a pull request."""

    evals: tuple[EvalTold, ...]
    why: Mapping[str, str]
    """Suite → why it was run."""
    strict: bool = False

    @property
    def refused(self) -> tuple[str, ...]:
        """Suites that say no: a gate that found worse; where the review is strict, any gate that did not pass."""
        return tuple(
            each.suite for each in self.evals if any(_refuses(gate, strict=self.strict) for gate in each.gates)
        )

    @property
    def exit_code(self) -> int:
        """0, or that of what is refused."""
        return Refused.exit_code if self.refused else 0


def _refuses(gate: Verdict, *, strict: bool) -> bool:
    return not gate.passed and (strict or gate.comparison is not Comparison.NOT_ENOUGH_EVIDENCE)


def review_evals(
    project: Evaluating, base: str | Path | None, how: Asking | None = None, *, strict: bool = False
) -> EvalReview:
    """Run the suites of what changed against a base.

    Args:
        project: the head.
        base: as of `Perdure.review`: another checkout or a ledger; by default the project's own ledger.
        how: samples, and the budget of each suite.
        strict: not enough evidence refuses too.

    Raises:
        NotFound: the base is neither a project nor a ledger.
        BadSuite: a suite cannot be run.
        NotReady: nobody can be asked here.
    """
    from perdure.surface.compose import stores_root

    ledger = stores_root(project.folder, project.settings) / LEDGER_FILE
    before = find_base(Path(base) if base is not None else None, ledger, project.settings)
    touched = list(touched_suites(project, before))
    evals = tuple(_run(project, each, how or Asking(), _together(touched, each)) for each in touched)
    return EvalReview(evals, {each.suite.name: each.why for each in touched}, strict)


def touched_suites(project: Evaluating, before: Snapshot | None) -> Iterator[Touched]:
    """The suites that a change concerns, by name, each with the versions to compare."""
    old: Mapping[tuple[str, str], Mapping[str, Any]] = {} if before is None or before.broken else before.definitions
    new = definitions(project.project)
    declared = declared_by_name(project.project, project.place, machine_now())
    for _, suite in sorted(project.project.suites.items()):
        name = subject_name(suite)
        after = declared[name]
        then = _version_then(after, old.get((after.kind, name)))
        if then is None:
            yield Touched(suite, None, after, f"the {after.kind} {name} is new")
        elif then.id != after.id:
            yield Touched(suite, then, after, f"the {after.kind} {name} is another one")
        elif why := _rests_on(suite, after, old, new):
            yield Touched(suite, None, after, why)


def _version_then(after: Version, definition: Mapping[str, Any] | None) -> Version | None:
    """The version that the base declares; what makes no version (objectives, policy) is left out."""
    if definition is None:
        return None
    members = {*after.definition, *_OPTIONAL}
    told = {name: definition[name] for name in sorted(members) if name in definition}
    return replace(after, id=version_id(after.asset, content_hash(told)), definition=told, lineage={})


def _rests_on(
    suite: Suite,
    after: Version,
    old: Mapping[tuple[str, str], Mapping[str, Any]],
    new: Mapping[tuple[str, str], Mapping[str, Any]],
) -> str:
    """Why the same version is asked again: its route, or the suite itself, is another one."""
    route = suite.route or str(after.definition.get("route", ""))
    if after.kind == "prompt" and ("route", route) in old and _told(old, route) != _told(new, route):
        return f"the route {route}, which answers it, is another one"
    key = ("suite", suite.name)
    return "" if old.get(key) == new.get(key) else "the suite is another one"


def _told(found: Mapping[tuple[str, str], Mapping[str, Any]], route: str) -> dict[str, Any]:
    definition = found.get(("route", route), {})
    return {name: value for name, value in definition.items() if name not in ("healthy", "policy")}


def _together(touched: Sequence[Touched], one: Touched) -> Sequence[Suite]:
    """The suites that compare what this one compares: they share the error that may be made."""
    return [each.suite for each in touched if each.before is not None and each.after.id == one.after.id]


def _run(project: Evaluating, touched: Touched, how: Asking, suites: Sequence[Suite]) -> EvalTold:
    from perdure.loop.work.evals.comparing import alpha_of, compare_versions
    from perdure.loop.work.evals.running import run_suite

    now, began_s, run = machine_now(), monotonic_s(), new_id("evl")
    options = options_of(project.project, project.place, touched.suite, now, how)
    if touched.before is None:
        run_suite(project.place, touched.suite, [touched.after], run, now, options)
    else:
        declared = {**options.declared, touched.before.id: touched.before}
        compare_versions(
            project.place,
            touched.suite,
            touched.before,
            touched.after,
            run,
            now,
            replace(options, declared=declared, facts={GATE: CHANGE}),
            alpha=alpha_of(touched.suite, suites),
        )
    of = ToldOf(run, judges=project.project.judges, declared=options.declared, took_s=monotonic_s() - began_s)
    return eval_told(project.place, of, now)
