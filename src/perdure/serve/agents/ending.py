"""How a run of an agent ends: with what it was to give, or with the best that it has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from perdure.core.runs import RunStatus
from perdure.engines.agents.provenance import SUSPECT
from perdure.serve.runs.protocols import Ended, Json, ToolGave

_MOST = 2000
_encode = msgspec.json.encode


class Stop(Exception):
    """The run is over; raised through pydantic-ai, which knows no other way out.

    Args:
        ended: how.
    """

    def __init__(self, ended: Ended) -> None:
        super().__init__(ended.why)
        self.ended = ended


def done(output: str | Json) -> Ended:
    """With what it was to give: a text, or an object of the declared form."""
    return Ended("done", _encode({"text": output} if isinstance(output, str) else output))


def stopped(status: RunStatus, why: str, text: str, best: str) -> Ended:
    """Otherwise, with what it has."""
    return Ended(status, _encode({"text": best}) if best else b"", why, text)


def best_of(said: Sequence[str], gave: Sequence[tuple[str, ToolGave]]) -> str:
    """The last text that the model said; else what its tools gave, told as that; else nothing.

    What reads as an instruction is left out: nobody looked at it before it would be an answer.
    """
    last = next((each for each in reversed(said) if each.strip()), "")
    if last:
        return last
    sound = [(name, each) for name, each in gave if not each.error and not _suspect(each)]
    if not sound:
        return ""
    told = [f"{name}: {_said(each)[:_MOST]}" for name, each in sound]
    return "No answer was reached. What the tools gave:\n" + "\n".join(dict.fromkeys(told))[: 4 * _MOST]


def _said(gave: ToolGave) -> str:
    """What a tool gave, without the fences that are meant for a model."""
    try:
        found: Any = msgspec.json.decode(gave.value)
    except msgspec.DecodeError:
        return gave.text
    return found if isinstance(found, str) else gave.value.decode()


def _suspect(gave: ToolGave) -> bool:
    score = gave.facts.get("injection", 0.0)
    return not isinstance(score, int | float) or score >= SUSPECT
