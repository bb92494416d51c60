"""The runs role: pieces of work with their inputs and outcome."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Row, bindparam, func, select, tuple_

from perdure.core.clock import from_us, to_us
from perdure.core.errors import not_found
from perdure.stores.ledger.chain import json_text
from perdure.stores.ledger.protocols import Run, RunLine
from perdure.stores.ledger.schema import runs
from perdure.stores.ledger.scope import Change, Scope, Write


class SqlRuns:
    """Runs by id, over one snapshot or transaction."""

    __slots__ = ("_scope",)

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    def put(self, run: Run) -> Run:
        """Insert the run or put it in the place of its earlier state; an equal one changes nothing."""
        self._scope.writing()
        row = _run_row(self._scope.project, run)
        stored = self._find(run.id)
        if stored is not None and all(getattr(stored, name) == value for name, value in row.items()):
            return run
        said = {"run": run.id, "kind": run.kind, "status": run.status}
        self._scope.save(Change("runs.put", run.asset, said), [Write(runs, row, replaces=stored is not None)])
        return run

    def get(self, run_id: str) -> Run:
        """The run of an id.

        Raises:
            NotFound: no such run.
        """
        row = self._find(run_id)
        if row is None:
            known = select(runs.c.id).where(runs.c.project == self._scope.project)
            raise not_found("run", run_id, self._scope.connection.scalars(known))
        return _run(row)

    def _find(self, run_id: str) -> Row[Any] | None:
        query = select(runs).where(runs.c.project == self._scope.project, runs.c.id == run_id)
        return self._scope.connection.execute(query).one_or_none()

    def list(
        self,
        asset: str | None = None,
        *,
        kind: str | None = None,
        version: str | None = None,
        before: tuple[datetime, str] | None = None,
        limit: int = 100,
    ) -> list[Run]:
        """The newest `limit` runs, newest first; `before`: those that come after this (`started_at`, id) in that order."""
        query = select(runs).where(runs.c.project == self._scope.project)
        last: ColumnElement[str] = runs.c.id
        if asset is not None:
            # SQLite would go through all runs for the sake of their order: without the last term no index has that.
            query, last = query.where(runs.c.asset == asset), func.coalesce(runs.c.id, "")
        if kind is not None:
            query = query.where(runs.c.kind == kind)
        if version is not None:
            query = query.where(func.json_extract(runs.c.facts, "$.version") == version)
        if before is not None:
            query = query.where(tuple_(runs.c.started_us, runs.c.id) < (to_us(before[0]), before[1]))
        rows = self._scope.connection.execute(query.order_by(runs.c.started_us.desc(), last.desc()).limit(limit))
        return [_run(row) for row in rows]

    def lines(self, after: int = 0) -> Sequence[RunLine]:
        """Runs that were put under a greater sequence number, without their facts, in the order in which they were put."""
        rows = self._scope.connection.execute(_LINES, {"of": self._scope.project, "after": after})
        return [_line(row) for row in rows]


_LINES = (
    select(
        *(runs.c[name] for name in ("sequence", "id", "kind", "asset", "status", "started_us", "finished_us")),
        func.json_extract(runs.c.facts, "$.version").label("version"),
        runs.c.params,
        runs.c.metrics,
    )
    .where(runs.c.project == bindparam("of"), runs.c.sequence > bindparam("after"))
    .order_by(runs.c.sequence)
)


def _line(row: Any) -> RunLine:
    seconds = None if row.finished_us is None else (row.finished_us - row.started_us) / 1e6
    return RunLine(
        sequence=row.sequence,
        id=row.id,
        kind=row.kind,
        asset=row.asset,
        status=row.status,
        version="" if row.version is None else str(row.version),
        started_at=from_us(row.started_us),
        seconds=seconds,
        params=msgspec.json.decode(row.params),
        metrics=msgspec.json.decode(row.metrics),
    )


def _run_row(project: str, run: Run) -> dict[str, Any]:
    return {
        "project": project,
        "id": run.id,
        "kind": run.kind,
        "asset": run.asset,
        "status": run.status,
        "started_us": to_us(run.started_at),
        "finished_us": None if run.finished_at is None else to_us(run.finished_at),
        "params": json_text(run.params),
        "metrics": json_text(run.metrics),
        "facts": json_text(run.facts),
        "actor": run.actor,
    }


def _run(row: Row[Any]) -> Run:
    return Run(
        id=row.id,
        kind=row.kind,
        asset=row.asset,
        status=row.status,
        started_at=from_us(row.started_us),
        finished_at=None if row.finished_us is None else from_us(row.finished_us),
        params=json.loads(row.params),
        metrics=json.loads(row.metrics),
        facts=json.loads(row.facts),
        actor=row.actor,
    )
