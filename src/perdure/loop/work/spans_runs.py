"""Spans of runs, made of their records: one a run, and below it one a call of a tool and one a node that was computed.

`loop.telemetry` calls it. Names follow OpenTelemetry's semantic conventions of generative AI: `invoke_agent NAME`,
`invoke_workflow NAME` of a graph, `execute_tool NAME`. A chat is the gateway's own span of that call: it stands below the run's because
the run sends `core.traces.run_traceparent` along. A run below a run stands below its span, all within one trace.

What surprised us: a run that waited for a person for three days is a span of three days. What it was driven is the sum of what is below.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from perdure.core.runs import RunRecord, StepRecord
from perdure.core.traces import hashed_id, run_ids
from perdure.loop.work.captured_calls import USAGE
from perdure.loop.work.spans import SpanRecord, Value, known, usage_of, usd_of
from perdure.stores.runs.protocols import Told

_OPEN = ("begun", "waiting")
"""Entries that another one of the same call follows."""
_BROKEN = ("failed", "unknown")


def run_spans(told: Told) -> Iterator[SpanRecord]:
    """The spans of one run that is over, its own first; none where its caller does not sample.

    Cost: some 20 µs a span.
    """
    run = told.run
    trace_id, span_id, parent_id, sampled = run_ids(run)
    if not sampled:
        return
    yield SpanRecord(
        trace_id=trace_id,
        span_id=span_id,
        parent_id=parent_id,
        remote=bool(parent_id) and not run.parent,
        name=f"{_operation(run)} {run.asset}",
        kind="internal",
        start_us=run.began_us,
        end_us=max(run.began_us, run.ended_us),
        attributes=known(_of_run(run, told.steps)),
        error=(run.why or run.status) if run.status == "failed" else "",
    )
    for step in told.steps:
        if _shown(step):
            yield _step(run, step, (trace_id, span_id))


def _operation(run: RunRecord) -> str:
    return "invoke_agent" if run.kind == "agent" else "invoke_workflow"


def _shown(step: StepRecord) -> bool:
    """A chat is shown by the gateway, where it was asked; a run below this one shows itself."""
    if step.state in _OPEN or step.kind == "child":
        return False
    return step.kind != "chat" or not step.facts.get("call_id")


def _of_run(run: RunRecord, steps: Sequence[StepRecord]) -> dict[str, Value | None]:
    usages = [step.usage for step in steps if step.usage is not None]
    totals = {name: sum(getattr(each, name) for each in usages) for name in USAGE}
    named = "agent" if run.kind == "agent" else "workflow"
    return {
        "gen_ai.operation.name": _operation(run),
        f"gen_ai.{named}.name": run.asset,
        **({"gen_ai.agent.version": run.version} if named == "agent" else {}),
        **(usage_of(totals) if usages else {}),
        "error.type": (run.why or run.status) if run.status != "done" else None,
        "perdure.run": run.id,
        "perdure.run.parent": run.parent,
        "perdure.run.status": run.status,
        "perdure.run.steps": run.n_steps,
        "perdure.version": run.version,
        "perdure.arm": run.arm,
        "perdure.team": run.team,
        "perdure.key": run.key,
        "perdure.cost_usd": usd_of(None if run.unpriced else run.cost_pusd),
    }


def _step(run: RunRecord, step: StepRecord, above: tuple[int, int]) -> SpanRecord:
    _, _, name = step.node.partition(":")
    named: dict[str, Value | None]
    if step.kind == "tool":
        title = f"execute_tool {name}"
        named = {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": name,
            "gen_ai.tool.call.id": step.call,
            "gen_ai.tool.type": "function",
        }
    elif step.kind == "chat":
        title = f"chat {name}"
        usage = step.usage and {name: getattr(step.usage, name) for name in USAGE}
        named = {"gen_ai.operation.name": "chat", "gen_ai.request.model": name, **(usage_of(usage) if usage else {})}
    else:
        title, named = f"node {name}", {"perdure.node": step.node}
    return SpanRecord(
        trace_id=above[0],
        span_id=hashed_id(f"{run.id}/step/{step.n}", 8),
        parent_id=above[1],
        remote=False,
        name=title,
        kind="internal",
        start_us=step.began_us,
        end_us=step.began_us + step.took_us,
        attributes=known({**named, **_of_step(run, step)}),
        error=(step.error or step.state) if step.state in _BROKEN else "",
    )


def _of_step(run: RunRecord, step: StepRecord) -> dict[str, Value | None]:
    return {
        "error.type": (step.error or step.state) if step.state != "done" else None,
        "perdure.run": run.id,
        "perdure.step": step.n,
        "perdure.step.state": step.state,
        "perdure.version": step.version,
        "perdure.used": [f"{name}={version}" for name, version in sorted(step.versions.items())],
        "perdure.cost_usd": usd_of(step.cost_pusd) or None,
    }
