"""`apply` registers and releases what routes and guards are declared to be, and undoes no release of the loop."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from perdure import Perdure, Policy, hours
from perdure.assets.gateway_objectives import error_ratio
from perdure.assets.guard import Guard, Learned, Pii, PresidioPii
from perdure.assets.project import Project
from perdure.assets.prompt import Prompt
from perdure.assets.route import Route, Target
from perdure.assets.team import Team
from perdure.assets.upstream import Upstream
from perdure.assets.version import CHAMPION, Pointer, Version
from perdure.core.canonical import content_hash
from perdure.core.clock import parse_at
from perdure.core.errors import BadGuard, BadPrompt, NotFound, Refused
from perdure.core.ids import version_id
from perdure.core.settings import ProjectSettings, Settings

AT = parse_at("2026-01-01")
local = Upstream("local", "http://127.0.0.1:9/v1")
pii = Guard("pii", [Pii()])
support = Route("support", [Target(local, "small"), Target(local, "large")], guards=[pii])
team = Team("helpdesk")
SETTINGS = Settings(ProjectSettings("p"), roles={"reviewer": ("ann",)})


@pytest.fixture
def declare(tmp_path: Path) -> Any:
    """The project with these declarations, over the same stores each time."""
    return lambda *declared, actor="local": Perdure(tmp_path, SETTINGS, project=Project.of("p", *declared), actor=actor)


def told(found: Perdure, **options: Any) -> dict[tuple[str, str], str]:
    """Kind and name → what `apply` did, the last of it."""
    return {(change.kind, change.asset): change.what for change in found.apply(at=AT, **options)}


def champion(found: Perdure, asset: str = "support") -> str | None:
    with found._ledger.read() as session:
        return next((each.version for each in session.pointers.list(asset) if each.name == CHAMPION), None)


def declared_id(asset: Route | Guard) -> str:
    return version_id(asset.name, content_hash(asset.definition()))


def release_of_the_loop(found: Perdure, targets: list[str]) -> str:
    """A version that the loop made and released."""
    definition = {**support.definition(), "targets": targets}
    version = Version(
        version_id("support", content_hash(definition)),
        "support",
        "route",
        definition,
        {},
        {"remedy": "reorder"},
        {},
        AT,
    )
    with found._ledger.transaction(actor="loop", at=AT) as session:
        session.registry.put_version(version)
        session.pointers.set([Pointer("support", CHAMPION, version.id)])
    return version.id


def test_the_first_apply_registers_and_releases_what_is_declared(declare: Any) -> None:
    found = declare(support, team)

    assert told(found, dry_run=True) == told(found) == {
        ("guard", "pii"): "released", ("route", "support"): "released", ("team", "helpdesk"): "declared"
    }  # fmt: skip
    assert (champion(found), champion(found, "pii")) == (declared_id(support), declared_id(pii))
    [version] = found.versions("support")
    assert (version.kind, dict(version.definition), version.artifacts) == ("route", support.definition(), {})


def test_a_second_apply_changes_nothing(declare: Any) -> None:
    found = declare(support, team)
    told(found)
    before = found._ledger.sequence()

    assert set(told(declare(support, team)).values()) == {"unchanged"}
    assert found._ledger.sequence() == before


def test_another_declaration_is_released_and_the_earlier_one_again(declare: Any) -> None:
    told(declare(support))
    other = replace(support, attempts=1)

    assert told(declare(other))["route", "support"] == "released"
    assert champion(declare(other)) == declared_id(other)
    assert told(declare(support))["route", "support"] == "released"
    assert champion(declare(support)) == declared_id(support)
    assert len(declare(support).versions("support")) == 2


def test_a_release_of_the_loop_is_not_undone_by_applying_again(declare: Any) -> None:
    found = declare(support)
    told(found)
    made = release_of_the_loop(found, [])

    assert told(found)["route", "support"] == "unchanged"
    healthier = replace(support, healthy=[error_ratio(over=hours(1)) <= 0.1], policy=Policy.act())
    assert told(declare(healthier))["route", "support"] == "changed"
    assert champion(found) == made


def test_a_new_declaration_follows_a_release_of_the_loop(declare: Any) -> None:
    found = declare(support)
    told(found)
    release_of_the_loop(found, [])
    other = replace(support, attempts=1)

    assert told(declare(other))["route", "support"] == "released"
    assert champion(found) == declared_id(other)


def test_a_way_back_by_hand_stays_until_another_declaration(declare: Any) -> None:
    told(declare(support))
    other = replace(support, attempts=1)
    found = declare(other)
    told(found)

    told(found, release={"support": declared_id(support)}, reason="slower")

    assert champion(found) == declared_id(support)
    assert told(found)["route", "support"] == "unchanged"


def test_a_version_that_is_not_there_is_told_with_the_nearest(declare: Any) -> None:
    found = declare(support)
    told(found)

    with pytest.raises(NotFound, match="support@"):
        found.apply(at=AT, release={"support": "support@0"}, reason="x")
    with pytest.raises(NotFound, match="'support'"):
        found.apply(at=AT, release={"suport": "support@0"}, reason="x")


def test_a_release_that_somebody_must_approve_is_asked_and_made_once_approved(declare: Any) -> None:
    guarded = replace(support, policy=Policy.propose())
    found = declare(guarded)

    assert told(found)["route", "support"] == "asked"
    assert champion(found) is None
    [question] = found.approvals()
    assert question.text == f"Release {declared_id(guarded)} of support, as it is declared"
    declare(guarded, actor="ann").approve(question.id, reason="fine", at=AT)
    assert told(found)["route", "support"] == "released"
    assert champion(found) == declared_id(guarded)


def test_the_way_back_to_an_earlier_declaration_is_made_once_approved(declare: Any) -> None:
    """Its version is known since before the champion moved: what counts is that it is declared anew."""
    guarded = replace(support, policy=Policy.propose())
    ann = declare(guarded, actor="ann")
    told(ann)
    told(declare(replace(guarded, attempts=1), actor="ann"))

    assert told(declare(guarded))["route", "support"] == "asked"
    [question] = ann.approvals()
    ann.approve(question.id, reason="fine", at=AT)
    assert told(declare(guarded))["route", "support"] == "released"
    assert champion(ann) == declared_id(support)


def test_a_release_that_was_refused_is_not_made(declare: Any) -> None:
    found = declare(replace(support, policy=Policy.propose()))
    told(found)
    [question] = found.approvals()
    declare(support, actor="ann").reject(question.id, reason="too dear", at=AT)

    with pytest.raises(Refused, match="too dear"):
        told(found)


def test_a_guard_that_learns_has_no_version_until_it_is_trained(declare: Any) -> None:
    learned = Guard("injection", [Learned(lambda: None)])

    assert told(declare(learned)) == {("guard", "injection"): "declared"}
    assert champion(declare(learned), "injection") is None


def test_the_ledger_stays_whole(declare: Any) -> None:
    found = declare(support, team)
    told(found)
    told(declare(replace(support, attempts=1)))

    assert found.verify_ledger().intact
    actions = [entry.action for entry in found.audit(limit=100) if entry.subject == "support"]
    assert actions.count("registry.declare") == 2


@pytest.mark.parametrize(
    ("declared", "error", "why"),
    [
        (Guard("pii", [Pii("emial")]), BadGuard, "Guard 'pii' cannot judge"),
        (Prompt("answer", [("user", "{{ question }}")], route="support"), BadPrompt, "'answer' cannot be rendered"),
        (Prompt("answer", [("user", "Hello")], route="suport"), BadPrompt, "goes to the route 'suport'"),
    ],
)
def test_what_no_server_could_load_is_not_released(
    declare: Any, declared: Any, error: type[Exception], why: str
) -> None:
    found = declare(replace(support, guards=[]), declared, team)

    with pytest.raises(error, match=why):
        told(found)
    with pytest.raises(error, match=why):
        found.plan(at=AT)

    assert champion(found) is None, "nothing was released, the rest of the project neither"


def test_a_guard_whose_library_is_not_on_this_machine_is_released_where_it_may_be_elsewhere(
    declare: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "presidio_analyzer", None)
    guard = Guard("names", [PresidioPii()], mode="warn")

    assert told(declare(guard))["guard", "names"] == "released"
