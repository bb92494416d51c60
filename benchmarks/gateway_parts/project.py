"""Ours: a project with a team's key, limits, budget, a guard of rules, exact cache, prices and records, as a user declares it."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

from gateway_parts.load import Where
from gateway_parts.serving import Serving, free_port, ready, started

_SETTINGS = """[project]
name = "bench"
package = "bench"
{more}
"""
_DECLARED = """from perdure import (
    Budget, Cache, Guard, InjectionRules, Limits, Pii, Route, Secrets, Target, Team, UnitPrices, Upstream, minutes,
)

upstream = Upstream("local", {upstream!r})
rules = Guard("rules", [Pii(), Secrets(), InjectionRules()], on=("input",), mode="block")
targets = [Target(upstream, "gpt-x", prices=UnitPrices(input=1, output=4))]
redacted = Route("redacted", targets, guards=[rules], cache=Cache(minutes(10)))
nobodies = Route("nobodies", targets, guards=[rules], cache=Cache(minutes(10)), bodies="none")
limits = Limits(requests=100_000_000, tokens=1_000_000_000_000, concurrency=1_000)
team = Team("team", budgets=[Budget(1_000_000)], limits=limits)
"""


def serve(stack: ExitStack, folder: Path, upstream: str, *, ca_file: str = "") -> tuple[Serving, Serving]:
    """One server by `perdure serve`, as two: with redacted bodies in its records, and without bodies."""
    folder.mkdir(parents=True)
    more = f'[gateway]\nca_file = "{ca_file}"' if ca_file else ""
    (folder / "perdure.toml").write_text(_SETTINGS.format(more=more))
    (folder / "bench.py").write_text(_DECLARED.format(upstream=f"{upstream}/v1"))
    program = Path(sys.executable).with_name("perdure")
    _said(folder, program, "apply")
    secret = json.loads(_said(folder, program, "key", "create", "--team", "team", "--json"))["secret"]
    port = free_port()
    process, told = started(stack, [program, "serve", "--port", str(port)], cwd=folder)
    url, headers = f"http://127.0.0.1:{port}", {"authorization": f"Bearer {secret}"}
    full, bare = (
        Serving(name, Where(url, model=model, headers=headers), process.pid)
        for name, model in (("perdure", "redacted"), ("perdure, records without bodies", "nobodies"))
    )
    return ready(full, told), bare


def _said(folder: Path, *command: str | Path) -> str:
    """What a program of ours printed.

    Raises:
        RuntimeError: it failed; its last words say why.
    """
    done = subprocess.run(list(map(str, command)), cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command[1:]))} failed: {done.stderr[-2000:]}")
    return done.stdout
