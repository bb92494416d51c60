"""A toy project with one of everything that the console shows, in real stores: a model that decays, its feed, two questions, one incident.

Tests of pages take the fixture `console` of the conftest beside this file, which holds the application over it and answers as any person.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import msgspec

from perdure.assets.health import Cause, Reading
from perdure.assets.policy import Policy
from perdure.assets.repair import Action
from perdure.assets.version import CHALLENGER, CHAMPION, Pointer, Version
from perdure.core.canonical import bytes_hash, plain
from perdure.core.clock import iso
from perdure.loop.decide import decide
from perdure.loop.situation import Option, Past, Rules, Situation, Symptom, to_bytes
from perdure.stores.ledger.protocols import Approval, Job, Run
from perdure.surface.sdk import Perdure, open_project

START = datetime(2025, 3, 1, tzinfo=UTC)
TOML = """
[project]
name = "shop"
package = "declared"

[roles]
reviewer = ["rex", "roy", "loop"]
risk_officer = ["cid"]
"""
PACKAGE = '''
from datetime import datetime

from perdure import Contract, Label, Model, Policy, Source, csv, days, drift, feature_view, freshness_h, hours, mae


class Order(Contract):
    """What is known when an order comes in."""

    order_id: str
    shop: str
    ordered_at: datetime
    km: float


orders = Source(
    "orders", Order, csv("orders.csv"), event_at="ordered_at", key=("order_id",), owner="@owner@",
    healthy=[freshness_h(over=days(1)) <= 6],
)


@feature_view(on=Order)
def trip(o):
    return {"km": o.km, "shop": o.shop}


class Eta(Model):
    purpose, owner = "@purpose@", "@owner@"
    contract, features, rows = Order, [trip], orders
    label = Label(orders, "km", key="order_id", known_at="ordered_at", delay=hours(1))
    slices = ("shop",)
    healthy = [
        (mae(over=days(7)) <= 9.0).owed_to("@owner@"), mae(over=days(7), by="shop") <= 11.0, drift(over=days(7)).unharmful(),
    ]
    policy = Policy.act(approve_by="reviewer", four_eyes=True)

    def fit(self, data, warm_start=None):
        return None
'''
PLAN = {"features": ["km", "shop"], "views": {"trip": {}}, "categories": {}}
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Texts:
    """What people and programs have written: tests of hostile texts give others."""

    purpose: str = "Minutes until an order arrives."
    owner: str = "dispatch"
    reason: str = "looks right"
    summary: str = "The relation moved [12 min]."
    slice: str = "shop=north"
    question: str = "Release eta@new of eta"


def at(hours: float) -> datetime:
    """So many hours after the world's start."""
    return START + timedelta(hours=hours)


def make_world(folder: Path, texts: Texts | None = None) -> Path:
    """Write the project and fill its stores; returns the folder."""
    said = texts or Texts()
    package = PACKAGE
    for name in ("purpose", "owner"):
        package = package.replace(f'"@{name}@"', repr(getattr(said, name)))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "perdure.toml").write_text(TOML, "utf-8")
    (folder / "declared.py").write_text(package, "utf-8")
    (folder / "orders.csv").write_text(_orders(), "utf-8")
    opened = open_project(folder)
    _declare(opened)
    _measure(opened, said)
    _decay(opened, said)
    opened._ledger.close()
    opened._readings.close()
    return folder


def _orders() -> str:
    rows = [
        f"o{n:04d},{'north' if n % 2 else 'south'},{iso(START + n * timedelta(hours=1))},{1 + n % 7}.5"
        for n in range(400)
    ]
    return "\n".join(["order_id,shop,ordered_at,km", *rows])


def version(name: str, **lineage: object) -> Version:
    """One of the model's versions."""
    rests = {"dataset": "eta_rows@1", "code": "abc", "params": {"n": 3}, "seed": 0, "views": {"trip": "trip@1"}}
    return Version(f"eta@{name}", "eta", "model", PLAN, {"onnx": "d1"}, {**rests, **lineage}, {"valid_mae": 1.5}, START)


def reading(
    signal: str, value: float, when: datetime, *, where: str = "", facts: Mapping[str, Any] | None = None
) -> Reading:
    """One measured value of the model."""
    window = (when - 7 * DAY, when)
    return Reading(
        "eta", signal, when, *window, value, value * 0.9, value * 1.1, 900, "min", where, "eta@old", facts or {}
    )


def _declare(opened: Perdure) -> None:
    with opened._ledger.transaction(actor="eve", at=START, reason="first") as session:
        session.registry.put_asset("model", "eta", {"name": "eta"})
        session.registry.put_asset("source", "orders", {"name": "orders"})
        session.registry.put_version(version("old"))
        session.pointers.set([Pointer("eta", CHAMPION, "eta@old")])
        session.runs.put(_run("run_1", "eta@old", at(0), 1.5))
    with opened._ledger.transaction(actor="loop", at=at(24), reason="train") as session:
        session.registry.put_version(version("new", remedy="retrain_recent"))
        session.runs.put(_run("run_2", "eta@new", at(24), 1.2))


def _run(name: str, made: str, when: datetime, error: float) -> Run:
    facts = {
        "version": made,
        "slices": {"shop": {"north": {"mae": error}}},
        "importance": {"km": 0.7, "shop": 0.3},
        "curves": {"valid": {"mae": [3.0, 2.0, error]}},
        "card": {"n_rows": 500, "start_at": "2025-01-01", "end_at": "2025-02-01", "digest": "dd", "counts": {"n_train": 400}},
    }  # fmt: skip
    return Run(name, "train", "eta", "done", when, when + timedelta(minutes=2), {"n": 3}, {"valid_mae": error}, facts)


def _measure(opened: Perdure, said: Texts) -> None:
    features = {"km": {"psi": 0.31, "js": 0.1, "ks": 0.2, "nulls": 0.0}, "shop": {"psi": 0.02, "js": 0.0, "ks": 0.01, "nulls": 0.0}}  # fmt: skip
    made = []
    for day in range(20):
        when = START + (day + 1) * DAY
        made += [reading("mae", 5.0 + 0.4 * day, when), reading("mae", 6.0 + 0.3 * day, when, where=said.slice)]
        made.append(reading("drift", 0.05 + 0.02 * day, when, facts={"features": features}))
    opened._readings.put(made)


def _decay(opened: Perdure, said: Texts) -> None:
    ledger = opened._ledger
    verdict = {"gate": "paired", "passed": True, "text": "better by 2.1 min", "comparison": "better", "evidence": {}}
    with ledger.transaction(actor="loop", at=at(480), reason="decide: repair") as session:
        incident = session.incidents.open("eta", "concept_drift", said.summary, {"loop": True})
        made = _situation(incident.id)
        decision = decide(made)
        told = {"incident": incident.id, "situation": plain(made), "decision": plain(decision), "code": "c0de"}
        session.audit.append("loop.decide", "eta", {**told, "digest": bytes_hash(to_bytes(decision))})
        facts = {
            "causes": plain(list(made.causes)),
            "symptoms": plain(list(made.symptoms)),
            "jobs": ["job_1"],
            "affects": [],
        }
        session.incidents.update(incident.id, facts=facts)
        plan = {"decision": plain(decision), "incident": incident.id, "kind": "model"}
        job = session.jobs.put(Job("job_1", "repair", "eta/1", "eta", "running", "c0de", at(480), input=plan))
    of_job = {"job": "job_1", "incident": incident.id}
    with ledger.transaction(actor="loop", at=at(481), reason="verify") as session:
        trial = {"candidate": "eta@new", "incumbent": "eta@old", "passed": True, "won": True, "verdicts": [verdict]}
        session.audit.append(
            "loop.verify", "eta", {**of_job, "stage": "verify", "trials": [trial], "winner": "eta@new"}
        )
        facts = {**of_job, "stage": "release", "reasons": [said.summary], "verdicts": [verdict]}
        asked = Approval(
            "apr_1",
            "eta",
            "job_1/release",
            said.question,
            "reviewer",
            2,
            "loop",
            at(481),
            "open",
            facts=facts,
        )
        session.approvals.ask(asked)
        session.approvals.ask(
            replace(asked, id="apr_2", key="by hand", role="risk_officer", n_needed=1, asked_by="eve")
        )
        session.jobs.put(replace(job, status="parked", waits_for="apr_1"))
    with ledger.transaction(actor="loop", at=at(482), reason=said.reason) as session:
        session.pointers.set([Pointer("eta", CHALLENGER, "eta@new", 0.2)], facts={**of_job, "stage": "canary"})
    with ledger.transaction(actor="loop", at=at(400), reason="late") as session:
        closed = session.incidents.open("orders", "broken_feed", said.summary, {"loop": True})
    with ledger.transaction(actor="loop", at=at(420), reason="recovered") as session:
        session.incidents.close(closed.id, "Every objective is healthy again, after 20h.")
        session.cursors.put("round", iso(at(482)))


def _situation(incident: str) -> Situation:
    symptom = Symptom(
        "mae over 7d <= 9", "broken", "mae", 12.6, 11.0, 13.0, 900, "min", "", "eta@old", iso(at(480)), "f"
    )
    cause = Cause("concept_drift", 0.8, {"error_ratio": 1.4, "table": [1]}, "The relation moved.")
    retrain = Option(Action("retrain_recent", "fit on the newest 60 days", params={"days": 60}), ("concept_drift",))
    return Situation(
        asset="eta",
        kind="model",
        now=iso(at(480)),
        trigger="evidence",
        rules=Rules.of(Policy.act(approve_by="reviewer"), "act"),
        past=Past(),
        symptoms=(symptom,),
        causes=(cause,),
        options=(retrain, Option(Action("resync", "read the feed again", "state"), ("broken_feed",))),
        incident=incident,
    )


@dataclass(frozen=True, slots=True)
class Answer:
    """What the console answered in process."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)


@dataclass(slots=True)
class Console:
    """The application over a world, asked in process without sockets, as any person."""

    app: Any
    project: Perdure
    boards: Any
    acting: dict[str, Any] = field(default_factory=dict)

    def get(self, path: str, *, as_: str = "viewer", **headers: str) -> Answer:
        """Ask as a person with these roles, separated by commas; `as_=""` is nobody, `as_="bot:engineer"` a program."""
        return self.ask("GET", path, as_=as_, headers=headers)

    def post(self, path: str, form: Mapping[str, str] | None = None, *, as_: str = "viewer", **headers: str) -> Answer:
        """Send a form."""
        sent = {"content-type": "application/x-www-form-urlencoded", **headers}
        return self.ask("POST", path, as_=as_, headers=sent, body=urlencode(form or {}).encode())

    def ask(self, method: str, path: str, *, as_: str = "viewer", headers: Mapping[str, str] | None = None, body: bytes = b"") -> Answer:  # fmt: skip
        """One request."""
        self.acting["as"] = as_
        given = {"host": "127.0.0.1:8500", **{name.replace("_", "-"): text for name, text in (headers or {}).items()}}
        return asyncio.run(_asked(self.app, method, path, given, body))


async def _asked(app: Any, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
    from urllib.parse import unquote

    plain_path, _, query = path.partition("?")
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
        "path": unquote(plain_path), "raw_path": plain_path.encode(), "root_path": "", "query_string": query.encode(),
        "headers": [(name.encode(), text.encode("latin-1")) for name, text in headers.items()],
        "client": ("127.0.0.1", 50000), "server": ("127.0.0.1", 8500), "state": {},
    }  # fmt: skip
    said: list[Any] = []
    sent = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Any:
        return sent.pop() if sent else await asyncio.Event().wait()

    async def send(message: Any) -> None:
        said.append(message)

    await app(scope, receive, send)
    start = said[0]
    names: dict[str, str] = {}
    for name, value in start["headers"]:
        before = names.get(name.decode().lower())
        names[name.decode().lower()] = ", ".join(filter(None, [before, value.decode("latin-1")]))
    return Answer(start["status"], names, b"".join(each.get("body", b"") for each in said[1:]))


def open_console(folder: Path) -> Console:
    """The application over a world, with `admitting` that says who asks: the person's name is the first role."""
    from perdure.core.errors import Unauthorized
    from perdure.core.settings import ConsoleSettings
    from perdure.surface.console.app import make_app
    from perdure.surface.console.auth.permitting import Admitted
    from perdure.surface.console.boards import ProjectBoards
    from perdure.surface.console.parts import ConsoleParts
    from perdure.surface.console.records import Person

    acting: dict[str, Any] = {"as": "viewer"}

    def admitting(parts: ConsoleParts, caller: Any, now_us: int) -> Admitted:
        said = acting["as"]
        if not said:
            raise Unauthorized("Sign in first.", hint="Open /sign-in.")
        name, _, roles = said.rpartition(":")
        held = frozenset(roles.split(","))
        names = {"viewer": "ann", "scientist": "sue", "engineer": "eve", "reviewer": "rex", "admin": "adm"}
        person = Person(name or names[min(held)], held, service=name == "bot")  # type: ignore[arg-type]
        return Admitted(person, None)

    project = open_project(folder)
    boards = ProjectBoards(project)
    boards.refresh()
    settings = ConsoleSettings()
    held = project.people_file
    parts = ConsoleParts(project, boards, held.secrets, held.sessions, held.tries, settings)
    return Console(make_app(parts, admitting), project, boards, acting)
