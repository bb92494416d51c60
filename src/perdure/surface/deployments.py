"""Several deployments of one project side by side, each with stores of its own, fed with the same traffic.

A deployment is what it is in production: the same code under other settings, which stand in the
environment of its processes. `side_by_side` runs the replays, never more than two at once by default,
each a process with a server process of its own; a replay tells how far it is as JSON lines on its
standard output. Called by demos; `replay_part` is what such a process runs.

Nothing in the stores names a folder, so a copy of a deployment's stores goes on as the deployment itself.
"""

from __future__ import annotations

import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import Any

import msgspec

from perdure.assets.project import Project
from perdure.core.canonical import plain
from perdure.core.errors import UpstreamError
from perdure.core.settings import load_settings
from perdure.loop.incidents import UNKNOWN
from perdure.stores.ledger.protocols import LedgerSession
from perdure.surface.project import SETTINGS_FILE
from perdure.surface.repairs import doing
from perdure.surface.replay import Progress, Replay, Traffic
from perdure.surface.sdk import Perdure
from perdure.surface.serving import server_process
from perdure.surface.words import words

_LOG_LINES = 4


@dataclass(frozen=True, slots=True)
class Deployment:
    """One deployment of a project.

    Args:
        name: what it is called where it is told of.
        folder: of the project's perdure.toml.
        root: of its stores.
        settings: what differs from the settings in the file, spelled as in the environment.
    """

    name: str
    folder: Path
    root: Path
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """What its processes find in their environment."""
        return {**os.environ, **self.settings, "PERDURE_STORES_ROOT": str(self.root)}

    def open(self, project: Project | None = None) -> Perdure:
        """The project on this deployment's stores; `project` is what it declares, where that is loaded already."""
        text = (self.folder / SETTINGS_FILE).read_text("utf-8")
        return Perdure(self.folder, load_settings(text, self.environment), project=project)


def close_stores(perdure: Perdure) -> None:
    """Close the databases of an opened project; it is not to be used any more, but for what it declares."""
    stores = perdure.place.stores
    for store in (stores.ledger, stores.online, stores.readings):
        store.close()


def copy_stores(source: Deployment, target: Deployment) -> None:
    """Copy everything that one deployment remembers; nobody may have it open, this process included.

    What surprised us: a process that closes any handle of a SQLite file drops its own locks on it, a
    connection's too. So copying a database that is open here damages it when another process writes.

    Raises:
        FileExistsError: the target has stores already.
    """
    shutil.copytree(source.root, target.root, ignore=shutil.ignore_patterns("server.log", ".writing", ".compacting"))


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of a replay to be done by one deployment; its end may be before that of the whole."""

    deployment: str
    start: datetime
    until: datetime
    end: datetime

    def as_json(self) -> str:
        """What `from_json` reads."""
        return msgspec.json.encode(plain(self)).decode()

    @classmethod
    def from_json(cls, text: str) -> Part:
        """The part that `as_json` wrote."""
        return msgspec.json.decode(text, type=cls)


@dataclass(frozen=True, slots=True)
class Heard:
    """What a replay tells at a barrier; counts are of its part."""

    deployment: str
    now: datetime
    n_requests: int
    n_rows: int
    n_rows_refused: int
    n_labels: int
    error: float | None = None
    """The newest reading of the model's error over its window, all rows; None while there is none."""
    incidents: tuple[str, ...] = ()
    """Open ones, in words."""
    doing: str = ""
    """What the loop is doing, and why."""


def replay_part(perdure: Perdure, traffic: Traffic, part: Part) -> Progress:
    """Replay through a server process of its own and tell each barrier on standard output.

    The way of a process that `side_by_side` started: asked to end, it ends its server too.
    """
    signal.signal(signal.SIGTERM, _end)

    def tell(progress: Progress) -> None:
        sys.stdout.write(msgspec.json.encode(plain(_heard(perdure, part.deployment, progress, traffic.model))).decode())
        sys.stdout.write("\n")
        sys.stdout.flush()

    with server_process(perdure, replay=True) as url:
        return Replay(perdure, traffic, url).run(tell)


def _end(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(1)


def _heard(perdure: Perdure, name: str, progress: Progress, model: str) -> Heard:
    errors = [
        reading.value
        for reading in perdure.place.stores.readings.latest(model)
        if reading.signal == "mae" and not reading.slice and reading.value is not None
    ]
    with perdure.place.stores.ledger.read() as session:
        incidents, now_doing = _open_incidents(session), doing(session)
    return Heard(
        name,
        progress.now,
        progress.n_requests,
        progress.n_rows,
        progress.n_rows_refused,
        progress.n_labels,
        errors[-1] if errors else None,
        incidents,
        now_doing,
    )


def _open_incidents(session: LedgerSession) -> tuple[str, ...]:
    return tuple(
        f"{each.asset}: {each.summary if each.kind == UNKNOWN else words(each.kind)}"
        for each in session.incidents.list(open_only=True)
    )


@dataclass(frozen=True, slots=True)
class Task:
    """A part that a deployment is to replay, by a command of the demo's."""

    deployment: Deployment
    part: Part
    command: Sequence[str]


def side_by_side(tasks: Sequence[Task], listen: Callable[[Heard], None], *, at_most: int = 2) -> dict[str, Heard]:
    """Run every task in a process of its own, in this order, `at_most` at once; returns the last that each told.

    Args:
        tasks: of different deployments.
        listen: hears each barrier of each, in this thread.
        at_most: so many replays at a time; each has a server beside it.

    Raises:
        UpstreamError: a replay ended before its end; the others were ended, and the message has its last words.
    """
    waiting = list(tasks)
    running: dict[str, _Running] = {}
    last: dict[str, Heard] = {}
    told: queue.Queue[tuple[_Running, bytes]] = queue.Queue()
    with _ended() as started:
        while waiting or running:
            while waiting and len(running) < at_most:
                child = _Running(waiting.pop(0), told)
                started.append(child)
                running[child.name] = child
            child, line = told.get()
            if line:
                last[child.name] = msgspec.json.decode(line, type=Heard)
                listen(last[child.name])
            else:
                running.pop(child.name).finish()
    return last


@contextmanager
def _ended() -> Iterator[list[_Running]]:
    """Children that are still running at the end of the block are ended."""
    children: list[_Running] = []
    try:
        yield children
    finally:
        for child in children:
            child.end()


class _Running:
    """One child process; what it tells goes to `told`, an empty line when it has ended."""

    def __init__(self, task: Task, told: queue.Queue[tuple[Any, bytes]]) -> None:
        self.name = task.deployment.name
        self._log = task.deployment.root / "replay.log"
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("ab") as errors:
            self._process = subprocess.Popen(
                [*task.command, task.part.as_json()],
                cwd=task.deployment.folder,
                env=task.deployment.environment,
                stdout=subprocess.PIPE,
                stderr=errors,
            )
        threading.Thread(target=self._read, args=(told,), name=f"replay {self.name}", daemon=True).start()

    def _read(self, told: queue.Queue[tuple[Any, bytes]]) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            told.put((self, line))
        told.put((self, b""))

    def finish(self) -> None:
        """Wait for its end, which is near.

        Raises:
            UpstreamError: it did not end well.
        """
        code = self._process.wait()
        if code:
            words = self._log.read_text("utf-8", "replace").strip().splitlines()[-_LOG_LINES:]
            raise UpstreamError(
                f"The replay to {self.name!r} ended with code {code}: {' '.join(words)}",
                hint=f"All it said is in {self._log}.",
            )

    def end(self) -> None:
        """End it if it is running still."""
        if self._process.poll() is None:
            self._process.terminate()
            self._process.wait(timeout=60)
        if self._process.stdout is not None:
            self._process.stdout.close()
