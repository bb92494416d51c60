"""Shadow versions of routes: asked the same as the champion after its answer has gone out, recorded, and never heard.

A shadow costs money and shows what a candidate would have said, how fast and for how much. It takes no part of the caller's
limits; at most a few run at a time, and what comes above that is left out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from perdure.core.errors import PerdureError
from perdure.serve.gateway.asking import Ask
from perdure.serve.gateway.guarding import Guarding
from perdure.serve.gateway.ongoing import Ongoing
from perdure.serve.gateway.relaying import Relay
from perdure.serve.gateway.sending import TargetRefused, open_call

_MOST = 64


class Shadows:
    """Calls to shadow versions under way; one a process.

    Args:
        next_id: makes ids of calls.
        finish: counts and records a call that is over.
        max_bytes: a longer answer is none.
    """

    def __init__(
        self, next_id: Callable[[], str], finish: Callable[[Ongoing, Relay | None], None], max_bytes: int
    ) -> None:
        self._next_id = next_id
        self._finish = finish
        self._max_bytes = max_bytes
        self._under_way: set[asyncio.Task[None]] = set()
        self.n_left_out = 0

    def follow(self, ask: Ask) -> None:
        """Ask the shadow of a call's route, where it has one that sees this caller. Cost: some 0.2 µs without one."""
        shadow = ask.serving.table.routes[ask.call.route].shadow
        if shadow is None or not ask.serving.table.routes[ask.call.route].shadows(ask.call.affinity):
            return
        if len(self._under_way) >= _MOST:
            self.n_left_out += 1
            return
        task = asyncio.get_running_loop().create_task(self._ask(ask, shadow.version))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def stop(self) -> None:
        """Give up what is under way; each is recorded as cancelled."""
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)

    async def _ask(self, ask: Ask, version: str) -> None:
        shadow = self._like(ask, version)
        call, relay = shadow.call, None
        call.outcome = "failed"
        try:
            opened = await open_call(shadow, self._max_bytes)
            relay = Relay(shadow, opened, Guarding(call, (), None), keeps=call.bodies != "none")
            await relay.whole()
            call.status, call.outcome = 200, "answered"
        except TargetRefused as refused:
            call.status, call.outcome = refused.failure.status, "refused"
        except PerdureError as error:
            call.status, call.outcome = error.status, "failed"
        except asyncio.CancelledError:
            call.outcome = "cancelled"
            raise
        finally:
            if relay is not None:
                relay.let_go()
            call.sent_first()
            self._finish(call, relay)

    def _like(self, ask: Ask, version: str) -> Ask:
        """The same call to another version, not streamed."""
        came = ask.call
        call = Ongoing("c" + self._next_id()[1:], came.endpoint, came.served_us)
        call.key, call.team, call.affinity, call.prompt = came.key, came.team, came.affinity, came.prompt
        call.route, call.version, call.arm, call.generation = came.route, version, "shadow", came.generation
        call.tags = {**came.tags, "shadow_of": came.id}
        route = ask.serving.servables[version]
        call.bodies = route.bodies
        return ask.again(call, route)
