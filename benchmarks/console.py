"""The console with ten thousand assets, a million readings and fifty thousand runs: how long pages take, and what they weigh.

    python benchmarks/console.py [--quick] [--times N] [--peer] [--json FILE]

The stores are made once and kept in build/bench/console (a minute or two). The console runs in a process of its own; every page is asked
over one connection by somebody who is signed in, and then opened in Chromium with nothing cached. Bars: 100 ms of the server's time
at the 95th percentile, 0.5 s until something is seen, 300 kB, and no other host.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from console_parts import big, peer
from console_parts.asking import Asked, Client, addresses
from console_parts.browsing import browse

ROOT = Path(__file__).parents[1] / "build" / "bench" / "console"
PORT = 8597
_BARS = {"server_ms": 100.0, "painted_ms": 500.0, "kb": 300.0}
_DEAR = (
    "/assets?start=9800",
    "/assets?q=model059&state=healthy",
    "/incidents?state=closed",
    "/incidents?state=all&q=drift_7",
    "/inbox?duty=data_scientist",
    "/inbox?duty=owner",
    "/registry?q=model059",
    "/training?q=model00000+mae%3C2",
    "/training?sort=-metrics.mae",
    "/training?skip=49900",
    "/assets/contract/Row/lineage",
    "/cards/model05999",
)
"""Last pages, filters and sorts that read the most."""
_NOTHING = "/healthz"
"""A line of text: what the browser takes for any page at all."""
_OPENED = ("/", "/assets", "/incidents", "/training", "/registry", "/ledger")


@contextmanager
def serving(folder: Path, size: str) -> Iterator[tuple[dict[str, Any], subprocess.Popen[str]]]:
    """The console in a process of its own, until the block ends."""
    script = Path(__file__).parent / "console_parts" / "serve.py"
    command = [sys.executable, str(script), str(folder), str(PORT), size]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            sys.exit("The console did not start; what it said stands above.")
        try:
            yield json.loads(line), process
        finally:
            process.communicate(timeout=60)


def usage(process: subprocess.Popen[str]) -> dict[str, Any]:
    """What the process has taken so far."""
    assert process.stdin is not None
    assert process.stdout is not None
    print("how much", file=process.stdin, flush=True)
    told: dict[str, Any] = json.loads(process.stdout.readline())
    return told


def known_of(size: big.Size) -> Mapping[str, str]:
    """What stands in the addresses' braces."""
    name = "model00000"
    return {
        "kind": "model",
        "name": name,
        "id": f"{name}@{1:012x}",
        "version": f"{name}@{1:012x}",
        "model": name,
        "/approvals/{id}:id": "apr_0",
        "run": f"run_{size.n_runs - 1:08d}",
    }


def measured(client: Client, size: big.Size, n: int) -> list[Asked]:
    """Every page of the project, printed as it comes."""
    found, left = [], []
    print(f"  {'page':56s} {'p50':>8s} {'p95':>8s} {'its CPU':>8s} {'page':>9s} {'with all':>9s}")
    for path in [*addresses(known_of(size)), *_of_open(client), *_DEAR]:
        asked = client.many(path, n)
        if asked is None:
            left.append(path)
            continue
        found.append(asked)
        whole_kb = asked.kb + client.weigh(asked.statics)
        over = " OVER" if asked.ms(0.95) >= _BARS["server_ms"] or whole_kb > _BARS["kb"] else ""
        print(
            f"  {path:56s} {asked.ms(0.5):6.1f}ms {asked.ms(0.95):6.1f}ms {asked.ms(0.95, cpu=True):6.1f}ms {asked.kb:6.1f} kB {whole_kb:6.1f} kB{over}"
        )
    print(f"  {len(left)} pages are of what this project has not, such as prompts")
    return found


def _of_open(client: Client) -> list[str]:
    """The page of an open incident, whose id nobody knows beforehand."""
    _, _, _, plain = client.ask("/api/incidents")
    text = plain.decode()
    start = text.find("inc_")
    return [f"/incidents/{text[start:].split(chr(34))[0].split('/')[0]}"] if start >= 0 else []


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of everything: shows that it works")
    parser.add_argument("--times", type=int, default=100, help="how often a page is asked")
    parser.add_argument("--peer", action="store_true", help="MLflow beside it, where it is installed: takes minutes")
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args()
    size = big.QUICK if options.quick else big.WHOLE
    folder, times = ROOT / ("quick" if options.quick else "whole"), 10 if options.quick else options.times
    big.make(folder, size)
    rows: list[dict[str, object]] = []

    def row(what: str, ours: float, bar: float, unit: str) -> None:
        rows.append({"what": what, "ours": ours, "peer": bar, "unit": unit, "ratio": bar / max(ours, 1e-9)})

    with serving(folder, "quick" if options.quick else "whole") as (told, process):
        before = usage(process)
        print(f"ready after {told['ready_s']:.2f} s, {told['ready_cpu_s']:.2f} s of CPU; {before['memory_mb']:.0f} MB")
        found = measured(Client(told["url"], told["cookie"]), size, times)
        after = usage(process)
        print(f"  {after['memory_mb']:.0f} MB after {after['cpu_s'] - before['cpu_s']:.1f} s of CPU")
        paths = [_NOTHING, *(each.path for each in found if each.path in _OPENED)]
        opened = browse(told["url"], told["cookie"], paths, 2 if options.quick else 10)
    slowest = max(found, key=lambda each: each.ms(0.95))
    row(f"the slowest page's p95 ({slowest.path}) against the bar", slowest.ms(0.95), _BARS["server_ms"], "ms")
    row("memory against 500 MB", after["memory_mb"], 500.0, "MB")
    row("start until ready against 10 s", told["ready_s"], 10.0, "s")
    holds = slowest.ms(0.95) < _BARS["server_ms"]
    for seen in opened or ():
        others = ", ".join(sorted(seen.others)) or "none"
        print(f"  {seen.path:56s} seen after {seen.middle_ms:6.0f} ms, {seen.kb:6.1f} kB, other hosts: {others}")
        if seen.path == _NOTHING:
            continue
        row(f"first contentful paint of {seen.path} against the bar", seen.middle_ms, _BARS["painted_ms"], "ms")
        row(f"kB of {seen.path} against the bar", seen.kb, _BARS["kb"], "kB")
        holds = holds and not seen.others and not seen.errors and seen.kb <= _BARS["kb"]
        holds = holds and seen.middle_ms < _BARS["painted_ms"]
        for error in seen.errors[:3]:
            print(f"    {error}")
    mlflow_ms = peer.search_runs_ms(size.n_runs, 20) if options.peer else None
    training = next((each for each in found if each.path == "/training"), None)
    if mlflow_ms is not None and training is not None:
        row("a page of runs against mlflow's search_runs", training.ms(0.5), mlflow_ms, "ms")
    print("\nevery bar is held" if holds else "\nA BAR IS NOT HELD")
    if options.json is not None:
        options.json.write_text(json.dumps({"bench": "console", "agree": holds, "rows": rows}, indent=1))
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
