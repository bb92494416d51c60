"""What a server says about itself: `/healthz`, `/readyz`, `/metrics`, `/v1/models`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from prometheus_client.core import Metric

from perdure.assets.model import Model
from perdure.serve.live import Live
from perdure.serve.metrics import Counters, Reading, render
from perdure.serve.routing import Route
from perdure.serve.scoring.http import Reply, json_reply
from perdure.serve.taps import Taps

_METRICS_TYPE = ((b"content-type", b"text/plain; version=1.0.0; charset=utf-8"),)


class Reports:
    """Answers the paths that need no body.

    Args:
        models: declared, by name.
        live: the table in force.
        taps: what was recorded, and lost.
        counters: of scoring.
        gateway: families of metrics that the gateway counts.
        others: names of routes, which must be released too before the server is ready.
    """

    def __init__(
        self,
        models: Mapping[str, type[Model]],
        live: Live,
        taps: Taps,
        counters: Counters,
        gateway: Callable[[], Iterable[Metric]] = tuple,
        others: Collection[str] = (),
    ) -> None:
        self._models = models
        self._others = others
        self._gateway = gateway
        self._live = live
        self._taps = taps
        self._counters = counters

    def health(self) -> Reply:
        """The process answers."""
        return json_reply(200, {"status": "alive"})

    def ready(self) -> Reply:
        """200 when every declared model and route can be asked, else 503 with the reason."""
        live = self._live
        status, serving = live.status, live.serving
        routes = serving.table.routes if serving else {}
        missing = [name for name in (*self._models, *self._others) if name not in routes]
        report = {
            "ready": serving is not None and not missing,
            "generation": live.generation,
            "source": status.source,
            "models": {name: _versions(routes[name]) if name in routes else None for name in self._models},
            "routes": {name: _versions(routes[name]) if name in routes else None for name in self._others},
            "without_champion": missing,
            "held_back": status.held_back,
            "left_out": status.left_out,
            "ledger_reachable": status.ledger_reachable,
            "last_error": status.last_error,
            "captures_lost": self._taps.n_lost,
        }
        return json_reply(200 if report["ready"] else 503, report)

    def models(self) -> Reply:
        """Every declared model with its versions."""
        serving = self._live.serving
        routes = serving.table.routes if serving else {}
        rows = [
            {
                "name": name,
                "task": model.task,
                "purpose": model.purpose,
                "owner": model.owner,
                "contract": model.contract.__name__,
                "arms": _arms(routes[name]) if name in routes else [],
            }
            for name, model in self._models.items()
        ]
        return json_reply(200, {"generation": self._live.generation, "models": rows})

    def metrics(self) -> Reply:
        """Prometheus text."""
        status = self._live.status
        readings = [
            Reading("perdure_captures_lost", "Events that could not be recorded.", self._taps.n_lost, grows=True),
            Reading("perdure_swaps", "Routing tables put in force.", status.n_swaps, grows=True),
            Reading("perdure_swap_errors", "Looks at the ledger that failed.", status.n_errors, grows=True),
            Reading("perdure_generation", "Generation of the routing table in force.", self._live.generation),
            Reading("perdure_models_held_back", "Models answered by older arms.", len(status.held_back)),
            Reading("perdure_models_left_out", "Released models that cannot be served.", len(status.left_out)),
            Reading("perdure_ledger_reachable", "1 when the ledger can be read.", float(status.ledger_reachable)),
        ]
        return Reply(200, render(self._counters, readings, self._gateway), _METRICS_TYPE)


def _versions(route: Route) -> dict[str, str]:
    return {arm.name: arm.version for arm in route.every_arm()}


def _arms(route: Route) -> list[dict[str, Any]]:
    return [{"name": arm.name, "version": arm.version, "share": arm.share} for arm in route.every_arm()]
