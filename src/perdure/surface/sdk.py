"""The SDK: the verbs of perdure on one project. The CLI is a thin layer over it.

    project = perdure.open_project("examples/flights")
    project.train("air_time", at="2013-03-01T05:00:00Z")
    project.apply()

Every verb that reads data takes `at`, the instant in domain time; without it, now on the machine's
clock. Nothing is started until a verb needs it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perdure.assets.version import CHAMPION, Pointer, Version
from perdure.core.clock import machine_now, parse_at
from perdure.core.errors import not_found
from perdure.core.settings import ProjectSettings, Settings, load_settings
from perdure.durable.lease import hold
from perdure.surface.records import AssetStatus, Change, Health, RunRow, Status

if TYPE_CHECKING:
    from perdure.assets.project import Project
    from perdure.durable.lease import HeldLease
    from perdure.engines.training.tuning import TrialRecord, Tuned
    from perdure.loop.protocols import Watched, Workplace
    from perdure.loop.round import Loop, RoundReport
    from perdure.loop.work.training import TrainedVersion
    from perdure.serve.server import Server
    from perdure.stores.ledger.protocols import AuditEntry, ChainReport, Run
    from perdure.stores.ledger.sqlite import SqliteLedger
    from perdure.surface.project import CheckNote
    from perdure.surface.serving import Listener

When = datetime | str | None


def open_project(folder: str | Path = ".", *, actor: str | None = None) -> Perdure:
    """The project in `folder` or the nearest folder above it that holds a perdure.toml.

    Raises:
        NotFound: there is no perdure.toml; `perdure init` makes one.
        BadSettings: perdure.toml or the environment holds a key or value that means nothing.
    """
    from perdure.surface.project import find_project_folder

    home = find_project_folder(Path(folder).resolve())
    settings = load_settings((home / "perdure.toml").read_text("utf-8"), os.environ)
    return Perdure(home, settings, actor=actor)


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


class Perdure:
    """One project with its stores.

    Make one by `open_project`; in a notebook by `Perdure(folder, project=Project.of("rides", Minutes))`.
    """

    def __init__(
        self,
        folder: str | Path,
        settings: Settings | None = None,
        *,
        project: Project | None = None,
        actor: str | None = None,
    ) -> None:
        self.folder = Path(folder)
        self.settings = settings or Settings(ProjectSettings(project.name if project else "default"))
        self.actor = actor or self.settings.project.actor
        self._given = project

    @cached_property
    def project(self) -> Project:
        """What the project declares; loaded when first asked for."""
        from perdure.surface.project import load_project

        return self._given or load_project(self.folder, self.settings)

    @cached_property
    def place(self) -> Workplace:
        """The stores; opened when first asked for."""
        from perdure.surface.compose import open_place

        return open_place(self.folder, self.settings, self.actor, self._ledger)

    @cached_property
    def _ledger(self) -> SqliteLedger:
        """The ledger alone: most verbs that only look need no other store."""
        from perdure.surface.compose import open_ledger

        return open_ledger(self.folder, self.settings)

    @cached_property
    def loop(self) -> Loop:
        """The control plane of the project."""
        from perdure.surface.compose import make_loop

        return make_loop(self.place, self.project)

    def hold_lease(self, *, wait_s: float = 0.0) -> AbstractContextManager[HeldLease]:
        """The right to run the loop, renewed while held.

        Raises:
            LeaseHeld: another process runs it, and went on for `wait_s` seconds.
        """
        from perdure.loop.protocols import LEASE
        from perdure.surface.compose import worker_name

        return hold(self._ledger.leases, LEASE, worker_name(), self.settings.loop.lease_ttl_s, wait_s=wait_s)

    def check(self) -> list[CheckNote]:
        """Load everything and tell what is wrong or doubtful; reads no data and changes nothing."""
        from perdure.surface.checks import check_project
        from perdure.surface.compose import SIGNALS

        return check_project(self.project, SIGNALS)

    def ingest(self, *, at: When = None, wait_s: float = 5.0) -> RoundReport:
        """One round of the loop; the same as `tick`, named for its first step."""
        return self.tick(at=at, wait_s=wait_s)

    def tick(self, *, at: When = None, wait_s: float = 5.0) -> RoundReport:
        """One round of the loop at `at`: intake, observe.

        Raises:
            LeaseHeld: another control plane is at work.
        """
        with self.hold_lease(wait_s=wait_s) as held:
            return self.loop.tick(_instant(at), held.lease)

    def train(self, model: str, *, at: When = None, params: Mapping[str, Any] | None = None) -> TrainedVersion:
        """Take in the model's sources up to `at`, fit on what was known then, register a candidate version.

        Nothing is released: see `apply`.

        Raises:
            NotFound: no such model.
            NotReady: no labelled rows by then.
            BadModel: the model's `fit` failed.
        """
        from perdure.loop.work.training import train_version

        declared, now = self.project.model(model), _instant(at)
        self._take_in_sources(now)
        return train_version(self.place, declared, now, params=params)

    def tune(
        self, model: str, *, n_trials: int = 20, at: When = None, progress: Callable[[TrialRecord], None] | None = None
    ) -> Tuned:
        """Search the model's declared space; the best parameters are returned and recorded, nothing is trained."""
        from perdure.loop.work.training import tune_params

        declared, now = self.project.model(model), _instant(at)
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

    def apply(
        self, *, at: When = None, release: Mapping[str, str] | None = None, dry_run: bool = False
    ) -> list[Change]:
        """Register what is declared and point `champion` at the newest trained version of each model.

        Args:
            at: domain time of the change.
            release: model → version id, to point somewhere else than the newest.
            dry_run: tell what would change, and change nothing.

        Raises:
            NotFound: a version that does not exist, with the nearest named.
        """
        now, chosen = _instant(at), dict(release or {})
        for model in chosen:
            self.project.model(model)
        definitions = self._definitions()
        with self._ledger.read() as session:
            known = {(record.kind, record.name): record.digest for record in session.registry.list_assets()}
            targets = {
                name: _target(session.registry.list_versions(name), chosen.get(name)) for name in self.project.models
            }
            current = {p.asset: p.version for p in session.pointers.list() if p.name == CHAMPION}
        changes = [_declared(kind, name, definition, known) for (kind, name), definition in definitions.items()]
        moves = [
            Pointer(name, CHAMPION, target)
            for name, target in targets.items()
            if target is not None and current.get(name) != target
        ]
        changes += [
            Change("model", move.asset, "released", current.get(move.asset, ""), move.version) for move in moves
        ]
        if not dry_run:
            self._write(definitions, changes, moves, now)
        return changes

    def _write(
        self,
        definitions: Mapping[tuple[str, str], Any],
        changes: Sequence[Change],
        moves: Sequence[Pointer],
        now: datetime,
    ) -> None:
        new = {(change.kind, change.asset) for change in changes if change.what in ("declared", "changed")}
        if new or moves:
            with self._ledger.transaction(actor=self.actor, at=now, reason="apply") as session:
                for kind, name in sorted(new):
                    session.registry.put_asset(kind, name, definitions[kind, name])
                if moves:
                    session.pointers.set(moves)
        self.loop.materialise(now)

    def _definitions(self) -> dict[tuple[str, str], dict[str, Any]]:
        from perdure.surface.definitions import definitions

        return definitions(self.project)

    def status(self, *, at: When = None) -> Status:
        """What runs, how healthy it is, what is open."""
        from perdure.loop.protocols import LEASE
        from perdure.surface.compose import watched_assets
        from perdure.surface.quarantine import quarantined_by_origin

        stores, now = self.place.stores, _instant(at)
        with stores.ledger.read() as session:
            pointers = session.pointers.list()
            incidents = session.incidents.list(open_only=True)
        assets = [
            AssetStatus(
                asset.kind,
                asset.name,
                getattr(asset.declaration, "owner", ""),
                [pointer for pointer in pointers if pointer.asset == asset.name],
                self._health(asset, now),
            )
            for asset in watched_assets(self.project)
        ]
        tables = {table: stores.lake.version(table) or 0 for table in stores.lake.tables()}
        holder, quarantined = stores.leases.holder(LEASE), quarantined_by_origin(stores.lake)
        return Status(self.settings.project.name, now, assets, incidents, tables, holder, quarantined)

    def _health(self, asset: Watched, now: datetime) -> list[Health]:
        from perdure.loop.observe import cadence

        latest = self.place.stores.readings.latest(asset.name)
        rows: list[Health] = []
        for objective in asset.healthy:
            readings = [reading for reading in latest if objective.measured_by(reading)]
            newest = max((reading.at for reading in readings), default=None)
            if newest is None:
                rows.append(Health(objective.text(), objective.stakeholder, "not measured", None))
            for reading in readings:
                # A slice that is not among the newest readings has gone.
                if reading.at == newest:
                    stale = now - newest > 2 * cadence(objective.spec)
                    state = "stale" if stale else objective.judge(reading).state.value
                    rows.append(Health(objective.text(), objective.stakeholder, state, reading))
        return rows

    def verify_ledger(self) -> ChainReport:
        """Recompute the whole audit chain."""
        return self._ledger.verify()

    def audit(self, *, after: int = 0, limit: int = 50) -> list[AuditEntry]:
        """Entries of the audit chain, oldest first."""
        with self._ledger.read() as session:
            return session.audit.list(after=after, limit=limit)

    def server(self, *, host: str | None = None, port: int | None = None, replay: bool | None = None) -> Server:
        """The data plane of the project, not yet started; arguments win over the settings."""
        from perdure.surface.compose import make_server

        declared = self.settings.serve
        serve = replace(
            declared,
            host=declared.host if host is None else host,
            port=declared.port if port is None else port,
            replay=declared.replay if replay is None else replay,
        )
        return make_server(self.folder, replace(self.settings, serve=serve), self.project)

    def up(self, *, stop: Callable[[], bool], listener: Listener, port: int | None = None) -> None:
        """Serve and run the loop in this process until `stop()` is true."""
        from perdure.surface.serving import run_everything

        run_everything(self, stop, listener, port)


def _instant(at: When) -> datetime:
    if at is None:
        return machine_now()
    return parse_at(at) if isinstance(at, str) else at


def _target(versions: Sequence[Version], chosen: str | None) -> str | None:
    if chosen is None:
        return versions[-1].id if versions else None
    if chosen not in [version.id for version in versions]:
        raise not_found("version", chosen, [version.id for version in versions])
    return chosen


def _declared(kind: str, name: str, definition: Any, known: Mapping[tuple[str, str], str]) -> Change:
    from perdure.core.canonical import content_hash

    digest, before = content_hash(definition), known.get((kind, name), "")
    what = "unchanged" if digest == before else "changed" if before else "declared"
    return Change(kind, name, what, before[:12], digest[:12])


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
