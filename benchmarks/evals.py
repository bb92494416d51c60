"""What a suite's run costs beside the model: CPU a case and scorer, next to pydantic-evals, deepeval and inspect-ai.

2,000 cases are asked of a model that answers at once and scored by an exact match: ours with questions rendered from a prompt,
answers and rows kept in SQLite, as `perdure eval run` does; each peer by its own API with nothing kept, in an environment of its own,
run section only (imports, reading of cases and reports are not counted). Runs take turns, each right after one that is not counted;
medians are told. Then 10,000 cases that are known are reported again.

Run: `python benchmarks/evals.py [--runs N] [--peers NAME…] [--json FILE]`. Needs network for the peers.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from perdure.assets.prompt import Prompt
from perdure.assets.route import Route, Target
from perdure.assets.scorers import Exact
from perdure.assets.suite import Case, Suite
from perdure.assets.upstream import Upstream
from perdure.assets.version import CHAMPION, Pointer, Version
from perdure.core.canonical import content_hash, plain
from perdure.core.clock import cpu_s, monotonic_s
from perdure.core.ids import version_id
from perdure.core.ports import Answered, Asked
from perdure.core.settings import EvalSettings, Settings
from perdure.core.usage import Usage
from perdure.loop.work.evals.running import RunOptions, begin_run, run_suite
from perdure.surface.compose import open_ledger, open_place
from perdure.surface.eval_made import ToldOf, eval_told

AT = datetime(2026, 1, 5, tzinfo=UTC)
N, N_REPORTED = 2_000, 10_000
BAR_RATIO, BAR_MS, BAR_REPORT_S = 5.0, 1.0, 2.0
PEERS = {
    "pydantic-evals": (
        "pydantic-evals==2.62.0",
        """
from pydantic_evals import Case, Dataset
from pydantic_evals.evaluators import EqualsExpected
cases = [Case(name=f"c{i}", inputs=f"What is the capital of country number {i}?", expected_output="yes") for i in range(N)]
dataset = Dataset(name="facts", cases=cases, evaluators=[EqualsExpected()])
async def model(text):
    return "yes"
def run():
    return dataset.evaluate_sync(model, max_concurrency=8, progress=False)
""",
    ),
    "deepeval": (
        "deepeval==4.3.1",
        """
from deepeval import evaluate
from deepeval.evaluate.configs import AsyncConfig, CacheConfig, DisplayConfig
from deepeval.metrics import ExactMatchMetric
from deepeval.test_case import LLMTestCase
def run():
    cases = [LLMTestCase(input=f"What is the capital of country number {i}?", actual_output="yes", expected_output="yes") for i in range(N)]
    return evaluate(cases, [ExactMatchMetric()], async_config=AsyncConfig(run_async=False),
                    display_config=DisplayConfig(show_indicator=False, print_results=False),
                    cache_config=CacheConfig(write_cache=False))
""",
    ),
    "inspect-ai": (
        "inspect-ai==0.3.285",
        """
from inspect_ai import Task, eval
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.scorer import exact
from inspect_ai.solver import solver
@solver
def instant():
    async def solve(state, generate):
        state.output.completion = "yes"
        return state
    return solve
samples = [Sample(id=i, input=f"What is the capital of country number {i}?", target="yes") for i in range(1, N + 1)]
import tempfile
def run():
    return eval(Task(dataset=MemoryDataset(samples), solver=instant(), scorer=exact()), model="mockllm/model",
                display="none", log_dir=tempfile.mkdtemp(), log_samples=False, max_samples=8)
""",
    ),
}
TIMED = """
import json, os, sys, time
os.environ["DEEPEVAL_TELEMETRY_OPT_OUT"] = "YES"
N = {n}
{code}
sys.stdout, kept = open(os.devnull, "w"), sys.stdout
run()
began = time.process_time()
run()
print(json.dumps(time.process_time() - began), file=kept)
"""


class Instant:
    """Answers at once, and always the same."""

    _answer = Answered({"content": "yes"}, "stop", Usage(n_input=10, n_output=2), 1000, 1000, "up/m", "c")

    async def ask(self, asked: Asked) -> Answered:
        """The answer."""
        return self._answer

    async def close(self) -> None:
        """Nothing is open."""


class Ours:
    """A project with a prompt, a route and a suite of so many cases."""

    def __init__(self, folder: Path, n: int) -> None:
        settings = Settings(evals=EvalSettings(batch_cases=500))
        place = open_place(folder, settings, "bench", open_ledger(folder, settings))
        self.place = replace(place, open_answerer=Instant)
        route = _version(Route("main", [Target(Upstream("up", "http://127.0.0.1:9/v1"), "m")]), "route")
        with self.place.transaction(AT, "benchmark") as session:
            session.registry.put_version(route)
            session.pointers.set([Pointer("main", CHAMPION, route.id)])
        self.prompt = _version(Prompt("ask", [("user", "{{ q }}")], "main", {"q": str}), "prompt")
        cases = [
            Case(f"c{i}", {"q": f"What is the capital of country number {i}?"}, "yes", cluster=f"g{i}")
            for i in range(n)
        ]
        self.suite = Suite("facts", cases, [Exact()], prompt="ask")

    def run(self, run: str, *, fresh: bool = True) -> float:
        """CPU seconds of a run whose cases are read already."""
        options = RunOptions(use_known=not fresh)
        begin_run(self.place, self.suite, [self.prompt], run, AT, options)
        gc.collect()
        began_s = cpu_s()
        ran = run_suite(self.place, self.suite, [self.prompt], run, AT, options)
        took_s = cpu_s() - began_s
        if ran.n_done != len(self.suite.cases):
            raise SystemExit(f"Only {ran.n_done} of {len(self.suite.cases)} cases were done.")
        return took_s

    def report(self, run: str) -> float:
        """Wall seconds of a report of a run."""
        began_s = monotonic_s()
        told = eval_told(self.place, ToldOf(run), AT)
        if told.n_cases != len(self.suite.cases):
            raise SystemExit(f"The report tells {told.n_cases} cases.")
        return monotonic_s() - began_s


def _version(asset: Any, kind: str) -> Version:
    told = plain(asset.definition())
    return Version(version_id(asset.name, content_hash(told)), asset.name, kind, told, {}, {}, {}, AT)


def environment(folder: Path, package: str) -> Path:
    """A Python that has a peer."""
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    python = folder / "bin" / "python"
    subprocess.run([str(python), "-m", "pip", "install", "--quiet", package], check=True)
    return python


def peer_s(python: Path, code: str) -> float:
    """CPU seconds of a peer's run."""
    program = TIMED.format(n=N, code=code)
    # Some of them write into the folder that they are started in.
    done = subprocess.run([str(python), "-c", program], check=True, capture_output=True, text=True, cwd=python.parent)
    return float(json.loads(done.stdout.strip().splitlines()[-1]))


def measured(folder: Path, peers: Sequence[str], runs: int) -> tuple[list[float], dict[str, list[float]]]:
    """CPU microseconds a case, ours and of each peer, run by run."""
    ours = Ours(folder / "ours", N)
    pythons = {name: environment(folder / name, PEERS[name][0]) for name in peers}
    own: list[float] = []
    theirs: dict[str, list[float]] = {name: [] for name in peers}
    for turn in range(runs):
        ours.run(f"warm{turn}")  # as each peer runs once before it is measured
        own.append(ours.run(f"run{turn}") / N * 1e6)
        for name, python in pythons.items():
            theirs[name].append(peer_s(python, PEERS[name][1]) / N * 1e6)
    return own, theirs


def reported(folder: Path) -> tuple[float, float]:
    """Seconds to go through 10,000 cases that are known, and to report them."""
    ours = Ours(folder / "reported", N_REPORTED)
    ours.run("first")
    began_s = monotonic_s()
    ours.run("again", fresh=False)
    return monotonic_s() - began_s, ours.report("again")


def main() -> None:
    """Measure, print, and write JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--peers", nargs="*", default=list(PEERS), choices=list(PEERS))
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        own, theirs = measured(Path(name), given.peers, given.runs)
        again_s, report_s = reported(Path(name))
    ours = statistics.median(own)
    print(f"CPU a case and scorer, {N:,} cases, exact match, an instant model; median of {given.runs} runs in turns")
    print(
        f"  ours             {ours:8.1f} µs   (bar {1000 * BAR_MS:.0f} µs: {'held' if ours <= 1000 * BAR_MS else 'MISSED'})"
    )
    rows: list[dict[str, Any]] = []
    for peer, values in theirs.items():
        theirs_us = statistics.median(values)
        ratio = theirs_us / ours
        print(
            f"  {peer:16} {theirs_us:8.1f} µs   {ratio:5.1f}x  (bar {BAR_RATIO:g}x: {'held' if ratio >= BAR_RATIO else 'MISSED'})"
        )
        rows.append(
            {
                "what": f"cpu a case and scorer against {peer}",
                "ours": ours,
                "peer": theirs_us,
                "unit": "µs",
                "ratio": ratio,
            }
        )
    print(f"{N_REPORTED:,} known cases: run again {again_s:.2f} s, reported {report_s:.2f} s (bar {BAR_REPORT_S:g} s: "
          f"{'held' if report_s < BAR_REPORT_S else 'MISSED'})")  # fmt: skip
    rows.append({"what": "10,000 known cases reported, against the bar", "ours": report_s, "peer": BAR_REPORT_S, "unit": "s",
                 "ratio": BAR_REPORT_S / report_s})  # fmt: skip
    if given.json:
        agree = report_s < BAR_REPORT_S and all(row["ratio"] >= BAR_RATIO for row in rows[:-1])
        given.json.write_text(json.dumps({"bench": "evals", "agree": agree, "rows": rows}, indent=1), "utf-8")


if __name__ == "__main__":
    main()
