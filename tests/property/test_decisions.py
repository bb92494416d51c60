"""Decide on anything: the same always, never where it is forbidden, never beyond the budget, the same by any order."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from perdure.assets.health import Cause
from perdure.assets.repair import ANY, SCHEDULE, Action
from perdure.core.canonical import canonical_json, plain
from perdure.core.clock import iso, parse_at
from perdure.loop.decide import decide
from perdure.loop.situation import Option, Past, Rules, Situation, Symptom, situation_from, to_bytes

T0 = datetime(2025, 1, 1, tzinfo=UTC)
NAMES = ("moved", "label_trouble", "broken_feed")

instants = st.integers(0, 400 * 24).map(lambda hour: iso(T0 + timedelta(hours=hour)))
numbers = st.floats(-1e9, 1e9, allow_nan=False) | st.integers(-1000, 1000)
texts = st.text(st.characters(codec="utf-8"), max_size=12)
values = st.none() | st.booleans() | numbers | texts
spans_s = st.integers(0, 60 * 24).map(lambda hours: hours * 3600.0)
rules = st.builds(
    Rules,
    autonomy=st.sampled_from(["observe", "propose", "act"]),
    trigger=st.sampled_from(["manual", "schedule", "evidence"]),
    training=st.sampled_from(["stateless", "stateful"]),
    n_retrains=st.integers(0, 4),
    per_s=spans_s,
    cool_down_s=spans_s,
    breaker=st.integers(1, 4),
    rest_s=spans_s,
    approve_by=st.none() | st.just("reviewer"),
)
dates = st.lists(instants, max_size=4, unique=True).map(lambda found: tuple(sorted(found)))
pasts = st.builds(
    Past,
    repairs_at=dates,
    retrains_at=dates,
    n_fruitless=st.integers(0, 5),
    fruitless_at=instants,
    mended=st.lists(st.sampled_from(NAMES), max_size=2).map(tuple),
)
symptoms = st.builds(
    Symptom,
    objective=texts,
    state=st.sampled_from(["healthy", "broken", "unsure"]),
    signal=texts,
    value=st.none() | numbers,
    low=st.none() | numbers,
    high=st.none() | numbers,
    n=st.integers(0, 10**6),
    unit=texts,
    slice=texts,
    version=texts,
    at=instants,
    digest=texts,
)
causes = st.builds(
    Cause,
    name=st.sampled_from(NAMES),
    weight=st.floats(0.0, 1.0, exclude_min=True),
    evidence=st.dictionaries(texts, values, max_size=3),
    text=texts,
)
actions = st.builds(
    Action,
    remedy=st.sampled_from(["fit", "past_version", "quarantine"]),
    text=texts,
    effect=st.sampled_from(["candidate", "known", "state"]),
    params=st.dictionaries(st.sampled_from(["days", "version"]), st.integers(0, 3), max_size=2),
    cost_s=st.floats(0.0, 1e6),
)
answered = st.lists(st.sampled_from([*NAMES, SCHEDULE, ANY]), min_size=1, max_size=3).map(tuple)
situations = st.builds(
    Situation,
    asset=texts,
    kind=texts,
    now=instants,
    trigger=st.sampled_from(["evidence", "schedule", "manual"]),
    rules=rules,
    past=pasts,
    symptoms=st.lists(symptoms, max_size=3).map(tuple),
    causes=st.lists(causes, max_size=3).map(tuple),
    options=st.lists(st.builds(Option, actions, answered), max_size=4).map(tuple),
    incident=texts,
    upstream=st.just(()) | st.just(("sky: stale",)),
    paused=st.just("") | st.just("stocktaking"),
)


@given(situations)
def test_a_situation_comes_back_from_json_as_it_was_and_gives_the_same_bytes(situation):
    stored = json.loads(canonical_json(plain(situation)))
    again = situation_from(stored)
    assert again == situation
    assert to_bytes(decide(again)) == to_bytes(decide(situation)) == canonical_json(plain(decide(situation)))


@given(situations)
def test_nothing_is_repaired_where_it_is_forbidden_or_not_called_for(situation):
    decision = decide(situation)
    if situation.paused or situation.upstream:
        assert decision.choice == "hold"
    if situation.rules.autonomy == "observe" and situation.trigger != "manual":
        assert decision.choice == "hold"
    if situation.trigger == "evidence" and not any(each.state == "broken" for each in situation.symptoms):
        assert decision.choice in ("hold", "nothing")


@given(situations)
def test_only_a_repair_has_actions_and_they_are_proposed_ones_that_answer_the_leading_cause(situation):
    decision = decide(situation)
    assert decision.reasons
    if decision.choice != "repair":
        assert {action.effect for action in decision.actions} <= {"question"}
        return
    proposed = {option.action.key for option in situation.options}
    keys = [action.key for action in decision.actions]
    assert keys
    assert len(set(keys)) == len(keys)
    assert set(keys) <= proposed
    wanted = {ANY, situation.causes[0].name if situation.causes else SCHEDULE}
    answering = {option.action.key for option in situation.options if wanted.intersection(option.answers)}
    assert set(keys) <= answering
    assert len({action.effect == "state" for action in decision.actions}) == 1, "mending is never mixed with replacing"


@given(situations)
def test_a_candidate_is_never_made_beyond_the_budget_unless_a_person_asks(situation):
    decision, rules = decide(situation), situation.rules
    if situation.trigger == "manual" or decision.choice != "repair":
        return
    since = parse_at(situation.now) - timedelta(seconds=rules.per_s)
    n_spent = sum(parse_at(at) > since for at in situation.past.retrains_at)
    if n_spent >= rules.n_retrains:
        assert all(action.effect != "candidate" for action in decision.actions)


@given(situations, st.randoms(use_true_random=False))
def test_the_order_of_the_options_changes_nothing_that_is_chosen(situation, chance):
    shuffled = list(situation.options)
    chance.shuffle(shuffled)
    one, other = decide(situation), decide(replace(situation, options=tuple(shuffled)))
    assert replace(one, weighed=()) == replace(other, weighed=())


@given(situations)
def test_every_option_is_weighed_with_a_reason(situation):
    decision = decide(situation)
    assert [each.action for each in decision.weighed] == [option.action.key for option in situation.options]
    assert all(each.why for each in decision.weighed)
    chosen = {action.key for action in decision.actions if action.effect != "question"}
    assert {each.action for each in decision.weighed if each.chosen} == chosen


@settings(max_examples=40)
@given(
    st.integers(0, 4),
    st.integers(1, 40),
    st.integers(0, 10),
    st.lists(st.integers(0, 364 * 2), max_size=300, unique=True),
    st.booleans(),
)
def test_over_a_year_no_stretch_has_more_retrains_than_the_budget(n_retrains, per_days, cool_days, sick_on, known_too):
    """Each half day is healthy or broken by chance; what was done is told to the next decision."""
    per, cool = timedelta(days=per_days), timedelta(days=cool_days)
    policy = Rules("act", "evidence", "stateless", n_retrains, per.total_seconds(), cool.total_seconds(), 99, 0.0, None)
    fit = Option(Action("fit", "fit"), (ANY,))
    known = Option(Action("past_version", "one of before", "known"), (ANY,))
    options = (fit, known) if known_too else (fit,)
    began: list[datetime] = []
    retrained: list[datetime] = []
    for half in sorted(sick_on):
        now = T0 + timedelta(hours=12 * half)
        since = now - max(per, cool)
        past = Past(tuple(iso(at) for at in began if at > since), tuple(iso(at) for at in retrained if at > since))
        broken = Symptom("o", "broken", "s", 1.0, 1.0, 1.0, 1, "", "", "", iso(now), "d")
        decision = decide(Situation("a", "toy", iso(now), "evidence", policy, past, (broken,), (), options))
        if decision.choice == "repair":
            began.append(now)
            retrained += [now] if any(action.effect == "candidate" for action in decision.actions) else []
        elif decision.again_at:
            assert parse_at(decision.again_at) > now
    for at in retrained:
        assert sum(at - per < other <= at for other in retrained) <= n_retrains
    assert all(later - earlier >= cool for earlier, later in itertools.pairwise(began))
