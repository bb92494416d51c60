"""The only place where parts are wired: settings and a project become stores, kinds, a loop, a server.

Each function imports what it wires: a command that only reads the ledger loads no other store.
"""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from perdure.assets.feature_view import FeatureView
from perdure.assets.guard import Guard
from perdure.assets.model import Model
from perdure.assets.project import Project, examples_of
from perdure.assets.version import Version
from perdure.core.ports import Answerer, Replays
from perdure.core.settings import Settings
from perdure.loop.protocols import Kind, Signal, Stores, Teller, Watched, Workplace
from perdure.surface.compose_runs import watched_with_runs, with_runs
from perdure.surface.signals_named import NAMED

if TYPE_CHECKING:
    from perdure.loop.alerts import Alerts, Sender
    from perdure.loop.intake import LostView, OnlineView
    from perdure.loop.round import Loop
    from perdure.loop.work.indexes.watched import IndexesAtWork
    from perdure.serve.server import Server
    from perdure.stores.ledger.sqlite import SqliteLedger
    from perdure.stores.telemetry.protocols import Readings


def stores_root(folder: Path, settings: Settings) -> Path:
    """Where the embedded stores of a project live."""
    return (folder / settings.stores.root).resolve()


def open_ledger(folder: Path, settings: Settings) -> SqliteLedger:
    """The ledger of the project, made when it is not there yet."""
    from perdure.stores.ledger.sqlite import SqliteLedger

    return SqliteLedger(stores_root(folder, settings) / "ledger.db", project=settings.project.name)


def open_readings(folder: Path, settings: Settings) -> Readings:
    """The readings of the project, made when they are not there yet."""
    from perdure.stores.telemetry.sqlite import SqliteReadings

    root = stores_root(folder, settings)
    root.mkdir(parents=True, exist_ok=True)
    return SqliteReadings(root / "readings.db", project=settings.project.name, actor=settings.project.actor)


def open_stores(folder: Path, settings: Settings, ledger: SqliteLedger) -> Stores:
    """Every store of the project beside its ledger, made when it is not there yet."""
    from perdure.stores.blobs.files import FileBlobs
    from perdure.stores.capture.log import SegmentLog
    from perdure.stores.lake.delta import DeltaLake
    from perdure.stores.online.sqlite import SqliteOnline
    from perdure.stores.results.sqlite import SqliteResults

    root = stores_root(folder, settings)
    root.mkdir(parents=True, exist_ok=True)
    return Stores(
        ledger=ledger,
        leases=ledger.leases,
        lake=DeltaLake(root / "lake"),
        online=SqliteOnline(root / "online.db"),
        blobs=FileBlobs(root / "blobs"),
        capture=SegmentLog(root / "capture"),
        readings=open_readings(folder, settings),
        results=SqliteResults(root / "results.db", project=settings.project.name),
    )


def _error(metric: str) -> Signal:
    from perdure.loop.work.performance import ErrorSignal

    return ErrorSignal(metric)


def _drift() -> Signal:
    from perdure.loop.work.drifting import DriftSignal

    return DriftSignal()


def _skew() -> Signal:
    from perdure.loop.work.skew import SkewSignal

    return SkewSignal()


def _operational(signal: str) -> Signal:
    from perdure.loop.work import operations

    made: Signal = getattr(operations, signal)()
    return made


def _off_profile() -> Signal:
    from perdure.loop.work.batches import OffProfileSignal

    return OffProfileSignal()


_MADE: Mapping[str, Mapping[str, Callable[[], Signal]]] = {
    "model": {
        **{metric: partial(_error, metric) for metric in ("mae", "rmse", "bias", "accuracy")},
        "drift": _drift,
        "skew": _skew,
        "latency_ms": partial(_operational, "LatencySignal"),
    },
    "source": {
        "freshness_h": partial(_operational, "FreshnessSignal"),
        "volume": partial(_operational, "VolumeSignal"),
        "violations_ratio": partial(_operational, "ViolationsSignal"),
        "off_profile": _off_profile,
    },
}
"""Kind of asset → name of each signal → what makes it, when it is called: no recipe is loaded for a name."""
SIGNALS: Mapping[str, Sequence[str]] = {**{kind: tuple(made) for kind, made in _MADE.items()}, **NAMED}
"""Kind of asset → what an objective of it may be about."""


def kinds(project: Project | None = None, indexes: IndexesAtWork | None = None) -> Mapping[str, Kind]:
    """The kinds of asset that perdure knows, each with its recipes.

    Args:
        project: whose suites are asked; None: suites are asked without what only a project has.
        indexes: opens versions of indexes; None: nothing looks into one.
    """
    from perdure.loop.work.causes import model_causes
    from perdure.loop.work.feed_causes import source_causes
    from perdure.loop.work.feed_remedies import source_remedies
    from perdure.loop.work.gates import model_gates
    from perdure.loop.work.guards.kind import guard_kind
    from perdure.loop.work.indexes.kind import index_kind
    from perdure.loop.work.judges.kind import judge_kind
    from perdure.loop.work.prompts.kind import prompt_kind
    from perdure.loop.work.remedies import model_remedies
    from perdure.loop.work.routes.kind import route_kind
    from perdure.loop.work.teams.kind import team_kind
    from perdure.surface.compose_gateway import budget_window
    from perdure.surface.eval_running import RunsOf, route_suites

    made = {kind: {name: make() for name, make in signals.items()} for kind, signals in _MADE.items()}
    known = {
        "source": Kind("source", made["source"], source_causes(), source_remedies()),
        "model": Kind("model", made["model"], model_causes(), model_remedies(), model_gates()),
        "route": route_kind(None if project is None else route_suites(project)),
        "guard": guard_kind(),
        "team": team_kind(budget_window),
        "prompt": prompt_kind() if project is None else prompt_kind(RunsOf(project)),
        "judge": judge_kind(),
        "index": index_kind(indexes, [] if project is None else list(project.indexes.values())),
    }
    return with_runs(known, [] if project is None else watched_assets(project))


def watched_assets(project: Project) -> list[Watched]:
    """What the loop keeps healthy, sources first: a broken feed explains a broken model or guard, an ill judge a prompt's scores."""
    from perdure.loop.work.indexes.watched import watched_index
    from perdure.loop.work.prompts.tested import watched_prompt

    sources = [
        Watched(source.name, "source", tuple(source.healthy), source.policy, source)
        for source in project.sources.values()
    ]
    guards = [
        Watched(guard.name, "guard", tuple(guard.healthy), guard.policy, guard, _learns_from(guard))
        for guard in project.guards.values()
    ]
    routes = [
        Watched(route.name, "route", tuple(route.healthy), route.policy, route) for route in project.routes.values()
    ]
    prompts = [
        watched_prompt(prompt, project.suites_of(prompt.name), project.judges) for prompt in project.prompts.values()
    ]
    judges = [
        Watched(judge.name, "judge", tuple(judge.healthy), judge.policy, judge) for judge in project.judges.values()
    ]
    models = [
        Watched(model.name, "model", tuple(model.healthy), model.policy, model, _rests_on(model))
        for model in project.models.values()
    ]
    teams = [
        Watched(team.watched_as, "team", tuple(team.healthy), team.policy, team)
        for team in project.teams.values()
        if team.healthy
    ]
    indexes = [watched_index(index) for index in project.indexes.values()]
    return watched_with_runs(project, sources + guards + routes + judges + prompts + models + teams + indexes)


def _learns_from(guard: Guard) -> tuple[str, ...]:
    """The sources of a guard's labelled examples."""
    return tuple(source.name for source in examples_of(guard))


def _rests_on(model: type[Model]) -> tuple[str, ...]:
    """The sources that a model learns from and answers with."""
    views = [view.source.name for view in model.features if view.source is not None]
    return tuple(dict.fromkeys([*views, model.rows.name, model.label.source.name]))


def open_place(
    folder: Path, settings: Settings, actor: str, ledger: SqliteLedger, project: Callable[[], Project] | None = None
) -> Workplace:
    """The stores with who acts on them; with what gives the project, models can be asked too."""
    place = Workplace(open_stores(folder, settings, ledger), settings, settings.project.name, actor)
    return place if project is None else act_as(place, folder, actor, ledger, project)


def act_as(
    place: Workplace, folder: Path, actor: str, ledger: SqliteLedger, project: Callable[[], Project]
) -> Workplace:
    """The same stores, where somebody acts, also when models are asked."""
    asks = partial(_answerer, folder, place.settings, actor, ledger, project)
    replays = partial(_replays, folder, place.settings, actor, ledger, project)
    return replace(place, actor=actor, open_answerer=asks, open_replays=replays)


def _answerer(
    folder: Path, settings: Settings, actor: str, ledger: SqliteLedger, project: Callable[[], Project]
) -> Answerer:
    from perdure.surface.compose_gateway import make_answerer

    return make_answerer(stores_root(folder, settings), settings, project(), ledger, actor)


def _replays(
    folder: Path, settings: Settings, actor: str, ledger: SqliteLedger, project: Callable[[], Project]
) -> Replays:
    from perdure.surface.compose_agents import make_replays

    return make_replays(folder, settings, project(), ledger, actor)


def worker_name() -> str:
    """A new name for who holds a lease; the last part tells workers of one process apart, and restarts in a container."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(2)}"


def make_sender(settings: Settings) -> Sender | None:
    """What takes alerts out; None where no address is set."""
    if not settings.alerts.url:
        return None
    from perdure.surface.webhook import Webhook

    return Webhook(settings.alerts, os.environ)


def make_alerts(settings: Settings) -> Alerts | None:
    """Who tells of incidents; None where no address is set."""
    sender = make_sender(settings)
    if sender is None:
        return None
    from perdure.loop.alerts import Alerts
    from perdure.surface.governance.doing import doing_about

    return Alerts(settings.alerts, sender, doing_about)


def make_loop(folder: Path, place: Workplace, project: Project) -> Loop:
    """The control plane of a project in a folder."""
    from perdure.loop.round import Loop
    from perdure.surface.compose_indexes import open_indexes

    return Loop(
        place,
        kinds(project, open_indexes(folder, place, project)),
        list(project.sources.values()),
        watched_assets(project),
        online_views(place, project),
        _tellers(folder, place, project),
    )


def _tellers(folder: Path, place: Workplace, project: Project) -> list[Teller]:
    from perdure.surface.compose_gateway import make_evaluations, make_outdated, make_telemetry
    from perdure.surface.compose_indexes import make_forgetting, make_resting
    from perdure.surface.compose_runs_kept import make_run_pruning, make_run_telemetry

    settings = place.settings
    root = stores_root(folder, settings)
    tellers = (
        *_judging(project),
        make_outdated(root, settings, project),
        make_telemetry(settings, project),
        make_run_telemetry(settings) if project.agents or project.graphs else None,
        make_evaluations(settings, project),
        make_alerts(settings),
        make_resting(folder, root, place, project),
        make_forgetting(root, project),
        make_run_pruning(root, settings) if project.agents or project.graphs else None,
    )
    return [each for each in tellers if each is not None]


def _judging(project: Project) -> Sequence[Teller]:
    """Who asks judges now and then, about their anchors and about production; nobody where no judge is declared."""
    if not project.judges:
        return ()
    from perdure.loop.work.judges.checking import AnchorChecks
    from perdure.loop.work.prompts.online_asking import OnlineJudging
    from perdure.loop.work.prompts.online_judged import all_wanted
    from perdure.surface.compose_runs import judging_of_runs

    watched = watched_assets(project)
    prompts = [(each, list(all_wanted(each))) for each in watched if each.kind == "prompt"]
    return AnchorChecks(list(project.judges.values())), OnlineJudging([*prompts, *judging_of_runs(watched)])


def make_server(folder: Path, settings: Settings, project: Project, listening: socket.socket | None = None) -> Server:
    """The data plane of a project, not yet started.

    It opens the ledger and the online rows read-only, and writes only its captures, the last routing
    table, the gateway's counters and answers, and runs. `listening`: a port that it shares with other processes.
    """
    from perdure.serve.server import ScoringParts, Server
    from perdure.stores.blobs.files import FileBlobs
    from perdure.stores.capture.segments import SegmentWriter
    from perdure.stores.ledger.sqlite import SqliteLedger
    from perdure.stores.online.sqlite import SqliteOnline
    from perdure.surface.compose_agents import runs_declared
    from perdure.surface.compose_gateway import gateway_declared
    from perdure.surface.compose_retrieval import indexes_declared

    root, name = stores_root(folder, settings), settings.project.name
    root.mkdir(parents=True, exist_ok=True)
    open_ledger = partial(SqliteLedger.open_read_only, root / "ledger.db", project=name)
    return Server(
        ScoringParts(
            models=project.models,
            open_ledger=open_ledger,
            open_online=partial(SqliteOnline, root / "online.db", read_only=True),
            open_writer=partial(SegmentWriter, root / "capture", settings.capture),
            blobs=FileBlobs(root / "blobs"),
            table_path=root / "serve" / "routing.json",
            settings=settings.serve,
            gateway=gateway_declared(root, settings, project),
            indexes=indexes_declared(folder, root, settings, project),
            runs=runs_declared(root, settings, project, open_ledger),
        ),
        listening,
    )


def online_views(place: Workplace, project: Project) -> Callable[[], Sequence[OnlineView | LostView]]:
    """The stored views to keep online: the declared ones, and those that a pointer's version still pins.

    Of the latter some may have lost their source: they are told, and stop no other. The ledger is asked again only when a pointer has moved.
    """
    declared: dict[str, OnlineView | LostView] = {
        view.version: _declared_view(view) for view in project.views.values() if view.source is not None
    }
    known: tuple[int, list[OnlineView | LostView]] | None = None

    def views() -> Sequence[OnlineView | LostView]:
        nonlocal known
        ledger = place.stores.ledger
        sequence = ledger.sequence()
        if known is not None and known[0] == sequence:
            return known[1]
        with ledger.read() as session:
            pinned = [session.registry.get_version(pointer.version) for pointer in session.pointers.list()]
        found = dict(declared)
        for version in pinned:
            found |= {view.id: view for view in _pinned_views(version, project) if view.id not in found}
        known = (sequence, list(found.values()))
        return known[1]

    return views


def _declared_view(view: FeatureView) -> OnlineView:
    from perdure.engines.features import FeaturePlan
    from perdure.loop.intake import OnlineView

    assert view.source is not None
    plan = FeaturePlan.from_views([view])
    return OnlineView(view.version, view.source, partial(plan.materialise, view.version))


def _pinned_views(version: Version, project: Project) -> list[OnlineView | LostView]:
    from perdure.loop.intake import LostView, OnlineView
    from perdure.loop.work.versions import plan_of

    if version.kind != "model":
        return []
    plan = plan_of(version)
    return [
        OnlineView(view.id, project.sources[view.source], partial(plan.materialise, view.id))
        if view.source in project.sources
        else LostView(view.id, view.source)
        for view in plan.stored_views
    ]
