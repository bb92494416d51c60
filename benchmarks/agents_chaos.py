"""Runs of agents under kill −9: what they did in the end against what they were to do, over many kills.

    python benchmarks/agents_chaos.py [--kills 200] [--seed 1] [--json FILE]

Three processes share one store of runs and are killed at random instants, before, in and after effects, approvals and writes. Ends with
1, and the first differences, where anything is not as promised:

* every run ends, also those below others and those that wait for a person, and is told to the capture log;
* each effect happened exactly once, with a key and without, and none that a person refused;
* each call has one end in the journal of its run, with what the tool gave.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "scenario"))

from runs_killed import Chaos, failures, summary


def main() -> int:
    """Run one trial; 0 where all is as promised."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        trial = Chaos(Path(root), args.kills, args.seed)
        trial.run(most_s=60.0 + args.kills)
        wrong = failures(trial)
        told = {**summary(trial), "differences": len(wrong)}
    for name, value in told.items():
        print(f"{name:>26}  {value}")
    for line in wrong[:20]:
        print(line)
    if args.json:
        args.json.write_text(json.dumps({"bench": "agents_chaos", "agree": not wrong, "rows": [], "figures": told}))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
