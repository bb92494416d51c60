"""Signals of routes over calls of every kind, the changes that remedies make, and what versions are expected to do."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from perdure.assets.gateway_objectives import (
    cost_usd,
    error_ratio,
    first_token_ms,
    refusal_ratio,
    spend_usd,
    tokens_per_s,
)
from perdure.assets.guard import Guard
from perdure.assets.guard import Secrets as SecretsCheck
from perdure.assets.policy import Policy
from perdure.assets.route import Route, Target
from perdure.assets.upstream import Upstream
from perdure.core.clock import to_us
from perdure.core.settings import ProjectSettings, Settings
from perdure.core.units import hours
from perdure.core.usage import PICO, Usage
from perdure.loop.protocols import Watched
from perdure.loop.work.captured_calls import call_tables
from perdure.loop.work.routes.definitions import (
    first_shares,
    left_out,
    limited,
    put_first,
    put_last,
    target_ids,
    why_not_declared,
)
from perdure.loop.work.routes.signals import route_signals
from perdure.stores.capture.events import Attempt, Call
from perdure.surface.compose import SIGNALS, open_ledger, open_place

T0 = datetime(2025, 3, 1, tzinfo=UTC)
NOW = T0 + hours(1)
MAIN, SPARE = Target(Upstream("main", "https://a.example"), "m"), Target(Upstream("spare", "https://b.example"), "m")


def _call(n, *, outcome="answered", arm="champion", cost=PICO // 1000, said="It is here.", attempts=None, **members):
    usage = Usage(n_input=10, n_output=20)
    tried = [Attempt("main/m", 200, 0, 200_000, 1_200_000, "", usage, cost)] if attempts is None else attempts
    at = to_us(T0 + timedelta(seconds=10 * n))
    fields = {
        "id": f"c{n}", "route": "support", "endpoint": "chat", "served_us": at, "recorded_us": at, "generation": 1,
        "version": "support@1", "arm": arm, "prompt": "", "key": "k", "team": "t", "affinity": "", "stream": True,
        "status": 200, "outcome": outcome, "finish": "stop", "latency_us": 1_200_000, "first_us": 200_000, "cache": "",
        "usage": usage, "cost_pusd": cost, "saved_pusd": 0, "attempts": tried, "guards": [],
        "request": b"", "answer": json.dumps([{"content": said}]).encode() if said else b"", "tags": {}, **members,
    }  # fmt: skip
    return Call(**fields)


@pytest.fixture
def measure(tmp_path):
    """Readings of a spec over some calls."""
    settings = Settings(project=ProjectSettings(name="p"))
    place = open_place(tmp_path, settings, "test", open_ledger(tmp_path, settings))
    route = Route("support", [MAIN, SPARE])
    asset = Watched("support", "route", (), Policy.observe(), route)

    def measured(spec, calls):
        for table, rows in call_tables(calls).items():
            place.stores.lake.append(table, rows.with_columns(batch=1))
        return list(route_signals()[spec.signal]().observe(place, asset, spec, NOW))

    return measured


def test_what_compose_promises_is_what_there_is():
    assert set(SIGNALS["route"]) == set(route_signals())


def test_only_what_upstreams_did_counts_as_an_error(measure):
    calls = [_call(n) for n in range(20)]
    calls += [_call(20 + n, outcome=outcome) for n, outcome in enumerate(["refused", "blocked", "cancelled"])]
    failed = [Attempt("main/m", 500, 0, 0, 10, "upstream"), Attempt("spare/m", 0, 0, 0, 10, "upstream.timed_out")]
    calls += [
        _call(30, outcome="failed", attempts=failed),
        _call(31, outcome="cut"),
        _call(32, outcome="failed", attempts=[]),
    ]
    calls += [_call(40, outcome="failed", arm="probe"), _call(41, outcome="failed", arm="shadow")]
    [reading] = measure(error_ratio(over=hours(1)), calls)
    assert (reading.n, round(reading.value, 4)) == (22, round(2 / 22, 4))
    assert reading.low < reading.value < reading.high


def test_errors_by_target_are_of_its_tries(measure):
    failed = [Attempt("main/m", 503, 0, 0, 10, "upstream.busy"), Attempt("spare/m", 200, 0, 9, 99, "", Usage(), 1)]
    fault = [Attempt("main/m", 400, 0, 0, 10)]
    calls = [_call(n) for n in range(6)] + [_call(6, attempts=failed), _call(7, outcome="refused", attempts=fault)]
    readings = measure(error_ratio(over=hours(1), by="target"), calls)
    assert [(each.slice, each.n, each.value) for each in readings] == [
        ("target=main/m", 7, pytest.approx(1 / 7)),
        ("target=spare/m", 1, 0.0),
    ]
    assert readings[0].facts["errors"] == {"upstream.busy 503": 1}


def test_an_outage_of_minutes_is_not_surely_a_bad_hour(measure):
    """Two minutes of sixty: by single calls it would be sure, by stretches of time it is not."""
    calls = [_call(n, outcome="failed" if 100 <= n < 112 else "answered") for n in range(360)]
    [reading] = measure(error_ratio(over=hours(1)), calls)
    assert reading.value > 0.03
    assert reading.low < 0.02


def test_times_leave_out_the_cache_and_too_few_give_no_verdict(measure):
    calls = [_call(n) for n in range(40)] + [_call(50 + n, cache="exact", first_us=10) for n in range(40)]
    [reading] = measure(first_token_ms(quantile=0.5, over=hours(1)), calls)
    assert (reading.n, reading.value) == (40, 200.0)
    [few] = measure(first_token_ms(quantile=0.99, over=hours(1)), [])
    assert (few.value, few.n) == (None, 40)


def test_streams_flow_at_tokens_after_the_first(measure):
    [reading] = measure(tokens_per_s(over=hours(1)), [_call(n) for n in range(20)])
    assert reading.value == pytest.approx(20.0)


def test_refusals_are_of_answers_that_are_kept(measure):
    calls = [_call(n) for n in range(8)] + [_call(8 + n, said="I can't help with that.") for n in range(2)]
    calls += [_call(20, said=""), _call(21, said="I can't help with that.", arm="probe")]
    [reading] = measure(refusal_ratio(over=hours(1)), calls)
    assert (reading.n, reading.value, reading.facts["n_not_kept"]) == (10, 0.2, 1)


def test_unknown_prices_are_left_out_and_counted(measure):
    calls = [_call(n) for n in range(10)] + [_call(10 + n, cost=None) for n in range(3)] + [_call(20, arm="probe")]
    [mean] = measure(cost_usd(over=hours(1)), calls)
    assert (mean.n, mean.value, mean.facts["n_unpriced"]) == (10, pytest.approx(0.001), 3)
    [spent] = measure(spend_usd(over=hours(1)), [])
    assert spent.value == pytest.approx(0.011)
    assert spent.facts["by_arm"] == {"champion": 0.01, "probe": 0.001}


def test_nothing_served_gives_no_reading(measure):
    assert measure(error_ratio(over=hours(1)), []) == []
    assert measure(cost_usd(over=hours(1)), []) == []


def _definition(**members):
    return Route("support", [MAIN, SPARE], **members).definition()


def test_the_sick_target_goes_last_out_or_behind():
    told = _definition()
    assert target_ids(put_last(told, "main/m")) == ["spare/m", "main/m"] == target_ids(put_first(told, "spare/m"))
    assert target_ids(left_out(told, "main/m")) == ["spare/m"]
    assert put_last(told, "spare/m") is put_first(told, "main/m") is put_last(told, "unknown/m") is None
    assert left_out(left_out(told, "main/m"), "spare/m") is None, "its only one stays"
    weighted = put_last(_definition(choose="weighted"), "main/m")
    assert first_shares(weighted, {}) == {"spare/m": 1.0}
    assert put_last(_definition(choose="fastest"), "main/m") is None


def test_a_limit_is_lowered_only_where_one_is_declared():
    assert limited(_definition(), 50) is None
    assert limited(_definition(params={"max_tokens": 100, "temperature": 0}), 50)["params"] == {
        "max_tokens": 50, "temperature": 0,
    }  # fmt: skip
    assert limited(_definition(params={"max_tokens": 40}), 50) is None


def test_another_order_may_answer_and_dropped_guards_or_targets_may_not():
    route = Route("support", [MAIN, SPARE], params={"max_tokens": 100})
    told = route.definition()
    for fine in (told, put_last(told, "main/m"), left_out(told, "main/m"), limited(told, 10)):
        assert why_not_declared(fine, route) == ""
    guarded = Route("support", [MAIN, SPARE], guards=[Guard("keys", [SecretsCheck()])])
    assert "guards" in why_not_declared(told, guarded)
    assert "spare/m is no target" in why_not_declared(told, Route("support", [MAIN]))
    moved = Target(MAIN.upstream, "m", params={"temperature": 1})
    assert "main/m is declared otherwise" in why_not_declared(told, Route("support", [moved, SPARE]))
