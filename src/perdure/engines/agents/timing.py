"""How long a run was driven: from its begin to its end, without the time in which it did nothing but wait for people.

Health reads it of runs in the lake; the runtime asks it of a run below another, whose waits the journal above does not hold. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence

from perdure.core.runs import RunRecord, StepRecord, Wait
from perdure.engines.agents.limits import covered_s

WAITED = "waited_us"
"""Member of the facts of a `child` entry: how long of its time the run below only waited."""


def driven_s(run: RunRecord, steps: Sequence[StepRecord], waits: Sequence[Wait]) -> float:
    """Seconds that a run was driven. Questions that were open at once are one wait, and what was done meanwhile was driven.

    Args:
        run: as it ended.
        steps: its journal.
        waits: its questions.

    Cost: O(n log n) in steps and questions.

    >>> run = RunRecord(id="r", kind="agent", asset="a", version="a@1", arm="champion", status="done", input=b"", ended_us=5_000_000)
    >>> driven_s(run, (), ())
    5.0
    """
    asked = [(wait.asked_us, wait.answer.at_us) for wait in waits if wait.answer is not None]
    asked += [_waited(step) for step in steps if WAITED in step.facts]
    driven: list[tuple[int, int]] = []
    at = run.began_us
    for began, ended in sorted(asked):
        driven.append((at, min(began, run.ended_us) - at))
        at = max(at, ended)
    driven.append((at, run.ended_us - at))
    driven += [(step.began_us, step.took_us) for step in steps if run.began_us <= step.began_us < run.ended_us]
    return covered_s([each for each in driven if each[1] > 0])


def _waited(step: StepRecord) -> tuple[int, int]:
    """Begin and end of the waits of a run below: where among its work they lay is not known, and makes no difference to the sum."""
    began_us = step.began_us + step.took_us
    return began_us, began_us + int(step.facts[WAITED])


def worked_s(steps: Sequence[StepRecord]) -> float:
    """Seconds that the steps of a run took, one after the other: what stands in two entries is counted once."""
    took: dict[str, int] = {}
    for step in steps:
        took[step.call] = max(took.get(step.call, 0), step.took_us)
    return sum(took.values()) / 1e6
