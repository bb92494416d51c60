"""Runs of agents and graphs in the lake: the tables `runs` and `run_steps`, and what reads them back as records.

`CapturedBatch` makes the rows; signals, blame and replays read them. A run is one row of `runs`, an entry of its journal one of
`run_steps`, with the run's asset and instant beside it, so that a window of them is read without the runs.

What surprised us: a run is told before its store says that it is over, so a crash in between lets it be told twice, and it may go
another way the second time. Every reader takes the last record of a run, with that record's steps alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
import polars as pl

from perdure.core.clock import to_us
from perdure.core.errors import NotFound
from perdure.core.runs import RunRecord, StepRecord, Wait
from perdure.core.usage import Usage
from perdure.loop.work.captured_calls import USAGE
from perdure.loop.work.captured_tables import (
    INSTANT,
    LAST,
    Schema,
    body_text,
    frame,
    last_parts,
    last_wholes,
    of_one,
    read_columns,
    wanted_columns,
)
from perdure.stores.capture.events import RunTold
from perdure.stores.lake.protocols import Lake, Span
from perdure.stores.runs.protocols import Told

RUNS = "runs"
RUN_STEPS = "run_steps"

RUNS_SCHEMA: Schema = {
    "run_id": pl.String,
    "asset": pl.String,
    "kind": pl.String,
    "version": pl.String,
    "arm": pl.String,
    "status": pl.String,
    "why": pl.String,
    "text": pl.String,
    "served_at": INSTANT,
    "began_at": INSTANT,
    "ended_at": INSTANT,
    "recorded_at": INSTANT,
    "n_steps": pl.Int64,
    "n_tokens": pl.Int64,
    "cost_pusd": pl.Int64,
    "unpriced": pl.Boolean,
    "key": pl.String,
    "team": pl.String,
    "user": pl.String,
    "idempotency": pl.String,
    "parent": pl.String,
    "root": pl.String,
    "depth": pl.Int64,
    "trace": pl.String,
    "replay_of": pl.String,
    "input": pl.String,
    "output": pl.String,
    "tags": pl.String,
    "waits": pl.String,
    "batch": pl.Int64,
}
"""`tags` is a JSON object, `waits` a JSON list of `core.runs.Wait`, bytes of it in base64; `input` and `output` are null where nothing
is kept."""
RUN_STEPS_SCHEMA: Schema = {
    "run_id": pl.String,
    "asset": pl.String,
    "served_at": INSTANT,
    "recorded_at": INSTANT,
    "n": pl.Int64,
    "kind": pl.String,
    "state": pl.String,
    "node": pl.String,
    "call": pl.String,
    "key": pl.String,
    "version": pl.String,
    "versions": pl.String,
    "error": pl.String,
    "text": pl.String,
    "began_at": INSTANT,
    "took_us": pl.Int64,
    **{name: pl.Boolean if name == "estimated" else pl.Int64 for name in USAGE},
    "cost_pusd": pl.Int64,
    "facts": pl.String,
    "input": pl.String,
    "output": pl.String,
    "batch": pl.Int64,
}
"""`served_at` is the run's; `versions` and `facts` are JSON objects; `cost_pusd` is null where the price is not known."""
_INSTANTS = {"served_us": "served_at", "began_us": "began_at", "ended_us": "ended_at"}
_BODIES = ("input", "output")
_OF_RUN = tuple(name for name in RUNS_SCHEMA if name in RunRecord.__struct_fields__ and name not in (*_BODIES, "tags"))
_OF_STEP = tuple(
    name
    for name in RUN_STEPS_SCHEMA
    if name in StepRecord.__struct_fields__ and name not in (*_BODIES, "versions", "facts")
)


def run_tables(events: Sequence[RunTold]) -> dict[str, pl.DataFrame]:
    """The rows of some runs by table name, in order; without the column `batch`. Replays leave none, but for shadows.

    Cost: about 10 µs a run and 10 µs a step.
    """
    told = [each for each in events if not each.run.replay_of or each.run.arm == "shadow"]
    return {RUNS: _run_rows(told), RUN_STEPS: _step_rows(told)}


def read_runs(
    lake: Lake, asset: str | None, start: datetime | None, end: datetime | None, columns: Sequence[str] | None = None
) -> pl.DataFrame:
    """Runs that were asked for in the window, one row a run, by time and id; of every arm, and those below others too.

    Args:
        lake: where the drain put them.
        asset: one agent's or graph's; None: of all.
        start: first instant of the domain's time; None: that side is open.
        end: first instant after the window.
        columns: which, beside `run_id` and `served_at`; None: all of them. Bodies are wide: ask for what is needed.

    Raises:
        NotFound: a column that the table does not have.
    """
    rows = of_one(_read(lake, RUNS, RUNS_SCHEMA, columns, Span("served_at", start, end), ()), "asset", asset)
    last = last_wholes(rows, "run_id")
    return last.sort("served_at", "run_id").select(wanted_columns(RUNS_SCHEMA, columns, ("run_id", "served_at")))


def read_run_steps(
    lake: Lake, asset: str | None, start: datetime | None, end: datetime | None, columns: Sequence[str] | None = None
) -> pl.DataFrame:
    """Entries of the journals of runs that were asked for in the window, by the run's time, run and `n`; see `read_runs`."""
    rows = of_one(
        _read(lake, RUN_STEPS, RUN_STEPS_SCHEMA, columns, Span("served_at", start, end), ("n",)), "asset", asset
    )
    return last_parts(rows, "run_id", "n").select(
        wanted_columns(RUN_STEPS_SCHEMA, columns, ("run_id", "served_at", "n"))
    )


def read_told(lake: Lake, run_id: str) -> Told:
    """One run with its journal, as it was told last.

    Raises:
        NotFound: it is not in the lake: it goes on, was never told, or is not drained yet.

    Cost: a column of every run, and the batch that holds it.
    """
    known = _read(lake, RUNS, RUNS_SCHEMA, ["batch"], None, ()).filter(pl.col("run_id") == run_id)
    if not known.height:
        raise NotFound(
            f"There is no run {run_id!r} in the lake.", hint="One that has just ended comes with the next round."
        )
    batch = known.sort(*LAST)["batch"][-1]
    span, wanted = Span("batch", batch, batch + 1), pl.col("run_id") == run_id
    runs = _read(lake, RUNS, RUNS_SCHEMA, None, span, ()).filter(wanted).sort(*LAST).tail(1)
    steps = _read(lake, RUN_STEPS, RUN_STEPS_SCHEMA, None, span, ()).filter(wanted)
    return told_of(runs, steps)[0]


def read_unbodied(lake: Lake, batch: int, ids: Sequence[str]) -> list[Told]:
    """Runs of one batch of the drain, in the order of their ids, without what they were given and gave."""
    span, wanted = Span("batch", batch, batch + 1), pl.col("run_id").is_in(list(ids))
    bare = [pl.lit(None, pl.String).alias(name) for name in _BODIES]

    def read(table: str, schema: Schema) -> pl.DataFrame:
        columns = [name for name in schema if name not in _BODIES]
        return _read(lake, table, schema, columns, span, ()).filter(wanted).with_columns(*bare)

    runs = last_wholes(read(RUNS, RUNS_SCHEMA), "run_id")
    return told_of(runs, read(RUN_STEPS, RUN_STEPS_SCHEMA))


def told_of(runs: pl.DataFrame, steps: pl.DataFrame) -> list[Told]:
    """Rows as records, in the order of `runs`.

    Args:
        runs: rows of `read_runs` with all columns.
        steps: rows of `read_run_steps` with all columns; those of other runs, or of other records of these, are left out.
    """
    journals: dict[tuple[str, datetime], dict[int, StepRecord]] = {}
    for row in steps.iter_rows(named=True):
        journals.setdefault((row["run_id"], row["recorded_at"]), {})[row["n"]] = _step(row)
    return [
        Told(
            _run(row),
            [step for _, step in sorted(journals.get((row["run_id"], row["recorded_at"]), {}).items())],
            _waits(row),
        )
        for row in runs.iter_rows(named=True)
    ]


def _run_rows(events: Sequence[RunTold]) -> pl.DataFrame:
    runs = [each.run for each in events]
    columns: dict[str, list[Any]] = {name: [getattr(run, name) for run in runs] for name in _OF_RUN}
    columns |= {column: [getattr(run, name) or None for run in runs] for name, column in _INSTANTS.items()}
    columns |= {name: [body_text(getattr(run, name)) for run in runs] for name in _BODIES}
    columns["run_id"] = [run.id for run in runs]
    columns["tags"] = [_json(run.tags) for run in runs]
    columns["waits"] = [_json(each.waits) for each in events]
    columns["recorded_at"] = [each.recorded_us for each in events]
    return frame(columns, RUNS_SCHEMA)


def _step_rows(events: Sequence[RunTold]) -> pl.DataFrame:
    pairs = [(each, step) for each in events for step in each.steps]
    steps = [step for _, step in pairs]
    columns: dict[str, list[Any]] = {name: [getattr(step, name) for step in steps] for name in _OF_STEP}
    columns |= {name: [body_text(getattr(step, name)) for step in steps] for name in _BODIES}
    columns |= {name: [_json(getattr(step, name)) for step in steps] for name in ("versions", "facts")}
    columns |= {name: [None if step.usage is None else getattr(step.usage, name) for step in steps] for name in USAGE}
    columns["began_at"] = [step.began_us or None for step in steps]
    columns["run_id"] = [each.run.id for each, _ in pairs]
    columns["asset"] = [each.run.asset for each, _ in pairs]
    columns["served_at"] = [each.run.served_us or None for each, _ in pairs]
    columns["recorded_at"] = [each.recorded_us for each, _ in pairs]
    return frame(columns, RUN_STEPS_SCHEMA)


def _run(row: Mapping[str, Any]) -> RunRecord:
    told = {name: row[name] for name in _OF_RUN} | {"replay_of": row["replay_of"] or ""}
    told |= {name: 0 if row[column] is None else to_us(row[column]) for name, column in _INSTANTS.items()}
    told |= {name: (row[name] or "").encode() for name in _BODIES}
    return RunRecord(id=row["run_id"], tags=msgspec.json.decode(row["tags"]), **told)


def _step(row: Mapping[str, Any]) -> StepRecord:
    told = {name: row[name] for name in _OF_STEP} | {name: (row[name] or "").encode() for name in _BODIES}
    told |= {name: msgspec.json.decode(row[name]) for name in ("versions", "facts")}
    counted: dict[str, Any] = {name: row[name] or 0 for name in USAGE}
    usage = None if row["estimated"] is None else Usage(**counted | {"estimated": row["estimated"]})
    began_us = 0 if row["began_at"] is None else to_us(row["began_at"])
    return StepRecord(run=row["run_id"], began_us=began_us, usage=usage, **told)


def _waits(row: Mapping[str, Any]) -> list[Wait]:
    return msgspec.json.decode(row["waits"], type=list[Wait])


def _read(
    lake: Lake, table: str, schema: Schema, columns: Sequence[str] | None, span: Span | None, needed: Sequence[str]
) -> pl.DataFrame:
    return read_columns(lake, table, schema, columns, span, ("run_id", "asset", "served_at", *LAST, *needed))


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
