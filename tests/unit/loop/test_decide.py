"""The rules of decide, one by one: what stops a repair, what is chosen, and the words for it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from perdure.assets.health import Cause
from perdure.assets.repair import ANY, SCHEDULE, Action
from perdure.loop.decide import decide
from perdure.loop.situation import Option, Past, Rules, Situation, Symptom

NOW = "2025-03-01T00:00:00Z"
DAY_S = 86_400.0
RULES = Rules("act", "evidence", "stateless", 2, 30 * DAY_S, 3 * DAY_S, 3, 14 * DAY_S, None)
BROKEN = Symptom("mae over 7d <= 9", "broken", "mae", 12.0, 11.0, 13.0, 500, "min", "", "v1", NOW, "d")
MOVED = Cause("moved", 0.9, {}, "It moved by 7.")
FIT = Option(Action("fit", "fit on all", cost_s=9.0), ("moved", SCHEDULE))
RECENT = Option(Action("fit", "fit on the newest 30 days", params={"days": 30}, cost_s=3.0), ("moved",))
KNOWN = Option(Action("past_version", "the January version", "known", {"version": "a@1"}, 1.0), ("moved",))
ASKED = Option(Action("ask_shrink", "delete what is gone", "question"), ("moved",))
MEND = Option(Action("quarantine", "set bad batches aside", "state"), ("moved",))
SICK = Situation("fares", "model", NOW, "evidence", RULES, Past(), (BROKEN,), (MOVED,), (FIT,))
FINE = replace(SICK, trigger="schedule", symptoms=(), causes=())


def with_rules(situation, **changes):
    return replace(situation, rules=replace(situation.rules, **changes))


def with_past(situation, **changes):
    return replace(situation, past=replace(situation.past, **changes))


def day(number):
    return f"2025-02-{number:02}T00:00:00Z"


@pytest.mark.parametrize(
    ("situation", "choice", "reason"),
    [
        (SICK, "repair", "It moved by 7."),
        (replace(SICK, symptoms=(replace(BROKEN, state="unsure"),)), "nothing", "No objective is broken for sure."),
        (replace(SICK, paused="stocktaking"), "hold", "Paused by a person: stocktaking"),
        (replace(SICK, upstream=("sky: stale",)), "hold", "It rests on what is broken itself (sky: stale)"),
        (with_rules(SICK, autonomy="observe"), "hold", "Its policy is to observe: a person decides."),
        (
            with_rules(SICK, trigger="manual"),
            "hold",
            "Its policy is to repair by hand: perdure apply --repair does it.",
        ),
        (with_rules(SICK, trigger="schedule"), "wait", "Its policy is to repair on a schedule, which is not due."),
        (replace(SICK, causes=()), "ask", "Nothing speaks for any known cause."),
        (replace(SICK, options=()), "ask", "No remedy answers moved."),
        (with_past(SICK, mended=("moved",)), "wait", "What answers moved was done: it heals when that ends."),
        (
            with_past(SICK, n_fruitless=3, fruitless_at=day(28)),
            "ask",
            "The breaker is open: 3 repairs in a row came to nothing.",
        ),
        (
            with_past(SICK, repairs_at=(day(27),)),
            "wait",
            "The last repair began 2d ago; the cool-down is 3d.",
        ),
        (
            with_past(SICK, retrains_at=(day(10), day(11))),
            "wait",
            "The budget is spent: 2 retrained in 30d, 2 allowed. Nothing that is there already answers it.",
        ),
        (FINE, "repair", "The schedule is due."),
        (replace(FINE, options=()), "wait", "The schedule is due, and there is nothing that could be done as routine."),
        (replace(FINE, trigger="manual"), "repair", "A person asked for it."),
        (replace(FINE, trigger="manual", options=()), "ask", "Nothing speaks for any known cause."),
    ],
)
def test_the_first_rule_that_applies_decides(situation, choice, reason):
    decision = decide(situation)
    assert decision.choice == choice
    assert decision.reasons[0].startswith(reason)


@pytest.mark.parametrize(
    "held_back",
    [
        with_past(SICK, n_fruitless=3, fruitless_at=day(28)),
        with_past(SICK, repairs_at=(day(28),)),
        with_past(SICK, retrains_at=(day(10), day(11))),
        with_rules(SICK, autonomy="observe"),
        with_rules(SICK, trigger="manual"),
        with_rules(SICK, trigger="schedule"),
    ],
)
def test_a_person_who_asks_is_held_back_by_no_ration_and_no_policy(held_back):
    assert decide(held_back).choice != "repair"
    assert decide(replace(held_back, trigger="manual")).choice == "repair"


@pytest.mark.parametrize("held_back", [replace(SICK, paused="why"), replace(SICK, upstream=("sky: stale",))])
def test_a_person_who_asks_is_held_back_by_a_pause_and_by_what_is_broken_further_up(held_back):
    assert decide(replace(held_back, trigger="manual")).choice == "hold"


@pytest.mark.parametrize(
    ("situation", "again_at"),
    [
        (with_past(SICK, n_fruitless=3, fruitless_at=day(28)), "2025-03-14T00:00:00Z"),
        (with_past(SICK, repairs_at=(day(27),)), "2025-03-02T00:00:00Z"),
        (with_past(SICK, retrains_at=(day(10), day(11))), "2025-03-12T00:00:00Z"),
        (with_past(SICK, retrains_at=(day(10), day(11), day(12))), "2025-03-13T00:00:00Z"),
        (with_rules(SICK, n_retrains=0), ""),
        (SICK, ""),
    ],
)
def test_waiting_says_when_it_is_over(situation, again_at):
    assert decide(situation).again_at == again_at


@pytest.mark.parametrize(
    "over",
    [
        with_past(SICK, n_fruitless=3, fruitless_at=day(15)),
        with_past(SICK, repairs_at=(day(26),)),
        with_past(SICK, retrains_at=("2025-01-30T00:00:00Z", day(11))),
    ],
)
def test_at_that_very_instant_it_is_over(over):
    assert decide(over).choice == "repair"


def test_what_is_below_is_mended_first_whatever_was_spent():
    spent = with_past(replace(SICK, options=(FIT, MEND)), repairs_at=(day(28),), retrains_at=(day(10), day(28)))
    decision = decide(spent)
    assert [action.key for action in decision.actions] == ["quarantine"]
    assert [(each.action, each.chosen, each.why) for each in decision.weighed] == [
        ("fit", False, "What is wrong below is mended first."),
        ("quarantine", True, "Answers moved."),
    ]


def test_what_a_person_must_say_yes_to_comes_after_what_is_mended_and_before_candidates():
    asked = decide(replace(SICK, options=(FIT, ASKED)))
    assert [action.key for action in asked.actions] == ["ask_shrink"]
    assert (asked.approve_by, asked.reasons[-1]) == ("reviewer", "A person decides.")
    assert decide(with_rules(replace(SICK, options=(ASKED,)), approve_by="owner")).approve_by == "owner"
    both = decide(replace(SICK, options=(ASKED, MEND)))
    assert [action.key for action in both.actions] == ["quarantine"]
    assert both.approve_by is None


def test_a_remedy_for_the_second_cause_is_not_chosen():
    other = Cause("label_trouble", 0.95, {}, "Labels are late.")
    decision = decide(replace(SICK, causes=(other, MOVED)))
    assert (decision.choice, decision.cause) == ("ask", "label_trouble")
    assert decision.weighed[0].why == "Does not answer label trouble."


def test_a_remedy_for_anything_always_fits():
    anything = Option(Action("past_version", "the January version", "known"), (ANY,))
    decision = decide(replace(SICK, causes=(), options=(anything,)))
    assert decision.choice == "repair"


def test_all_that_fits_competes_the_cheapest_first():
    decision = decide(replace(SICK, options=(FIT, KNOWN, RECENT)))
    assert [action.cost_s for action in decision.actions] == [1.0, 3.0, 9.0]
    assert decision.reasons[1:] == ("3 actions answer it.", "They compete and are judged against what runs.")


def test_of_a_spent_budget_what_is_there_already_is_left():
    spent = with_past(replace(SICK, options=(FIT, KNOWN)), retrains_at=(day(10), day(11)))
    decision = decide(spent)
    assert [action.effect for action in decision.actions] == ["known"]
    assert decision.weighed[0].why == "The budget is spent: 2 retrained in 30d, 2 allowed."


@pytest.mark.parametrize(
    ("rules", "role"),
    [
        ({}, None),
        ({"approve_by": "owner"}, "owner"),
        ({"autonomy": "propose"}, "reviewer"),
        ({"autonomy": "propose", "approve_by": "owner"}, "owner"),
    ],
)
def test_the_plan_names_who_must_say_yes(rules, role):
    assert decide(with_rules(SICK, **rules)).approve_by == role


def test_an_action_that_is_proposed_twice_is_planned_once():
    again = Option(replace(FIT.action, text="fit on everything"), FIT.answers)
    decision = decide(replace(SICK, options=(FIT, again)))
    assert len(decision.actions) == 1
    assert [each.chosen for each in decision.weighed] == [True, True]
