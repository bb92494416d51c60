"""CPU, time to the first token and memory of the gateway, against a bare proxy and against other gateways.

    python benchmarks/gateway.py [--quick] [--peers all|none|NAME,…] [--soak N] [--slow-streams N] [--big] [--tls] [--json FILE]

A local provider answers at once, or streams 24 chunks. Ours does its whole path: key, limits of requests, tokens and
concurrency, a budget, a guard of rules (personal data, secrets, injection), a look into the exact cache that misses, cost by
declared prices, metrics, and a durable record with redacted bodies (once without). The floor, uvicorn and a raw asyncio pool,
passes bytes and nothing else; the peers forward too. What is counted is the CPU of a proxy's whole process tree a request:
nothing is taken off. All run in turns, each keeps its connections, and their answers must be equal.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from gateway_parts import project, proofs, trials
from gateway_parts.load import Where
from gateway_parts.peers import PEERS, chosen
from gateway_parts.report import Report
from gateway_parts.serving import Serving, Skipped, ready, started, url_of
from gateway_parts.turns import Figures, take_turns

HERE = Path(__file__).parent / "gateway_parts"


def provider(stack: ExitStack, *options: str | Path) -> Serving:
    """The provider, as something that can be asked directly."""
    process, told = started(stack, [sys.executable, HERE / "upstream.py", *options])
    return Serving("the provider itself", Where(url_of(told)), process.pid)


def floor(stack: ExitStack, upstream: str, *options: str | Path) -> Serving:
    """The bare proxy in front of a provider."""
    process, told = started(stack, [sys.executable, HERE / "floor.py", upstream, *options])
    return ready(Serving("bare uvicorn + raw asyncio", Where(url_of(told)), process.pid), told)


def peers(stack: ExitStack, folder: Path, upstream: str, names: list[str]) -> list[Serving]:
    """The peers that can be measured here; of the others the reason is printed."""
    found = []
    for name in names:
        try:
            found.append(PEERS[name](stack, folder, upstream))
        except Skipped as why:
            print(f"{name} is skipped: {why}", file=sys.stderr)
    return found


def compare(stack: ExitStack, folder: Path, options: argparse.Namespace, report: Report) -> None:
    """Ours, the floor and the peers in turns."""
    direct = provider(stack)
    bare = floor(stack, direct.where.url)
    ours, lean = project.serve(stack, folder / "ours", direct.where.url)
    proofs.check(ours.where)
    others = peers(stack, folder, direct.where.url, chosen(options.peers))
    figures = take_turns([direct, bare, ours, lean, *others], quick=options.quick)
    report.figures(figures, direct, bare, [ours, lean], others)
    report.agree(proofs.counted(ours.where) == figures.n_asked(ours) + figures.n_asked(lean) + proofs.N_CHECKED)


def extra(stack: ExitStack, folder: Path, options: argparse.Namespace, report: Report) -> None:
    """What is asked for by options: big bodies, TLS, slow streams, a soak."""
    if options.big or options.soak:
        direct = provider(stack)
        bare = floor(stack, direct.where.url)
        ours, lean = project.serve(stack, folder / "extra", direct.where.url)
        if options.big:
            big = trials.big_bodies([bare, ours, lean], quick=options.quick)
            report.trial("a body of 50k tokens", big, bare, [ours, lean])
        if options.soak:
            report.soak(trials.soak(ours, options.soak))
    if options.tls:
        with_tls(stack, folder, options, report)
    if options.slow_streams:
        slow = provider(stack, "--pause-ms", "250")
        bare = floor(stack, slow.where.url)
        ours, _ = project.serve(stack, folder / "slow", slow.where.url)
        report.slow_streams(options.slow_streams, trials.slow_streams([bare, ours], options.slow_streams), bare, ours)


def with_tls(stack: ExitStack, folder: Path, options: argparse.Namespace, report: Report) -> None:
    """The same with a provider over TLS, whom a certificate authority of our own vouches for."""
    try:
        certificate, key = trials.certificate(folder)
    except (OSError, subprocess.SubprocessError) as why:
        print(f"TLS is skipped: openssl makes no certificate here: {why}", file=sys.stderr)
        return
    _, told = started(stack, [sys.executable, HERE / "upstream.py", "--certificate", certificate, "--key", key])
    url = url_of(told)
    bare = floor(stack, url, certificate)
    ours, lean = project.serve(stack, folder / "tls", url, ca_file=str(certificate))
    figures: Figures = take_turns([bare, ours, lean], quick=options.quick)
    report.trial("a provider over TLS", figures, bare, [ours, lean])


def arguments() -> argparse.Namespace:
    """What was asked for on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one short round: shows that it works")
    parser.add_argument("--peers", default="all", help=f"all, none, or some of {','.join(PEERS)}")
    parser.add_argument("--soak", type=int, default=0, metavar="N", help="so many requests to ours: memory, latency")
    parser.add_argument("--slow-streams", type=int, default=0, metavar="N", help="so many slow streams at once: memory")
    parser.add_argument("--big", action="store_true", help="bodies of 50k tokens")
    parser.add_argument("--tls", action="store_true", help="a provider over TLS")
    parser.add_argument(
        "--only-extra", action="store_true", help="leave the comparison out, do what else was asked for"
    )
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args()
    chosen(options.peers)
    return options


def main() -> int:
    options, report = arguments(), Report()
    with tempfile.TemporaryDirectory() as name:
        if not options.only_extra:
            with ExitStack() as stack:
                compare(stack, Path(name), options, report)
        with ExitStack() as stack:
            extra(stack, Path(name), options, report)
    print("the answers agree" if report.agrees else "THE ANSWERS DIFFER")
    if options.json is not None:
        options.json.write_text(json.dumps({"bench": "gateway", "agree": report.agrees, "rows": report.rows}, indent=1))
    return 0 if report.agrees else 1


if __name__ == "__main__":
    sys.exit(main())
