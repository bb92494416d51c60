"""Drives runs of agents: from the start of the run every time, answered by the journal as far as that goes, then by the world.

Called by the runtime, which owns claims, ends and listeners. A drive may be ended anywhere, by kill −9 too: the next goes the same way
again, for everything that a run does is written down before anything is done on it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from perdure.core.errors import LostLease, NotReady, PerdureError, StoreError
from perdure.engines.agents.marking import fence_of, standing
from perdure.engines.prompts import response_format
from perdure.serve.agents.bodies import asked_for, tools_told
from perdure.serve.agents.chats import Chats, Head
from perdure.serve.agents.drives import Drive
from perdure.serve.agents.ending import Stop, stopped
from perdure.serve.agents.loading import LiveAgent
from perdure.serve.boundary import contained_async
from perdure.serve.routing import ServingTable
from perdure.serve.runs.protocols import Driven, Ended, Json, LimitHit, Parked

log = logging.getLogger("perdure.serve")


@dataclass(frozen=True, slots=True, eq=False)
class AgentDriver:
    """The driver of the kind `agent`.

    Args:
        serving: the table in force; prompts of agents with a route of their own are rendered by it.
    """

    serving: Callable[[], ServingTable | None]

    async def drive(self, driven: Driven) -> Ended:
        """From the journal to the end, or until it waits; costs some milliseconds of CPU besides what it asks.

        Raises:
            LostLease: another worker drives this run now.
            StoreError: the journal cannot be written; the run is not over.
        """
        drives: list[Drive] = []

        async def go() -> Ended:
            drive = self._drive(driven)
            drives.append(drive)
            prepared = driven.servable.prepared
            ended: Ended = await prepared.run(drive)
            return ended

        async def ended(error: Exception) -> Ended:
            return _ended(error, drives[0].best() if drives else "")

        return await contained_async(go, ended)

    def _drive(self, driven: Driven) -> Drive:
        live: LiveAgent = driven.servable
        has_tools = bool(live.tools)
        chats = Chats(driven, self._head(live, driven))
        return Drive(driven, chats, has_output=live.output is not None and has_tools)

    def _head(self, live: LiveAgent, driven: Driven) -> Head:
        asked = asked_for(driven.run.input)
        tools = tools_told(driven.toolbox.offered, live.output if live.tools else None)
        form = None if live.output is None or live.tools else response_format(live.name, _schema_text(live.output))
        further: Json = {
            **({"tools": tools} if tools else {}),
            **({"response_format": form} if form else {}),
        }
        node = f"prompt:{live.prompt}"
        first = [*_rules(driven), *asked.messages]
        if not live.route:
            body = {"model": node, "variables": asked.variables, **further}
            return Head(node, body, first, {})
        version, members, rendered = self._rendered(live, asked.variables, driven)
        body = {**members, "model": live.route, **further}
        return Head(node, body, [*rendered, *first], {node: version})

    def _rendered(
        self, live: LiveAgent, variables: Json, driven: Driven
    ) -> tuple[str, Mapping[str, Any], list[dict[str, Any]]]:
        """What the prompt says to a route that is not its own: version, params, messages.

        Raises:
            NotReady: the prompt is not served.
            BadPrompt: the variables are not the prompt's.
        """
        serving = self.serving()
        pointed = None if serving is None else serving.table.routes.get(live.prompt)
        if serving is None or pointed is None:
            raise NotReady(
                f"The prompt {live.prompt!r} of the agent {live.name!r} is not served.",
                hint="Declare and release it: perdure apply.",
            )
        prompt = serving.servables[pointed.choose(driven.run.root or driven.run.id).version]
        return prompt.version, prompt.members["openai"], prompt.compiled.render(variables)


def _rules(driven: Driven) -> list[Json]:
    """How results of tools are marked as data; a replay has the fence of the run that it does again."""
    if not driven.toolbox.offered:
        return []
    fence = fence_of(driven.run.replay_of or driven.run.id)
    return [{"role": "system", "content": standing(fence)}]


def _schema_text(schema: Mapping[str, Any]) -> str:
    return msgspec.json.encode(schema).decode()


def _ended(error: Exception, best: str) -> Ended:
    """How what was raised ends the drive.

    Raises:
        LostLease, StoreError: it does not end the run.
    """
    if isinstance(error, LostLease | StoreError):
        raise error
    if isinstance(error, Stop):
        return error.ended
    if isinstance(error, Parked):
        return Ended("waiting")
    if isinstance(error, LimitHit):
        return stopped("limited", error.why, error.text, best)
    if isinstance(error, PerdureError):
        return stopped("failed", error.code, str(error), best)
    log.error("A run of an agent failed (%s).", type(error).__name__, exc_info=error)
    return stopped("failed", "agent.failed", f"The run failed: {type(error).__name__}.", best)
