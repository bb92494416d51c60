"""Captured events as the lake's tables: `captures/<model>`, `labels/<model>` and `quarantine`.

Calls are turned into rows by `captured_calls`, searches by `captured_searches`, runs by `captured_runs`. The drain collects a batch of events here and
appends the frames. Columns are built as whole lists, an event's own fields once and then repeated for its rows: 100,000 rows take
about 0.2 s CPU.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import msgspec
import numpy as np
import polars as pl

from perdure.loop.work.captured_calls import FEEDBACK, call_tables, feedback_table
from perdure.loop.work.captured_runs import run_tables
from perdure.loop.work.captured_searches import COMPARED, SEARCHES, compared_table, searches_table
from perdure.stores.capture.events import (
    Call,
    Compared,
    Event,
    Feedback,
    Labels,
    Lost,
    Predictions,
    Rejected,
    RunTold,
    Searched,
)

QUARANTINE = "quarantine"
_INSTANT = pl.Datetime("us", "UTC")
_CAPTURES = {
    "prediction_id": pl.String,
    "request_id": pl.String,
    "key": pl.String,
    "version": pl.String,
    "arm": pl.String,
    "served_at": _INSTANT,
    "recorded_at": _INSTANT,
    "latency_us": pl.Int64,
    "generation": pl.Int64,
    "row": pl.String,
    "features": pl.List(pl.Float32),
    "status": pl.Binary,
    "prediction": pl.Float64,
    "batch": pl.Int64,
}
_LABELS = {
    "prediction_id": pl.String,
    "key": pl.String,
    "value": pl.Float64,
    "known_at": _INSTANT,
    "received_at": _INSTANT,
    "recorded_at": _INSTANT,
    "request_id": pl.String,
    "batch": pl.Int64,
}
_QUARANTINE = {
    "origin": pl.String,
    "at": _INSTANT,
    "recorded_at": _INSTANT,
    "row": pl.String,
    "errors": pl.String,
    "batch": pl.Int64,
}


class CapturedBatch:
    """The events of one batch, in the order they came, and the frames they make."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._predictions: dict[str, list[Predictions]] = defaultdict(list)
        self._labels: dict[str, list[Labels]] = defaultdict(list)
        self._rejected: list[Rejected] = []
        self._calls: list[Call] = []
        self._feedback: list[Feedback] = []
        self._searches: list[Searched] = []
        self._compared: list[Compared] = []
        self._runs: list[RunTold] = []
        self.losses: list[Lost] = []
        """What writers told of events that they could not write."""
        self.n_frames = 0

    def add(self, event: Event) -> None:
        """Take one event in."""
        self.n_frames += 1
        if isinstance(event, Predictions):
            self._predictions[event.model].append(event)
        elif isinstance(event, Labels):
            self._labels[event.model].append(event)
        elif isinstance(event, Rejected):
            self._rejected.append(event)
        elif isinstance(event, Call):
            self._calls.append(event)
        elif isinstance(event, Feedback):
            self._feedback.append(event)
        elif isinstance(event, Searched):
            self._searches.append(event)
        elif isinstance(event, Compared):
            self._compared.append(event)
        elif isinstance(event, RunTold):
            self._runs.append(event)
        else:
            self.losses.append(event)

    def tables(self) -> dict[str, pl.DataFrame]:
        """Table name → its rows of this batch; tables without rows are left out."""
        frames = {f"captures/{model}": _captures(events) for model, events in self._predictions.items()}
        frames |= {f"labels/{model}": _label_rows(events) for model, events in self._labels.items()}
        frames[QUARANTINE] = _rejected_rows(self._rejected)
        frames |= call_tables(self._calls)
        frames[FEEDBACK] = feedback_table(self._feedback)
        frames[SEARCHES] = searches_table(self._searches)
        frames[COMPARED] = compared_table(self._compared)
        frames |= run_tables(self._runs)
        batch = pl.lit(self._number, pl.Int64).alias("batch")
        return {name: frame.with_columns(batch) for name, frame in frames.items() if frame.height}


def _captures(events: Sequence[Predictions]) -> pl.DataFrame:
    rows = [row for event in events for row in event.rows]
    own = {
        "prediction_id": [row.id for row in rows],
        "key": [row.key for row in rows],
        "version": [row.version for row in rows],
        "arm": [row.arm for row in rows],
        "row": [row.row.decode() for row in rows],
        "features": vectors([row.features for row in rows]),
        "status": [row.status for row in rows],
        "prediction": [row.prediction for row in rows],
    }
    shared = {
        "request_id": [event.request_id for event in events],
        "served_at": [event.served_us for event in events],
        "recorded_at": [event.recorded_us for event in events],
        "latency_us": [event.latency_us for event in events],
        "generation": [event.generation for event in events],
    }
    return _joined(own, shared, [len(event.rows) for event in events], _CAPTURES)


def _label_rows(events: Sequence[Labels]) -> pl.DataFrame:
    rows = [row for event in events for row in event.rows]
    own = {
        "prediction_id": [row.prediction_id or None for row in rows],
        "key": [row.key or None for row in rows],
        "value": [row.value for row in rows],
        "known_at": [row.known_us for row in rows],
    }
    shared = {
        "received_at": [event.received_us for event in events],
        "recorded_at": [event.recorded_us for event in events],
        "request_id": [event.request_id for event in events],
    }
    return _joined(own, shared, [len(event.rows) for event in events], _LABELS)


def _rejected_rows(events: Sequence[Rejected]) -> pl.DataFrame:
    own = {
        "row": [row.decode(errors="replace") for event in events for row in event.rows],
        "errors": [errors for event in events for errors in errors_by_row(event)],
    }
    shared = {
        "origin": [f"request:{event.model}" for event in events],
        "at": [event.served_us for event in events],
        "recorded_at": [event.recorded_us for event in events],
    }
    return _joined(own, shared, [len(event.rows) for event in events], _QUARANTINE)


def _joined(
    own: Mapping[str, Any], shared: Mapping[str, Any], counts: Sequence[int], schema: Mapping[str, Any]
) -> pl.DataFrame:
    """The rows' own columns beside their event's, repeated `counts` times; all but `batch`, in the schema's order."""
    index = np.repeat(np.arange(len(counts)), counts)

    def column(name: str, values: Any) -> pl.Series:
        if isinstance(values, pl.Series):
            return values.alias(name)
        if schema[name] == _INSTANT:
            return pl.Series(name, values, pl.Int64).cast(_INSTANT)
        return pl.Series(name, values, schema[name])

    columns = {name: column(name, values) for name, values in own.items()}
    columns |= {name: column(name, values).gather(index) for name, values in shared.items()}
    return pl.DataFrame([columns[name] for name in schema if name != "batch"])


def vectors(encoded: Sequence[bytes]) -> pl.Series:
    """Little-endian float32 vectors, possibly of several lengths, as a List(Float32) column in the same order.

    >>> vectors([b"", np.float32([1.5, 2.0]).tobytes(), np.float32([3.0]).tobytes()]).to_list()
    [[], [1.5, 2.0], [3.0]]
    """
    if not encoded:
        return pl.Series(dtype=pl.List(pl.Float32))
    sizes = np.fromiter(map(len, encoded), dtype=np.int64, count=len(encoded))
    order = np.argsort(sizes, kind="stable")
    parts = []
    for size in np.unique(sizes):
        same = encoded if len(order) == int((sizes == size).sum()) else [each for each in encoded if len(each) == size]
        parts.append(_of_one_length(same, int(size) // 4))
    return pl.concat(parts).gather(np.argsort(order, kind="stable"))


def _of_one_length(encoded: Sequence[bytes], length: int) -> pl.Series:
    if length == 0:
        return pl.Series([[]] * len(encoded), dtype=pl.List(pl.Float32))
    flat = np.frombuffer(b"".join(encoded), dtype="<f4").astype(np.float32, copy=False)
    return pl.Series(flat.reshape(len(encoded), length)).cast(pl.List(pl.Float32))


_errors_in: Callable[[bytes], list[dict[str, Any]]] = msgspec.json.Decoder(list[dict[str, Any]]).decode


def errors_by_row(event: Rejected) -> list[str]:
    """The errors of each rejected row as JSON; all of them for each row where they cannot be told apart.

    Errors name a row by its place in the request, and the event holds only the rows that have errors:
    the n-th smallest place is the n-th row.
    """
    apart: dict[int, list[dict[str, Any]]] = defaultdict(list)
    with suppress(msgspec.DecodeError, KeyError, TypeError, ValueError):
        for error in _errors_in(event.errors):
            apart[int(error["row"])].append(error)
    if len(apart) != len(event.rows):
        return [event.errors.decode(errors="replace")] * len(event.rows)
    return [msgspec.json.encode(apart[place]).decode() for place in sorted(apart)]
