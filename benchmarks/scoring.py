"""CPU and latency of one-row scoring over HTTP, against FastAPI with the same model.

    python benchmarks/scoring.py [--quick] [--json FILE]

Ours does the whole path: contract, 11 features read by key from two stored views, 9 computed from the
row, the compiled model, a durable capture, the answer with its prediction id. The peers get the 20
features ready-made in the request, and record nothing. All servers run in turns in this run; the
predictions must be equal. The peers' environment is made once, under the user's cache folder.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from perdure.stores.capture.events import Predictions
from perdure.stores.capture.log import SegmentLog
from perdure.stores.capture.protocols import SegmentRange
from scoring_parts import project
from scoring_parts.load import Measured, measure, request_bytes

HERE = Path(__file__).parent / "scoring_parts"
PEER_NEEDS = [
    "fastapi",
    "pydantic",
    "uvicorn",
    "uvloop",
    "httptools",
    "scikit-learn",
    *(f"{name}=={version(name)}" for name in ("numpy", "lightgbm", "onnxruntime")),
]
N_ROWS = 64
PEERS = ("onnx", "sklearn")
PEER_NAMES = {"onnx": "FastAPI + ONNX Runtime", "sklearn": "FastAPI + LightGBM's scikit-learn wrapper"}


def peer_python() -> Path:
    """The interpreter of the peers' environment; made when it is not there yet."""
    digest = hashlib.sha256("\n".join([sys.version, *PEER_NEEDS]).encode()).hexdigest()[:12]
    folder = Path.home() / ".cache" / "perdure-bench" / f"fastapi-{digest}"
    python, done = folder / "bin" / "python", folder / "done"
    if not done.exists():
        print(f"making {folder} …", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PEER_NEEDS], check=True)
        done.touch()
    return python


@contextmanager
def server(*command: str | Path) -> Iterator[tuple[str, int]]:
    """A server in a process of its own: its URL and process id."""
    with subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().decode().strip(), process.pid
        finally:
            process.terminate()


def run(command: Sequence[str | Path], path: str, bodies: Sequence[object], n: int) -> tuple[Measured, Measured]:
    """A fresh server, warmed up: its figures under 16 connections, and its latency when it is alone with one."""
    with server(*command) as (url, pid):
        requests = [request_bytes(url, path, body) for body in bodies]
        wait_until_ready(url, requests)
        busy = measure(url, pid, requests, n, 16)
        alone = measure(url, pid, requests, max(N_ROWS, n // 4), 1)
    return busy, alone


def wait_until_ready(url: str, requests: Sequence[bytes]) -> None:
    """Ask until every row is answered: the first answers are given only when the model is loaded."""
    for attempt in range(200):
        try:
            measure(url, 1, requests, 4 * N_ROWS, 4)
        except (RuntimeError, OSError):
            if attempt == 199:
                raise
        else:
            return


def features_of(folder: Path, ids: Sequence[str]) -> list[dict[str, float | None]]:
    """The features that ours computed for its answers, by name: what the peers are asked with."""
    names = (folder / "features.txt").read_text().split()
    log = SegmentLog(folder / "capture")
    found = {}
    for segment in log.segments():
        for event in log.read(SegmentRange(segment.name, 0, log.complete_end(segment.name, 0))):
            if isinstance(event, Predictions):
                found |= {row.id: np.frombuffer(row.features, dtype="<f4").tolist() for row in event.rows}
    return [
        {name: None if value != value else value for name, value in zip(names, found[each], strict=True)}  # noqa: PLR0124
        for each in ids
    ]


def values(measured: Measured) -> list[float]:
    """Predictions in an answer of ours or of a peer."""
    decoded = [json.loads(answer) for answer in measured.answers]
    return [each["predictions"][0]["value"] if "predictions" in each else each["value"] for each in decoded]


def show(name: str, busy: Sequence[Measured], alone: Sequence[Measured]) -> None:
    print(
        f"{name:46} {median(busy, 'cpu_us'):8.0f} cpu µs a request, full path   "
        f"alone p50 {median(alone, 'p50_ms'):6.3f} p99 {median(alone, 'p99_ms'):6.3f} ms   "
        f"16 connections p50 {median(busy, 'p50_ms'):6.2f} p99 {median(busy, 'p99_ms'):6.2f} ms"
    )


def median(runs: Sequence[Measured], what: str) -> float:
    return statistics.median(getattr(each, what) for each in runs)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one short round: shows that it works")
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args()
    rounds, n = (1, 1_000) if options.quick else (3, 8_000)
    python = peer_python()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        project.build(folder)
        ours_command = [sys.executable, HERE / "project.py", folder]
        bodies = [{"row": row} for row in project.requests(N_ROWS)]
        path = "/v1/models/minutes/predict"
        first, _ = run(ours_command, path, bodies, N_ROWS * 2)
        ids = [json.loads(answer)["predictions"][0]["id"] for answer in first.answers]
        vectors = features_of(folder, ids)
        runs: dict[str, list[tuple[Measured, Measured]]] = {"ours": [], **{peer: [] for peer in PEERS}}
        for _ in range(rounds):
            runs["ours"].append(run(ours_command, path, bodies, n))
            for peer in PEERS:
                runs[peer].append(run([python, HERE / "peer.py", peer, folder], "/predict", vectors, n))
    agree = all(
        np.allclose(values(first), values(busy), rtol=1e-5, atol=1e-4) for each in runs.values() for busy, _ in each
    )
    return report(runs, agree, options.json)


def report(runs: dict[str, list[tuple[Measured, Measured]]], agree: bool, to: Path | None) -> int:
    """Print the medians, write the file, and fail when the predictions differ."""
    busy = {name: [pair[0] for pair in each] for name, each in runs.items()}
    alone = {name: [pair[1] for pair in each] for name, each in runs.items()}
    rows = []
    for name in runs:
        show("perdure" if name == "ours" else PEER_NAMES[name], busy[name], alone[name])
    for peer in PEERS:
        for what, kind, figure, unit in (
            ("cpu a request, full path,", busy, "cpu_us", "us"),
            ("p50 alone,", alone, "p50_ms", "ms"),
            ("p99 of 16 connections,", busy, "p99_ms", "ms"),
        ):
            ours, theirs = median(kind["ours"], figure), median(kind[peer], figure)
            against = f"{what} against {PEER_NAMES[peer]} (ready-made features, no record)"
            rows.append({"what": against, "ours": ours, "peer": theirs, "unit": unit, "ratio": theirs / ours})
            print(f"{against}: {theirs / ours:.2f}×")
    print("the predictions agree" if agree else "THE PREDICTIONS DIFFER")
    if to is not None:
        to.write_text(json.dumps({"bench": "scoring", "agree": agree, "rows": rows}, indent=1))
    return 0 if agree else 1


if __name__ == "__main__":
    sys.exit(main())
