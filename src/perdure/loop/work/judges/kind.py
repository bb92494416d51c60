"""The kind "judge", whole: what compose registers."""

from __future__ import annotations

from perdure.loop.protocols import Kind
from perdure.loop.work.judges.causes import judge_causes
from perdure.loop.work.judges.gates import judge_gates
from perdure.loop.work.judges.remedies import judge_remedies
from perdure.loop.work.judges.signals import judge_signals


def judge_kind() -> Kind:
    """The kind "judge" with all its recipes."""
    signals = {name: make() for name, make in judge_signals().items()}
    return Kind("judge", signals, judge_causes(), judge_remedies(), judge_gates())
