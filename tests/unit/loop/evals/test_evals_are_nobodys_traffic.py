"""What the gateway records of evals, signals of routes leave out: serve and loop never import each other, so this ties them."""

from __future__ import annotations

from datetime import timedelta

import polars as pl

from perdure.loop.work.routes import traffic
from perdure.serve.gateway.app import EVAL_ARM
from perdure.testing.conformance.readings import AT


def test_the_arm_of_evals_is_among_those_that_answer_no_client():
    """The same word on both sides."""
    assert EVAL_ARM in traffic.NOBODYS


def test_tries_of_evals_are_left_out_whether_shadows_are_asked_for_or_not(monkeypatch):
    """A flood of evals makes no upstream look slow."""
    tries = pl.DataFrame({
        "call_id": ["a", "b", "c"], "target": "up/m", "status": 200, "first_us": 10, "took_us": 20, "error": "",
        "n_input": 1, "n_output": 1, "cost_pusd": 1, "served_at": AT,
    })  # fmt: skip
    calls = pl.DataFrame({
        "call_id": ["a", "b", "c"], "arm": ["champion", EVAL_ARM, "shadow"], "stream": False, "version": "r@1",
    })  # fmt: skip
    monkeypatch.setattr(traffic, "read_attempts", lambda *_: tries)
    monkeypatch.setattr(traffic, "read_calls", lambda *_: calls)
    read = [
        traffic.read_tries(None, "r", AT - timedelta(days=1), AT, shadows=shadows)["call_id"].to_list()
        for shadows in (False, True)
    ]
    assert read == [["a"], ["a", "c"]]
