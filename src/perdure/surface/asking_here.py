"""Asks models for evals and judges through the project's own gateway, in this process and without a port.

So `perdure eval run` needs no server: keys, limits, budgets, guards and records are those of the gateway all the same. Callers
are the team `evals`: the declared one with its budgets and limits, else one that may call every route. A question may name
a version of a route, `support@3f2a9c1b7d40`: that version answers, pointed to or not.

What surprised us: HTTP does not tell what a call cost, but its record does. Each question notes the record that was written
while it was asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol, cast

from perdure.assets.team import Team
from perdure.assets.version import CHAMPION, Version
from perdure.core.clock import machine_now, machine_us, monotonic_s
from perdure.core.errors import NotReady, not_found
from perdure.core.ids import PredictionIds, new_id
from perdure.core.ports import Answered, Asked
from perdure.serve.exchange import post
from perdure.serve.gateway.app import EVALS, GatewayApp, GatewayParts
from perdure.serve.gateway.keys import digest_of, new_secret
from perdure.serve.gateway.prompting import Prompting
from perdure.serve.gateway.wiring import Gateway, GatewayDeclared, make_gateway
from perdure.serve.live import Live
from perdure.serve.loader import Loader
from perdure.serve.routing import Arm, Route, RoutingTable
from perdure.stores.blobs.protocols import Blobs
from perdure.stores.capture.events import Call, Event
from perdure.stores.capture.protocols import CaptureWriter
from perdure.stores.ledger.protocols import Key, Ledger
from perdure.surface.asking import PATH, answered_of, request_of, tags_of
from perdure.surface.declaring import declared_versions

if TYPE_CHECKING:
    from perdure.assets.project import Project


class Versions(Protocol):
    """Which versions answer."""

    def __call__(self, name: str) -> Sequence[Version]:
        """Those that a question needs: the route's by name or by version id, and the guards that judge it.

        Raises:
            NotFound: no such route or version.
        """
        ...


@dataclass(slots=True)
class _Noted:
    """The record of the question that is asked now."""

    call: Call | None = None


_NOW: ContextVar[_Noted | None] = ContextVar("perdure_eval_call", default=None)


@dataclass(slots=True)
class _Noting:
    """A writer that notes each call for whoever asked it; safe because a call is recorded where it was asked."""

    writer: CaptureWriter

    @property
    def n_lost(self) -> int:
        """Of the writer."""
        return self.writer.n_lost

    def append(self, event: Event) -> bool:
        noted = _NOW.get()
        if noted is not None and isinstance(event, Call):
            noted.call = event
        return self.writer.append(event)

    def has_room(self) -> bool:
        return self.writer.has_room()

    def close(self) -> None:
        self.writer.close()


@dataclass(frozen=True, slots=True, eq=False)
class HereParts:
    """What the gateway is made of.

    Args:
        declared: routes, guards, teams, upstreams.
        open_writer: of the capture segment of this process; opened with the first question.
        blobs: artifacts of guards.
        versions: which versions answer.
    """

    declared: GatewayDeclared
    open_writer: Callable[[], CaptureWriter]
    blobs: Blobs
    versions: Versions


@dataclass(slots=True, eq=False)
class AnswersHere:
    """The port `Answerer` over a gateway in this process. For one event loop; nothing is opened before the first question."""

    parts: HereParts
    _gateway: Gateway | None = None
    _writer: CaptureWriter | None = None
    _loader: Loader | None = None
    _apps: dict[str, GatewayApp] = field(default_factory=dict)
    _headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    _keys: Mapping[str, Key] = field(default_factory=dict)
    _next_id: Callable[[], str] = field(default_factory=lambda: PredictionIds().next)

    async def ask(self, asked: Asked) -> Answered:
        """The answer; what fails on the way is an answer with its error's code.

        Raises:
            NotFound: no such route or version.
            NotReady: the version cannot be loaded.
        """
        app = self._apps.get(asked.route) or self._app(asked.route)
        body = request_of(replace(asked, route=asked.route.partition("@")[0]))
        noted, began_s = _Noted(), monotonic_s()
        token = _NOW.set(noted)
        try:
            said = await post(app, PATH, [*self._headers, *tags_of(asked)], body)
        finally:
            _NOW.reset(token)
        found = answered_of(said.status, said.headers, said.body, int((monotonic_s() - began_s) * 1e6))
        return _with_record(found, noted.call)

    async def close(self) -> None:
        """Settle what was kept aside, let connections go, and close the segment."""
        gateway, self._gateway = self._gateway, None
        if gateway is not None:
            await gateway.stop()
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        self._apps.clear()

    def _app(self, name: str) -> GatewayApp:
        """The gateway with one route in it, by a version of it."""
        gateway = self._gateway or self._open()
        assert self._loader is not None
        versions = {version.asset: version for version in self.parts.versions(name)}
        routes = {asset: Route(asset, Arm("champion", version.id, 1.0)) for asset, version in versions.items()}
        table = RoutingTable(1, routes, {version.id: version for version in versions.values()})
        known = [digest for version in versions.values() for digest in version.artifacts.values()]
        loaded = self._loader.load(table, known=known)
        for asset, failure in loaded.failures.items():
            raise NotReady(f"{versions[asset].id} cannot answer: {failure}", hint="perdure check") from failure
        self._apps[name] = app = GatewayApp(self._app_parts(gateway, Live(serving=loaded.serving, keys=self._keys)))
        return app

    def _app_parts(self, gateway: Gateway, live: Live) -> GatewayParts:
        declared = gateway.declared
        assert self._writer is not None
        return GatewayParts(
            routes=declared.routes,
            prompting=Prompting(),
            teams=declared.teams,
            live=live,
            writer=self._writer,
            next_id=self._next_id,
            calls=gateway.calls,
            counters=gateway.counters,
            settings=declared.settings,
            now_us=_now_us,
        )

    def _open(self) -> Gateway:
        """The gateway of this process, and the key that is known to it alone."""
        declared = self.parts.declared
        if EVALS not in declared.teams:
            declared = replace(declared, teams={**declared.teams, EVALS: Team(EVALS, unpriced="allow")})
        # Nobody sets the count of what is lost but the writer itself: here it is only read.
        self._writer = writer = cast("CaptureWriter", _Noting(self.parts.open_writer()))
        request = (self._next_id, _now_us)
        gateway = make_gateway(declared, Live(), writer, self.parts.blobs, request)
        gateway.prober = None  # whoever asks for an eval does not ask probes beside it
        kinds = dict.fromkeys(declared.routes, "route") | dict.fromkeys(declared.guards, "guard")
        self._loader = Loader(gateway.kinds, declared=kinds)
        self._give_key()
        gateway.start()
        self._gateway = gateway
        return gateway

    def _give_key(self) -> None:
        secret = new_secret(new_id("key"))
        digest = digest_of(secret.encode())
        self._keys = {digest: Key("evals", EVALS, digest, "evals in this process", machine_now())}
        self._headers = [
            (b"authorization", f"Bearer {secret}".encode()),
            (b"cache-control", b"no-cache, no-store"),
            (b"content-type", b"application/json"),
        ]


def versions_of(project: Project, ledger: Ledger, actor: str) -> Versions:
    """The versions that a question needs: of what is pointed to, and where nothing is yet, of what is declared."""

    def versions(name: str) -> list[Version]:
        asset = name.partition("@")[0]
        if asset not in project.routes:
            raise not_found("route", asset, project.routes)
        with ledger.read() as session:
            declared = declared_versions(project, session, actor, machine_now())
            known = {each.version.id: each.version for each in declared}
            newest = {each.version.asset: each.version.id for each in declared}
            newest |= {each.asset: each.version for each in session.pointers.list() if each.name == CHAMPION}

            def version(wanted: str) -> Version:
                return known.get(wanted) or session.registry.get_version(wanted)

            route = version(name if "@" in name else newest[asset])
            guards = [version(newest[guard]) for guard in route.definition["guards"] if guard in newest]
        return [route, *guards]

    return versions


def _now_us(_headers: dict[bytes, bytes]) -> int:
    return machine_us()


def _with_record(found: Answered, call: Call | None) -> Answered:
    """What the record knows better: what was billed, and how long it took."""
    if call is None:
        return found
    usage = call.usage if call.usage.n_total else found.usage
    return replace(found, usage=usage, cost_pusd=call.cost_pusd, latency_us=call.latency_us)
