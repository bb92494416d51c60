"""The kind "guard", whole: what compose registers."""

from __future__ import annotations

from perdure.loop.protocols import Kind
from perdure.loop.work.guards.causes import guard_causes
from perdure.loop.work.guards.gates import guard_gates
from perdure.loop.work.guards.remedies import guard_remedies
from perdure.loop.work.guards.signals import guard_signals


def guard_kind() -> Kind:
    """The kind "guard" with all its recipes."""
    signals = {name: make() for name, make in guard_signals().items()}
    return Kind("guard", signals, guard_causes(), guard_remedies(), guard_gates())
