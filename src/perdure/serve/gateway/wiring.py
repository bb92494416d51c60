"""The gateway put together from what a project declares and where its stores are; called once, when a server is made."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from prometheus_client.core import Metric

from perdure.assets.guard import Custom, Guard
from perdure.assets.prompt import Prompt
from perdure.assets.route import Route
from perdure.assets.team import Team
from perdure.assets.upstream import Upstream
from perdure.assets.version import Version
from perdure.core.clock import machine_us
from perdure.core.errors import StoreError
from perdure.core.ids import Digest
from perdure.core.ports import Embed
from perdure.core.settings import GatewaySettings, LimitSettings
from perdure.engines.guards.compiling import compile_guard
from perdure.engines.guards.protocols import Compiled
from perdure.serve.boundary import contained
from perdure.serve.gateway.allowance import Allowance
from perdure.serve.gateway.app import GatewayApp, GatewayParts
from perdure.serve.gateway.caching import Forgiving
from perdure.serve.gateway.calling import Calls
from perdure.serve.gateway.counted import GatewayCounters
from perdure.serve.gateway.probing import Asking, Prober, ProbingParts
from perdure.serve.gateway.prompting import Prompting, PromptLoader
from perdure.serve.gateway.routes import LiveTarget, LiveUpstream, RouteLoader, live_upstream
from perdure.serve.gateway.settling import Settling
from perdure.serve.gateway.upstream.making import make_client
from perdure.serve.gateway.upstream.tls import tls_context
from perdure.serve.live import Live
from perdure.serve.loader import KindLoader
from perdure.stores.blobs.protocols import Blobs
from perdure.stores.cache.protocols import AnswerCache
from perdure.stores.capture.protocols import CaptureWriter
from perdure.stores.counters.protocols import Counters

log = logging.getLogger("perdure.serve")

_SYNC_S = 0.5
_REDACTOR: Mapping[str, Any] = {
    "checks": [{"check": "pii", "kinds": [], "restore": False}, {"check": "secrets"}],
    "on": ["input", "output"], "mode": "redact", "fails": "closed", "wait_ms": 1000.0, "hold_back": 200,
}  # fmt: skip
"""What records keep of requests and answers is masked by it."""


@dataclass(frozen=True, slots=True, eq=False)
class GatewayDeclared:
    """What a project declares for the gateway, and where its stores are.

    Args:
        routes: by name.
        guards: by name.
        teams: by name.
        upstreams: by name.
        secrets: the environment, in which `key_env` of each upstream is looked up.
        open_counters: of limits and budgets.
        open_answers: of the cache.
        settings: the section `[gateway]`.
        limits: the section `[limits]`.
        owner: names this process in what it keeps aside.
        embed: vectors of questions, for routes that find answers by meaning.
        prompts: by name.
    """

    routes: Mapping[str, Route]
    guards: Mapping[str, Guard]
    teams: Mapping[str, Team]
    upstreams: Mapping[str, Upstream]
    secrets: Mapping[str, str]
    open_counters: Callable[[], Counters]
    open_answers: Callable[[], AnswerCache]
    settings: GatewaySettings
    limits: LimitSettings
    owner: str
    embed: Embed | None = None
    prompts: Mapping[str, Prompt] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class GuardLoader:
    """Makes versions of guards ready to judge."""

    guards: Mapping[str, Guard]
    blobs: Blobs

    def load(self, version: Version, *, trusted: bool) -> Compiled:  # noqa: ARG002 - nothing of a guard's artifacts runs
        """The guard of a version.

        Raises:
            NotFound, Corrupt: what it learned is gone, or is not what it was.
            BadGuard: it names a function that is not declared any more.
        """
        artifacts = {role: self.blobs.get(Digest(digest)) for role, digest in version.artifacts.items()}
        return compile_guard(version.asset, version.id, version.definition, artifacts, self._functions(version.asset))

    def _functions(self, name: str) -> Mapping[str, Callable[..., Any]]:
        declared = self.guards.get(name)
        checks = () if declared is None else declared.checks
        functions = [check.function for check in checks if isinstance(check, Custom)]
        return {getattr(each, "__qualname__", type(each).__qualname__): each for each in functions}


@dataclass(frozen=True, slots=True, eq=False)
class _RouteKind:
    loader: RouteLoader

    def load(self, version: Version, *, trusted: bool) -> Any:  # noqa: ARG002 - a route's version is data
        return self.loader.load(version)


@dataclass(slots=True, eq=False)
class Replayed:
    """The time of a replay: the newest that a request told."""

    told: Callable[[dict[bytes, bytes]], int]
    newest_us: int = 0

    def now_us(self, headers: dict[bytes, bytes]) -> int:
        """That of a request, which is noted.

        Raises:
            BadRequest: it tells none that can be read.
        """
        now_us = self.told(headers)
        self.newest_us = max(self.newest_us, now_us)
        return now_us


@dataclass(slots=True, eq=False)
class Gateway:
    """The gateway of one process: its application, what loads its assets, and what runs beside it."""

    declared: GatewayDeclared
    app: GatewayApp
    kinds: Mapping[str, KindLoader]
    counters: GatewayCounters
    allowance: Allowance
    calls: Calls
    loader: RouteLoader
    _threads: ThreadPoolExecutor
    _answers: AnswerCache
    _stopped: threading.Event = field(default_factory=threading.Event)
    _syncing: threading.Thread | None = None
    prober: Prober | None = None
    """Asks the routes' probes; None in a replay, whose time goes by its requests."""
    replayed: Replayed | None = None
    """The time of a replay; None: the machine's."""
    _probing: asyncio.Task[None] | None = None

    def families(self) -> Iterable[Metric]:
        """What it counts, for Prometheus."""
        return self.counters.families(self.loader.breakers)

    def outdated(self, source: str) -> None:
        """Forget answers that rest on a source that changed, where nobody else can: in this process's own memory."""
        if self.declared.settings.cache == "memory":
            self._answers.drop([f"source:{source}"])

    def start(self) -> None:
        """Begin to push what was settled to the shared counters, and to ask probes; called on the serving loop."""
        self._syncing = threading.Thread(target=self._sync, name="perdure-limits", daemon=True)
        self._syncing.start()
        if self.prober is not None:
            self._probing = asyncio.get_running_loop().create_task(self.prober.run())

    async def stop(self) -> None:
        """After the last answer: settle the rest, and let go of connections and stores."""
        if self._probing is not None:
            self._probing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._probing
        await self.calls.shadows.stop()
        self._stopped.set()
        if self._syncing is not None:
            self._syncing.join()
        for upstream in self.loader.upstreams.values():
            await upstream.client.close()
        self._threads.shutdown(wait=False, cancel_futures=True)
        self.allowance.close(self._now_us())
        if self.prober is not None:
            self.prober.close()
        self._answers.close()

    def _sync(self) -> None:
        while not self._stopped.wait(_SYNC_S):
            contained(lambda: self.allowance.sync(self._now_us()), _not_synced)

    def _now_us(self) -> int:
        """Domain time, by which windows of limits and budgets end."""
        return machine_us() if self.replayed is None else self.replayed.newest_us


def _not_synced(error: Exception) -> None:
    """The next time comes: without a sync what is leased runs out, and what was spent is told to nobody."""
    if not isinstance(error, StoreError):  # that the store is away the allowance knows, and says so to callers
        log.error("Limits and budgets could not be shared (%s).", type(error).__name__, exc_info=error)


def make_gateway(
    declared: GatewayDeclared,
    live: Live,
    writer: CaptureWriter,
    blobs: Blobs,
    request: tuple[Callable[[], str], Callable[[dict[bytes, bytes]], int]],
    *,
    replay: bool = False,
) -> Gateway:
    """The gateway of a process.

    Args:
        declared: what it serves.
        live: the table in force, with callers' keys.
        writer: where records go.
        blobs: artifacts of guards.
        request: makes ids of calls; and gives the domain time of a request.
        replay: time goes by the requests: limits and budgets follow it, and no probe is asked.
    """
    counters, threads = GatewayCounters(), ThreadPoolExecutor(declared.settings.threads, "perdure-guards")
    answers = declared.open_answers()
    upstreams = {name: _upstream(each, declared) for name, each in declared.upstreams.items()}
    loader = RouteLoader(upstreams, answers=Forgiving(answers), embed=declared.embed, routes=declared.routes)
    allowance = Allowance(declared.open_counters(), declared.owner, declared.limits)
    redactor = compile_guard("records", "records", _REDACTOR, {})
    next_id, now_us = request
    replayed = Replayed(now_us) if replay else None
    calls = Calls(Settling(allowance), counters, writer, threads, redactor, next_id=next_id)
    parts = GatewayParts(
        routes=declared.routes,
        prompting=Prompting(declared.prompts, declared.routes),
        teams=declared.teams,
        live=live,
        writer=writer,
        next_id=next_id,
        calls=calls,
        counters=counters,
        settings=declared.settings,
        now_us=now_us if replayed is None else replayed.now_us,
    )
    kinds: dict[str, KindLoader] = {
        "route": _RouteKind(loader),
        "guard": GuardLoader(declared.guards, blobs),
        "prompt": PromptLoader(),
    }
    made = Gateway(declared, GatewayApp(parts), kinds, counters, allowance, calls, loader, threads, answers)
    made.replayed = replayed
    if replayed is None:

        def targets(name: str) -> Sequence[LiveTarget]:
            route = declared.routes.get(name)
            return () if route is None else loader.targets(route.definition())

        asking = Asking(redactor, targets, counters)
        made.prober = Prober(
            ProbingParts(live, writer, next_id, asking, declared.open_counters, threads, declared.owner)
        )
    return made


def _upstream(upstream: Upstream, declared: GatewayDeclared) -> LiveUpstream:
    secret, ca_file = "", declared.settings.ca_file
    if upstream.key_env:
        secret = declared.secrets.get(upstream.key_env, "")
    client = make_client(upstream, secret, tls=tls_context(ca_file) if ca_file else None)
    return live_upstream(upstream, client, secret)
