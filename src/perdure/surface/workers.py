"""Several processes of one data plane on one port: started, watched, started again when they die, drained at the end.

`perdure serve --workers N` runs `Workers`; each worker is this module run as a program, on the socket that it inherits. One
listening socket for all of them means that a worker that dies takes no waiting connection with it, as it would with a socket
of its own on the same port. Each worker opens its own stores: it has its own segments of captures, and limits and budgets hold
over all of them, for they are counted in a store that all share.

What surprised us: a parent that is killed tells nobody. So each worker also reads its standard input, which ends with the
parent, and then drains and ends as if it had been told to.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from perdure.core.clock import monotonic_s
from perdure.core.errors import NotReady, PerdureError
from perdure.core.settings import ServeSettings

_READY = b"ready\n"
_START_S = 60.0
_STOP_S = 30.0
"""Longer than a server drains."""
_STEADY_S = 10.0
"""A worker that lived so long is started again at once; one that did not waits, longer each time."""
_LONGEST_WAIT_S = 30.0


@dataclass(slots=True, eq=False)
class _Worker:
    """One place among the workers, and the process that fills it."""

    process: subprocess.Popen[bytes] | None = None
    began_s: float = 0.0
    n_early: int = 0
    """Deaths in a row that came too soon."""
    not_before_s: float = 0.0


class Workers:
    """The workers of one port, as a context manager.

    Args:
        folder: of the project.
        settings: of `[serve]`, with `workers`.
    """

    def __init__(self, folder: Path, settings: ServeSettings) -> None:
        self._folder = folder.resolve()
        self._settings = settings
        self._workers = [_Worker() for _ in range(settings.workers)]
        self._socket: socket.socket | None = None
        self.url = ""
        """Where they answer, once they do."""
        self.n_restarts = 0

    def __enter__(self) -> Self:
        """Take the port and start every worker; each of them answers when this returns.

        Raises:
            NotReady: the address is taken, or a worker ended before it was ready.
        """
        from perdure.serve.server import listen, url_of

        self._socket = listen(self._settings)
        self.url = url_of(self._settings, self._socket)
        try:
            for worker in self._workers:
                self._start(worker)
            for worker in self._workers:
                self._await(worker)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def check(self) -> None:
        """Start again what died; call it now and then."""
        now_s = monotonic_s()
        for worker in self._workers:
            if worker.process is not None and worker.process.poll() is not None:
                self._bury(worker, now_s)
            if worker.process is None and now_s >= worker.not_before_s:
                self._start(worker)
                self.n_restarts += 1

    def pids(self) -> list[int]:
        """Of the processes that run."""
        return [each.process.pid for each in self._workers if each.process is not None and each.process.poll() is None]

    def close(self) -> None:
        """Have every worker answer what is under way, close its captures, and end."""
        running = [each.process for each in self._workers if each.process is not None]
        for process in running:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        deadline_s = monotonic_s() + _STOP_S
        for process in running:
            try:
                process.wait(timeout=max(0.1, deadline_s - monotonic_s()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            _let_go(process)
        if self._socket is not None:
            self._socket.close()

    def _start(self, worker: _Worker) -> None:
        assert self._socket is not None
        fd = self._socket.fileno()
        settings = json.dumps(asdict(self._settings))
        worker.began_s = monotonic_s()
        worker.process = subprocess.Popen(
            [sys.executable, "-m", "perdure.surface.workers", str(self._folder), str(fd), settings],
            pass_fds=(fd,),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # A Ctrl-C of the terminal is the parent's to hear: it has the workers drain.
            start_new_session=True,
        )

    def _await(self, worker: _Worker) -> None:
        assert worker.process is not None
        assert worker.process.stdout is not None
        said: list[bytes] = []
        stdout: IO[bytes] = worker.process.stdout
        reading = threading.Thread(target=lambda: said.append(stdout.readline()), daemon=True)
        reading.start()
        reading.join(_START_S)
        if said != [_READY]:
            raise NotReady("A worker ended before it was ready, or was not in time.", hint="What it said stands above.")

    def _bury(self, worker: _Worker, now_s: float) -> None:
        assert worker.process is not None
        _let_go(worker.process)
        worker.process = None
        worker.n_early = worker.n_early + 1 if now_s - worker.began_s < _STEADY_S else 0
        wait_s = min(2.0 ** (worker.n_early - 1), _LONGEST_WAIT_S) if worker.n_early > 1 else 0.0
        worker.not_before_s = now_s + wait_s


def _let_go(process: subprocess.Popen[bytes]) -> None:
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            stream.close()


def work(folder: Path, fd: int, settings: ServeSettings) -> None:
    """Serve a project on an inherited socket until SIGTERM, or until the parent is gone.

    Raises:
        PerdureError: the project cannot be loaded or served.
    """
    from perdure.surface.compose import make_server
    from perdure.surface.sdk import open_project

    # What declarations print goes where logs go: the parent reads one line here, and no more.
    parent = os.dup(1)
    os.dup2(2, 1)
    over = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _received, _frame: over.set())
    found = open_project(folder)
    listening = socket.socket(fileno=fd)
    server = make_server(found.folder, replace(found.settings, serve=settings), found.project, listening)
    server.start()
    os.write(parent, _READY)
    os.close(parent)
    threading.Thread(target=_until_alone, args=(over,), name="perdure-parent", daemon=True).start()
    while not over.wait(0.5):
        pass
    server.stop()


def _until_alone(over: threading.Event) -> None:
    while os.read(0, 1024):
        pass
    over.set()


def main(arguments: list[str]) -> int:
    """What a worker's process runs; its exit code."""
    from perdure.surface.cli import printing

    folder, fd, settings = arguments
    told: dict[str, Any] = json.loads(settings)
    try:
        work(Path(folder), int(fd), ServeSettings(**told))
    except PerdureError as error:
        printing.error(error, as_json=False)
        return error.exit_code
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
