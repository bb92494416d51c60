"""Starts the data plane: in this process, in a process of its own, or together with the loop."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from perdure.core.clock import machine_now, monotonic_s, sleep_s
from perdure.core.errors import LeaseHeld, LostLease, NotReady, PerdureError, Refused, UpstreamError
from perdure.core.settings import replace_given
from perdure.durable.lease import HeldLease
from perdure.loop.round import RoundReport
from perdure.surface.compose import stores_root

if TYPE_CHECKING:
    from perdure.assets.index import Index
    from perdure.surface.compose_console import Opening
    from perdure.surface.sdk import Perdure

_AGAIN_S = 5.0
_JOIN_S = 30.0
"""A follower ends after the batch of texts that it embeds."""


@dataclass(frozen=True, slots=True)
class Listener:
    """Who hears what `up` does: the server's URL once, the console's, each round, each error that was met."""

    ready: Callable[[str], None]
    round: Callable[[RoundReport], None]
    error: Callable[[PerdureError], None]
    console: Callable[[Opening], None] | None = None
    """None: the console is not started, whatever the settings say."""


def run_everything(perdure: Perdure, stop: Callable[[], bool], listener: Listener, port: int | None) -> None:
    """Serve, in a thread or in `[serve] workers` processes, and run the loop here, a round every `loop.tick_s`, until `stop()`.

    While another process holds the loop's lease, this one serves and waits for it. A round that
    fails is told, and tried again: serving goes on whatever the loop meets.
    """
    with (
        serving(perdure, host=None, port=port, replay=None, workers=None) as (url, check),
        _following(perdure, listener),
    ):
        listener.ready(url)

        def over() -> bool:
            check()
            return stop()

        with _console(perdure, listener):
            while not over():
                try:
                    with perdure.hold_lease() as held:
                        _run_rounds(perdure, held, over, listener)
                except (LeaseHeld, LostLease) as held_elsewhere:
                    _wait(held_elsewhere.delay_s, over)


@contextmanager
def serving(
    perdure: Perdure, *, host: str | None, port: int | None, replay: bool | None, workers: int | None
) -> Iterator[tuple[str, Callable[[], None]]]:
    """The data plane, in this process or in several; gives its URL, and what is to be called now and then.

    Arguments win over the settings.

    Raises:
        NotReady: the address is taken, or the servers did not start.
    """
    declared = replace_given(perdure.settings.serve, host=host, port=port, replay=replay, workers=workers)
    if declared.workers > 1:
        from perdure.surface.workers import Workers

        started = Workers(perdure.folder, declared)
        with started:
            yield started.url, started.check
        return
    server = perdure.server(host=host, port=port, replay=replay)
    url = server.start()
    try:
        yield url, lambda: None
    finally:
        server.stop()


@contextmanager
def _console(perdure: Perdure, listener: Listener) -> Iterator[None]:
    """The console, where `[console] on` says so; one that cannot be opened is told, and stops nothing else."""
    if listener.console is None or not perdure.settings.console.on:
        yield
        return
    from perdure.surface.compose_console import console_running

    with ExitStack() as stack:
        try:
            listener.console(stack.enter_context(console_running(perdure, perdure.settings.console)))
        except (NotReady, Refused) as error:
            listener.error(error)
        yield


@contextmanager
def _following(perdure: Perdure, listener: Listener) -> Iterator[None]:
    """Follow the sources of indexes, each in a thread of its own, until the block ends."""
    if not perdure.project.indexes:
        yield
        return
    from perdure.loop.work.indexes.following import Follower
    from perdure.surface.compose import worker_name
    from perdure.surface.compose_indexes import ProjectIndexes

    root, ledger, over = stores_root(perdure.folder, perdure.settings), perdure.place.stores.ledger, threading.Event()
    opens = ProjectIndexes(perdure.folder, root, perdure.project, ledger)

    def follow(index: Index) -> None:
        follower = Follower(perdure.place, opens, index, worker_name())
        while not over.is_set():
            try:
                follower.run(over.is_set, listener.error)
            except Exception as error:
                # A source or chunker of one's own is foreign code: what it does is told, and following goes on.
                listener.error(PerdureError(f"Following {index.name!r} failed: {type(error).__name__}: {error}"))
                over.wait(_AGAIN_S)

    threads = [
        threading.Thread(target=follow, args=(index,), name=f"perdure-index-{index.name}", daemon=True)
        for index in perdure.project.indexes.values()
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join(_JOIN_S)


def _run_rounds(perdure: Perdure, held: HeldLease, stop: Callable[[], bool], listener: Listener) -> None:
    while not stop():
        held.check()
        try:
            listener.round(perdure.loop.tick(machine_now(), held.lease))
        except LostLease:
            raise
        except PerdureError as error:
            listener.error(error)
        except Exception as error:
            # Whatever a round meets is told: serving goes on.
            listener.error(PerdureError(f"A round failed: {type(error).__name__}: {error}"))
        _wait(perdure.settings.loop.tick_s, stop)


def _wait(seconds: float, stop: Callable[[], bool]) -> None:
    until = monotonic_s() + seconds
    while monotonic_s() < until and not stop():
        sleep_s(min(0.1, seconds))


@contextmanager
def server_process(perdure: Perdure, *, replay: bool = False, timeout_s: float = 60.0) -> Iterator[str]:
    """A server of the project in a process of its own on a free port; gives its URL, and stops it at the end.

    What it says goes to `serve/server.log` under the stores' root.

    Raises:
        NotReady: it ended, or was not ready in time; the message ends with its last words.
    """
    command = [sys.executable, "-m", "perdure.surface.cli", "serve", "--port", "0", "--json"]
    command += ["--replay"] if replay else []
    root = stores_root(perdure.folder, perdure.settings)
    log = root / "serve" / "server.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "PERDURE_STORES_ROOT": str(root)}
    with log.open("wb") as errors:
        process = subprocess.Popen(command, cwd=perdure.folder, env=environment, stdout=subprocess.PIPE, stderr=errors)
        try:
            yield _url_of(process, log, timeout_s)
        finally:
            process.terminate()
            process.wait(timeout=30)
            if process.stdout is not None:
                process.stdout.close()


def _url_of(process: subprocess.Popen[bytes], log: Path, timeout_s: float) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        last = log.read_text("utf-8", "replace").strip().splitlines()[-3:]
        raise NotReady(f"The server ended before it was ready: {' '.join(last)}")
    url = str(msgspec.json.decode(line)["url"])
    _await_ready(url, timeout_s)
    return url


def _await_ready(url: str, timeout_s: float) -> None:
    from perdure.surface.replay import Client

    deadline, answer = monotonic_s() + timeout_s, None
    while monotonic_s() < deadline:
        client = Client(url)
        try:
            status, answer = client.get("/readyz")
            if status == 200:
                return
        except UpstreamError as error:
            answer = str(error)
        finally:
            client.close()
        sleep_s(0.05)
    raise NotReady(f"The server at {url} was not ready within {timeout_s:g} s: {answer!r}.")
