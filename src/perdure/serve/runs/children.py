"""Runs below runs as records: how one is begun, and what the journal above says of it."""

from __future__ import annotations

import json
from typing import Any

from perdure.core.clock import machine_us
from perdure.core.ids import new_id
from perdure.core.runs import RunRecord, StepRecord
from perdure.core.usage import Usage
from perdure.engines.agents.timing import WAITED, driven_s
from perdure.serve.runs.limiting import BELOW
from perdure.serve.runs.protocols import Json
from perdure.stores.runs.protocols import Told

PREFIX = "child:"
"""Of idempotency keys of runs below; a caller's own key may not begin so."""
_OF_PARENT = ("expected", "expected_tools")
"""Tags that say what the run above should do; of a run below they are not true."""


def child_run(parent: RunRecord, chosen: tuple[Any, str, str, str], input_: Json, call: str) -> RunRecord:
    """A run below `parent`, on behalf of the same caller, the same for every try of the call.

    Args:
        parent: that asks for it.
        chosen: kind, asset, version and arm.
        input_: what it is asked.
        call: of the parent.
    """
    kind, asset, version, arm = chosen
    return RunRecord(
        id=new_id("run"),
        kind=kind,
        asset=asset,
        version=version,
        arm=arm,
        status="running",
        input=json.dumps(input_, ensure_ascii=False, default=str).encode(errors="replace"),
        idempotency=f"{PREFIX}{parent.id}:{call}",
        key=parent.key,
        team=parent.team,
        user=parent.user,
        parent=parent.id,
        root=parent.root or parent.id,
        depth=parent.depth + 1,
        served_us=parent.served_us,
        began_us=machine_us(),
        trace=parent.trace,
        tags={name: told for name, told in parent.tags.items() if name not in _OF_PARENT},
        replay_of=parent.replay_of,
    )


def child_step(run: RunRecord, call: str, waited_us: int = 0) -> StepRecord:
    """What a run below took, as the journal above counts it.

    Args:
        run: that is over.
        call: of the run above.
        waited_us: how long of its time it only waited for a person: no limit of the run above counts that.
    """
    facts: dict[str, str | int | bool] = {BELOW: run.n_steps, "run": run.id, "unpriced": run.unpriced}
    return StepRecord(
        run=run.parent,
        n=0,
        kind="child",
        state="done" if run.status == "done" else "failed",
        node=f"{run.kind}:{run.asset}",
        call=call,
        version=run.version,
        error=run.why,
        began_us=run.began_us,
        took_us=max(0, run.ended_us - run.began_us - waited_us),
        usage=Usage(n_input=run.n_tokens),
        cost_pusd=run.cost_pusd,
        facts=facts | ({WAITED: waited_us} if waited_us else {}),
    )


def waited_us(told: Told) -> int:
    """How long a run that is over only waited for people, it and the runs below it."""
    run = told.run
    return max(0, run.ended_us - run.began_us - round(driven_s(run, told.steps, told.waits) * 1e6))
