"""The kind "route", whole: what compose registers."""

from __future__ import annotations

from perdure.loop.protocols import Kind
from perdure.loop.work.routes.causes import route_causes
from perdure.loop.work.routes.gates import route_gates
from perdure.loop.work.routes.remedies import route_remedies
from perdure.loop.work.routes.signals import route_signals
from perdure.loop.work.routes.suites import Asking, RouteSuites, RouteSuitesGate


def route_kind(suites: RouteSuites | None = None) -> Kind:
    """The kind "route" with all its recipes.

    Args:
        suites: what a route, and the prompts that it answers, are tested by; None: nothing is.
    """
    signals = {name: make() for name, make in route_signals(suites).items()}
    remedies, gates = route_remedies(), route_gates()
    if suites is not None:
        remedies = tuple(Asking(each, suites) for each in remedies)
        gates = (*gates, RouteSuitesGate(suites))
    return Kind("route", signals, route_causes(), remedies, gates)
