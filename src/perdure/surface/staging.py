"""What runs of agents and graphs need, within this process and without a port: gateway, indexes, models, features, tools.

`running_here` drives runs on it, `replaying_runs` does recorded ones again. A `Stage` is opened once; each `Scene` of it puts one set of
versions in force, so that replays with another version each share stores, connections and all that is loaded already. Whatever asks
models here does so by the gateway's own rules, as the team that it was made for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perdure.assets.team import Team
from perdure.core.clock import machine_now, machine_us, monotonic_s, sleep_s
from perdure.core.errors import NotReady, PerdureError
from perdure.core.ids import new_id
from perdure.serve.agents.driving import AgentDriver
from perdure.serve.agents.loading import AgentLoader
from perdure.serve.boundary import contained
from perdure.serve.gateway.app import GatewayApp, GatewayParts
from perdure.serve.gateway.keys import digest_of, new_secret
from perdure.serve.gateway.prompting import Prompting
from perdure.serve.gateway.wiring import Gateway, make_gateway
from perdure.serve.live import Live, WatchStatus
from perdure.serve.loader import KindLoader
from perdure.serve.metrics import Counters
from perdure.serve.model_loading import ModelLoader
from perdure.serve.online_reader import OnlineReader
from perdure.serve.retrieval.callers import Caller
from perdure.serve.retrieval.wiring import Around, Retrieval, make_retrieval
from perdure.serve.routing import Arm, Route, RoutingTable, ServingTable
from perdure.serve.runs.protocols import Driver
from perdure.serve.runs.versions import RunVersions
from perdure.serve.scoring.predict import PredictHandler, ServedModel
from perdure.serve.taps import Taps
from perdure.serve.tools.making import Toolmaker
from perdure.serve.tools.reaching import Reaching
from perdure.stores.blobs.files import FileBlobs
from perdure.stores.ledger.protocols import Key
from perdure.stores.ledger.sqlite import SqliteLedger
from perdure.stores.online.sqlite import SqliteOnline

if TYPE_CHECKING:
    from perdure.assets.project import Project
    from perdure.assets.version import Version
    from perdure.core.runs import RunKind
    from perdure.core.settings import Settings
    from perdure.serve.gateway.wiring import GatewayDeclared
    from perdure.stores.capture.protocols import CaptureWriter

HERE = "here"
"""Id of a key that is known to this process alone."""
_LOADING_S = 120.0
"""An index that is read into memory is waited for so long."""
_PAUSE_S = 0.2


@dataclass(frozen=True, slots=True, eq=False)
class StageParts:
    """What a stage is made of.

    Args:
        folder: of the project.
        root: of its stores.
        settings: of the project.
        project: what it declares.
        team: in whose name models are asked; it is declared here where the project does not.
        open_writer: of the capture segment of this process.
        env: secrets of tools and upstreams.
        key: the caller's; None: one that is known to this process alone.
        keys: all that are good in the ledger: runs that are taken over act for theirs.
    """

    folder: Path
    root: Path
    settings: Settings
    project: Project
    team: Team
    open_writer: Callable[[], CaptureWriter]
    env: Mapping[str, str]
    key: Key | None = None
    keys: Sequence[Key] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """One set of versions in force."""

    live: Live
    world: Reaching
    versions: RunVersions
    """Agents and graphs, made ready to be driven; who acts in a run."""
    drivers: Mapping[str, Driver]
    failures: Mapping[str, PerdureError]
    """Asset → why its version is not in force."""

    def check(self, *assets: str) -> None:
        """See that these are in force.

        Raises:
            PerdureError: why one is not.
        """
        for asset in assets:
            if asset in self.failures:
                raise self.failures[asset]


class Stage:
    """Parts of one process; used on one event loop, but for `scene`, which a thread may call.

    Args:
        parts: what it is made of.
    """

    def __init__(self, parts: StageParts) -> None:
        self.parts = parts
        self._writer = parts.open_writer()
        self._taps = Taps(self._writer)
        self._counters = Counters()
        self._online = OnlineReader(partial(SqliteOnline, parts.root / "online.db", read_only=True), self._counters)
        self.key = parts.key or _new_key(parts.team.name)
        self._keys = {each.digest: each for each in (*parts.keys, self.key)}
        self._blobs = FileBlobs(parts.root / "blobs")
        self._gateway: Gateway | None = None
        self._gateway_declared = self._declared()
        self._retrieval: Retrieval | None = None
        self._servables: dict[str, Any] = {}
        self._kinds: dict[str, KindLoader] = {}
        self._scene: Scene | None = None
        project = parts.project
        self.toolmaker = Toolmaker(project.models, project.views, parts.env, self._instructions)

    @property
    def caller(self) -> Caller:
        """Who acts here."""
        return Caller(self.key.id, self.parts.team, self.key)

    @property
    def writer(self) -> CaptureWriter:
        """The capture segment of this process."""
        return self._writer

    async def open(self) -> None:
        """Begin what runs beside; called on the loop before anything is asked."""
        project, live = self.parts.project, Live(keys=self._keys)
        self._kinds = {"model": ModelLoader(project.models, self._blobs), "agent": AgentLoader(project.agents)}
        if project.graphs:
            from perdure.serve.graphs.loading import GraphLoader

            self._kinds["graph"] = GraphLoader(project.graphs, project.prompts, project.views)
        if self._gateway_declared is not None:
            request = (self._taps.next_id, _now_us)
            self._gateway = make_gateway(self._gateway_declared, live, self._writer, self._blobs, request)
            self._gateway.prober = None  # whoever asks for one run asks no probes beside it
            self._kinds |= self._gateway.kinds
            self._gateway.start()
        self._retrieval = self._made_retrieval(live)
        if self._retrieval is not None:
            self._kinds["index"] = self._retrieval.loader
            self._retrieval.start()

    async def close(self) -> None:
        """Settle what was kept aside, and let connections, sessions and stores go."""
        await self.toolmaker.close()
        if self._gateway is not None:
            await self._gateway.stop()
        if self._retrieval is not None:
            await self._retrieval.stop()
        self._online.close()
        self._taps.close()

    def scene(self, versions: Mapping[str, Version], as_of: Mapping[str, str] | None = None) -> Scene:
        """Put versions in force; one that cannot be loaded is in `failures`, and the others are.

        Args:
            versions: by asset.
            as_of: index → instant as of which it is searched; others as of now.
        """
        failures: dict[str, PerdureError] = {}
        loaded: dict[str, Any] = {}
        for asset, version in versions.items():
            found = contained(partial(self.servable, version), _told)
            if isinstance(found, PerdureError):
                failures[asset] = found
            else:
                loaded[version.id] = found
        live = Live(keys=self._keys, serving=_table(versions, loaded))
        live.status = WatchStatus(left_out={asset: error.as_dict() for asset, error in failures.items()})
        world = self._world(live, as_of or {})
        self._scene = Scene(live, world, self._run_versions(live), self._drivers(live), failures)
        return self._scene

    def servable(self, version: Version) -> Any:
        """What the loader of its kind makes of a version; loaded once. An index that is read into memory is waited for.

        Raises:
            PerdureError: it cannot be loaded here.
        """
        if version.id not in self._servables:
            if version.kind not in self._kinds:
                raise NotReady(
                    f"{version.id} cannot answer: nothing here serves a {version.kind}.", hint="perdure check"
                )
            self._servables[version.id] = self._load(version)
        return self._servables[version.id]

    def _load(self, version: Version) -> Any:
        until_s = monotonic_s() + _LOADING_S
        while True:
            try:
                return self._kinds[version.kind].load(version, trusted=True)
            except NotReady:
                if version.kind != "index" or monotonic_s() > until_s or not self._is_filled(version):
                    raise
            sleep_s(_PAUSE_S)

    def _is_filled(self, version: Version) -> bool:
        assert self._retrieval is not None
        path = self._retrieval.declared.opens.path(version.asset, version.id)
        return path is not None and path.exists()

    def _declared(self) -> GatewayDeclared | None:
        from perdure.surface.compose_gateway import gateway_declared

        declared = gateway_declared(self.parts.root, self.parts.settings, self.parts.project)
        team = self.parts.team
        return None if declared is None else replace(declared, teams={**declared.teams, team.name: team})

    def _made_retrieval(self, live: Live) -> Retrieval | None:
        from perdure.surface.compose_retrieval import indexes_declared

        parts, gateway, settings = self.parts, self._gateway, self.parts.settings.serve
        declared = indexes_declared(parts.folder, parts.root, parts.settings, parts.project)
        if declared is None:
            return None
        around = Around(
            live,
            self._writer,
            self._taps.next_id,
            _now_us,
            None if gateway is None else gateway.app,
            None if gateway is None else gateway.allowance,
            None,
            settings.poll_ms / 1000,
            settings.max_body_bytes,
        )
        return make_retrieval(declared, around)

    def _world(self, live: Live, as_of: Mapping[str, str]) -> Reaching:
        project, retrieval = self.parts.project, self._retrieval
        return Reaching(
            live,
            gateway=self._app(live),
            searching=None if retrieval is None else replace(retrieval.searching, live=live),
            indexes=tuple(project.indexes),
            predicting=self._predicting(live),
            online=self._online if any(view.source for view in project.views.values()) else None,
            views=project.views,
            as_of=as_of,
        )

    def _app(self, live: Live) -> GatewayApp | None:
        gateway = self._gateway
        if gateway is None:
            return None
        declared = gateway.declared
        return GatewayApp(
            GatewayParts(
                routes=declared.routes,
                prompting=Prompting(declared.prompts, declared.routes),
                teams=declared.teams,
                live=live,
                writer=self._writer,
                next_id=self._taps.next_id,
                calls=gateway.calls,
                counters=gateway.counters,
                settings=declared.settings,
                now_us=_now_us,
            )
        )

    def _predicting(self, live: Live) -> PredictHandler | None:
        from perdure.engines.contracts import compile_contract

        models = self.parts.project.models
        if not models:
            return None
        served = {
            name: ServedModel(name, compile_contract(each.contract), each.label.key) for name, each in models.items()
        }
        rows = self.parts.settings.serve.max_rows
        return PredictHandler(served, live, self._online, self._taps, self._counters, rows)

    def _run_versions(self, live: Live) -> RunVersions:
        project = self.parts.project
        assets: dict[str, RunKind] = {}
        assets.update(dict.fromkeys(project.agents, "agent"))
        assets.update(dict.fromkeys(project.graphs, "graph"))
        teams = {**project.teams, self.parts.team.name: self.parts.team}
        name, path = self.parts.settings.project.name, self.parts.root / "ledger.db"
        open_ledger = partial(SqliteLedger.open_read_only, path, project=name)
        return RunVersions(assets, teams, live, self._kinds, self.toolmaker, open_ledger)

    def _drivers(self, live: Live) -> Mapping[str, Driver]:
        drivers: dict[str, Driver] = {"agent": AgentDriver(lambda: live.serving)}
        if self.parts.project.graphs:
            from perdure.serve.graphs.caching import in_force
            from perdure.serve.graphs.driving import GraphDriver

            drivers["graph"] = GraphDriver(partial(in_force, live))
        return drivers

    def _instructions(self, prompt: str) -> Any:
        """Of the scene that was set last: what a run must not send anywhere."""
        return () if self._scene is None else self._scene.world.instructions(prompt)


def _table(versions: Mapping[str, Version], loaded: Mapping[str, Any]) -> ServingTable:
    there = {asset: version for asset, version in versions.items() if version.id in loaded}
    routes = {asset: Route(asset, Arm("champion", version.id, 1.0)) for asset, version in there.items()}
    return ServingTable(RoutingTable(1, routes, {each.id: each for each in there.values()}), dict(loaded))


def _new_key(team: str) -> Key:
    digest = digest_of(new_secret(new_id("key")).encode())
    return Key(HERE, team, digest, "within this process", machine_now())


def _now_us(_headers: dict[bytes, bytes]) -> int:
    return machine_us()


def _told(error: Exception) -> PerdureError:
    if isinstance(error, PerdureError):
        return error
    return NotReady(f"It cannot be loaded: {type(error).__name__}: {error}", hint="perdure check")
