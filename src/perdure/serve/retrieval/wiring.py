"""Indexes of one process put together from what a project declares and where its stores are; called once, when a server is made."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from prometheus_client.core import Metric

from perdure.assets.index import Index
from perdure.assets.team import Team
from perdure.serve.exchange import Asgi
from perdure.serve.gateway.allowance import Allowance
from perdure.serve.live import Live
from perdure.serve.retrieval.answering import Answering
from perdure.serve.retrieval.app import RetrievalApp, RetrievalParts
from perdure.serve.retrieval.billing import Billing
from perdure.serve.retrieval.comparing import Telling
from perdure.serve.retrieval.counted import SearchCounters
from perdure.serve.retrieval.held import ServedIndex
from perdure.serve.retrieval.lending import Lending, LimitsCounted
from perdure.serve.retrieval.limiting import Limiting
from perdure.serve.retrieval.loading import IndexLoader, OpensServed
from perdure.serve.retrieval.pushing import Inbox, Pushing
from perdure.serve.retrieval.recording import Recorder
from perdure.serve.retrieval.searching import Searching
from perdure.stores.capture.protocols import CaptureWriter

_THREADS = 4
"""Searches are computed at a time; most of one is arithmetic that lets others run."""


@dataclass(frozen=True, slots=True, eq=False)
class IndexesDeclared:
    """What a project declares for its indexes, and where their stores are.

    Args:
        indexes: by name.
        teams: by name; none: nobody is told apart.
        opens: opens what a served version needs.
        open_inbox: of pushed documents, by an index's name.
        keeps: the setting `[serve] searches`.
        counted: where limits are counted if no gateway does it; None: then nothing is limited.
    """

    indexes: Mapping[str, Index]
    teams: Mapping[str, Team]
    opens: OpensServed
    open_inbox: Callable[[str], Inbox]
    keeps: str = "redacted"
    counted: LimitsCounted | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Around:
    """What of the process indexes work with.

    Args:
        live: the table in force, and callers' keys.
        writer: where records go.
        next_id: makes ids.
        now_us: domain time of a request.
        gateway: of this process; None where no route is declared.
        allowance: limits of teams, as the gateway counts them; None where no route is declared.
        outdated: told the name of an index of which another generation is in force.
        poll_s: how often a store is asked for its generation.
        max_body_bytes: of a search.
    """

    live: Live
    writer: CaptureWriter
    next_id: Callable[[], str]
    now_us: Callable[[dict[bytes, bytes]], int]
    gateway: Asgi | None
    allowance: Allowance | None
    outdated: Callable[[str], None] | None
    poll_s: float
    max_body_bytes: int
    replay: bool = False
    """Time goes by the requests."""
    billing: Billing | None = None
    """Of questions that an upstream embeds; None where no route is declared, for then no upstream is."""


@dataclass(frozen=True, slots=True, eq=False)
class Retrieval:
    """The indexes of one process: their application, what loads them, and what is counted."""

    declared: IndexesDeclared
    app: RetrievalApp
    loader: IndexLoader
    counters: SearchCounters
    live: Live
    searching: Searching
    _pushing: Pushing
    _threads: ThreadPoolExecutor
    _lending: Lending | None = None

    def start(self) -> None:
        """Before the first request: begin to share what is used of limits, where no gateway does."""
        if self._lending is not None:
            self._lending.start()

    def families(self) -> Iterable[Metric]:
        """What it counts, for Prometheus."""
        return self.counters.families(self._served())

    async def stop(self) -> None:
        """After the last answer: follow no more, and let go of stores."""
        self.loader.stop()
        await self.searching.stop()
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._pushing.close()
        if self._lending is not None:
            await asyncio.to_thread(self._lending.stop)

    def _served(self) -> Iterator[ServedIndex]:
        serving = self.live.serving
        for each in () if serving is None else serving.servables.values():
            if isinstance(each, ServedIndex):
                yield each


def make_retrieval(declared: IndexesDeclared, around: Around) -> Retrieval:
    """The indexes of a process.

    Raises:
        StoreError: the counters of limits cannot be opened.
    """
    threads, counters = ThreadPoolExecutor(_THREADS, "perdure-search"), SearchCounters()
    recorder = Recorder(around.writer, around.next_id, declared.keeps)
    lending = _lending(declared, around)
    limiting = Limiting(around.allowance) if lending is None else Limiting(lending.allowance, lending.note)
    searching = Searching(around.live, recorder, counters, threads, limiting, around.billing)
    pushing = Pushing(declared.open_inbox)
    parts = RetrievalParts(
        declared.indexes,
        declared.teams,
        around.live,
        searching,
        Answering(searching, around.gateway),
        pushing,
        around.max_body_bytes,
        around.now_us,
    )
    telling = Telling(around.writer, partial(around.now_us, {}))
    loader = IndexLoader(declared.indexes, declared.opens, around.poll_s, around.outdated, telling.tell)
    return Retrieval(declared, RetrievalApp(parts), loader, counters, around.live, searching, pushing, threads, lending)


def _lending(declared: IndexesDeclared, around: Around) -> Lending | None:
    """What counts limits; None where the gateway does, or nobody is told apart."""
    if around.allowance is not None or not declared.teams or declared.counted is None:
        return None
    return Lending(declared.counted, replay=around.replay)
