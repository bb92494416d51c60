"""A run of a suite that is killed -9 goes on where it was: what was written is not asked, or paid, again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections import Counter

import pytest

PROGRAM = textwrap.dedent(
    """
    import os, signal, sys
    from dataclasses import replace
    from datetime import UTC, datetime
    from pathlib import Path
    from perdure.assets.prompt import Prompt
    from perdure.assets.route import Route, Target, UnitPrices
    from perdure.assets.scorers import Exact
    from perdure.assets.suite import Case, Suite
    from perdure.assets.upstream import Upstream
    from perdure.assets.version import CHAMPION, Pointer, Version
    from perdure.core.canonical import content_hash, plain
    from perdure.core.ids import version_id
    from perdure.core.ports import Answered
    from perdure.core.settings import EvalSettings, Settings
    from perdure.loop.work.evals.running import run_suite
    from perdure.stores.results.sqlite import SqliteResults
    from perdure.surface.compose import open_ledger, open_place

    folder, kill_at = Path(sys.argv[1]), int(sys.argv[2])
    AT = datetime(2026, 1, 5, tzinfo=UTC)
    settings = Settings(evals=EvalSettings(concurrency=1, batch_cases=4))

    def version_of(asset, kind):
        told = plain(asset.definition())
        return Version(version_id(asset.name, content_hash(told)), asset.name, kind, told, {}, {}, {}, AT)

    class Model:
        async def ask(self, asked):
            with open(folder / "asked.txt", "a") as log:
                log.write(asked.messages[-1]["content"] + "\\n")
            return Answered({"content": "yes"}, cost_pusd=1000)
        async def close(self):
            pass

    writes = 0
    def counted(function):
        def call(*arguments):
            global writes
            given = function(*arguments)
            writes += 1
            if kill_at and writes == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
            return given
        return call

    route = version_of(Route("main", [Target(Upstream("up", "http://127.0.0.1:9/v1"), "m")]), "route")
    place = open_place(folder, settings, "test", open_ledger(folder, settings))
    with place.transaction(AT, "test") as session:
        session.registry.put_version(route)
        session.pointers.set([Pointer("main", CHAMPION, route.id)])
    for name in ("put_answers", "put_run"):
        setattr(SqliteResults, name, counted(getattr(SqliteResults, name)))
    place = replace(place, open_answerer=Model)
    prompt = version_of(Prompt("ask", [("user", "{{ q }}")], "main", {"q": str}), "prompt")
    cases = [Case(f"c{i}", {"q": f"Number {i}?"}, "yes", cluster=f"g{i}") for i in range(12)]
    ran = run_suite(place, Suite("facts", cases, [Exact()], prompt="ask"), [prompt], "run", AT)
    rows = list(place.stores.results.list_run("run"))
    print(__import__("json").dumps({
        "n": len(rows), "spent": ran.spent_pusd, "partial": ran.partial, "cached": sum(row.cached for row in rows),
        "rows_spent": sum(row.spent_pusd for row in rows),
    }))
    """
)


def run(folder, kill_at=0):
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, str(folder), str(kill_at)],
        capture_output=True, text=True, timeout=300, check=False, env=os.environ,
    )  # fmt: skip


@pytest.mark.parametrize("kill_at", [1, 4])
def test_a_killed_run_goes_on_and_pays_nothing_twice(tmp_path, kill_at):
    """Whether it dies behind the answers of a batch or behind their rows."""
    killed = run(tmp_path, kill_at)
    assert killed.returncode == -9, killed.stderr
    done = run(tmp_path)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told == {"n": 12, "spent": 12_000, "partial": "", "cached": 0, "rows_spent": 12_000}
    asked = Counter((tmp_path / "asked.txt").read_text().splitlines())
    assert set(asked.values()) == {1}
    assert len(asked) == 12
