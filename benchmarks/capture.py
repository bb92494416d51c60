"""What it costs to record one answered request so that `kill -9` cannot lose it.

Ours is `SegmentWriter.append`. The peers do the same job with Python's standard library: a line of
JSON and a flush, a `logging` file handler, a row of SQLite in WAL mode with a commit each. Each gets the
same values of one request (one row, 18 features) and makes its own record of them; they run in turns,
and all of them are read back and compared. Run: `python benchmarks/capture.py [--json FILE]`.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import sqlite3
import statistics
import tempfile
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from perdure.core.clock import cpu_s
from perdure.core.settings import CaptureSettings
from perdure.stores.capture.events import PredictionRow, Predictions
from perdure.stores.capture.log import SegmentLog
from perdure.stores.capture.protocols import SegmentRange
from perdure.stores.capture.segments import SegmentWriter

N_EVENTS = 3_000
N_ROUNDS = 9
BOUND_US = 10.0


@dataclass(frozen=True, slots=True)
class Answered:
    """What a tap has in its hands after one answer."""

    number: int
    row: bytes
    features: NDArray[np.float32]
    prediction: float

    def ids(self) -> tuple[str, str, str]:
        """Prediction id, request id and label key."""
        return f"p_01k3abcdefgh12_{self.number:x}", f"r_{self.number:012d}", f"2013-03-01-EWR-{self.number}"


def answers(first: int) -> list[Answered]:
    """A round's requests: a flight as JSON, 18 float32 features with a missing one, a prediction."""
    rng = np.random.default_rng(first)
    flight = {
        "origin": "EWR",
        "dest": "IAH",
        "carrier": "UA",
        "tailnum": "N14228",
        "distance_mi": 1400.0,
        "scheduled_at": "2013-03-01T10:15:00Z",
    }
    made = []
    for number in range(first, first + N_EVENTS):
        features = rng.normal(size=18).astype(np.float32)
        features[3] = np.nan
        row = msgspec.json.encode({"flight_id": f"2013-03-01-EWR-{number}", **flight})
        made.append(Answered(number, row, features, float(features[0]) + 150.0))
    return made


Record = tuple[str, str, str, str, tuple[float | None, ...], float]
"""What every recorder must give back: ids, key, row, features with null for NaN, prediction."""


def expected(answer: Answered) -> Record:
    """The record that must be read back."""
    return (*answer.ids(), answer.row.decode(), _plain(answer.features), answer.prediction)


def _plain(features: NDArray[np.float32]) -> tuple[float | None, ...]:
    return tuple(None if math.isnan(value) else value for value in features.tolist())


class Recorder(ABC):
    """One way to record; `name` as it stands in the table."""

    name: str

    @abstractmethod
    def record(self, answer: Answered) -> None:
        """Record one answer, safe from a kill of the process when it returns."""

    @abstractmethod
    def read(self) -> list[Record]:
        """Everything that was recorded, in order."""


class Segments(Recorder):
    """Ours."""

    name = "perdure segments"

    def __init__(self, root: Path) -> None:
        self._root = root / "segments"
        self._writer = SegmentWriter(self._root, CaptureSettings())

    def record(self, answer: Answered) -> None:
        """One frame."""
        prediction, request, key = answer.ids()
        row = PredictionRow(
            prediction,
            key,
            "air_time@3f2a9c1b7d40",
            "champion",
            answer.row,
            answer.features.tobytes(),
            b"\0",
            answer.prediction,
        )
        written = self._writer.append(
            Predictions("air_time", request, 1_362_132_900_000_000, 1_762_132_900_000_000, 240, 17, [row])
        )
        assert written

    def read(self) -> list[Record]:
        """By the log."""
        log = SegmentLog(self._root)
        spans = [SegmentRange(info.name, 0, log.complete_end(info.name, 0)) for info in log.segments()]
        found: list[Record] = []
        for event in (event for span in spans for event in log.read(span)):
            assert isinstance(event, Predictions)
            [row] = event.rows
            features = _plain(np.frombuffer(row.features, np.float32))
            found.append((row.id, event.request_id, row.key, row.row.decode(), features, row.prediction))
        return found


def _json_record(answer: Answered) -> str:
    prediction, request, key = answer.ids()
    row = {
        "id": prediction,
        "key": key,
        "version": "air_time@3f2a9c1b7d40",
        "arm": "champion",
        "row": answer.row.decode(),
        "features": _plain(answer.features),
        "status": [0],
        "prediction": answer.prediction,
    }
    return json.dumps(
        {
            "model": "air_time",
            "request_id": request,
            "served_us": 1_362_132_900_000_000,
            "recorded_us": 1_762_132_900_000_000,
            "latency_us": 240,
            "generation": 17,
            "rows": [row],
        }
    )


def _from_json(line: str) -> Record:
    event = json.loads(line)
    [row] = event["rows"]
    return row["id"], event["request_id"], row["key"], row["row"], tuple(row["features"]), row["prediction"]


class JsonLines(Recorder):
    """`json.dumps`, a line and a flush."""

    name = "json line + flush"

    def __init__(self, root: Path) -> None:
        self._path = root / "lines.jsonl"
        self._file = self._path.open("a")

    def record(self, answer: Answered) -> None:
        """One line."""
        self._file.write(_json_record(answer) + "\n")
        self._file.flush()

    def read(self) -> list[Record]:
        """Line by line."""
        with self._path.open() as file:
            return [_from_json(line) for line in file]


class LogFile(Recorder):
    """The same JSON by `logging.FileHandler`, which flushes each record."""

    name = "logging.FileHandler"

    def __init__(self, root: Path) -> None:
        self._path = root / "log.jsonl"
        self._logger = logging.getLogger("perdure-benchmark")
        self._logger.setLevel(logging.INFO)
        self._logger.propagate = False
        self._logger.addHandler(logging.FileHandler(self._path))

    def record(self, answer: Answered) -> None:
        """One log record."""
        self._logger.info(_json_record(answer))

    def read(self) -> list[Record]:
        """Line by line."""
        with self._path.open() as file:
            return [_from_json(line) for line in file]


class SqliteRows(Recorder):
    """A row of columns, committed each, in WAL mode with NORMAL sync: as safe as the others."""

    name = "sqlite3 insert, WAL"

    def __init__(self, root: Path) -> None:
        self._database = sqlite3.connect(root / "rows.db", isolation_level=None)
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = NORMAL")
        self._database.execute(
            "CREATE TABLE captures (id TEXT, request TEXT, key TEXT, model TEXT, version TEXT, arm TEXT, served_us INTEGER, "
            "recorded_us INTEGER, latency_us INTEGER, generation INTEGER, row TEXT, features BLOB, status BLOB, "
            "prediction REAL)"
        )
        self._insert = f"INSERT INTO captures VALUES ({', '.join('?' * 14)})"

    def record(self, answer: Answered) -> None:
        """One row, committed."""
        fixed = ("air_time", "air_time@3f2a9c1b7d40", "champion", 1_362_132_900_000_000, 1_762_132_900_000_000, 240, 17)
        values = (answer.row.decode(), answer.features.tobytes(), b"\0", answer.prediction)
        self._database.execute(self._insert, (*answer.ids(), *fixed, *values))

    def read(self) -> list[Record]:
        """In order of insertion."""
        rows = self._database.execute("SELECT id, request, key, row, features, prediction FROM captures ORDER BY rowid")
        return [(*row[:4], _plain(np.frombuffer(row[4], np.float32)), row[5]) for row in rows]


def measure(recorders: list[Recorder]) -> tuple[dict[str, list[float]], bool]:
    """CPU µs an event by recorder, a figure a round, and whether all read back the same."""
    costs: dict[str, list[float]] = {recorder.name: [] for recorder in recorders}
    wanted: list[Record] = []
    for turn in range(N_ROUNDS):
        batch = answers(turn * N_EVENTS)
        wanted += map(expected, batch)
        shift = turn % len(recorders)
        for recorder in recorders[shift:] + recorders[:shift]:
            record = recorder.record
            start = cpu_s()
            for answer in batch:
                record(answer)
            costs[recorder.name].append((cpu_s() - start) / N_EVENTS * 1e6)
    return costs, all(recorder.read() == wanted for recorder in recorders)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        costs, agree = measure([Segments(root), JsonLines(root), LogFile(root), SqliteRows(root)])
    medians = {name: statistics.median(figures) for name, figures in costs.items()}
    ours = medians.pop(Segments.name)
    print(f"cpu µs an event, median of {N_ROUNDS} rounds of {N_EVENTS} events; one row, 18 features")
    print(f"  {Segments.name:<22}{ours:8.1f}    bound {BOUND_US:.0f}: {'kept' if ours <= BOUND_US else 'MISSED'}")
    for name, peer in medians.items():
        print(f"  {name:<22}{peer:8.1f}    {peer / ours:.1f}x ours")
    print(f"all read back the same records: {agree}")
    if options.json is not None:
        rows = [
            {"what": f"cpu an event against {name}", "ours": ours, "peer": peer, "unit": "µs", "ratio": peer / ours}
            for name, peer in medians.items()
        ]
        figures = {"bench": "capture", "agree": agree, "rows": rows}
        options.json.write_text(json.dumps(figures, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    if not agree:
        raise SystemExit("The recorders do not agree.")


if __name__ == "__main__":
    main()
