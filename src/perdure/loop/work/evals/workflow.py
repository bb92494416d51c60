"""A run of a suite as durable work: a step asks some clusters, so that a round stays short and any worker can go on.

    durable = Durable(ledger, [eval_workflow(place, {"refunds": refunds})], actor="ana")
    durable.begin("eval", "nightly", "support_answer", given(refunds, [version], run="evl_nightly"), now)

A step that is done again asks nothing that is known: what it is idempotent under is the run's id.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any

from perdure.assets.suite import Suite
from perdure.assets.version import Version
from perdure.core.errors import not_found
from perdure.durable.workflow import Steps, Workflow
from perdure.loop.protocols import Workplace
from perdure.loop.work.evals.frozen import cases_in, thaw
from perdure.loop.work.evals.running import RunOptions, begin_run, run_suite
from perdure.loop.work.versions import get_version

EVAL = "eval"
_PARTS = 10
_LEAST = 20
"""Clusters of a step, at least: less would be more bookkeeping than asking."""


def given(suite: Suite, subjects: Sequence[Version], *, run: str) -> dict[str, Any]:
    """What a job of the workflow gets."""
    return {"suite": suite.name, "subjects": [each.id for each in subjects], "run": run}


def eval_workflow(
    place: Workplace, suites: Mapping[str, Suite], options: Callable[[], RunOptions] = RunOptions
) -> Workflow:
    """The workflow `eval`. Its output: `suite_version`, `n_done`, `spent_pusd`, `partial`.

    Args:
        place: stores, and who asks models; what is written goes under the lease of whoever drives the job.
        suites: by name.
        options: how they are run; its `order` is not taken.
    """

    def run(steps: Steps, told: Mapping[str, Any]) -> Mapping[str, Any]:
        if told["suite"] not in suites:
            raise not_found("suite", told["suite"], suites)
        suite, own = suites[told["suite"]], place if steps.lease is None else place.under(steps.lease)
        subjects = [get_version(place.stores.ledger, each) for each in told["subjects"]]
        chosen, now, name = options(), steps.job.started_at, str(told["run"])
        clusters: list[str] = steps.do(
            "begin", lambda _key: _clusters(own, begin_run(own, suite, subjects, name, now, chosen).facts["frozen"])
        )
        size = max(_LEAST, -(-len(clusters) // _PARTS))
        done: dict[str, Any] = {}
        for until in range(size, len(clusters) + size, size):
            part = replace(chosen, order=clusters[:until])
            done = steps.do(f"until {until}", partial(_part, own, suite, subjects, name, now, part))
            if done["partial"]:
                break
        return done

    return Workflow(EVAL, run, code="1")


def _clusters(place: Workplace, blob: str) -> list[str]:
    return list(dict.fromkeys(each.cluster for each in cases_in(thaw(place.stores.blobs, blob))))


def _part(
    place: Workplace,
    suite: Suite,
    subjects: Sequence[Version],
    run: str,
    now: datetime,
    options: RunOptions,
    _key: str,
) -> dict[str, Any]:
    ran = run_suite(place, suite, subjects, run, now, options)
    return {
        "suite_version": ran.suite_version,
        "n_done": ran.n_done,
        "spent_pusd": ran.spent_pusd,
        "partial": ran.partial,
    }
