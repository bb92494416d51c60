"""What is counted of runs is what the page tells, and a model's inventions make no labels."""

from __future__ import annotations

import re

from prometheus_client.metrics_core import CounterMetricFamily

from perdure.core.runs import RunRecord, StepRecord
from perdure.serve.runs.counted import CountingWriter, RunCounters
from perdure.stores.capture.events import RunTold


class Kept:
    """A capture writer in memory."""

    n_lost = 3

    def __init__(self):
        self.events = []

    def append(self, event):
        self.events.append(event)
        return False

    def has_room(self):
        return True

    def close(self):
        raise AssertionError("who opened it closes it")


def told(*steps: StepRecord) -> RunTold:
    run = RunRecord(
        id="run_1", kind="agent", asset="desk", version="desk@1", arm="champion", status="limited", input=b"{}",
        began_us=1_000_000, ended_us=3_500_000, n_steps=4, n_tokens=36, cost_pusd=2_000_000_000_000,
    )  # fmt: skip
    return RunTold(run=run, steps=list(steps), waits=[], recorded_us=1)


def step(node: str, state: str = "done", error: str = "", call: str = "0.0") -> StepRecord:
    return StepRecord(run="run_1", n=0, kind="tool", state=state, node=node, call=call, error=error)


def samples(counters: RunCounters) -> dict[str, float]:
    """Name with labels → value."""
    found = {}
    for family in counters.families(2):
        for each in family.samples:
            found[each.name + "".join(f",{value}" for value in each.labels.values())] = each.value
    return found


def test_the_page_has_every_metric_of_runs_with_its_labels(repository):
    """As Prometheus names them: a counter's name ends in `_total`."""
    there = {
        family.name + ("_total" if isinstance(family, CounterMetricFamily) else ""): list(family._labelnames)
        for family in RunCounters().families(0)
    }
    page = (repository / "docs" / "agents-serving.md").read_text().partition("\n## Metrics\n")[2]
    rows = re.findall(r"^\| `(\w+)` \| ([^|]*)\|", page, re.MULTILINE)
    assert {name: re.findall(r"`(\w+)`", labels) for name, labels in rows} == there


def test_a_run_that_is_told_is_counted_and_written(repository):
    counters, kept = RunCounters(), Kept()
    writer = CountingWriter(kept, counters)
    assert writer.append(told(step("tool:look_up"))) is False, "as the writer says"
    found = samples(counters)
    assert found["perdure_runs_total,agent,desk,limited"] == 1.0
    assert found["perdure_run_seconds_sum,agent,desk"] == 2.5
    assert found["perdure_run_steps_sum,agent,desk"] == 4.0
    assert found["perdure_run_tokens_total,agent,desk"] == 36
    assert found["perdure_run_cost_usd_total,agent,desk"] == 2.0
    assert found["perdure_runs_going"] == 2.0
    assert (len(kept.events), writer.n_lost, writer.has_room()) == (1, 3, True)
    writer.close()


def test_calls_of_tools_are_counted_by_error_and_no_invented_name_is_a_label():
    counters = RunCounters()
    steps = [
        step("tool:look_up", "begun"), step("tool:look_up", "unknown"), step("tool:look_up"),
        step("tool:look_up", "failed", "tool.timed_out", call="0.1"), step("tool:rm_rf_a1b2", "failed", "tool.unknown", call="0.2"),
    ]  # fmt: skip
    counters.count(told().run, steps)
    assert dict(counters.tools) == {
        ("desk", "look_up", ""): 1,
        ("desk", "look_up", "tool.timed_out"): 1,
        ("desk", "", "tool.unknown"): 1,
    }
