"""One call on its way: what is known of it so far, and the record that it becomes when it is over.

Every path through the gateway ends in exactly one `Call` event, whatever became of the call. It is written before the last
byte of an answer goes out, so that what a client holds is in the log, kill -9 included.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from perdure.core.clock import machine_us, monotonic_s
from perdure.core.errors import BadRequest
from perdure.core.usage import Usage
from perdure.serve.gateway.endpoints import Endpoint
from perdure.stores.capture.events import Attempt, Call, Guarded

_NO_USAGE = Usage()
_TRACE = "traceparent"
_RESERVED_TAGS = frozenset({"probe", "target", _TRACE})
_MOST_TAGS = 16
_LONGEST_TAG = 512
_MOST_TAGS_BYTES = 16_384
_texts = msgspec.json.Decoder(dict[str, str]).decode


class Ongoing:
    """A call's own state; made at its begin, asked for its record at its end."""

    __slots__ = (
        "affinity", "answer", "arm", "attempts", "began_s", "bodies", "cache", "endpoint", "finish", "first_us",
        "generation", "guards", "id", "key", "outcome", "prompt", "recorded", "request", "reservation", "route", "saved_pusd", "served_us",
        "started", "status", "stream", "tags", "team", "told", "version",
    )  # fmt: skip

    def __init__(self, call_id: str, endpoint: Endpoint, served_us: int) -> None:
        self.id = call_id
        self.endpoint = endpoint
        self.served_us = served_us
        self.began_s = monotonic_s()
        self.generation = 0
        self.key = self.team = self.affinity = self.prompt = ""
        self.route = self.version = self.arm = ""
        self.stream = False
        self.status = 0
        self.outcome = ""
        self.finish = ""
        self.first_us = 0
        self.cache = ""
        self.saved_pusd = 0
        self.attempts: list[Attempt] = []
        self.guards: list[Guarded] = []
        self.bodies = "none"
        self.request = b""
        self.answer = b""
        self.tags: dict[str, str] = {}
        self.reservation: Any = None
        """What limits and budgets keep aside for it."""
        self.started = False
        """Whether the head of the answer has gone to the client."""
        self.told: Callable[[Call], object] | None = None
        """Within this process: gets the record, which says what HTTP does not, such as the cost."""
        self.recorded = False
        """Whether it is over: settled, counted and on record."""

    def elapsed_us(self) -> int:
        """Since the begin."""
        return int((monotonic_s() - self.began_s) * 1e6)

    def sent_first(self) -> None:
        """The first byte of the body goes out now."""
        self.started = True
        if not self.first_us:
            self.first_us = self.elapsed_us()

    def tag(self, metadata: Any) -> None:
        """Take the request's own metadata over, as far as it is short texts; the names that are ours are left out."""
        if isinstance(metadata, dict):
            for name, value in list(metadata.items())[:_MOST_TAGS]:
                if isinstance(name, str) and isinstance(value, str) and name not in _RESERVED_TAGS:
                    self.tags[name[:_LONGEST_TAG]] = value[:_LONGEST_TAG]

    def tag_by(self, header: bytes) -> None:
        """Take tags over that came beside the body, a JSON object of texts, so that no provider gets to see them.

        Raises:
            BadRequest: it is none, or longer than 16 KiB.
        """
        try:
            told = _texts(header) if len(header) <= _MOST_TAGS_BYTES else None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            told = None
        if told is None:
            raise BadRequest(
                "The header `perdure-tags` is no JSON object of texts, 16 KiB at most.", hint='Send {"name": "value"}.'
            )
        self.tag(told)

    def trace(self, parent: bytes) -> None:
        """Keep the span that the caller is in (W3C's header `traceparent`), for the span that is made of the call later."""
        if len(parent) <= _LONGEST_TAG:
            self.tags[_TRACE] = parent.decode("latin-1")

    def total(self) -> tuple[Usage, int | None]:
        """Usage and picodollars of all attempts together; None where the price of one of them is not known."""
        billed = [each for each in self.attempts if each.usage is not None]
        if not billed:
            return _NO_USAGE, 0
        if len(billed) == 1:
            usage = billed[0].usage
            assert usage is not None
            return usage, billed[0].cost_pusd
        costs = [each.cost_pusd for each in billed]
        known = [cost for cost in costs if cost is not None]
        return _sum([each.usage for each in billed if each.usage]), sum(known) if len(known) == len(costs) else None

    def record(self, usage: Usage, cost: int | None) -> Call:
        """The call as it is kept, with its totals. Cost: some 3 µs."""
        return Call(
            id=self.id,
            route=self.route,
            endpoint=self.endpoint.name,
            served_us=self.served_us,
            recorded_us=machine_us(),
            generation=self.generation,
            version=self.version,
            arm=self.arm,
            prompt=self.prompt,
            key=self.key,
            team=self.team,
            affinity=self.affinity,
            stream=self.stream,
            status=self.status,
            outcome=self.outcome,
            finish=self.finish,
            latency_us=self.elapsed_us(),
            first_us=self.first_us,
            cache=self.cache,
            usage=usage,
            cost_pusd=cost,
            saved_pusd=self.saved_pusd,
            attempts=self.attempts,
            guards=self.guards,
            request=self.request,
            answer=self.answer,
            tags=self.tags,
        )


def _sum(usages: list[Usage]) -> Usage:
    counted = [name for name in Usage.__struct_fields__ if name != "estimated"]
    totals = {name: sum(getattr(usage, name) for usage in usages) for name in counted}
    return Usage(**totals, estimated=any(usage.estimated for usage in usages))
