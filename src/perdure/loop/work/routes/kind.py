"""The kind "route", whole: what compose registers."""

from __future__ import annotations

from perdure.loop.protocols import Kind
from perdure.loop.work.routes.causes import route_causes
from perdure.loop.work.routes.gates import route_gates
from perdure.loop.work.routes.remedies import route_remedies
from perdure.loop.work.routes.signals import route_signals


def route_kind() -> Kind:
    """The kind "route" with all its recipes."""
    signals = {name: make() for name, make in route_signals().items()}
    return Kind("route", signals, route_causes(), route_remedies(), route_gates())
