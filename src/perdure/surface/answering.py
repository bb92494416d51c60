"""The verb of questions that a model answers from an index, in this process: retrieved, checked, asked as evals ask, checked again.

It needs no server. Callers are the team `evals`; a server asks with the caller's own key instead (`serve.retrieval.answering`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from perdure.core.clock import to_us
from perdure.core.errors import NotReady, UpstreamError, not_found
from perdure.core.usage import PICO
from perdure.surface.indexing import Indexing
from perdure.surface.opened import When, instant_of

if TYPE_CHECKING:
    from perdure.core.ports import Answered
    from perdure.serve.retrieval.finding import Given


@dataclass(frozen=True, slots=True)
class IndexAnswer:
    """What a model said from what was found, and what bears it."""

    answer: str | None
    """None: nothing was found, and nobody was asked."""
    grounded: bool
    """Every claim is supported, every mark names a source, every quote stands there."""
    citations: Sequence[Mapping[str, Any]]
    """Each claim that is borne out, with the document, the place in it, and the words."""
    unsupported: Sequence[Mapping[str, Any]]
    """Claims that nothing bears, each with what is lacking."""
    unknown_marks: Sequence[int]
    misquoted: Sequence[str]
    sources: Sequence[Mapping[str, Any]]
    """What the model was shown, by number."""
    left_out: Sequence[Mapping[str, Any]]
    """Texts in which rules see instructions to a model."""
    generation: int
    call: str
    """Of the gateway's record."""
    cost_usd: float | None
    """None: the price is not known, or nobody was asked."""


class IndexAnswering(Indexing):
    """Indexes of a project, and what models say from them."""

    def answer_index(
        self, name: str, question: str, *, route: str, k: int = 6, as_of: When = None, suspects: bool = False
    ) -> IndexAnswer:
        """What a model says to a question from what an index finds, each claim held against the texts that it was shown.

        Args:
            name: of the index.
            question: as a person asks.
            route: who is asked.
            k: so many chunks are shown at most.
            as_of: from the index as it stood then; None: now.
            suspects: show texts in which rules see instructions to a model, too.

        Raises:
            NotFound: no such index or route, nothing was built of the index, or it was not there then.
            UpstreamError: the route does not answer.
        """
        from perdure.serve.retrieval.answering import evidence_of, shown_of
        from perdure.serve.retrieval.citing import check_answer
        from perdure.serve.retrieval.finding import Search, find
        from perdure.serve.retrieval.held import HeldParts, ServedIndex
        from perdure.serve.retrieval.told import told_claims, told_shown
        from perdure.surface.compose import stores_root
        from perdure.surface.compose_retrieval import ServedIndexes

        if route not in self.project.routes:
            raise not_found("route", route, self.project.routes)
        version = self._index_version(name, "")
        self._refuse_unbuilt(name, version)
        root = stores_root(self.folder, self.settings)
        opens = ServedIndexes(self.folder, root, self.project, self.settings.project.name)
        index = opens.index(name, version)
        parts = HeldParts(index, version, partial(opens.store, name, version), opens.embedder(index), resident=False)
        as_of_us = 0 if as_of is None else to_us(instant_of(as_of))
        found = find(ServedIndex(parts), Search(question, k, as_of_us=as_of_us))
        shown, left_out = shown_of(found.hits, keep=suspects)
        said = self._asked(route, question, shown) if shown else None
        checked = check_answer("" if said is None else said.text, list(map(evidence_of, shown)))
        told = told_claims(checked, shown)
        return IndexAnswer(
            answer=None if said is None else said.text,
            grounded=said is not None and told["grounded"],
            citations=told["citations"],
            unsupported=told["unsupported"],
            unknown_marks=told["unknown_marks"],
            misquoted=told["misquoted"],
            sources=told_shown(shown),
            left_out=left_out,
            generation=found.generation.number,
            call="" if said is None else said.call_id,
            cost_usd=None if said is None or said.cost_pusd is None else said.cost_pusd / PICO,
        )

    def _asked(self, route: str, question: str, shown: Sequence[Given]) -> Answered:
        from perdure.core.ports import Asked
        from perdure.serve.retrieval.answering import source_of
        from perdure.serve.retrieval.fencing import messages_of

        if self.place.open_answerer is None:
            raise NotReady("Nobody can be asked here.", hint="Declare a Route; see docs/gateway.")
        answerer = self.place.open_answerer()

        async def ask() -> Answered:
            try:
                return await answerer.ask(Asked(route, messages_of(question, list(map(source_of, shown)))))
            finally:
                await answerer.close()

        said = asyncio.run(ask())
        if said.error:
            raise UpstreamError(f"The route {route!r} did not answer: {said.error}.", hint="perdure calls says more.")
        return said
