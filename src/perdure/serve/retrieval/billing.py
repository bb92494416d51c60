"""Questions that an upstream embeds are on the bill of whoever asks: counted in the tokens and budgets of his key and team, and on record.

Its record is a call of the endpoint `embeddings`, like the question that the gateway's cache asks: the embedder (`upstream/model`) as its
route, the caller's team and key, and the search in the tag `search_for`. Its request is counted as the search's, not once more.

A question is embedded on a thread of searches, and only there is it known whether it is kept already and costs nothing; so money is kept
aside there, and the call is finished on the serving loop, whose counters have no lock.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perdure.assets.route import Route
from perdure.assets.upstream import Upstream
from perdure.engines.dialects.estimate import tokens_of_text
from perdure.engines.prices import cost_pusd, largest_cost
from perdure.engines.retrieval.embedders.asked import AskedVectors
from perdure.serve.gateway.allowance import Allowance, Buckets
from perdure.serve.gateway.endpoints import ENDPOINTS
from perdure.serve.gateway.ongoing import Ongoing
from perdure.serve.gateway.routes import embedder_of
from perdure.serve.retrieval.callers import PREFIX, Caller
from perdure.stores.capture.events import Attempt

_EMBEDDINGS = ENDPOINTS["/v1/embeddings"]


@dataclass(frozen=True, slots=True, eq=False)
class Billing:
    """Bills of one process.

    Args:
        allowance: where tokens and money are counted.
        routes: as declared: an embedder may be one.
        upstreams: as declared: an embedder may be `upstream/model`.
        next_id: makes ids of calls.
        finish: settles, counts and records a call, on the serving loop.
    """

    allowance: Allowance
    routes: Mapping[str, Route]
    upstreams: Mapping[str, Upstream]
    next_id: Callable[[], str]
    finish: Callable[[Ongoing], None]

    def payer(self, caller: Caller, index: str, search: str, served_us: int, *, shadow: bool) -> Payer | None:
        """Who pays for a search; None where nobody is told apart. Called on the serving loop.

        Args:
            caller: who asks.
            index: that he asks.
            search: id of the search's record.
            served_us: domain time.
            shadow: nobody waits for it: it is on record, and takes nothing of his limits, as with the gateway's shadows.
        """
        if caller.team is None or caller.record is None:
            return None
        buckets = self.allowance.plan(caller.team, caller.record, PREFIX + index).amounts()
        tags = {"search_for": search, "index": index}
        return Payer(self, None if shadow else buckets, caller, served_us, tags, asyncio.get_running_loop())


@dataclass(frozen=True, slots=True, eq=False)
class Payer:
    """Pays for what one search has embedded."""

    billing: Billing
    buckets: Buckets | None
    """None: nothing is kept aside."""
    caller: Caller
    served_us: int
    tags: Mapping[str, str]
    loop: asyncio.AbstractEventLoop

    def embedded(self, embedder: AskedVectors, text: str) -> NDArray[np.float32]:
        """The vector of a question, as its upstream gives it; called on a thread.

        Raises:
            LimitReached, BudgetSpent, TooLarge, Refused, NotReady: see `Allowance.reserve`; then nobody is asked.
            UpstreamError: it does not answer; then nothing is billed.
        """
        sent = embedder.sent(text, "query")
        if not sent:
            nothing: NDArray[np.float32] = embedder.embed([text], "query")[0]
            return nothing
        billing = self.billing
        payee = embedder_of(embedder.route, billing.routes, billing.upstreams)
        call = self._call(payee.target)
        if self.buckets is not None:
            n_most = tokens_of_text(sent)
            cost = largest_cost(n_most, 0, payee.price)
            call.reservation = billing.allowance.reserve(self.buckets, self.served_us, n_most, cost)
        attempt = Attempt(payee.target, 0, 0, 0, 0, "upstream")
        call.attempts.append(attempt)
        try:
            rows, n_tokens = embedder.counted([text], "query")
            call.status, call.outcome = 200, "answered"
            attempt.status, attempt.error = 200, ""
            attempt.usage = payee.usage(sent, n_tokens)
            attempt.cost_pusd = cost_pusd(attempt.usage, payee.price)
        finally:
            call.first_us = attempt.took_us = call.elapsed_us()
            attempt.first_us = attempt.took_us if attempt.usage is not None else 0
            with contextlib.suppress(RuntimeError):  # a process that ends has no loop: what is kept aside there expires
                self.loop.call_soon_threadsafe(billing.finish, call)
        vector: NDArray[np.float32] = rows[0]
        return vector

    def _call(self, target: str) -> Ongoing:
        call = Ongoing("c" + self.billing.next_id()[1:], _EMBEDDINGS, self.served_us)
        call.route, call.key, call.affinity = target, self.caller.key, self.caller.key
        call.team = "" if self.caller.team is None else self.caller.team.name
        call.arm = "shadow" if self.buckets is None else ""
        call.status, call.outcome = 502, "failed"
        call.tags = dict(self.tags)
        return call
