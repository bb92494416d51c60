"""What `perdure check` says of a project that loads: errors, warnings, notes, each with what to do.

Called by the SDK. Reads declarations only: no data, no store. A declaration that cannot mean
anything fails when it is made; here is told what means something else than its author thinks.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perdure.assets.contract import Contract
from perdure.assets.feature_view import FeatureView
from perdure.assets.graph import Graph
from perdure.assets.guard import Custom, Guard
from perdure.assets.model import Model
from perdure.assets.objective import Objective
from perdure.assets.project import Project
from perdure.assets.source import CallableReader, Source
from perdure.assets.version import dataset_name
from perdure.core.errors import BadContract, nearest
from perdure.core.settings import Settings
from perdure.surface.check_agents import agent_notes, approver_notes, environment_notes
from perdure.surface.check_gateway import gateway_notes, guard_notes, route_notes, sliced_notes, team_notes
from perdure.surface.check_indexes import index_notes
from perdure.surface.check_judges import judge_notes
from perdure.surface.check_policies import Level, Said, doubtful_rules, model_policy, source_policy
from perdure.surface.check_prompts import prompt_notes
from perdure.surface.check_suites import named_suites, suite_notes

_LEVELS: Sequence[Level] = ("error", "warning", "note")


@dataclass(frozen=True, slots=True)
class CheckNote:
    """One thing to know about a project. `where` is `file:line`, or the asset where no file is known."""

    level: Level
    where: str
    text: str
    hint: str = ""


def check_project(
    project: Project,
    signals: Mapping[str, Iterable[str]],
    settings: Settings | None = None,
    environment: Mapping[str, str] | None = None,
) -> list[CheckNote]:
    """Everything doubtful about a project, errors first.

    Args:
        project: loaded, or made by hand in a notebook.
        signals: names of the signals that each kind of asset has, such as `{"model": ["mae"]}`.
        settings: with them its policies are held against its roles and its loop; None: the defaults.
        environment: where the secrets of upstreams should be; None: it is not looked for them.
    """
    settings = settings or Settings()
    found: list[CheckNote] = []
    for kind, name, asset in _assets(project):
        where = _where(project, kind, name, asset)
        label = f"{kind[0].upper()}{kind[1:]} {name!r}"
        said = (
            *_home(asset),
            *_CHECKS[kind](asset, project),
            *_objectives(asset, kind, signals),
            *sliced_notes(asset, kind),
            *named_suites(asset, kind, project, settings),
            *approver_notes(asset, kind, settings),
        )
        rules = doubtful_rules(asset.policy, settings) if kind in _JUDGED else ()
        for level, text, hint in (*said, *rules):
            found.append(CheckNote(level, where, f"{label} {text}", hint))
    found += _shared_names(project)
    found += [CheckNote(level, project.name, text, hint) for level, text, hint in gateway_notes(project, environment)]
    for name, text, hint in environment_notes(project, environment):
        where = _where(project, "agent", name, project.agents[name])
        found.append(CheckNote("warning", where, f"Agent {name!r} {text}", hint))
    if not (project.models or project.routes or project.guards or project.prompts or project.teams or project.indexes):
        found.append(CheckNote("warning", project.name, "The project declares no model.", "Subclass perdure.Model."))
    return sorted(found, key=lambda note: (_LEVELS.index(note.level), note.where, note.text))


def _assets(project: Project) -> Iterator[tuple[str, str, Any]]:
    for kind, assets in (
        ("contract", project.contracts),
        ("source", project.sources),
        ("feature view", project.views),
        ("model", project.models),
        ("route", project.routes),
        ("guard", project.guards),
        ("team", project.teams),
        ("prompt", project.prompts),
        ("judge", project.judges),
        ("suite", project.suites),
        ("index", project.indexes),
        ("agent", project.agents),
        ("graph", project.graphs),
    ):
        for name, asset in assets.items():
            yield kind, name, asset


def _shared_names(project: Project) -> Iterator[CheckNote]:
    """Readings, pointers, versions and incidents are kept by an asset's name alone."""
    from perdure.loop.damage import CAPTURE

    taken = {**dict.fromkeys(project.sources, "a source"), CAPTURE: "the captured events"}
    datasets = {dataset_name(model): f"the dataset of model {model!r}" for model in project.models}
    kinds: Sequence[tuple[str, Mapping[str, Any], Mapping[str, str]]] = (
        ("model", project.models, taken | datasets),
        ("source", project.sources, {CAPTURE: taken[CAPTURE]} | datasets),
        ("route", project.routes, taken | datasets),
        ("guard", project.guards, taken | datasets),
        ("prompt", project.prompts, taken | datasets),
        ("judge", project.judges, taken | datasets),
        ("index", project.indexes, taken | datasets),
        ("agent", project.agents, taken | datasets),
        ("graph", project.graphs, taken | datasets),
    )
    for kind, names, others in kinds:
        for name, asset in names.items():
            if name in others:
                where = _where(project, kind, name, asset)
                text = f"{kind.capitalize()} {name!r} has the name of {others[name]}: what is known of both would mix."
                yield CheckNote("error", where, text, "Rename one of them.")


def _where(project: Project, kind: str, name: str, asset: Any) -> str:
    place = getattr(project, "places", {}).get((kind, name))
    if place:
        return str(place)
    try:
        return f"{Path(inspect.getsourcefile(asset) or '').name}:{inspect.getsourcelines(asset)[1]}"
    except (OSError, TypeError):
        return f"{kind} {name}"


def _code_of(asset: Any) -> Any:
    """The class or function that an asset's own code lives in; None where it is data only."""
    if isinstance(asset, Source):
        return asset.read.function if isinstance(asset.read, CallableReader) else None
    if isinstance(asset, Guard):
        return next((check.function for check in asset.checks if isinstance(check, Custom)), None)
    return asset if isinstance(asset, type) else None


def _home(asset: Any) -> Said:
    if getattr(_code_of(asset), "__module__", "") == "__main__":
        yield (
            "error",
            "lives only in a notebook or a script: no other process can load it.",
            "Move it into the project's package.",
        )


def _contract(contract: type[Contract], _: Project) -> Said:
    from perdure.engines.contracts import compile_contract

    try:
        slow = compile_contract(contract).slow
    except BadContract as error:
        yield "error", f"cannot be checked: {error.message}", error.hint
        return
    if slow:
        yield (
            "note",
            f"cannot be checked by column: its rows are judged one by one. {' '.join(slow)}",
            "Write types and constraints instead where batches must be quick.",
        )


def _source(source: Source, _: Project) -> Said:
    if not source.healthy:
        yield (
            "warning",
            "has no objectives: nobody will notice when it goes stale.",
            "Write: healthy=[freshness_h(over=days(1)) <= 6]",
        )
    if not source.owner:
        yield "note", "has no owner.", 'Write: owner="data-platform"'
    yield from source_policy(source)


def _view(view: FeatureView, _: Project) -> Said:
    if view.source is not None and view.ttl is None:
        yield "note", "has no ttl: a row of any age is served.", "Write: ttl=hours(3)"


def _model(model: type[Model], _: Project) -> Said:
    for attribute, example in (("purpose", "Crew planning: minutes in the air"), ("owner", "flight-ops")):
        if not getattr(model, attribute):
            yield "warning", f"has no {attribute}.", f'Write: {attribute} = "{example}"'
    if not model.healthy:
        yield "warning", "has no objectives: it can decay unseen.", "Write: healthy = [mae(over=days(7)) <= 9.0]"
    yield from model_policy(model)


def _graph(graph: Graph, project: Project) -> Said:
    from perdure.surface.check_graphs import graph_notes

    yield from graph_notes(graph, project)


def _a(kind: str) -> str:
    return f"{'an' if kind[0] in 'aeio' else 'a'} {kind}"


def _objectives(asset: Any, kind: str, signals: Mapping[str, Iterable[str]]) -> Said:
    objectives: Sequence[Objective] = getattr(asset, "healthy", ())
    known = sorted(signals.get(kind, ()))
    for objective in objectives:
        signal = objective.spec.signal
        if signal not in known:
            near = nearest(signal, known)
            hint = f"Did you mean {near!r}?" if near else f"Signals of {_a(kind)}: {', '.join(known) or 'none'}."
            yield "error", f"is held to {signal!r}, which nothing measures.", hint
        if kind == "model" and not objective.stakeholder:
            yield (
                "warning",
                f"owes the objective `{objective.text()}` to nobody.",
                'Name the stakeholder: (…).owed_to("crew planning")',
            )


_CHECKS: Mapping[str, Callable[[Any, Project], Said]] = {
    "contract": _contract,
    "source": _source,
    "feature view": _view,
    "model": _model,
    "route": route_notes,
    "guard": guard_notes,
    "team": team_notes,
    "prompt": prompt_notes,
    "judge": judge_notes,
    "index": index_notes,
    "agent": agent_notes,
    "graph": _graph,
    "suite": suite_notes,
}
_JUDGED = frozenset({"source", "model", "route", "guard", "prompt", "judge", "index", "agent", "graph", "team"})
"""Kinds that have objectives and a policy."""
