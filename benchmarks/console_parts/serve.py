"""The console of the big project in a process of its own: prints where it is, how long it took, and a session's cookie.

python benchmarks/console_parts/serve.py FOLDER PORT whole|quick
"""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from console_parts.big import QUICK, WHOLE, opened
from perdure.core.clock import cpu_s, machine_us, monotonic_s
from perdure.core.settings import ConsoleSettings
from perdure.surface.compose_console import console_running
from perdure.surface.console.auth.calling import Caller
from perdure.surface.console.auth.sessions import begin
from perdure.surface.console.parts import ConsoleParts

ROLES = ("admin", "engineer", "reviewer", "scientist", "viewer")


def main() -> None:
    """Serve until standard input ends."""
    folder, port, size = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    project = opened(folder, WHOLE if size == "whole" else QUICK)
    declared_cpu_s = cpu_s()
    if "ann" not in {person.name for person in project.list_people()}:
        project.add_person("ann", roles=ROLES, duties=["on_call"], at="2025-06-01T00:00:00Z")
    settings, began_s, began_cpu_s = ConsoleSettings(port=port), monotonic_s(), cpu_s()
    with console_running(project, settings) as opening:
        # The invite waits for the first board: from here on every page answers.
        ready_s, ready_cpu_s = monotonic_s() - began_s, cpu_s() - began_cpu_s
        held = project.people_file
        parts = ConsoleParts(project, None, held.secrets, held.sessions, held.tries, settings)  # type: ignore[arg-type]
        token = begin(parts, Caller(address="127.0.0.1"), "ann", machine_us()).token
        told = {
            "url": opening.url,
            "cookie": f"perdure={token}",
            "declared_cpu_s": declared_cpu_s,
            "ready_s": ready_s,
            "ready_cpu_s": ready_cpu_s,
        }
        print(json.dumps(told), flush=True)
        for line in sys.stdin:
            usage = resource.getrusage(resource.RUSAGE_SELF)
            print(
                json.dumps({"memory_mb": usage.ru_maxrss / 1024, "cpu_s": cpu_s(), "asked": line.strip()}), flush=True
            )


if __name__ == "__main__":
    main()
