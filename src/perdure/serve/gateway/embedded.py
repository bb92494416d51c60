"""The cache's own question to an embedder: a call of its own on record, on the bill of whoever it was asked for.

Its record has the caller's team and key, the embedder (`upstream/model`) as its route, and names the call that it was asked for
in the tag `cache_for`. Its money counts in the budgets of that call, whose reservation has room for it.
"""

from __future__ import annotations

from collections.abc import Callable

from perdure.core.clock import monotonic_s
from perdure.engines.prices import cost_pusd
from perdure.serve.gateway.asking import Ask
from perdure.serve.gateway.cached import Found
from perdure.serve.gateway.caching_semantic import Question
from perdure.serve.gateway.endpoints import ENDPOINTS
from perdure.serve.gateway.ongoing import Ongoing
from perdure.stores.capture.events import Attempt

_EMBEDDINGS = ENDPOINTS["/v1/embeddings"]


class Embedding:
    """One question, from before it is asked until it is on record.

    Args:
        ask: the call that it is asked for.
        next_id: makes ids of calls.
    """

    def __init__(self, ask: Ask, next_id: Callable[[], str]) -> None:
        self.question: Question | None = None
        """Set when it is asked."""
        self._ask = ask
        self._next_id = next_id
        self._began_s = 0.0

    def billed(self, found: Found | None) -> Ongoing | None:
        """The call to be recorded; its cost is put beside that of the call that it was asked for. None: nothing was asked.

        Args:
            found: what was looked up; None: nobody waited for it, but the upstream may bill it all the same.
        """
        semantic = self._ask.route.semantic
        if semantic is None or self.question is None:
            return None
        call = self._call(semantic.embedder.target)
        took_us = call.elapsed_us()
        if found is not None and found.vector is None:
            call.status, call.outcome = 502, "failed"
            call.attempts.append(Attempt(call.route, 0, 0, 0, took_us, "upstream"))
            return call
        call.status, call.outcome = (200, "answered") if found is not None else (499, "cancelled")
        usage = semantic.embedder.usage(self.question.text, None if found is None else found.n_tokens)
        cost = cost_pusd(usage, semantic.embedder.price)
        call.attempts.append(Attempt(call.route, call.status, 0, took_us, took_us, "", usage, cost))
        call.first_us = took_us
        reservation = self._ask.call.reservation
        if reservation is not None:
            reservation.beside = (usage.n_total, cost or 0)
        return call

    def _call(self, target: str) -> Ongoing:
        asker = self._ask.call
        call = Ongoing("c" + self._next_id()[1:], _EMBEDDINGS, asker.served_us)
        call.began_s = self._began_s
        call.route, call.key, call.team, call.affinity = target, asker.key, asker.team, asker.affinity
        call.generation = asker.generation
        call.tags = {"cache_for": asker.id}
        return call

    def asks(self, question: Question) -> None:
        """It goes out now."""
        self.question, self._began_s = question, monotonic_s()
