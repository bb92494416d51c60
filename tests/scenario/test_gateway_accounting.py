"""Tokens and money of the gateway equal the upstream's own count, whatever breaks: streams, clients, the gateway itself."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "e2e" / "gateway"))

from gateway_accounting import Chaos, failures, summary

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


def test_every_token_is_on_record_as_the_upstream_counted_it_and_the_budget_says_the_same(tmp_path):
    """Cuts, resets, refusals, stalls, garbage, clients that leave: counted to the picodollar, or estimated and marked."""
    trial = Chaos(tmp_path, n_calls=800)
    trial.run()
    assert failures(trial) == []
    told = summary(trial)
    assert told["recorded"] >= 780
    assert 0.5 < told["of_them_exact"] / told["tries_billed"] < 0.95, "both kinds of billing were met"
    assert {"answered", "cut", "cancelled", "refused", "failed"} <= set(told["outcomes"])

    changed = next(each for call in trial.calls for each in call.attempts if each.usage and not each.usage.estimated)
    changed.usage = msgspec.structs.replace(changed.usage, n_input=changed.usage.n_input + 1)
    assert failures(trial), "a single token that is wrong is seen"


def test_what_was_acknowledged_outlives_kill_9_and_what_was_kept_aside_expires(tmp_path):
    """Killed twice under load: no answered call is lost, no budget is passed, and the dead worker's holds end charged."""
    trial = Chaos(tmp_path, n_calls=700, n_kills=2, seed=2)
    trial.run()
    assert failures(trial) == []
    told = summary(trial)
    assert 0 < told["lost_to_kills"] <= 2 * trial.n_clients
    assert told["charged_usd"]["team"] >= told["recorded_usd"]["team"]
