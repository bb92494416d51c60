"""What driving a run of an agent costs beside its models and tools: CPU of a run of five answers and four calls.

    python benchmarks/agents.py [--turns N] [--peers all|none|NAME,…] [--json FILE]

Models and tools answer at once. Ours begins each run in SQLite, writes each step there before anything is done on it, counts limits and
ends it there, once with a model that is a function (the gateway left out), once through the gateway in the same process (key, budget,
limits, prices, records with redacted bodies; the upstream is a process of its own). The peers run as their makers show it, on the same loop:
pydantic-ai with nothing kept, its model a function or asked over HTTP; LangGraph with nothing kept and with its own checkpoints in SQLite. All take turns; medians are told. Then 200
runs at once, five rounds, and the memory after each.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from gateway_parts.serving import Skipped, python_with, started, url_of
from retrieval_parts.report import Report

BAR_MS, BAR_MB, N_AT_ONCE, N_ROUNDS = 15.0, 8.0, 200, 5
_HERE = Path(__file__).parent / "agents_parts"
OURS, WHOLE = "perdure, the gateway left out", "perdure, through its gateway"
_GRAPH = ("langgraph==1.2.22", "langgraph-checkpoint-sqlite==3.1.2", "uvloop")
PEERS = {
    "pydantic-ai": (("pydantic-ai-slim==2.68.0", "uvloop"), "pydantic_ai_peer.py", ""),
    "pydantic-ai-http": (("pydantic-ai-slim[openai]==2.68.0", "uvloop"), "pydantic_ai_peer.py", "url"),
    "langgraph": (_GRAPH, "langgraph_peer.py", ""),
    "langgraph-sqlite": (_GRAPH, "langgraph_peer.py", "file"),
}
"""Name → what is installed, its script, and what that is given: the upstream's URL, or a file to keep its runs in."""
BESIDE = {OURS: ("pydantic-ai", "langgraph", "langgraph-sqlite"), WHOLE: ("pydantic-ai-http",)}
"""Whose model is a function beside whose is, whose is asked over HTTP beside whose is."""


class Contestant:
    """A process that has runs when it is told to."""

    def __init__(self, stack: ExitStack, python: str | Path, script: str, *arguments: str | Path) -> None:
        environment = {**os.environ, "PYTHONPATH": str(_HERE), "LANGSMITH_TRACING": "false"}
        self._process = subprocess.Popen(
            [str(python), str(_HERE / script), *map(str, arguments)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True,
        )  # fmt: skip
        stack.callback(self._end)

    def ask(self, what: str, n: int) -> dict[str, float]:
        """CPU milliseconds a run, and memory.

        Raises:
            Skipped: it ended.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps({"do": what, "n": n}) + "\n")
            self._process.stdin.flush()
            told: dict[str, float] = json.loads(self._process.stdout.readline())
        except (OSError, ValueError) as error:
            raise Skipped(f"it does not answer: {error}") from error
        return told

    def _end(self) -> None:
        self._process.terminate()
        self._process.wait()


def contestants(stack: ExitStack, folder: Path, peers: Sequence[str]) -> dict[str, Contestant]:
    """All that run here; of the others the reason is printed."""
    for name in ("ours", "whole"):
        (folder / name).mkdir()
    _, told = started(stack, [sys.executable, _HERE / "upstream.py"])
    url = url_of(told)
    found = {
        OURS: Contestant(stack, sys.executable, "ours.py", folder / "ours"),
        WHOLE: Contestant(stack, sys.executable, "ours.py", folder / "whole", url),
    }
    given: dict[str, list[str | Path]] = {"": [], "url": [url], "file": [folder / "langgraph.db"]}
    for name in peers:
        needs, script, takes = PEERS[name]
        try:
            python = python_with(name.removesuffix("-sqlite"), *needs)
        except Skipped as why:
            print(f"{name} is skipped: {why}", file=sys.stderr)
            continue
        found[name] = Contestant(stack, python, script, *given[takes])
    return found


def measure(found: dict[str, Contestant], turns: int, report: Report) -> None:
    """Runs one after the other, and 200 at once."""
    alone: dict[str, list[float]] = {name: [] for name in found}
    at_once: dict[str, list[float]] = {name: [] for name in found}
    memory: dict[str, list[float]] = {name: [] for name in found}
    for _ in range(turns):
        for name, each in found.items():
            alone[name].append(each.ask("runs", 50)["ms"])
    for _ in range(N_ROUNDS):
        for name, each in found.items():
            told = each.ask("at_once", N_AT_ONCE)
            at_once[name].append(told["ms"])
            memory[name].append(told["rss_mb"])
    report.heading("CPU of a run, ms, and memory, MB")
    for name in found:
        rounds = " ".join(f"{each:.0f}" for each in memory[name])
        report.tell(
            f"{name}: {_median(alone[name]):.2f} alone, {_median(at_once[name]):.2f} at {N_AT_ONCE} at once; {rounds} MB"
        )
    for ours, names in BESIDE.items():
        for name in (each for each in names if each in found):
            report.row(f"cpu a run, {ours}, against {name}", _median(alone[ours]), _median(alone[name]), "ms")
    report.agree(_median(alone[OURS]) <= BAR_MS, f"{OURS}: at most {BAR_MS} ms a run")
    for name in (OURS, WHOLE):
        grown = memory[name][-1] - memory[name][1]
        report.agree(grown <= BAR_MB, f"{name}: memory is flat, and grew by {grown:.1f} MB")


def _median(figures: Sequence[float]) -> float:
    return statistics.median(figures)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--peers", default="all", help=f"all, none, or some of {','.join(PEERS)}")
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args()
    names = list(PEERS) if options.peers == "all" else [each for each in options.peers.split(",") if each in PEERS]
    report = Report()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        measure(contestants(stack, folder, names), options.turns, report)
    print("\nall bars hold" if report.agrees else "\nNOT ALL BARS HOLD")
    if options.json is not None:
        options.json.write_text(json.dumps({"bench": "agents", "agree": report.agrees, "rows": report.rows}, indent=1))
    return 0 if report.agrees else 1


if __name__ == "__main__":
    sys.exit(main())
