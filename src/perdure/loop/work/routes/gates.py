"""Every gate of routes: what another route must prove against the one that answers.

What is broken decides what is asked for, in the order of harm: errors, answers, time, money. The worst thing that is broken
must be better for sure; what is worse than it must not become so for sure; what is less may be given up, and is told. Where
nothing is broken, as on a schedule, a candidate must be better in something and worse in nothing.
"""

from __future__ import annotations

from perdure.loop.protocols import Gate
from perdure.loop.work.routes.gates_answers import RouteAnswers
from perdure.loop.work.routes.gates_evidence import RouteEvidence
from perdure.loop.work.routes.gates_settings import RouteLoads, RoutePrice


def route_gates() -> tuple[Gate, ...]:
    """The gates of the kind "route"; each says in which stages of a release it judges."""
    return (RouteEvidence(), RouteAnswers(), RoutePrice(), RouteLoads())
