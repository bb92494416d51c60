"""Indexes that follow their sources: what a look costs, what of damage is found and healed, what a refresh embeds.

    python benchmarks/retrieval.py [--quick] [--parts all|NAME,…] [--peers all|none|NAME,…] [--endoflife FOLDER] [--json FILE]

Everybody cuts the same texts alike and embeds them by the same function, so what differs is how an index is kept. Ours goes the
whole way of `perdure index build`, `census` and `repair`; the peers (CocoIndex, LangChain's indexer) run as their makers show it, in
environments of their own. What each index holds is read back and compared with what it should hold.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from retrieval_parts import damage, facts, history, unchanged, visible
from retrieval_parts.peers import PEERS
from retrieval_parts.report import Report

Part = Callable[[Path, argparse.Namespace, Report], None]
PARTS: dict[str, Part] = {
    "unchanged": lambda folder, options, report: unchanged.compare(folder, options.peers, report, quick=options.quick),
    "damage": lambda folder, options, report: damage.compare(folder, options.peers, report, quick=options.quick),
    "history": lambda folder, options, report: history.compare(folder, report, quick=options.quick),
    "facts": lambda folder, options, report: facts.compare(folder, options.endoflife, report, quick=options.quick),
    "visible": lambda folder, options, report: visible.compare(folder, report, quick=options.quick),
}  # fmt: skip


def chosen(names: str, known: list[str]) -> list[str]:
    """All, none, or some with commas between them."""
    if names in ("all", "none"):
        return known if names == "all" else []
    asked = names.split(",")
    unknown = [name for name in asked if name not in known]
    if unknown:
        sys.exit(f"There is no {', '.join(unknown)}: choose among {', '.join(known)}.")
    return asked


def arguments() -> argparse.Namespace:
    """What was asked for on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of everything: shows that it works")
    parser.add_argument("--parts", default="all", help=f"all, or some of {','.join(PARTS)}")
    parser.add_argument("--peers", default="all", help=f"all, none, or some of {','.join(PEERS)}")
    parser.add_argument("--endoflife", type=Path, metavar="FOLDER", help="two snapshots DATE.tar.gz of its products")
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args()
    options.peers = chosen(options.peers, list(PEERS))
    options.parts = chosen(options.parts, list(PARTS))
    return options


def main() -> int:
    options, report = arguments(), Report()
    for name in options.parts:
        with tempfile.TemporaryDirectory() as folder:
            PARTS[name](Path(folder), options, report)
    print("\nthe indexes agree" if report.agrees else "\nTHE INDEXES DIFFER")
    if options.json is not None:
        options.json.write_text(
            json.dumps({"bench": "retrieval", "agree": report.agrees, "rows": report.rows}, indent=1)
        )
    return 0 if report.agrees else 1


if __name__ == "__main__":
    sys.exit(main())
