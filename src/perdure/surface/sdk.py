"""The SDK: the verbs of perdure on one project. The CLI is a thin layer over it.

    project = perdure.open_project("examples/flights")
    project.train("air_time", at="2013-03-01T05:00:00Z")
    project.apply()

Every verb that reads data takes `at`, the instant in domain time; without it, now on the machine's
clock. Nothing is started until a verb needs it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perdure.core.settings import ACTOR, load_settings, replace_given
from perdure.surface.alerting import Alerting
from perdure.surface.answering import IndexAnswering
from perdure.surface.applying import Applying
from perdure.surface.backtest import Backtesting
from perdure.surface.caching import Caching
from perdure.surface.calls import Called
from perdure.surface.ci.review import Reviewing
from perdure.surface.evaluating import Evaluating
from perdure.surface.golden import GrowingGolden
from perdure.surface.governing import Governing
from perdure.surface.graphing import Graphing
from perdure.surface.judging import Judging
from perdure.surface.keying import Keying, is_loopback
from perdure.surface.opened import Opened, When, instant_of
from perdure.surface.peopling import Peopling
from perdure.surface.prompting import Prompting
from perdure.surface.pushing import Pushing
from perdure.surface.records import RunRow, Status, TrainedGuard
from perdure.surface.reviews import Labelling
from perdure.surface.running import Running
from perdure.surface.spending import Spending
from perdure.surface.tending import Tending

if TYPE_CHECKING:
    from perdure.assets.version import Version
    from perdure.engines.training.tuning import TrialRecord, Tuned
    from perdure.loop.round import RoundReport
    from perdure.loop.work.training import TrainedVersion
    from perdure.serve.server import Server
    from perdure.stores.ledger.protocols import AuditEntry, ChainReport, Run
    from perdure.surface.project import CheckNote
    from perdure.surface.serving import Listener


def open_project(folder: str | Path = ".", *, actor: str | None = None) -> Perdure:
    """The project in `folder` or the nearest folder above it that holds a perdure.toml.

    Args:
        folder: where to look.
        actor: who acts, as it is written on every record; by default PERDURE_ACTOR, else `[project] actor`.

    Raises:
        NotFound: there is no perdure.toml; `perdure init` makes one.
        BadSettings: perdure.toml or the environment holds a key or value that means nothing.
    """
    from perdure.surface.project import find_project_folder

    home = find_project_folder(Path(folder).resolve())
    settings = load_settings((home / "perdure.toml").read_text("utf-8"), os.environ)
    return Perdure(home, settings, actor=actor or os.environ.get(ACTOR))


def init_project(
    folder: str | Path, *, csv: str | Path | None = None, label: str = "", time: str = "", key: str = ""
) -> Perdure:
    """Make a new project in `folder`, from a CSV file or a made-up one, and open it.

    Args:
        folder: must be empty or not exist.
        csv: a file with a header; None: a small one is made up.
        label: its column that the model predicts; what is left empty is guessed where the file allows it.
        time: its column with each row's instant.
        key: its column that identifies a row.

    Raises:
        BadProject: the folder holds something already.
        NotFound: no such file or column; the message names the nearest column.
        DeclarationError: a column's part cannot be guessed.
    """
    from perdure.surface.scaffold import Columns, make_project

    columns = Columns(label or None, time or None, key or None)
    make_project(Path(folder), Path(csv) if csv else None, columns)
    return open_project(folder)


class Perdure(
    Applying,
    Tending,
    Governing,
    Keying,
    Peopling,
    Evaluating,
    Prompting,
    Graphing,
    Running,
    Judging,
    Labelling,
    IndexAnswering,
    GrowingGolden,
    Pushing,
    Spending,
    Called,
    Caching,
    Alerting,
    Backtesting,
    Reviewing,
    Opened,
):
    """One project with its stores.

    Make one by `open_project`; in a notebook by `Perdure(folder, project=Project.of("rides", Minutes))`.
    """

    def check(self) -> list[CheckNote]:
        """Load everything and tell what is wrong or doubtful; reads no data and changes nothing."""
        from perdure.surface.checks import check_project
        from perdure.surface.compose import SIGNALS

        return check_project(self.project, SIGNALS, self.settings, os.environ)

    def ingest(self, *, at: When = None, wait_s: float = 5.0) -> RoundReport:
        """One round of the loop; the same as `tick`, named for its first step."""
        return self.tick(at=at, wait_s=wait_s)

    def tick(self, *, at: When = None, wait_s: float = 5.0) -> RoundReport:
        """One round of the loop at `at`: intake, observe.

        Raises:
            LeaseHeld: another control plane is at work.
        """
        with self.hold_lease(wait_s=wait_s) as held:
            return self.loop.tick(instant_of(at), held.lease)

    def train(self, model: str, *, at: When = None, params: Mapping[str, Any] | None = None) -> TrainedVersion:
        """Take in the model's sources up to `at`, fit on what was known then, register a candidate version.

        Nothing is released: see `apply`.

        Raises:
            NotFound: no such model.
            NotReady: no labelled rows by then.
            BadModel: the model's `fit` failed.
        """
        from perdure.loop.work.training import train_version

        declared, now = self.project.model(model), instant_of(at)
        self._take_in_sources(now)
        return train_version(self.place, declared, now, params=params)

    def train_guard(self, guard: str, *, at: When = None) -> TrainedGuard:
        """Take in sources up to `at`, train the guard's learned check on what is labelled, register a candidate version.

        Nothing is released: see `apply`.

        Raises:
            NotFound: no such guard.
            BadGuard: it has no learned check, or its examples have no labels.
            TooFewRows: too few labelled texts.
        """
        from perdure.loop.work.guards.training import train_guard

        declared, now = self.project.guard(guard), instant_of(at)
        self._take_in_sources(now)
        version = train_guard(self.place, declared, now)
        with self._ledger.read() as session:
            made = [run for run in session.runs.list(guard) if run.facts.get("version") == version.id]
        return TrainedGuard(version, made[0])

    def tune(
        self, model: str, *, n_trials: int = 20, at: When = None, progress: Callable[[TrialRecord], None] | None = None
    ) -> Tuned:
        """Search the model's declared space; the best parameters are returned and recorded, nothing is trained."""
        from perdure.loop.work.training import tune_params

        declared, now = self.project.model(model), instant_of(at)
        self._take_in_sources(now)
        return tune_params(self.place, declared, now, n_trials=n_trials, progress=progress)

    def _take_in_sources(self, now: datetime) -> None:
        with self.hold_lease(wait_s=30.0) as held:
            for source in self.project.sources.values():
                self.loop.intake.ingest(source, now, held.lease)

    def runs(self, asset: str | None = None, *, limit: int = 100) -> list[RunRow]:
        """Runs, newest first."""
        with self._ledger.read() as session:
            return [_run_row(run) for run in session.runs.list(asset, limit=limit)]

    def versions(self, asset: str) -> list[Version]:
        """Versions of an asset, oldest first."""
        with self._ledger.read() as session:
            return session.registry.list_versions(asset)

    def status(self, *, at: When = None) -> Status:
        """What runs, how healthy it is, what is open, and what the loop does about it."""
        from perdure.surface.glance import glance

        return glance(self.place, self.project, instant_of(at))

    def verify_ledger(self) -> ChainReport:
        """Recompute the whole audit chain."""
        return self._ledger.verify()

    def audit(self, *, after: int = 0, limit: int = 50) -> list[AuditEntry]:
        """Entries of the audit chain, oldest first."""
        with self._ledger.read() as session:
            return session.audit.list(after=after, limit=limit)

    def server(self, *, host: str | None = None, port: int | None = None, replay: bool | None = None) -> Server:
        """The data plane of the project, not yet started; arguments win over the settings.

        Raises:
            Refused: it would be reached from outside this machine, and no key of an administrator was issued.
        """
        from perdure.surface.compose import make_server

        serve = replace_given(self.settings.serve, host=host, port=port, replay=replay)
        if self.project.routes and not is_loopback(serve.host):
            self._check_admin(serve.host)
        return make_server(self.folder, replace(self.settings, serve=serve), self.project)

    def up(self, *, stop: Callable[[], bool], listener: Listener, port: int | None = None) -> None:
        """Serve and run the loop in this process until `stop()` is true."""
        from perdure.surface.serving import run_everything

        run_everything(self, stop, listener, port)


def _run_row(run: Run) -> RunRow:
    took = (run.finished_at - run.started_at).total_seconds() if run.finished_at else None
    return RunRow(
        run.id,
        run.kind,
        run.asset,
        run.status,
        str(run.facts.get("version", "")),
        run.started_at,
        took,
        run.params,
        run.metrics,
    )


__all__ = ["Perdure", "init_project", "open_project"]
