"""Runs of one process put together from what a project declares and where its stores are; called once, when a server is made."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from prometheus_client.core import Metric

from perdure.assets.agent import Agent
from perdure.assets.feature_view import FeatureView
from perdure.assets.graph import Graph
from perdure.assets.model import Model
from perdure.assets.prompt import Prompt
from perdure.assets.team import Team
from perdure.core.runs import RunKind
from perdure.core.settings import AgentSettings
from perdure.core.units import days
from perdure.serve.agents.driving import AgentDriver
from perdure.serve.agents.loading import AgentLoader
from perdure.serve.boundary import contained_async
from perdure.serve.gateway.app import GatewayApp
from perdure.serve.graphs.caching import in_force
from perdure.serve.graphs.driving import GraphDriver
from perdure.serve.graphs.loading import GraphLoader
from perdure.serve.live import Live
from perdure.serve.loader import KindLoader
from perdure.serve.online_reader import OnlineReader
from perdure.serve.retrieval.searching import Searching
from perdure.serve.runs.answering import Answering
from perdure.serve.runs.app import RunsApp, RunsParts
from perdure.serve.runs.as_models import RunModels
from perdure.serve.runs.beginning import Beginning
from perdure.serve.runs.counted import CountingWriter, RunCounters
from perdure.serve.runs.going import Parts
from perdure.serve.runs.protocols import Driver
from perdure.serve.runs.running import Runtime, Served, Terms
from perdure.serve.runs.shadow_world import ShadowWorlds
from perdure.serve.runs.shadowing import RunShadows, ShadowParts
from perdure.serve.runs.streaming import Draining
from perdure.serve.runs.telling import Mask
from perdure.serve.runs.versions import RunVersions
from perdure.serve.scoring.predict import PredictHandler
from perdure.serve.tools.making import Toolmaker
from perdure.serve.tools.reaching import Reaching
from perdure.stores.capture.protocols import CaptureWriter
from perdure.stores.ledger.protocols import Ledger
from perdure.stores.runs.protocols import Runs, Wanted

log = logging.getLogger("perdure.serve")

_LOOK_S = 2.0
_MOST_WAITING = 1000


class OpenedRuns(Runs, Protocol):
    """A store of runs that is this process's own."""

    def close(self) -> None:
        """Let go of it."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class RunsDeclared:
    """What a project declares for its agents and graphs, and where their stores are.

    Args:
        agents: by name.
        graphs: by name.
        teams: by name; none: nobody is told apart.
        open_runs: the store of runs.
        open_ledger: read-only.
        mask: takes personal data and secrets out of a text.
        env: the environment: headers of HTTP tools, variables of MCP servers.
        settings: the section `[agents]`.
        check_role: refuses who answers a question (`key:ID`) and has not its role.
        models: by name.
        views: feature views by name.
        prompts: by name.
        indexes: names.
    """

    agents: Mapping[str, Agent]
    graphs: Mapping[str, Graph]
    teams: Mapping[str, Team]
    open_runs: Callable[[], OpenedRuns]
    open_ledger: Callable[[], Ledger]
    mask: Mask
    env: Mapping[str, str]
    settings: AgentSettings = field(default_factory=AgentSettings)
    check_role: Callable[[str, str], None] = lambda _actor, _role: None
    models: Mapping[str, type[Model]] = field(default_factory=dict)
    views: Mapping[str, FeatureView] = field(default_factory=dict)
    prompts: Mapping[str, Prompt] = field(default_factory=dict)
    indexes: tuple[str, ...] = ()

    @property
    def assets(self) -> dict[str, RunKind]:
        """Name → kind."""
        agents: dict[str, RunKind] = dict.fromkeys(self.agents, "agent")
        graphs: dict[str, RunKind] = dict.fromkeys(self.graphs, "graph")
        return agents | graphs


@dataclass(frozen=True, slots=True, eq=False)
class RunsAround:
    """What of the process runs work with.

    Args:
        live: the table in force, and callers' keys.
        writer: where runs that are over are told.
        now_us: domain time of a request.
        predicting: answers predictions.
        online: stored features.
        gateway: of this process; None where no route is declared.
        searching: of the declared indexes; None where there is none.
        replay: time goes by the requests.
    """

    live: Live
    writer: CaptureWriter
    now_us: Callable[[dict[bytes, bytes]], int]
    predicting: PredictHandler
    online: OnlineReader
    gateway: GatewayApp | None = None
    searching: Searching | None = None
    replay: bool = False


@dataclass(slots=True, eq=False)
class RunsServed:
    """The runs of one process: their application, what loads their versions, what runs beside, and what is counted."""

    declared: RunsDeclared
    app: RunsApp
    shadows: RunShadows
    loaders: Mapping[str, KindLoader]
    runtime: Runtime
    counters: RunCounters
    _tools: Toolmaker
    _runs: OpenedRuns
    _looking: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Before the first request: hold claims, and take over what can go on."""
        self.runtime.start()
        self._looking = asyncio.get_running_loop().create_task(self._look())

    async def stop(self) -> None:
        """After the last answer: end drives where they are, give their runs back, let go of tools and stores."""
        if self._looking is not None:
            self._looking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._looking
        await self.runtime.stop()
        await self.shadows.stop()
        await self._tools.close()
        await asyncio.to_thread(self._runs.close)

    def families(self) -> Iterable[Metric]:
        """What is counted, for Prometheus."""
        return self.counters.families(self.runtime.n_going)

    async def _look(self) -> None:
        """Count what waits for a person now and then: a look at metrics asks no store."""
        while True:
            await contained_async(self._count_waiting, _logged)
            await asyncio.sleep(_LOOK_S)

    async def _count_waiting(self) -> None:
        waiting = await self.runtime.list(Wanted(statuses=("waiting",), limit=_MOST_WAITING))
        self.counters.waiting = dict(Counter((run.kind, run.asset) for run in waiting))


async def _logged(error: Exception) -> None:
    log.warning("Runs that wait cannot be counted: %s", error)


def make_runs(declared: RunsDeclared, around: RunsAround) -> RunsServed:
    """The runs of a process.

    Raises:
        StoreError: the store of runs cannot be opened.
    """
    live, counters, settings = around.live, RunCounters(), declared.settings
    world = _world(declared, around)
    tools = Toolmaker(declared.models, declared.views, declared.env, world.instructions)
    loaders: dict[str, KindLoader] = {
        "agent": AgentLoader(declared.agents),
        "graph": GraphLoader(declared.graphs, declared.prompts, declared.views),
    }
    versions = RunVersions(declared.assets, declared.teams, live, loaders, tools, declared.open_ledger)
    drivers: dict[str, Driver] = {
        "agent": AgentDriver(lambda: live.serving),
        "graph": GraphDriver(partial(in_force, live)),
    }
    shadows = _shadows(declared, around, world, (versions, drivers, counters))
    parts = Parts(
        drivers=drivers,
        prepare=versions.prepare,
        caller_of=versions.caller_of,
        world=world,
        writer=CountingWriter(around.writer, counters),
        mask=declared.mask,
        expires_us=int(days(settings.approval_days).total_seconds() * 1e6),
        ended=shadows.follow,
    )
    terms = Terms(settings.most_at_once, settings.poll_s, settings.claim_ttl_s)
    runs = declared.open_runs()
    runtime = Runtime(runs, parts, Served(versions.served, versions.choose_below), terms)
    shadows.is_busy = lambda: runtime.n_going >= settings.most_at_once
    world.begin_child = runtime.child
    app = _app(declared, around, versions, runtime)
    return RunsServed(declared, app, shadows, loaders, runtime, counters, tools, runs)


def _shadows(
    declared: RunsDeclared,
    around: RunsAround,
    world: Reaching,
    made: tuple[RunVersions, Mapping[str, Driver], RunCounters],
) -> RunShadows:
    versions, drivers, counters = made
    worlds = ShadowWorlds(world, around.gateway, declared.teams, around.writer)
    return RunShadows(
        ShadowParts(
            live=around.live,
            versions=versions,
            drivers=drivers,
            world=worlds.of,
            writer=around.writer,
            mask=declared.mask,
            counters=counters,
            most_at_once=declared.settings.shadows_at_once,
        )
    )


def _app(declared: RunsDeclared, around: RunsAround, versions: RunVersions, runtime: Runtime) -> RunsApp:
    """Runs over HTTP, and as models of the gateway."""
    draining, settings = Draining(), declared.settings
    beginning = Beginning(runtime, versions, around.writer, around.now_us, _lacks(declared, around))
    if around.gateway is not None:
        around.gateway.runs = RunModels(runtime, versions, beginning, draining)
    careful = {name for name, each in declared.agents.items() if each.policy.four_eyes}
    careful |= {name for name, each in declared.graphs.items() if each.policy.four_eyes}
    answering = Answering(runtime, declared.check_role, versions.prepare, careful)
    return RunsApp(
        RunsParts(runtime, versions, beginning, answering, draining, settings.wait_s, settings.max_body_bytes)
    )


def _world(declared: RunsDeclared, around: RunsAround) -> Reaching:
    return Reaching(
        around.live,
        gateway=around.gateway,
        searching=around.searching,
        indexes=declared.indexes,
        predicting=around.predicting,
        online=around.online,
        views=declared.views,
        replay=around.replay,
    )


def _lacks(declared: RunsDeclared, around: RunsAround) -> str:
    """What agents need that this project does not declare."""
    if around.gateway is None:
        return "An agent asks models through the gateway, and this project declares no Route: declare one, and a Team whose keys may call it."
    if not declared.teams:
        return "An agent asks models as its caller, and this project declares no Team: declare one, and issue a key of it by perdure key create."
    return ""
