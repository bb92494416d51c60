"""Runs beside their shadows: what speaks against a version, and what may be chance."""

from __future__ import annotations

import json

import pytest

from perdure.assets.health import Comparison
from perdure.core.runs import Replayed, RunRecord, StepRecord
from perdure.loop.work.runs.outcomes import Goodness
from perdure.loop.work.runs.reading import Seen
from perdure.loop.work.runs.shadows import NOT_IN_RECORD, Pair, compared

GOODNESS = Goodness(
    lambda seen: float(seen.run.output == b'"good"'), lambda seen, again: float(again.run.output == b'"good"')
)


def a_step(n: int, took_s: float, node: str = "tool:look", arguments: object = None, **more: object) -> StepRecord:
    told = {"input": json.dumps(arguments or {"n": n}).encode(), "output": json.dumps({"saw": n}).encode(), **more}
    return StepRecord(
        run="r", n=n, kind="tool", state="done", node=node, call=str(n), took_us=int(took_s * 1e6), **told
    )


def a_run(n: int, good: bool, usd: float, took_s: float) -> RunRecord:
    return RunRecord(
        id=f"run_{n}", kind="agent", asset="desk", version="desk@1", arm="champion", status="done", input=b"{}",
        output=b'"good"' if good else b'"bad"', began_us=1, ended_us=1 + int(took_s * 1e6), cost_pusd=int(usd * 1e12),
    )  # fmt: skip


def pairs(n: int = 20, *, good=lambda n: True, usd: float = 0.01, took_s: float = 1.0, steps=()) -> list[Pair]:
    """So many good runs of a cent and a second, beside shadows as they are told."""
    made = []
    for each in range(n):
        seen = Seen(a_run(each, True, 0.01, 1.0), [a_step(0, 0.8)])
        again = a_run(each, good(each), usd, 0.001)
        made.append(Pair(seen, Replayed(run=again, steps=(a_step(0, took_s - 0.2), *steps))))
    return made


def test_a_shadow_that_does_the_same_passes_with_its_figures():
    verdict = compared("desk", pairs(), GOODNESS, 0.95)
    assert verdict.passed
    assert verdict.evidence["s_ratio"] == pytest.approx(1.0, abs=0.01)
    assert (verdict.evidence["usd_ratio"], verdict.evidence["n"]) == (1.0, 20)


@pytest.mark.parametrize(
    ("told", "why"),
    [
        ({"good": lambda n: n % 2 == 0}, "It does worse."),
        ({"usd": 0.021}, "It is more than twice as dear, and no better."),
        ({"took_s": 2.2}, "It is more than twice as slow, and no better."),
        ({"steps": (a_step(1, 0.0, arguments={"n": 0}, output=b'{"saw": 0}'),)}, "More of its steps are needless."),
    ],
)
def test_each_thing_that_is_worse_stops_it_alone_and_is_told(told, why):
    verdict = compared("desk", pairs(**told), GOODNESS, 0.95)
    assert (verdict.passed, verdict.comparison) == (False, Comparison.WORSE)
    assert verdict.text.endswith(why)


def test_two_bad_ones_of_twenty_may_be_chance():
    assert compared("desk", pairs(good=lambda n: n > 1), GOODNESS, 0.95).passed


def test_effects_that_are_not_known_are_told():
    unknown = a_step(1, 0.0, "tool:send", error=NOT_IN_RECORD)
    verdict = compared("desk", pairs(4, steps=(unknown,)), GOODNESS, 0.95)
    assert verdict.evidence["n_unknown"] == 4
    assert "4 effects that stand in no record were not done" in verdict.text
