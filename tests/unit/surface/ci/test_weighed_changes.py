"""What a change of objectives, policies, rules and views means, and what is marked as a risk."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from perdure import Contract, Policy, accuracy, csv, days, drift, feature_view, hours, mae, when
from perdure.assets.policy import Hours, Ramp
from perdure.assets.source import Source
from perdure.core.units import per_day, per_month
from perdure.surface.ci.assets import view_changes
from perdure.surface.ci.formulas import formula
from perdure.surface.ci.objectives import objective_changes
from perdure.surface.ci.policies import policy_changes, rules_changes
from perdure.surface.ci.wording import shown, trimmed
from perdure.surface.definitions import objective_definition, policy_definition

WEEK = mae(over=days(7)) <= 9.0


def objectives(*declared: Any) -> list[Any]:
    return [objective_definition(each) for each in declared]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (WEEK, mae(over=days(7)) <= 9.5),
        (WEEK, mae(over=days(7)) <= 9.00000001),
        (WEEK, mae(over=days(14)) <= 9.0),
        (WEEK, WEEK.sure(0.99)),
        (accuracy(over=days(1)) >= 0.9, accuracy(over=days(1)) >= 0.8),
    ],
)
def test_an_objective_that_asks_for_less_is_loosened_and_its_reverse_is_not(before: Any, after: Any) -> None:
    [change], [reverse] = (
        objective_changes(objectives(*pair[:1]), objectives(*pair[1:])) for pair in ((before, after), (after, before))
    )

    assert (change.risk, reverse.risk) == ("loosened", "")
    assert reverse.means.startswith("tightened")
    assert change.before != change.after


def test_an_objective_that_is_gone_or_of_another_kind_is_loosened_and_one_more_is_not() -> None:
    harmless = drift(over=days(7)).unharmful()

    assert [each.risk for each in objective_changes(objectives(WEEK), [])] == ["loosened"]
    assert [each.risk for each in objective_changes([], objectives(WEEK))] == [""]
    changed = objective_changes(objectives(WEEK), objectives(harmless))
    assert sorted(each.risk for each in changed) == ["", "loosened"]


def test_two_windows_of_one_signal_are_told_apart_in_whatever_order() -> None:
    day = mae(over=days(1)) <= 12.0

    assert objective_changes(objectives(WEEK, day), objectives(day, WEEK)) == []
    [change] = objective_changes(objectives(WEEK, day), objectives(day, mae(over=days(7)) <= 8.0))
    assert (change.before, change.after, change.risk) == ("mae over 7d <= 9.0", "mae over 7d <= 8.0", "")


def test_to_whom_it_is_owed_is_told_and_no_risk() -> None:
    [change] = objective_changes(objectives(WEEK), objectives(WEEK.owed_to("crews")))

    assert (change.what, change.before, change.after, change.risk) == (
        "who is owed mae over 7d <= 9",
        "none",
        "crews",
        "",
    )


def policies(before: Policy, after: Policy) -> dict[str, tuple[str, str]]:
    return {
        each.what: (each.means, each.risk)
        for each in policy_changes(policy_definition(before), policy_definition(after))
    }


def test_more_autonomy_is_a_risk_and_less_is_none() -> None:
    observe, act = Policy.observe(), Policy.act()

    assert policies(observe, act)["policy.autonomy"] == ("more autonomy", "autonomy")
    assert policies(observe, act)["policy.trigger"][1] == "autonomy"
    assert {risk for _, risk in policies(act, observe).values()} == {""}
    assert policies(Policy.propose(), Policy.act(approve_by="reviewer")) == {
        "policy.autonomy": ("more autonomy", "autonomy")
    }


def test_an_approval_that_is_removed_or_another_one_s_is_a_risk_and_one_more_is_none() -> None:
    one = Policy.act(approve_by="reviewer")
    two, none, other = Policy.act(approve_by="reviewer", four_eyes=True), Policy.act(), Policy.act(approve_by="owner")

    assert policies(one, none) == {"policy.approve_by": ("an approval removed", "approvals")}
    assert policies(two, one) == {"policy.four_eyes": ("an approval removed", "approvals")}
    assert policies(one, other) == {"policy.approve_by": ("another role approves", "approvals")}
    assert policies(none, one) == {"policy.approve_by": ("an approval more", "")}


@pytest.mark.parametrize(
    ("field", "firm", "weak"),
    [
        ("watch", {}, {"watch": days(1)}),
        ("cool_down", {}, {"cool_down": hours(1)}),
        ("rest", {}, {"rest": days(1)}),
        ("breaker", {}, {"breaker": 9}),
        ("retrains", {}, {"retrains": per_day(1)}),
        ("ramp.share", {}, {"ramp": Ramp(share=0.5)}),
        ("ramp.shadow", {}, {"ramp": Ramp(shadow=hours(0))}),
        ("windows", {"windows": (Hours(1, 2),)}, {}),
    ],
)
def test_what_holds_the_loop_back_less_is_marked_but_no_risk(field: str, firm: Any, weak: Any) -> None:
    before, after = Policy.act(**{"retrains": per_month(4), **firm}), Policy.act(**{"retrains": per_month(4), **weak})

    assert policies(before, after) == {f"policy.{field}": ("a weaker brake", "")}
    assert policies(after, before) == {f"policy.{field}": ("", "")}


def test_the_project_s_own_rules_are_weighed_alike() -> None:
    firm = {"autonomy": "propose", "roles": {"reviewer": ["ann"]}}

    def weighed(after: dict[str, Any], before: dict[str, Any] = firm) -> dict[str, str]:
        return {each.what: each.risk for each in rules_changes(before, after)}

    assert weighed(firm) == {}
    assert weighed({**firm, "autonomy": "act"}) == {"loop.autonomy": "autonomy"}
    assert weighed({**firm, "roles": {"reviewer": ["ann", "bob"]}}) == {"roles.reviewer": "approvals"}
    assert weighed({**firm, "roles": {}}) == {"roles.reviewer": "", "roles": "approvals"}
    assert weighed(firm, {**firm, "roles": {}}) == {"roles.reviewer": ""}


class Weather(Contract):
    station: str
    seen_at: datetime
    gust: float | None = None


weather = Source("weather", Weather, csv("w.csv"), event_at="seen_at", key=("station",))


def view(make: Any, **more: Any) -> Any:
    return feature_view(key="station", source=weather, name="now", **{"ttl": hours(3), **more})(make).definition()


def test_features_are_told_as_formulas_and_what_else_changed_beside() -> None:
    before = view(lambda w: {"gust": w.gust, "low": w.gust < 3})
    after = view(lambda w: {"gust": (w.gust + 1).clip(0, 9), "high": w.gust > 3}, ttl=hours(4))

    told = {each.what: (each.before, each.after) for each in view_changes(before, after)}
    assert told == {
        "feature gust": ("gust", "(gust + 1.0).clip(0.0, 9.0)"),
        "feature low": ("gust < 3.0", ""),
        "feature high": ("", "gust > 3.0"),
        "ttl_us": ("10800000000", "14400000000"),
    }


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda w: -w.gust * 2, "(-gust) * 2.0"),
        (lambda w: ~(w.gust.is_null() | (w.gust > 1)), "~(gust.is_null() | (gust > 1.0))"),
        (
            lambda w: when(w.station.is_in(["a"]), w.gust.fill_null(0), None),
            "when(station.is_in(['a']), gust.fill_null(0.0), None)",
        ),
        (lambda w: w.seen_at > datetime(2026, 1, 1, tzinfo=UTC), "seen_at > 2026-01-01T00:00:00Z"),
        (lambda w: (w.gust > 1) + 1, "(gust > 1.0) + 1.0"),
        (lambda w: w.seen_at.hour().round(1), "seen_at.hour().round(1)"),
    ],
)
def test_a_formula_reads_as_it_was_written(make: Any, text: str) -> None:
    [feature] = view(lambda w: {"x": make(w)})["features"]

    assert formula(feature["expr"]) == text


def test_secrets_and_folders_are_not_shown() -> None:
    assert shown({"db_password": "a", "n": 1}) == "db_password (hidden), n 1"
    assert shown("postgres://ann:pw@host/db") == "postgres://…@host/db"
    assert trimmed("see /home/ann/x/model.py:3, or C:\\here\\x.py") == "see model.py:3, or x.py"
    assert trimmed("a/b of https://host/a/b") == "a/b of https://host/a/b"
    assert len(shown("x" * 500)) == 160
