"""In which order the targets of a route are tried for one call."""

from __future__ import annotations

from collections.abc import Sequence
from math import log
from random import Random

from perdure.serve.gateway.routes import LiveRoute, LiveTarget
from perdure.serve.routing import share_point

_RANDOM = Random()  # noqa: S311 - a draw by weight, no secret


def order(route: LiveRoute, affinity: str) -> Sequence[LiveTarget]:
    """The targets in the order in which they are to be tried; those that rest come last, as a last hope.

    `in_order` as declared; `weighted` by a draw without putting back; `fastest` by the moving average of the time to the first
    byte, more so the more calls are under way, the ones that were never tried first; `sticky` by the caller's affinity.
    Cost: below 1 µs for a route of one target, some 2 µs for three.
    """
    targets = route.targets
    if len(targets) == 1:
        return targets
    chosen: Sequence[LiveTarget] = targets
    if route.choose == "weighted":
        chosen = sorted(targets, key=lambda target: _alarm(_RANDOM.random(), target.weight))
    elif route.choose == "fastest":
        chosen = sorted(targets, key=lambda target: target.breaker.first_s * (1 + target.breaker.n_under_way))
    elif route.choose == "sticky":
        chosen = sorted(targets, key=lambda target: _alarm(share_point(route.name, target.id, affinity), target.weight))
    if all(target.breaker.is_closed for target in targets):
        return chosen
    rest_s = route.rest_s
    return sorted(chosen, key=lambda target: target.breaker.is_open(rest_s))


def _alarm(point: float, weight: float) -> float:
    """Exponential with the rate of the weight: the first to ring is drawn with a probability by its weight."""
    return -log(1.0 - point) / weight if weight > 0.0 else float("inf")
