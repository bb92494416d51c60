"""A toy project of everything that speaks, in real stores: a prompt with a change that evals stopped, a judge, a guard, an index, calls, runs."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from perdure.assets.version import CHAMPION, Pointer
from perdure.core.clock import iso, parse_at, to_us
from perdure.core.ports import Answered
from perdure.core.settings import CaptureSettings
from perdure.core.usage import PICO, Usage
from perdure.engines.judges.anchors import Judgeable
from perdure.loop.drain import Drain
from perdure.loop.work.judges.queue import ask_again
from perdure.stores.capture.events import Guarded
from perdure.stores.capture.segments import SegmentWriter
from perdure.surface.sdk import Perdure, open_project
from perdure.testing.conformance.capture import call, run_told, search

NOW = parse_at("2026-03-20T12:00:00Z")
NOW_US = to_us(NOW)
HOSTILE = "<img src=x onerror=alert(1)>\"'{{7*7}}</script>\u202e"
TOML = """
[project]
name = "desk"
package = "desk_declared"
"""
PACKAGE = '''
import hashlib

import numpy as np
from perdure import (
    Agent, Case, CustomEmbedder, Folder, Graph, Guard, Index, Judge, Pii, Prompt, PythonNode, Route, Suite, Target, Team,
    ToolNode, Upstream, Whole, days, scorers, tool,
)


def embed(contents):
    """Words on 16 axes."""
    rows = np.zeros((len(contents), 16))
    for row, content in zip(rows, contents):
        for word in str(content).casefold().split():
            row[hashlib.blake2b(word.encode(), digest_size=1).digest()[0] % 16] += 1.0
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)


local = Upstream("local", "http://127.0.0.1:9/v1")
main = Route("main", [Target(local, "small")])
judges = Route("judges", [Target(local, "large")])
answer = Prompt("support.answer", [("system", "@system@"), ("user", "Say {{ n }}")], "main", {"n": int})
brief = Prompt("brief", [("user", "Be brief: {{ text }}")], "main", {"text": str})
numbers = Suite(
    "numbers", [Case(f"n{n}", {"n": n}, str(n), cluster=f"k{n}", tags=("odd",) if n % 2 else ()) for n in range(30)],
    [scorers.Exact()], prompt="support.answer",
)
helpful = Judge("helpful", "The answer says yes.", "judges", anchor="anchor.jsonl")
privacy = Guard("privacy", [Pii()])
handbook = Index("handbook", Folder("docs"), chunker=Whole(), embedder=CustomEmbedder(embed, 16), golden="golden.jsonl")
team = Team("help")


def shout(text: str) -> str:
    return text.upper()


@tool(effect="keyed", approve_by="on_call")
def send(text: str) -> dict[str, bool]:
    """Send it."""
    return {"sent": True}


support = Agent("support", "brief", tools=[send])
post = Graph(
    "post", {"type": "object", "properties": {"text": {"type": "string"}}},
    [PythonNode("loud", shout, inputs={"text": "$input.text"}), ToolNode("send", send, arguments={"text": "$loud.value"})],
    output="$send",
)
'''


class Model:
    """Repeats the number that it is asked for; asked politely it gets some of them wrong."""

    async def ask(self, asked: Any) -> Answered:
        number = asked.messages[-1]["content"].split()[-1]
        wrong = asked.messages[-1]["content"].startswith("Please") and int(number) < 20
        usage = Usage(n_input=9, n_output=2)
        said = f"{HOSTILE} {number}" if wrong else number
        return Answered({"content": said}, "stop", usage, 1_000_000, 250_000, "up/m", "c")

    async def close(self) -> None:
        """Nothing is open."""


def make_language_world(folder: Path) -> Path:
    """Write the project and fill its stores; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "perdure.toml").write_text(TOML, "utf-8")
    (folder / "desk_declared.py").write_text(PACKAGE.replace("@system@", "Be exact."), "utf-8")
    (folder / "anchor.jsonl").write_text("", "utf-8")
    (folder / "golden.jsonl").write_text(
        '{"query": "how long do refunds take", "relevant": [{"document": "refunds.md"}]}\n', "utf-8"
    )
    docs = folder / "docs"
    docs.mkdir()
    for name, words in (("refunds", "refund money back days"), ("hours", "opening hours shop week")):
        for n in range(6):
            page = docs / f"{name}{n or ''}.md"
            page.write_text(f"# {name} {n}\n\n{words} number {n} {HOSTILE}\n", "utf-8")
            os.utime(page, (NOW.timestamp() - 86_400,) * 2)  # a young file's time proves nothing: it is read again
    opened = open_project(folder, actor="eve")
    opened.place = replace(opened.place, open_answerer=Model)
    opened.apply(at=NOW)
    opened.build_index("handbook", at=NOW)
    _release_all(opened)
    opened.census_index("handbook", at=NOW)
    _compare(opened)
    _captured(opened)
    cases = [Judgeable.of({"q": f"{HOSTILE} {n}"}, [f"{HOSTILE} answer {n}"]) for n in range(3)]
    ask_again(opened.place, "helpful", cases, "by hand", NOW)
    with opened.place.transaction(NOW, "round") as session:
        session.cursors.put("round", iso(NOW))
    opened._ledger.close()
    opened._readings.close()
    sys.modules.pop("desk_declared", None)
    return folder


def _release_all(opened: Perdure) -> None:
    """Everything that is declared answers."""
    from perdure.surface.declaring import declared_versions

    with opened.place.transaction(NOW, "released") as session:
        for each in declared_versions(opened.project, session, "eve", NOW):
            session.registry.put_version(each.version)
            session.pointers.set([Pointer(each.version.asset, CHAMPION, each.version.id)])


def _register(opened: Perdure) -> None:
    """What is declared is known, and does not answer."""
    from perdure.surface.declaring import declared_versions

    with opened.place.transaction(NOW, "proposed") as session:
        for each in declared_versions(opened.project, session, "eve", NOW):
            session.registry.put_version(each.version)


def _compare(opened: Perdure) -> None:
    prompts = opened.project.prompts
    declared = prompts["support.answer"]
    prompts["support.answer"] = replace(declared, messages=[("system", "Be kind."), ("user", "Please say {{ n }}")])
    opened.evals.compare("support.answer", at=NOW)
    _register(opened)
    prompts["support.answer"] = declared


def _captured(opened: Perdure) -> None:
    events: list[Any] = []
    version = opened.show_index("handbook").version
    for n in range(1, 6):
        made = call(n, route="main", attempts=2)
        made.served_us, made.recorded_us = NOW_US - n * 60_000_000, NOW_US - n * 60_000_000 + 1
        made.cost_pusd = PICO // 1000
        made.team, made.request = "help", b'[{"role":"user","content":"My secret is 42 <b>"}]'
        made.guards = [
            Guarded("privacy", "privacy@1", "champion", "input", "redacted", "pii", "email", 1.0, 40, b"mail")
        ]
        if n == 2:
            made.tags = {"search": "s_1", "index": "handbook"}
        if n == 3:
            made.outcome, made.status = "blocked", 403
            made.guards = [Guarded("privacy", "privacy@1", "champion", "input", "blocked", "pii", "iban", 1.0, 40, b"")]
        events.append(made)
    for n, query in enumerate(("how long do refunds take", f"opening hours {HOSTILE}", "spaceships"), 1):
        found = ["refunds.md"] if n < 3 else []
        events.append(
            search(n, version=version, served_us=NOW_US - n * 3_600_000_000, recorded_us=NOW_US, query=query,
                   keys=[1] * len(found), documents=found, scores=[0.5] * len(found), cosines=[0.8] * len(found), dropped=[])
        )  # fmt: skip
    told = run_told(7)
    run = told.run
    told.run = type(run)(**{
        **{name: getattr(run, name) for name in run.__struct_fields__},
        "served_us": NOW_US - 1_000_000, "began_us": NOW_US - 1_000_000, "ended_us": NOW_US,
    })  # fmt: skip
    events.append(told)
    from perdure.surface.compose import stores_root

    writer = SegmentWriter(stores_root(opened.folder, opened.settings) / "capture", CaptureSettings(min_free_bytes=0))
    assert all(writer.append(event) for event in events)
    writer.close()
    stores = opened.place.stores
    with opened.hold_lease() as held:
        Drain(stores.capture, stores.lake, stores.ledger).run(now=NOW, actor="eve", lease=held.lease)
