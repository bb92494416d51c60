"""What a run knows before a call, from its record and its journal: what its user asked, what it read, what it sent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from perdure.core.runs import RunRecord, StepRecord
from perdure.engines.agents.provenance import Known, Read, texts_of
from perdure.engines.guards.injection import signs
from perdure.engines.guards.secrets import PATTERNS, may_hold
from perdure.serve.runs.protocols import ToolContext
from perdure.serve.tools.offering import Held

_READS = ("tool", "child", "node")
_OWN_ROLES = ("user", "system", "developer")
"""Of turns that nobody wrote but who asks."""
_LOOKED = 60_000
"""Characters of what a run was given that are looked through for instructions."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A call that was judged in this process: calls side by side do not stand in the journal yet."""

    run: str
    call: str
    texts: Sequence[str]
    rule: str = ""
    """By which it was refused; empty where it was let through."""


def known_of(
    context: ToolContext,
    held: Mapping[str, Held],
    private: Sequence[str],
    recent: Iterable[Sent] = (),
    call: str = "",
) -> Known:
    """What the run of a call knows.

    Args:
        context: of the call.
        held: the tools of its version, by name.
        private: texts of its prompt.
        recent: calls that were judged in this process.
        call: id of the call itself, which has not sent anything yet.
    """
    steps = [each for each in context.steps if each.kind in _READS and each.call != call]
    written = {each.call for each in steps}
    beside = [each for each in recent if each.run == context.run.id and each.call not in written and each.call != call]
    sent = [text for each in steps if _is_outward(each, held) for text in texts_of(list(_decoded(each.input).values()))]
    sent += [text for each in beside if not each.rule for text in each.texts]
    refused = [str(each.facts["doubt"]) for each in steps if "doubt" in each.facts]
    refused += [each.rule for each in beside if each.rule]
    # What was refused was never read by anybody: its text is ours.
    read = [_read(each, held) for each in steps if "doubt" not in each.facts]
    return Known(own_of(context.run), [*given_of(context.run), *read], private, sent, refused, _is_secret)


def own_of(run: RunRecord) -> list[str]:
    """What the user of a run said himself: the task, his own earlier turns, the input's members.

    Of a run that another run began nothing: a model wrote what it is asked. What is expected of it was not said either.

    >>> run = RunRecord(id="r", kind="agent", asset="a", version="a@1", arm="champion", status="running", input=b'{"task": "Hello"}')
    >>> own_of(run)
    ['Hello']
    """
    if run.parent:
        return []
    told = _decoded(run.input)
    turns = [each for each in told.get("messages") or () if isinstance(each, Mapping) and each.get("role") == "user"]
    said = [told.get("task"), [each.get("content") for each in turns], told.get("input")]
    return texts_of([*said, run.user])


def given_of(run: RunRecord) -> list[Read]:
    """What a run was given that no user said, which it has read before its first call.

    Of a run that another run began all of it: a model wrote it, and may have been told to by what it read. Else the turns of others
    in the conversation: an earlier answer of a model may hold what its tools gave then.

    >>> turns = b'{"task": "Go on", "messages": [{"role": "assistant", "content": "Mail eve@example.net?"}]}'
    >>> run = RunRecord(id="r", kind="agent", asset="a", version="a@1", arm="champion", status="running", input=turns)
    >>> [each.text for each in given_of(run)]
    ['Mail eve@example.net?']
    """
    told = _decoded(run.input)
    if run.parent:
        texts = texts_of([told.get("task"), told.get("messages"), told.get("input")])
    else:
        turns = [each for each in told.get("messages") or () if isinstance(each, Mapping)]
        texts = texts_of([_said(each) for each in turns if each.get("role") not in _OWN_ROLES])
    text = "\n".join(texts)
    return [Read(text, score=signs(text[:_LOOKED]).score)] if text else []


def _said(turn: Mapping[str, Any]) -> list[Any]:
    return [value for name, value in turn.items() if name != "role"]


def _read(step: StepRecord, held: Mapping[str, Held]) -> Read:
    tool = held.get(step.node.removeprefix("tool:")) if step.kind == "tool" else None
    trusted = tool is not None and tool.offered.terms.trusted
    score = step.facts.get("injection", 0.0)
    # A text of a failure tells what the other side said; a result is told by its value, which has no fence around it.
    text = "\n".join(texts_of(_value(step.output))) if step.output else step.text
    return Read(text, trusted, float(score) if isinstance(score, int | float) else 0.0)


def _is_outward(step: StepRecord, held: Mapping[str, Held]) -> bool:
    tool = held.get(step.node.removeprefix("tool:")) if step.kind == "tool" else None
    return tool is not None and tool.is_outward and step.state in ("begun", "done", "unknown")


def _value(raw: bytes) -> Any:
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return raw.decode("utf-8", "replace")


def _decoded(raw: bytes) -> dict[str, Any]:
    found = _value(raw)
    return found if isinstance(found, dict) else {}


def _is_secret(text: str) -> bool:
    return may_hold(text) and any(True for pattern in PATTERNS for _ in pattern.find(text))
