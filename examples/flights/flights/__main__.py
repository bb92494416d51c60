"""One deployment replays a part of the traffic: `python -m flights PART`, started by the demo beside others.

Which stores it uses, how far its loop may go and whether the feed has the fault stand in its environment.
It tells how far it is on standard output, one JSON line a barrier.
"""

from __future__ import annotations

import sys
from pathlib import Path

import perdure
from flights.traffic import traffic
from perdure.surface.deployments import Part, replay_part


def main() -> None:
    """Replay the part that the first argument describes."""
    part = Part.from_json(sys.argv[1])
    project = perdure.open_project(Path(__file__).resolve().parents[1])
    replay_part(project, traffic(part.start, part.until, part.end), part)


if __name__ == "__main__":
    main()
