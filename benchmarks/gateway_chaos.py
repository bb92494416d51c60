"""Accounting of the gateway under chaos: its records against the upstream's own count, over many calls.

    python benchmarks/gateway_chaos.py [--calls 100000] [--kills 6] [--clients 64] [--seed 1] [--json FILE]

An upstream that counts its own tokens answers, cuts, resets, stalls, refuses, sends garbage; clients hang up; the gateway is
killed with kill -9 and started again. Ends with 1, and the first differences, where anything is not as promised:

* every try of every call is billed exactly as the upstream counted wherever its count came, else by an estimate that is marked;
* no call that a client has whole is missing, none is on record twice;
* budgets are never passed by more than one call's reservation; what a killed process kept aside expires.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "e2e" / "gateway"))

from gateway_accounting import Chaos, failures, summary


def main() -> int:
    """Run one trial; 0 where all is as promised."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=100_000)
    parser.add_argument("--kills", type=int, default=6)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        trial = Chaos(Path(root), args.calls, args.kills, args.seed, args.clients)
        trial.run()
    wrong = failures(trial)
    told = {**summary(trial), "differences": len(wrong)}
    for name, value in told.items():
        print(f"{name:>16}  {value}")
    for line in wrong[:20]:
        print(line)
    if args.json:
        args.json.write_text(json.dumps({"bench": "gateway_chaos", "agree": not wrong, "rows": [], "figures": told}))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
