"""The whole data plane as one ASGI application: scoring, the gateway where routes are declared, indexes, agents and graphs where there are any.

A request goes by its path. `/v1/models` is answered by both: the models that score rows, and as OpenAI's SDK reads it the routes
that the caller's key may ask for. The lifespan is here: what starts with the server, and what ends after the last answer.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec

from perdure.core.errors import PerdureError, not_found
from perdure.engines.dialects.registry import inbound
from perdure.serve.gateway.app import PATHS, GatewayApp
from perdure.serve.gateway.errors import error_reply
from perdure.serve.retrieval.app import RetrievalApp
from perdure.serve.runs.app import RunsApp
from perdure.serve.scoring.app import ScoringApp
from perdure.serve.scoring.http import Receive, Reply, Scope, Send, send_reply

_MODELS = "/v1/models"


class Application:
    """Scoring, gateway, indexes and runs behind one address.

    Args:
        scoring: answers every path that is nobody else's.
        gateway: None where no route is declared.
        retrieval: None where no index is declared.
        life: what runs before the first request, and after the last answer.
        runs: None where no agent and no graph is declared.
    """

    def __init__(
        self,
        scoring: ScoringApp,
        gateway: GatewayApp | None,
        retrieval: RetrievalApp | None,
        life: tuple[Callable[[], None], Callable[[], Awaitable[None]]],
        runs: RunsApp | None = None,
    ) -> None:
        self._scoring = scoring
        self._gateway = gateway
        self._retrieval = retrieval
        self._started, self._stopped = life
        self._runs = runs

    def draining(self) -> None:
        """The server takes no more requests: whoever waits for a run, or follows one, is answered now."""
        if self._runs is not None:
            self._runs.draining.begin()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or the lifespan."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif self._gateway is not None and scope["path"] in PATHS:
            await self._gateway(scope, receive, send)
        elif self._gateway is not None and scope["method"] == "GET" and _is_models(scope["path"]):
            await send_reply(send, self._models(self._gateway, scope))
        elif self._retrieval is not None and self._retrieval.takes(scope["path"]):
            await self._retrieval(scope, receive, send)
        elif self._runs is not None and self._runs.takes(scope["path"]):
            await self._runs(scope, receive, send)
        else:
            await self._scoring(scope, receive, send)

    def _models(self, gateway: GatewayApp, scope: Scope) -> Reply:
        name = scope["path"][len(_MODELS) + 1 :]
        try:
            routes = gateway.models(dict(scope["headers"]), scope["query_string"])
            if name:
                found = [each for each in routes if each["id"] == name]
                if not found:
                    raise not_found("model", name, [str(each["id"]) for each in routes])
                return Reply(200, msgspec.json.encode(found[0]))
        except PerdureError as error:
            return error_reply(error, inbound("openai"), "")
        scored = msgspec.json.decode(self._scoring.models().body)
        return Reply(200, msgspec.json.encode({"object": "list", "data": routes, **scored}))

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        self._started()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._stopped()
        await send({"type": "lifespan.shutdown.complete"})


def _is_models(path: str) -> bool:
    """Whether the list of models is asked for, or one of them by its name, which may hold no more slashes."""
    return path == _MODELS or (path.startswith(_MODELS + "/") and "/" not in path[len(_MODELS) + 1 :])
