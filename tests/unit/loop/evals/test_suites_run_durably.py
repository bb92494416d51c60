"""A run of a suite as a durable job: steps of some clusters, each asked once, whoever goes on."""

from __future__ import annotations

import contextlib

from evals_world import AT, PRICE, suite

from perdure.core.ports import Answered
from perdure.durable.engine import Durable
from perdure.loop.work.evals.workflow import eval_workflow, given


def durable(world, tested):
    return Durable(world.place.stores.ledger, [eval_workflow(world.place, {tested.name: tested})], actor="ana")


def test_a_job_asks_the_whole_suite_in_steps(world):
    """And its output says what was spent."""
    tested, version = suite(50), world.prompt("So:")
    worker = durable(world, tested)
    job = worker.begin("eval", "nightly", "ask", given(tested, [version], run="r"), AT)
    [done] = worker.drive(AT)
    assert (done.id, done.status) == (job.id, "done")
    assert (done.output["n_done"], done.output["spent_pusd"], done.output["partial"]) == (50, 50 * PRICE, "")
    with world.place.stores.ledger.read() as session:
        steps = [each.name for each in session.jobs.list_steps(job.id)]
    assert steps == ["begin", "until 20", "until 40", "until 60"]
    assert len(world.model.asked) == 50


def test_another_worker_goes_on_and_pays_nothing_twice(world):
    """The step that broke is done again; what it had asked is known."""
    tested, version = suite(50), world.prompt("So:")
    broken = iter([False] * 30 + [True])

    def say(asked):
        if next(broken, False):
            raise KeyboardInterrupt
        return "yes"

    world.model.say = say
    first = durable(world, tested)
    first.begin("eval", "nightly", "ask", given(tested, [version], run="r"), AT)
    with contextlib.suppress(KeyboardInterrupt):
        first.drive(AT)
    asked = len(world.model.asked)
    [done] = durable(world, tested).drive(AT)
    assert (done.status, done.output["n_done"], done.output["spent_pusd"]) == ("done", 50, 50 * PRICE)
    assert len(world.model.asked) - asked <= 21


def test_a_run_that_cannot_go_on_ends_the_job_as_partial(world):
    """What is there is kept."""
    tested, version = suite(50), world.prompt("So:")
    paid = iter([True] * 25)
    world.model.say = lambda asked: "yes" if next(paid, False) else Answered({}, error="budget_spent")
    worker = durable(world, tested)
    worker.begin("eval", "nightly", "ask", given(tested, [version], run="r"), AT)
    [done] = worker.drive(AT)
    assert done.status == "done"
    assert done.output["partial"] == "the budget of the team that asks is spent"
    assert len(list(world.place.stores.results.list_run("r"))) == 25
