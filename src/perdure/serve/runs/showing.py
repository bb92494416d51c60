"""Runs, their steps and their questions as JSON that people and programs read: over HTTP, in events, at the command line."""

from __future__ import annotations

import json
from typing import Any

from perdure.core.clock import from_us, iso
from perdure.core.runs import RunRecord, StepRecord, Wait
from perdure.core.usage import PICO, Usage

Json = dict[str, Any]


def value_of(data: bytes) -> Any:
    """What JSON bytes hold; None for no bytes, and text for what is not JSON.

    >>> value_of(b'{"a": 1}'), value_of(b""), value_of(b"cut {")
    ({'a': 1}, None, 'cut {')
    """
    if not data:
        return None
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return data.decode(errors="replace")


def shown_run(run: RunRecord) -> Json:
    """A run without its steps; members that say nothing are left out."""
    told: Json = {
        "id": run.id,
        "kind": run.kind,
        run.kind: run.asset,
        "version": run.version,
        "arm": run.arm,
        "status": run.status,
        "input": value_of(run.input),
        "output": value_of(run.output),
        "began_at": _instant(run.began_us),
        "ended_at": _instant(run.ended_us),
        "steps_taken": run.n_steps,
        "tokens": run.n_tokens,
        "cost_usd": run.cost_pusd / PICO,
        "unpriced": run.unpriced,
    }
    members = ("why", "text", "user", "team", "parent", "trace", "replay_of")
    told |= {name: getattr(run, name) for name in members if getattr(run, name)}
    told |= {name: dict(getattr(run, name)) for name in ("tags", "swaps") if getattr(run, name)}
    return told


def shown_step(step: StepRecord) -> Json:
    """An entry of a journal; members that say nothing are left out."""
    told: Json = {
        "n": step.n,
        "kind": step.kind,
        "state": step.state,
        "node": step.node,
        "call": step.call,
        "began_at": _instant(step.began_us),
        "took_ms": step.took_us / 1000,
        "cost_usd": None if step.cost_pusd is None else step.cost_pusd / PICO,
    }
    told |= {name: getattr(step, name) for name in ("key", "version", "error", "text") if getattr(step, name)}
    told |= {name: value_of(getattr(step, name)) for name in ("input", "output") if getattr(step, name)}
    told |= {name: dict(getattr(step, name)) for name in ("versions", "facts") if getattr(step, name)}
    if step.usage is not None:
        told["usage"] = _usage(step.usage)
    return told


def shown_wait(wait: Wait) -> Json:
    """A question to a person."""
    told: Json = {
        "id": wait.id,
        "run": wait.run,
        "asset": wait.asset,
        "call": wait.call,
        "tool": wait.tool,
        "question": wait.question,
        "text": wait.text,
        "arguments": value_of(wait.arguments),
        "role": wait.role,
        "asked_at": _instant(wait.asked_us),
        "expires_at": _instant(wait.expires_us),
    }
    answer = wait.answer
    if answer is not None:
        told["answer"] = {
            "actor": answer.actor,
            "approves": answer.approves,
            "reason": answer.reason,
            "at": _instant(answer.at_us),
            "value": value_of(answer.value),
        }
    return told


def _usage(usage: Usage) -> Json:
    told = {name: getattr(usage, name) for name in usage.__struct_fields__}
    return {name: value for name, value in told.items() if value or name in ("n_input", "n_output")}


def _instant(us: int) -> str | None:
    return iso(from_us(us)) if us else None
