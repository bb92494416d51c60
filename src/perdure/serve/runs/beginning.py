"""Begins runs for callers over HTTP: who may, which version answers, whether it was asked for before."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from perdure.core.errors import KeyReused, NotReady, StoreFull
from perdure.core.runs import RunKind, RunRecord
from perdure.serve.retrieval.callers import Caller
from perdure.serve.runs.asking import (
    RunBody,
    Wish,
    agent_input,
    check_about,
    graph_input,
    idempotency_of,
    read_run,
    run_of,
    tags_of,
)
from perdure.serve.runs.running import Begun, Runtime
from perdure.serve.runs.versions import RunVersions
from perdure.stores.capture.protocols import CaptureWriter

_LONGEST_TRACE = 200


@dataclass(frozen=True, slots=True, eq=False)
class Beginning:
    """Begins runs.

    Args:
        runtime: of this process.
        versions: agents and graphs that it serves.
        writer: where runs that are over are told.
        now_us: domain time of a request.
        lacks: what this process lacks to run agents at all, in words; empty: nothing.
    """

    runtime: Runtime
    versions: RunVersions
    writer: CaptureWriter
    now_us: Callable[[dict[bytes, bytes]], int]
    lacks: str = ""

    def read(self, body: bytes) -> RunBody:
        """The body of a request; raises as `read_run`."""
        return read_run(body)

    async def begin(
        self,
        of: tuple[RunKind, str],
        body: RunBody,
        caller: Caller,
        headers: dict[bytes, bytes],
        *,
        listens: bool = False,
    ) -> Begun:
        """The run that is asked for, driven in the background; of a known `Idempotency-Key` the run that there is.

        Args:
            of: kind and name.
            body: what is asked.
            caller: who asks.
            headers: of the request.
            listens: events are heard from its begin on.

        Raises:
            NotFound: there is no such agent or graph that he may run.
            NotReady: it is not served, or this process stops.
            BadRequest, BadGraph: the input is not what it takes.
            KeyReused: the key was used for another request: another input, user or tags.
            LimitReached: too many runs wait for their turn.
            StoreFull: there is no room to write down what it does.
        """
        kind, name = of
        self.versions.allowed(kind, name, caller)
        self._check_able(kind)
        check_about(body.user, body.tags)
        arm, servable = self.versions.choose(kind, name, body.user or caller.key)
        if kind == "graph":
            given = graph_input(body, servable.compiled.input)
            servable.check_input(given)
        else:
            given = agent_input(body)
        wish = Wish(
            kind=kind,
            asset=name,
            arm=arm,
            given=given,
            user=body.user,
            tags=tags_of(body, kind),
            idempotency=idempotency_of(headers),
            trace=_trace(headers),
            served_us=self.now_us(headers),
        )
        run = run_of(wish, caller)
        begun = await self.runtime.begin(run, listens=listens)
        if not begun.is_new and _asks(begun.run) != _asks(run):
            if begun.listening is not None:
                self.runtime.leave(begun.run.id, begun.listening)
            raise KeyReused(
                f"This Idempotency-Key began the run {begun.run.id}, which was asked something else, or for somebody else.",
                hint="Send another key with another request: input, user and tags are held against each other.",
                run=begun.run.id,
            )
        return begun

    def _check_able(self, kind: RunKind) -> None:
        if kind == "agent" and self.lacks:
            raise NotReady(self.lacks, hint="docs/agents-serving.md tells what it takes.", delay_s=60.0)
        if not self.writer.has_room():
            raise StoreFull(
                "What this run does could not be recorded: the disk of the captures is full.",
                hint="Make room; nothing was begun.",
            )


def _asks(run: RunRecord) -> tuple[bytes, str, dict[str, str]]:
    """What of a request a run is about."""
    return run.input, run.user, dict(run.tags)


def _trace(headers: Mapping[bytes, bytes]) -> str:
    return headers.get(b"traceparent", b"")[:_LONGEST_TRACE].decode("latin-1")
