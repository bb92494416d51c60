"""The scoring server: wires the data plane's parts and runs them on uvicorn with uvloop and httptools.

`surface.compose` makes one from stores and settings; tests and notebooks start one in a thread.
A stop drains: no new connection is taken, requests under way are answered, those that last longer than the grace are told that
they are cut, then the segment is closed.
"""

from __future__ import annotations

import asyncio
import gc
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path

import uvicorn

from perdure.assets.model import Model
from perdure.core.settings import ServeSettings
from perdure.engines.contracts import compile_contract
from perdure.serve.application import Application
from perdure.serve.gateway.app import PATHS
from perdure.serve.gateway.stopping import STOPPING
from perdure.serve.gateway.wiring import Gateway, GatewayDeclared, make_gateway
from perdure.serve.hosting import address_of, bind, configured, started
from perdure.serve.live import Live
from perdure.serve.loader import KindLoader, Loader
from perdure.serve.metrics import Counters
from perdure.serve.model_loading import ModelLoader
from perdure.serve.online_reader import OnlineReader
from perdure.serve.retrieval.app import PATHS as INDEX_PATHS
from perdure.serve.retrieval.billing import Billing
from perdure.serve.retrieval.wiring import Around, IndexesDeclared, Retrieval, make_retrieval
from perdure.serve.runs.app import PATHS as RUN_PATHS
from perdure.serve.runs.wiring import RunsAround, RunsDeclared, RunsServed, make_runs
from perdure.serve.scoring.app import AppParts, ScoringApp, domain_us
from perdure.serve.scoring.labels import LabelHandler
from perdure.serve.scoring.predict import PredictHandler, ServedModel
from perdure.serve.scoring.reports import Reports
from perdure.serve.taps import Taps
from perdure.serve.watcher import Watcher, WatcherParts
from perdure.stores.blobs.protocols import Blobs
from perdure.stores.capture.protocols import CaptureWriter
from perdure.stores.ledger.protocols import Ledger
from perdure.stores.online.protocols import Online

_DRAIN_S = 10
_LAST_WORDS_S = 3
"""For calls that are cut then to say so."""


@dataclass(frozen=True, slots=True, eq=False)
class ScoringParts:
    """The stores and declarations that a server works with.

    `open_ledger` and `open_online` open read-only and are called again after a failure, each on the
    thread that uses what it returns; `table_path` is where the last routing table is kept.
    """

    models: Mapping[str, type[Model]]
    open_ledger: Callable[[], Ledger]
    open_online: Callable[[], Online]
    open_writer: Callable[[], CaptureWriter]
    blobs: Blobs
    table_path: Path
    settings: ServeSettings
    gateway: GatewayDeclared | None = None
    """What the gateway serves; None where no route is declared."""
    indexes: IndexesDeclared | None = None
    """What is searched; None where no index is declared."""
    runs: RunsDeclared | None = None
    """Agents and graphs; None where none is declared."""


class _Draining(uvicorn.Server):
    """Tells what is still under way after the grace that the server stops, before uvicorn cuts it without a word.

    Args:
        config: of uvicorn.
        app: whoever waits for a run, or follows one, is answered at once: the run goes on elsewhere.
    """

    def __init__(self, config: uvicorn.Config, app: Application) -> None:
        super().__init__(config)
        self._app = app

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        cut = asyncio.get_running_loop().call_later(_DRAIN_S, self._cut)
        self._app.draining()
        try:
            await super().shutdown(sockets)
        finally:
            cut.cancel()

    def _cut(self) -> None:
        for task in self.server_state.tasks:
            task.cancel(STOPPING)


class Server:
    """One scoring server; it can be run once.

    `run()` serves in the calling thread until a signal or `stop()`; `start()` in a thread of its own.

    Args:
        parts: what it serves.
        listening: a socket of `listen`, which several processes may share; None: it binds its own.
    """

    def __init__(self, parts: ScoringParts, listening: socket.socket | None = None) -> None:
        self._settings = parts.settings
        self._socket = listening
        self._thread: threading.Thread | None = None
        app = make_app(parts)
        config = configured(app, lifespan="on", grace_s=_DRAIN_S + _LAST_WORDS_S, dated=False)
        self._uvicorn = _Draining(config, app)

    def bind(self) -> str:
        """Take the port and return the URL; requests wait until the server runs.

        Raises:
            NotReady: the address is taken.
        """
        if self._socket is None:
            self._socket = listen(self._settings)
        return url_of(self._settings, self._socket)

    def run(self) -> None:
        """Serve here until SIGTERM, SIGINT or `stop()`.

        Raises:
            NotReady: the address is taken.
        """
        self.bind()
        assert self._socket is not None
        self._uvicorn.run(sockets=[self._socket])

    def start(self) -> str:
        """Serve in a thread; returns the URL when requests are answered.

        Raises:
            NotReady: the address is taken, or the server did not start.
        """
        url = self.bind()
        self._thread = started(self._uvicorn, self.run, "serve")
        return url

    def stop(self) -> None:
        """Answer what is under way, close the capture segment, and end; nothing happens when it never ran."""
        self._uvicorn.should_exit = True
        if self._thread is not None:
            self._thread.join()
        if self._socket is not None:
            self._socket.close()


def listen(settings: ServeSettings) -> socket.socket:
    """The port, taken: whoever connects waits until a server runs on it.

    Raises:
        NotReady: the address is taken.
    """
    return bind(settings.host, settings.port, "serve")


def url_of(settings: ServeSettings, bound: socket.socket) -> str:
    """Where a socket of `listen` is reached."""
    return address_of(settings.host, bound)


def make_app(parts: ScoringParts) -> Application:
    """The ASGI application with its watcher, for any ASGI server that runs the lifespan."""
    settings, live, counters = parts.settings, Live(), Counters()
    online = OnlineReader(parts.open_online, counters)
    writer = parts.open_writer()
    taps = Taps(writer)
    gateway = _gateway(parts, live, writer, taps)
    retrieval = _retrieval(parts, live, writer, taps, gateway)
    predicting = _predicting(parts, live, online, taps, counters)
    runs = _runs(parts, RunsAround(
        live, writer, partial(domain_us, replay=settings.replay), predicting, online,
        None if gateway is None else gateway.app, None if retrieval is None else retrieval.searching, settings.replay,
    ))  # fmt: skip
    loaders, kinds = _kinds(parts, gateway, retrieval, runs)
    watcher = Watcher(
        WatcherParts(
            parts.open_ledger,
            Loader(loaders, declared=kinds),
            live,
            frozenset(kinds),
            parts.table_path,
            settings.poll_ms / 1000,
            None if gateway is None else gateway.outdated,
        )
    )
    if retrieval is not None:
        retrieval.loader.ready = watcher.hasten

    def started() -> None:
        watcher.start()
        for each in (gateway, retrieval, runs):
            if each is not None:
                each.start()
        # What lives until the end need not be walked by every full collection.
        gc.freeze()

    async def stopped() -> None:
        # Runs first: what they ask under way is told to the others.
        if runs is not None:
            await runs.stop()
        watcher.stop()
        if gateway is not None:
            await gateway.stop()
        if retrieval is not None:
            await retrieval.stop()
        online.close()
        taps.close()

    scoring = _scoring(parts, live, taps, counters, (predicting, gateway, retrieval, runs))
    asked = None if gateway is None else gateway.app
    searched = None if retrieval is None else retrieval.app
    return Application(scoring, asked, searched, (started, stopped), None if runs is None else runs.app)


def _kinds(
    parts: ScoringParts, gateway: Gateway | None, retrieval: Retrieval | None, runs: RunsServed | None
) -> tuple[dict[str, KindLoader], dict[str, str]]:
    """What loads versions, by kind; and the kind of everything that is served, by name."""
    loaders: dict[str, KindLoader] = {"model": ModelLoader(parts.models, parts.blobs)}
    kinds = dict.fromkeys(parts.models, "model")
    if gateway is not None:
        loaders |= gateway.kinds
        kinds |= dict.fromkeys(gateway.declared.routes, "route") | dict.fromkeys(gateway.declared.guards, "guard")
        kinds |= dict.fromkeys(gateway.declared.prompts, "prompt")
    if retrieval is not None:
        loaders["index"] = retrieval.loader
        kinds |= dict.fromkeys(retrieval.declared.indexes, "index")
    if runs is not None:
        loaders |= runs.loaders
        kinds |= runs.declared.assets
    return loaders, kinds


def _runs(parts: ScoringParts, around: RunsAround) -> RunsServed | None:
    return None if parts.runs is None else make_runs(parts.runs, around)


def _gateway(parts: ScoringParts, live: Live, writer: CaptureWriter, taps: Taps) -> Gateway | None:
    if parts.gateway is None:
        return None
    request = (taps.next_id, partial(domain_us, replay=parts.settings.replay))
    return make_gateway(parts.gateway, live, writer, parts.blobs, request, replay=parts.settings.replay)


def _retrieval(
    parts: ScoringParts, live: Live, writer: CaptureWriter, taps: Taps, gateway: Gateway | None
) -> Retrieval | None:
    if parts.indexes is None:
        return None
    settings = parts.settings
    around = Around(
        live,
        writer,
        taps.next_id,
        partial(domain_us, replay=settings.replay),
        None if gateway is None else gateway.app,
        None if gateway is None else gateway.allowance,
        None if gateway is None else gateway.outdated,
        settings.poll_ms / 1000,
        settings.max_body_bytes,
        settings.replay,
        None if gateway is None else _billing(gateway, taps),
    )
    return make_retrieval(parts.indexes, around)


def _billing(gateway: Gateway, taps: Taps) -> Billing:
    """Questions to indexes that an upstream embeds are calls of the gateway."""
    declared = gateway.declared
    return Billing(gateway.allowance, declared.routes, declared.upstreams, taps.next_id, gateway.calls.finish)


def _predicting(
    parts: ScoringParts, live: Live, online: OnlineReader, taps: Taps, counters: Counters
) -> PredictHandler:
    contracts = {name: compile_contract(model.contract) for name, model in parts.models.items()}
    served = {name: ServedModel(name, contracts[name], model.label.key) for name, model in parts.models.items()}
    return PredictHandler(served, live, online, taps, counters, parts.settings.max_rows)


def _scoring(
    parts: ScoringParts,
    live: Live,
    taps: Taps,
    counters: Counters,
    others: tuple[PredictHandler, Gateway | None, Retrieval | None, RunsServed | None],
) -> ScoringApp:
    settings, (predicting, gateway, retrieval, runs) = parts.settings, others
    counting = [each for each in (gateway, retrieval, runs) if each is not None]
    routes = () if gateway is None else tuple(gateway.declared.routes)
    elsewhere = ((gateway, PATHS), (retrieval, INDEX_PATHS), (runs, RUN_PATHS))
    return ScoringApp(
        AppParts(
            predicting,
            LabelHandler(parts.models, taps, settings.max_rows),
            Reports(parts.models, live, taps, counters, lambda: chain(*(each.families() for each in counting)), routes),
            counters,
            settings.max_body_bytes,
            settings.replay,
            tuple(path for served, paths in elsewhere if served is not None for path in paths),
        )
    )
