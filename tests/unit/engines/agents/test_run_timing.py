"""How long runs were driven, in worlds where it is known."""

from __future__ import annotations

from perdure.core.runs import RunRecord, StepRecord, Wait, WaitAnswer
from perdure.engines.agents.timing import WAITED, driven_s

SECOND = 1_000_000
BEGAN = 1_700_000_000 * SECOND


def a_run(seconds: float) -> RunRecord:
    return RunRecord(
        id="r", kind="agent", asset="a", version="a@1", arm="champion", status="done", input=b"",
        began_us=BEGAN, ended_us=BEGAN + int(seconds * SECOND),
    )  # fmt: skip


def waited(asked_s: float, answered_s: float | None) -> Wait:
    answer = WaitAnswer(actor="ann", approves=True, reason="", at_us=BEGAN + int((answered_s or 0) * SECOND))
    return Wait(
        id=f"w{asked_s}-{answered_s}", run="r", asset="a", call="0", tool="send", question="approve", text="", arguments=b"",
        role="", asked_us=BEGAN + int(asked_s * SECOND), answer=None if answered_s is None else answer,
    )  # fmt: skip


def a_step(began_s: float, took_s: float, **more) -> StepRecord:
    told = {"kind": "tool", "state": "done", "node": "tool:look", "call": f"{began_s}", **more}
    return StepRecord(run="r", n=0, began_us=BEGAN + int(began_s * SECOND), took_us=int(took_s * SECOND), **told)


def test_a_run_without_waits_was_driven_from_its_begin_to_its_end():
    """Also where its steps do not fill it."""
    assert driven_s(a_run(8.0), [a_step(1.0, 2.0)], []) == 8.0


def test_questions_that_were_open_at_once_are_one_wait():
    """Three approvals of one answer, a day each: the run was driven for twenty seconds, not for none."""
    day = 86_400.0
    waits = [waited(10.0, 10.0 + day), waited(10.0, 10.0 + day - 5), waited(11.0, 10.0 + day)]
    assert driven_s(a_run(20.0 + day), [], waits) == 20.0


def test_what_was_done_while_a_question_was_open_was_driven():
    """A graph goes on with its other nodes while one of them waits for a person."""
    assert driven_s(a_run(110.0), [a_step(10.0, 30.0)], [waited(5.0, 105.0)]) == 40.0


def test_a_question_that_nobody_answered_is_no_wait_and_one_that_outlasts_the_run_ends_with_it():
    """A run that was called off while it waited ended then."""
    assert driven_s(a_run(60.0), [], [waited(10.0, None)]) == 60.0
    assert driven_s(a_run(60.0), [], [waited(10.0, 90.0)]) == 10.0


def test_waits_of_a_run_below_are_no_time_of_the_run_above():
    """Its entry says how long it was driven and how long it only waited."""
    child = a_step(2.0, 5.0, kind="child", node="agent:helper", facts={WAITED: 1_000 * SECOND})
    assert driven_s(a_run(1_010.0), [child], []) == 10.0
