"""Routes, guards and teams of a project: collected, described, checked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from sys import modules
from typing import Any

import pytest

from perdure import Contract, Policy, Source, csv, days, hours, mae
from perdure.assets.gateway_objectives import block_ratio, error_ratio
from perdure.assets.guard import Custom, Grounded, Guard, Learned, Pii, ToolCalls
from perdure.assets.project import Project
from perdure.assets.route import Cache, Route, Target, UnitPrices
from perdure.assets.team import Budget, Limits, Team
from perdure.assets.upstream import Upstream
from perdure.core.canonical import content_hash
from perdure.core.errors import BadProject, NotFound
from perdure.core.settings import ProjectSettings, Settings
from perdure.surface import compose
from perdure.surface.checks import CheckNote, check_project
from perdure.surface.ci.assets import compare
from perdure.surface.ci.snapshot import Snapshot
from perdure.surface.definitions import definitions, guard_definition, route_definition
from perdure.surface.project import LoadedProject, load_project

SIGNALS = {"route": ["error_ratio", "latency_ms"], "guard": ["block_ratio"], "source": ["freshness_h"]}


class Attack(Contract):
    text: str
    label: bool
    seen_at: datetime


attacks = Source("attacks", Attack, csv("attacks.csv"), event_at="seen_at", owner="me")
openai = Upstream("openai", "https://api.openai.com/v1", key_env="OPENAI_API_KEY")
pii = Guard("pii", [Pii()], healthy=[block_ratio(over=days(1)) <= 0.5])
learned = Guard("injection", [Learned(attacks)], healthy=[block_ratio(over=days(1)) <= 0.5])
small = Target(openai, "small", prices=UnitPrices(input=1.0, output=2.0))
support = Route("support", [small], guards=[pii], healthy=[error_ratio(over=hours(1)) <= 0.02])
team = Team("helpdesk", routes=("support",), budgets=[Budget(20.0)], limits=Limits(requests=60))

DECLARED = """\
from perdure.assets.guard import Guard, Pii
from perdure.assets.route import Route, Target
from perdure.assets.team import Team
from perdure.assets.upstream import Upstream

local = Upstream("local", "http://127.0.0.1:9/v1")
support = Route("support", [Target(local, "small")], guards=[Guard("pii", [Pii()])])

helpdesk = Team("helpdesk")
"""
Load = Callable[[str], LoadedProject]


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Load]:
    """Load a project that is one module of this text."""
    monkeypatch.setattr("sys.path", [str(tmp_path)])
    monkeypatch.setattr("sys.dont_write_bytecode", True)

    def loaded(text: str) -> LoadedProject:
        (tmp_path / "gateway_of.py").write_text(text)
        return load_project(tmp_path, Settings(project=ProjectSettings(name="p", package="gateway_of")))

    yield loaded
    modules.pop("gateway_of", None)


def told(part: str, *declared: Any, environment: dict[str, str] | None = None) -> CheckNote:
    """The one note whose text has `part`."""
    found = check_project(Project.of("p", *declared), SIGNALS, environment=environment)
    (note,) = [note for note in found if part in note.text]
    return note


def test_routes_guards_and_teams_are_collected_with_what_they_reach(load: Load) -> None:
    project = load(DECLARED)

    assert (list(project.routes), list(project.guards), list(project.teams)) == (["support"], ["pii"], ["helpdesk"])
    assert list(project.upstreams) == ["local"]
    assert project.places["route", "support"] == "gateway_of.py:7"
    assert project.places["team", "helpdesk"] == "gateway_of.py:9"


def test_a_guard_under_the_name_of_a_route_is_told_with_both_places(load: Load) -> None:
    with pytest.raises(
        BadProject, match=r"gateway_of\.py:10: the guard 'support' has the name of a route \(also gateway_of\.py:7\)"
    ):
        load(f'{DECLARED}other = Guard("support", [Pii()])\n')


def test_two_routes_of_one_name_are_told(load: Load) -> None:
    with pytest.raises(BadProject, match="the route 'support' is declared twice"):
        load(f'{DECLARED}other = Route("support", [Target(local, "large")])\n')


def test_a_project_made_by_hand_refuses_names_that_pointers_could_not_tell_apart() -> None:
    with pytest.raises(BadProject, match="'pii' is the name of a route and of a guard"):
        Project.of("p", replace(support, name="pii"), pii)


def test_two_upstreams_of_one_name_are_refused_and_equal_ones_are_one() -> None:
    other = replace(support, name="other", targets=[Target(replace(openai), "large")])
    assert list(Project.of("p", support, other).upstreams) == ["openai"]

    elsewhere = replace(support, name="other", targets=[Target(replace(openai, url="https://a.example/v1"), "large")])
    with pytest.raises(BadProject, match="another upstream 'openai'"):
        Project.of("p", support, elsewhere)


def test_a_notebook_s_project_gathers_guards_and_what_they_learn_from() -> None:
    project = Project.of("p", replace(support, guards=[pii, learned]), team)

    assert sorted(project.guards) == ["injection", "pii"]
    assert project.source("attacks") is attacks
    assert sorted(project.contracts) == ["Attack"]
    assert project.team("helpdesk") is team


def test_what_has_versions_is_found_by_its_name_and_the_nearest_told() -> None:
    project = Project.of("p", support, team)

    assert (project.released("support"), project.released("pii")) == (support, pii)
    with pytest.raises(NotFound, match="'support'"):
        project.released("suport")


def test_a_route_that_is_asked_for_as_a_model_is_told_what_it_is() -> None:
    with pytest.raises(NotFound, match="no model 'support': it is a route") as raised:
        Project.of("p", support, team).model("support")

    assert "perdure apply" in raised.value.hint


def test_nothing_is_said_of_a_gateway_in_order() -> None:
    assert check_project(Project.of("p", support, team), SIGNALS, environment={"OPENAI_API_KEY": "s"}) == []


def test_a_secret_that_is_not_in_the_environment_is_a_warning_once_an_upstream() -> None:
    other = replace(support, name="other")

    note = told("OPENAI_API_KEY", support, other, team, environment={})

    assert (note.level, note.hint) == ("warning", "Set OPENAI_API_KEY where the gateway runs.")


def test_a_secret_under_the_name_of_a_setting_is_an_error() -> None:
    wrong = replace(support, targets=[Target(replace(openai, key_env="PERDURE_KEY"), "small")])

    assert told("names that begin with PERDURE_ are settings", wrong, team).level == "error"


@pytest.mark.parametrize(
    ("declared", "signal", "hint"),
    [
        (replace(support, healthy=[error_ratio(over=hours(1)) <= 0.02, mae(over=days(1)) <= 1]), "mae", "Signals of"),
        (replace(pii, healthy=[error_ratio(over=hours(1)) <= 0.02]), "error_ratio", "Did you mean 'block_ratio'?"),
    ],
)
def test_an_objective_on_a_signal_of_another_kind_is_an_error(declared: Any, signal: str, hint: str) -> None:
    note = told(f"is held to {signal!r}, which nothing measures", declared, team)

    assert note.level == "error"
    assert note.hint.startswith(hint)


def test_a_route_and_a_guard_without_objectives_can_decay_unseen() -> None:
    assert told("Route 'support' has no objectives", replace(support, healthy=()), team).level == "warning"
    assert told("Guard 'pii' has no objectives", replace(pii, healthy=())).level == "warning"
    acting = replace(support, healthy=(), policy=Policy.act())
    assert told("acts on evidence, but says nothing", acting, team).level == "error"


def test_a_team_that_names_an_unknown_route_is_told_the_nearest() -> None:
    note = told("names the route 'suport'", support, replace(team, routes=("suport", "prompt:*", "*", "sup*")))

    assert (note.level, note.hint) == ("warning", "Did you mean 'support'?")
    assert told("names the route 'sales-*'", support, replace(team, routes=("sales-*", "support"))).level == "warning"


def test_a_budget_for_a_route_that_may_not_be_called_is_told() -> None:
    other = replace(support, name="large")

    note = told(
        "has a budget for the route 'large'", support, other, replace(team, budgets=[Budget(1.0, route="large")])
    )

    assert note.level == "warning"


def test_a_target_without_a_price_makes_a_budget_refuse_the_route_and_is_told() -> None:
    unknown = replace(support, targets=[small, Target(openai, "our-own")])

    note = told("the price of openai/our-own is not known", unknown, team, replace(team, name="free", budgets=()))

    assert (note.level, "UnitPrices" in note.hint) == ("warning", True)
    allowing = replace(team, unpriced="allow")
    assert check_project(Project.of("p", unknown, allowing), SIGNALS) == []
    listed = replace(support, targets=[Target(openai, "gpt-5-mini")])
    assert check_project(Project.of("p", listed, team), SIGNALS) == []


@pytest.mark.parametrize(
    ("declared", "hint"),
    [
        (replace(support, healthy=[error_ratio(over=hours(1), by="targt") <= 0.02]), 'Write: by="target"'),
        (replace(pii, healthy=[replace(block_ratio(over=days(1)), by="family") <= 0.5]), "Leave `by` out."),
    ],
)
def test_an_objective_on_slices_that_its_signal_does_not_have_is_an_error(declared: Any, hint: str) -> None:
    note = told("which nothing measures", declared, team)

    assert (note.level, note.hint) == ("error", hint)


def test_an_objective_on_the_slices_that_its_signal_has_is_fine() -> None:
    sliced = replace(support, healthy=[error_ratio(over=hours(1), by="target") <= 0.02])

    assert check_project(Project.of("p", sliced, team), SIGNALS) == []


def test_a_time_zone_that_is_not_known_is_an_error() -> None:
    for zone in ("Europe/Atlantis", "../etc/passwd"):
        assert told("is in the time zone", support, replace(team, timezone=zone)).level == "error"


def test_routes_without_a_team_cannot_be_called() -> None:
    assert told("declares routes, but no team", support).level == "warning"


def test_what_a_route_names_must_be_there() -> None:
    assert told("rests on the source 'attack'", replace(support, source="attack"), learned, team).hint == (
        "Did you mean 'attacks'?"
    )
    without = replace(support, cache=Cache(semantic=0.9))
    assert told("without an embedder", without, team).level == "error"
    wrong = replace(support, cache=Cache(semantic=0.9, embedder="opnai/embed"))
    assert told("embeds by 'opnai/embed'", wrong, team).hint == "Did you mean 'openai/…'?"
    right = replace(support, cache=Cache(semantic=0.9, embedder="openai/embed"))
    assert check_project(Project.of("p", right, team), SIGNALS) == []


def test_a_route_s_guard_must_be_the_project_s_own() -> None:
    project = Project("p", routes={"support": support}, guards={"pii": replace(pii)}, teams={"helpdesk": team})

    [note] = check_project(project, SIGNALS)

    assert "passes the guard 'pii', which is not the project's" in note.text


def test_a_route_must_not_have_the_name_of_a_source() -> None:
    note = told("Route 'attacks' has the name of a source", replace(support, name="attacks"), learned, team)

    assert note.level == "error"


def test_a_custom_check_that_lives_in_a_notebook_is_an_error() -> None:
    def rude(text: str) -> bool:
        return "!" in text

    rude.__module__ = "__main__"

    assert told("lives only in a notebook", replace(pii, checks=[Custom(rude)])).level == "error"


@pytest.mark.parametrize(
    ("guard", "why"),
    [
        (replace(pii, checks=[Pii("emial")]), "emial"),
        (replace(pii, checks=[ToolCalls(("search",))]), "judges answers"),
        (
            replace(pii, checks=[Learned(attacks), Grounded()], mode="redact", on=("output",)),
            "nothing that could be masked",
        ),
    ],
)
def test_a_guard_that_cannot_judge_is_an_error(guard: Guard, why: str) -> None:
    note = told("Guard 'pii' cannot judge", guard)

    assert note.level == "error"
    assert why in note.text


def test_what_a_custom_check_asks_is_not_called_by_check() -> None:
    def failing(text: str) -> bool:
        raise AssertionError(text)

    assert check_project(Project.of("p", replace(pii, checks=[Custom(failing)])), SIGNALS) == []


def test_every_signal_of_a_guard_that_can_be_named_is_measured() -> None:
    assert set(compose.SIGNALS["guard"]) == set(compose.kinds()["guard"].signals)


def test_guards_are_watched_before_routes_and_rest_on_what_they_learn_from() -> None:
    watched = compose.watched_assets(Project.of("p", replace(support, guards=[learned])))

    assert [(each.kind, each.name, tuple(each.rests_on)) for each in watched] == [
        ("source", "attacks", ()),
        ("guard", "injection", ("attacks",)),
        ("route", "support", ()),
    ]


@pytest.mark.parametrize(
    "changed",
    [
        replace(support, attempts=2),
        replace(support, targets=[Target(replace(openai, url="https://eu.example/v1"), "small")]),
        replace(support, healthy=()),
        replace(support, policy=Policy.act()),
    ],
)
def test_whatever_changes_in_a_route_changes_its_definition(changed: Route) -> None:
    assert content_hash(route_definition(changed)) != content_hash(route_definition(support))


def test_what_a_guard_learns_from_is_part_of_its_definition() -> None:
    other = replace(learned, checks=[Learned(replace(attacks, name="others"))])

    assert guard_definition(learned)["examples"] == ["attacks"]
    assert content_hash(guard_definition(other)) != content_hash(guard_definition(learned))


def test_a_review_tells_what_changed_in_routes_and_teams_and_what_went() -> None:
    base = Snapshot("base", definitions(Project.of("p", support, team)))
    larger = replace(team, budgets=[Budget(40.0)])
    head = Snapshot("head", definitions(Project.of("p", replace(pii, mode="warn"), larger)))

    found = {(change.kind, change.name): change for change in compare(base, head, {})}

    assert found["route", "support"].changes[0].risk == "breaking"
    assert [change.what for change in found["guard", "pii"].changes] == ["mode"]
    assert [change.what for change in found["team", "helpdesk"].changes] == ["budgets"]
