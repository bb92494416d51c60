"""A project whose ledger tells one repair from the first broken reading to the end, written by hand."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from perdure.assets.health import Cause, Reading
from perdure.assets.policy import Policy
from perdure.assets.repair import Action
from perdure.assets.version import CHALLENGER, CHAMPION, Pointer, Version
from perdure.core.canonical import bytes_hash, plain
from perdure.core.clock import iso
from perdure.loop.decide import decide
from perdure.loop.situation import Option, Past, Rules, Situation, Symptom, to_bytes
from perdure.stores.ledger.protocols import Answer, Approval, Job, Run
from perdure.surface.sdk import Perdure, open_project

START = datetime(2025, 3, 1, tzinfo=UTC)
TOML = """
[project]
name = "shop"
package = "declared"

[roles]
reviewer = ["ann", "bob", "cid"]
"""
PLAN = {"features": [], "views": {}, "categories": {}}
PACKAGE = """
from datetime import datetime

from perdure import Contract, Label, Model, Policy, Source, csv, days, feature_view, hours, mae


class Order(Contract):
    order_id: str
    ordered_at: datetime
    km: float


orders = Source("orders", Order, csv("orders.csv"), event_at="ordered_at", key=("order_id",), owner="data")


@feature_view(on=Order)
def trip(o):
    return {"km": o.km}


class Eta(Model):
    purpose, owner = "Minutes until an order arrives.", "dispatch"
    contract, features, rows = Order, [trip], orders
    label = Label(orders, "km", key="order_id", known_at="ordered_at", delay=hours(1))
    healthy = [(mae(over=days(7)) <= 9.0).owed_to("couriers")]
    policy = Policy.act(approve_by="reviewer")

    def fit(self, data, warm_start=None):
        return None
"""


def at(hours: float) -> datetime:
    return START + timedelta(hours=hours)


def version(name: str, **lineage: object) -> Version:
    dataset = {"dataset": "eta_rows@1", "code": "abc", "params": {"n": 3}, "seed": 0}
    return Version(
        f"eta@{name}", "eta", "model", PLAN, {"onnx": "d1"}, {**dataset, **lineage}, {"valid_mae": 1.5}, START
    )


def reading(value: float, when: datetime) -> Reading:
    return Reading("eta", "mae", when, when - timedelta(days=7), when, value, value - 1, value + 1, 900, "min", "")


def situation(incident: str = "") -> Situation:
    symptom = Symptom(
        "mae over 7d <= 9", "broken", "mae", 12.0, 11.0, 13.0, 900, "min", "", "eta@old", iso(at(24)), "f"
    )
    cause = Cause("concept_drift", 0.8, {"error_ratio": 1.4, "table": [1]}, "The relation moved.")
    retrain = Option(Action("retrain_recent", "fit on the newest 60 days", params={"days": 60}), ("concept_drift",))
    return Situation(
        asset="eta",
        kind="model",
        now=iso(at(24)),
        trigger="evidence",
        rules=Rules.of(Policy.act(approve_by="reviewer"), "act"),
        past=Past(),
        symptoms=(symptom,),
        causes=(cause,),
        options=(retrain, Option(Action("resync", "read the feed again", "state"), ("broken_feed",))),
        incident=incident,
    )


def record_decision(session, made: Situation) -> None:
    decision = decide(made)
    facts = {"incident": made.incident, "situation": plain(made), "decision": plain(decision), "code": "c0de"}
    session.audit.append("loop.decide", made.asset, {**facts, "digest": bytes_hash(to_bytes(decision))})


def question(key: str = "job_1/release", **changes: object) -> Approval:
    verdict = {"gate": "paired", "passed": True, "text": "better by 2.1 min", "comparison": "better", "evidence": {}}
    asked = Approval(
        id="apr_1",
        asset="eta",
        key=key,
        text="Release eta@new of eta",
        role="reviewer",
        n_needed=1,
        asked_by="loop",
        asked_at=at(25),
        status="open",
        facts={"job": "job_1", "incident": "", "stage": "release", "reasons": ["moved"], "verdicts": [verdict]},
    )
    return replace(asked, **changes)


@pytest.fixture(scope="session")
def empty(tmp_path_factory) -> Path:
    """The declared project with two versions and a champion, nothing else. Look at it only."""
    folder = tmp_path_factory.mktemp("governed")
    (folder / "perdure.toml").write_text(TOML)
    (folder / "declared.py").write_text(PACKAGE)
    opened = open_project(folder)
    ledger = opened._ledger
    with ledger.transaction(actor="ann", at=START, reason="first") as session:
        session.registry.put_asset("model", "eta", {"name": "eta"})
        session.registry.put_version(version("old"))
        session.pointers.set([Pointer("eta", CHAMPION, "eta@old")])
    run = Run("run_1", "train", "eta", "done", START, facts={"version": "eta@new", "slices": {"shop": {"n|orth": {"mae": 1.2}}},
              "card": {"n_rows": 500, "start_at": "2025-01-01", "end_at": "2025-02-01", "digest": "dd", "counts": {"n_train": 400}}})  # fmt: skip
    with ledger.transaction(actor="loop", at=at(24), reason="train") as session:
        session.registry.put_version(version("new", remedy="retrain_recent"))
        session.runs.put(run)
    ledger.close()
    return folder


@pytest.fixture(scope="session")
def told(empty, tmp_path_factory) -> Path:
    """The same after one whole repair. Look at it only."""
    folder = Path(shutil.copytree(empty, tmp_path_factory.mktemp("told") / "shop"))
    opened = open_project(folder)
    _repair(opened)
    opened._ledger.close()
    opened._readings.close()
    return folder


def _repair(opened: Perdure) -> None:
    ledger = opened._ledger
    opened._readings.put([reading(12.0, at(24)), reading(12.5, at(30)), reading(7.0, at(99)), reading(50.0, at(300))])
    with ledger.transaction(actor="loop", at=at(24), reason="decide: repair") as session:
        incident = session.incidents.open("eta", "concept_drift", "The relation moved [12 min].", {"loop": True})
        made = situation(incident.id)
        record_decision(session, made)
        facts = {"causes": plain(list(made.causes)), "symptoms": plain(list(made.symptoms)), "jobs": ["job_1"]}
        session.incidents.update(incident.id, facts={**facts, "affects": []})
        plan = {"decision": plain(decide(made)), "incident": incident.id, "kind": "model"}
        job = session.jobs.put(Job("job_1", "repair", "eta/1", "eta", "running", "c0de", at(24), input=plan))
    of_job = {"job": "job_1", "incident": incident.id}
    asked = question()
    with ledger.transaction(actor="loop", at=at(25), reason="verify verify") as session:
        trial = {"candidate": "eta@new", "incumbent": "eta@old", "passed": True, "won": True}
        verdicts = [*asked.facts["verdicts"], {"gate": "fairness", "passed": True, "text": "no group is worse"}]
        session.audit.append(
            "loop.verify",
            "eta",
            {**of_job, "stage": "verify", "trials": [{**trial, "verdicts": verdicts}], "winner": "eta@new"},
        )
        session.approvals.ask(replace(asked, facts={**asked.facts, **of_job}))
    with ledger.transaction(actor="bob", at=at(30), reason="looks right") as session:
        session.approvals.answer("apr_1", Answer("bob", True, "looks right", at(30)))
    for stage, moved in (
        ("canary", Pointer("eta", CHALLENGER, "eta@new", 0.2)),
        ("all", Pointer("eta", CHAMPION, "eta@new")),
    ):
        with ledger.transaction(actor="loop", at=at(40), reason=f"release {stage}") as session:
            gone = [("eta", CHALLENGER)] if stage == "all" else []
            session.pointers.set([moved], remove=gone, facts={**of_job, "stage": stage})
    output = {"outcome": "released", "why": "eta@new answers.", "candidates": ["eta@new"], "winner": "eta@new"}
    with ledger.transaction(actor="loop", at=at(90), reason="repair released") as session:
        session.audit.append("loop.outcome", "eta", {**of_job, **output, "champion": "eta@new"})
        session.jobs.put(replace(job, status="done", output=output, ended_at=at(90)))
        session.incidents.update(incident.id, facts={"remedy": "released: fit on the newest 60 days"})
    with ledger.transaction(actor="loop", at=at(100), reason="recovered") as session:
        session.incidents.close(incident.id, "Every objective is healthy again, after 76h.")


@pytest.fixture
def project(empty, tmp_path) -> Path:
    """A copy of the project without a repair, to change."""
    return Path(shutil.copytree(empty, tmp_path / "shop"))


@pytest.fixture
def repaired(told, tmp_path) -> Path:
    """A copy of the project with its repair, to change."""
    return Path(shutil.copytree(told, tmp_path / "repaired"))


@pytest.fixture
def ask():
    """Ask a question of a project, by the loop."""

    def asked(folder: Path, **changes: object) -> Approval:
        ledger = open_project(folder)._ledger
        with ledger.transaction(actor="loop", at=at(25), reason="ask") as session:
            made = session.approvals.ask(question(**changes))
        ledger.close()
        return made

    return asked
