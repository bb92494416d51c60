"""Verbs of golden questions: what an index should find, drawn from searches, drafted by a model, labelled by people, and scored.

project.draft_golden("handbook", n=50, route="main", budget_usd=1.0)
project.accept_golden("handbook")
project.score_index("handbook", "declared", against="champion")
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from perdure.core.errors import BadIndex, not_found
from perdure.core.units import days
from perdure.core.usage import PICO, picodollars
from perdure.surface.indexing import Indexing
from perdure.surface.opened import When, instant_of

if TYPE_CHECKING:
    from datetime import datetime

    from perdure.assets.index import Index
    from perdure.loop.protocols import Workplace
    from perdure.loop.work.evals.drafting import DraftedCase, Drafting, DraftPlan
    from perdure.loop.work.indexes.golden_asking import Taken
    from perdure.loop.work.indexes.scoring import GoldenScore
    from perdure.stores.ledger.protocols import Review

MONTH = days(30)


@dataclass(frozen=True, slots=True)
class GoldenRow:
    """A golden question, as `index golden` tells it."""

    query: str
    documents: Sequence[str]
    """That should be found."""
    origin: str
    """`people`, `searches` or `synthetic`."""
    state: str
    """`stands`, `moved`, `changed`, `gone`; `unknown` where nobody noted the words."""


@dataclass(frozen=True, slots=True)
class GoldenDrafted:
    """What came of drafting questions for an index."""

    index: str
    route: str
    questions: Sequence[str]
    """Those that were kept, and that people are asked about."""
    reviews: Sequence[str]
    reasons: Mapping[str, int]
    """How many were thrown out, by reason: `empty`, `trivial`, `copied`, `unanswerable`, `duplicate`, `unasked`."""
    n_wanted: int
    n_chunks: int
    """That could be asked about."""
    n_asked: int
    failed: Mapping[str, int]
    """Questions that were not answered, by the error's code."""
    spent_usd: float
    partial: str
    """Why it stopped early; empty: it did not."""


@dataclass(frozen=True, slots=True)
class GoldenSampled:
    """Searches that people are asked about."""

    index: str
    questions: Sequence[str]
    reviews: Sequence[str]
    """One a question and chunk."""


class GrowingGolden(Indexing):
    """Golden questions of a project's indexes."""

    def golden_questions(self, name: str) -> list[GoldenRow]:
        """The golden questions of an index, and whether the texts that they rest on still stand in the version that answers.

        Raises:
            NotFound: no such index, or nothing was built of it.
            BadIndex: the golden file cannot be read.
        """
        from perdure.engines.retrieval.standing import states
        from perdure.loop.work.indexes.golden_asking import declared_file, golden_there

        golden = golden_there(declared_file(self.project.index(name)))
        named = {item.document for each in golden.questions for item in each.relevant}
        with self._indexes.open(name, self._built(name)) as opened:
            known = {row.id for row in opened.store.documents()}
            found = states(golden, opened.store.chunks_of(sorted(named)), known)
        return [
            GoldenRow(
                each.query,
                list(dict.fromkeys(item.document for item in each.relevant)),
                str(each.provenance.get("from", "people")),
                state,
            )
            for each, state in zip(golden.questions, found, strict=True)
        ]

    def draft_golden(
        self,
        name: str,
        n: int = 50,
        *,
        route: str,
        budget_usd: float | None = None,
        at: When = None,
        watching: Callable[[Drafting], None] | None = None,
    ) -> GoldenDrafted:
        """Let a model write questions on an index's chunks, throw out what proves nothing, and ask people about the rest.

        Done again it asks about other chunks. Each question is asked of the same model without its chunk, too: what it knows
        anyway is thrown out, as is what the chunk does not say or holds word for word.

        Args:
            name: of the index.
            n: questions that are wanted.
            route: who writes.
            budget_usd: what it may spend; None: as `[evals] budget_usd` says.
            at: domain time of the reviews.
            watching: told after each wave.

        Raises:
            NotFound: no such index or route, or nothing was built of the index.
            BadIndex: no question is wanted, or the golden file cannot be read.
            NotReady: nobody can be asked.
        """
        from perdure.loop.work.evals.drafting import draft_cases
        from perdure.loop.work.indexes.golden_asking import passages_of

        index, now = self._golden_index(name, n), instant_of(at)
        if route not in self.project.routes:
            raise not_found("route", route, self.project.routes)
        with self._indexes.open(name, self._built(name)) as opened:
            passages = passages_of(opened)
        keeping = _Keeping(self.place, index, now, watching)
        plan = replace(self._draft_plan(index, route, now), n=n)
        if budget_usd is not None:
            plan = replace(plan, budget_pusd=picodollars(budget_usd))
        made = draft_cases(self.place, passages, plan, keeping.take)
        return GoldenDrafted(
            index=name,
            route=route,
            questions=[str(each.case.inputs["question"]) for each in made.kept],
            reviews=[each.id for each in keeping.reviews],
            reasons=made.reasons(),
            n_wanted=n,
            n_chunks=made.n_passages,
            n_asked=made.n_asked,
            failed=made.failed,
            spent_usd=made.cost_pusd / PICO,
            partial=made.partial,
        )

    def sample_golden(self, name: str, n: int = 20, *, over: timedelta = MONTH, at: When = None) -> GoldenSampled:
        """Draw questions that people searched an index for, and ask which of its chunks answer them.

        What is asked often is drawn more likely. Each is asked about with what it finds by vector and what it finds by words.

        Args:
            name: of the index.
            n: questions.
            over: how far back.
            at: domain time.

        Raises:
            NotFound: no such index, or nothing was built of it.
            BadIndex: no question is wanted, or the golden file cannot be read.
        """
        from perdure.loop.work.indexes.golden_asking import ask_searched
        from perdure.loop.work.judges.labels import find_case

        self._golden_index(name, n)
        now = instant_of(at)
        with self._indexes.open(name, self._built(name)) as opened:
            asked = ask_searched(self.place, opened, n, now - over, now)
        cases = [find_case(self.place, each.case) for each in asked]
        said = dict.fromkeys(str(case.inputs["question"]) for case in cases if case is not None)
        return GoldenSampled(name, list(said), [each.id for each in asked])

    def accept_golden(self, name: str, *, out: str | Path | None = None, at: When = None) -> Taken:
        """Take what people labelled into the index's golden file; a question that stands there is not added.

        Args:
            name: of the index.
            out: the file, where none is declared yet.
            at: domain time.

        Raises:
            NotFound: no such index.
            BadIndex: no golden file is declared or given, or it cannot be read.
        """
        from perdure.loop.work.indexes.golden_asking import declared_file, take_labelled

        index = self.project.index(name)
        path = declared_file(index) if out is None else Path(out)
        if path is None:
            raise BadIndex(
                f"Index {name!r} declares no file of golden questions.",
                hint='Name one (--out), and declare it: golden="golden/handbook.jsonl"',
            )
        return take_labelled(self.place, index, path, instant_of(at))

    def score_index(self, name: str, version: str = "", *, against: str = "", k: int = 10) -> GoldenScore:
        """Recall, precision, nDCG, MRR and hit rate of golden questions among the first k, with intervals.

        Args:
            name: of the index.
            version: an id or its beginning, `champion` or `declared`; by default what answers.
            against: another version, which it is held against question by question.
            k: so many are looked at of what a question finds.

        Raises:
            NotFound: no such index or version, or nothing was built of it.
            BadIndex: no golden questions are declared, or they cannot be read.
        """
        from perdure.loop.work.indexes.asking import golden_of
        from perdure.loop.work.indexes.scoring import score

        golden = golden_of(self._golden_index(name, k))
        if golden is None:
            raise BadIndex(
                f"Index {name!r} declares no golden questions.", hint="See: perdure index draft, sample, accept"
            )
        with self._indexes.open(name, self._built(name, version)) as opened:
            if not against:
                return score(golden, opened, None, k)
            with self._indexes.open(name, self._built(name, against)) as other:
                return score(golden, opened, other, k)

    def _golden_index(self, name: str, n: int) -> Index:
        if n < 1:
            raise BadIndex(f"{n} are none.", hint="Ask for one at least.")
        return self.project.index(name)

    def _built(self, name: str, version: str = "") -> str:
        found = self._index_version(name, version)
        self._refuse_unbuilt(name, found)
        return found

    def _draft_plan(self, index: Index, route: str, now: datetime) -> DraftPlan:
        """What is there already: in the golden file, and in the queue."""
        from perdure.loop.work.evals.case_shapes import CaseShape
        from perdure.loop.work.evals.drafting import DraftPlan
        from perdure.loop.work.indexes.golden_asking import asked_of, declared_file, golden_there
        from perdure.surface.eval_asking import declared_by_name

        golden, asked = (
            golden_there(declared_file(index)).questions,
            [case for _, case in asked_of(self.place, index.name)],
        )
        known = [(each.query, "") for each in golden]
        known += [(str(case.inputs["question"]), str(case.expected or "")) for case in asked]
        used = {item.text for each in golden for item in each.relevant} | {case.answers[0] for case in asked}
        return DraftPlan(
            index.name,
            route,
            CaseShape("question"),
            known=known,
            used=frozenset(used),
            declared=declared_by_name(self.project, self.place, now),
        )


@dataclass(slots=True, eq=False)
class _Keeping:
    """Keeps what each wave brought, so that nothing is lost where somebody stops it."""

    place: Workplace
    index: Index
    now: datetime
    watching: Callable[[Drafting], None] | None
    reviews: list[Review] = field(default_factory=list)

    def take(self, sofar: Drafting, kept: Sequence[DraftedCase]) -> None:
        """Into the queue."""
        from perdure.loop.work.indexes.golden_asking import ask_drafted

        if kept:
            self.reviews += ask_drafted(self.place, self.index, kept, self.now)
        if self.watching is not None:
            self.watching(sofar)
