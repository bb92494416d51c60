"""Drafts cases for a suite from a corpus: into the review queue, where people say which are good, or into a file.

project.evals.draft("refunds", corpus="handbook/", n=50, budget_usd=1.0)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perdure.core.errors import BadSuite, not_found
from perdure.core.usage import PICO, picodollars
from perdure.surface.opened import When, instant_of

if TYPE_CHECKING:
    from datetime import datetime

    from perdure.assets.prompt import Prompt
    from perdure.assets.suite import Case, Suite
    from perdure.loop.protocols import Workplace
    from perdure.loop.work.evals.drafting import DraftedCase, Drafting, DraftPlan, RejectedDraft
    from perdure.surface.evaluating import Evaluating

Corpus = str | Path | Sequence[str | Path]


@dataclass(frozen=True, slots=True)
class DraftHow:
    """How cases are drafted, but for what everybody says.

    Args:
        question: name of the prompt's variable that holds the question; empty: the one that is called so, else the only text.
        out: a JSONL file that the cases are written into in place of the review queue; one that is there grows.
        watching: told after each wave of questions.
        at: domain time of the reviews.
    """

    question: str = ""
    out: Path | None = None
    watching: Callable[[Drafting], None] | None = None
    at: When = None


@dataclass(frozen=True, slots=True)
class DraftTold:
    """What came of drafting."""

    suite: str
    route: str
    kept: Sequence[Case]
    rejected: Sequence[RejectedDraft]
    """Each with its `reason`: `empty`, `trivial`, `copied`, `unanswerable`, `duplicate` or `unasked`."""
    reasons: Mapping[str, int]
    """How many were thrown out, by reason."""
    reviews: Sequence[str]
    """Ids in the queue, one a case that was kept; none where a file was written."""
    n_wanted: int
    n_passages: int
    """Of the corpus, but for those of which there are cases already."""
    n_used: int
    """Those of which there are."""
    n_asked: int
    """Passages that the route was asked about."""
    n_unread: int
    """Answers that were no cases."""
    failed: Mapping[str, int]
    """Questions that were not answered, by the error's code."""
    spent_usd: float
    partial: str
    """Why it stopped early, such as a spent budget; empty: it did not."""


class EvalDrafting:
    """The verb `draft` of `project.evals`."""

    _project: Evaluating

    def draft(
        self,
        suite: str,
        corpus: Corpus,
        n: int = 50,
        *,
        route: str = "",
        budget_usd: float | None = None,
        how: DraftHow | None = None,
    ) -> DraftTold:
        """Let a model write cases on the passages of a corpus, throw out what proves nothing, and put the rest into the queue.

        Done again it asks about other passages: those of which the suite, the file or the queue has cases are left out.

        Args:
            suite: that is to grow.
            corpus: a folder of text and Markdown files, or files.
            n: cases that are wanted.
            route: who writes; empty: the suite's, else its prompt's.
            budget_usd: what it may spend; None: as `[evals] budget_usd` says.
            how: the rest.

        Raises:
            NotFound: no such suite, route or corpus.
            NotReady: nobody can be asked.
            BadSuite: the suite's cases are no JSONL file and no `out` is given, its prompt's question cannot be told, or a
                budget cannot hold.
            BadRequest: a file of the corpus is no text.
        """
        from perdure.loop.work.evals.corpus import read_corpus
        from perdure.loop.work.evals.drafting import draft_cases

        if n < 1:
            raise BadSuite(f"{n} cases cannot be drafted.", hint="At least one.")
        chosen, project = how or DraftHow(), self._project.project
        found = project.suite(suite)
        prompt = project.prompt(found.prompt) if found.prompt else None
        writer = route or found.route or (prompt.route if prompt else "")
        if writer not in project.routes:
            raise not_found("route", writer, project.routes)
        passages = read_corpus([corpus] if isinstance(corpus, str | Path) else corpus)
        keeping = _Keeping(self._project.place, found, chosen, instant_of(chosen.at))
        plan = replace(self._plan(found, prompt, chosen, keeping.now), route=writer, n=n)
        if budget_usd is not None:
            plan = replace(plan, budget_pusd=picodollars(budget_usd))
        made = draft_cases(self._project.place, passages, plan, keeping.take)
        return _told(plan, made, keeping.reviews)

    def _plan(self, suite: Suite, prompt: Prompt | None, how: DraftHow, now: datetime) -> DraftPlan:
        """What is there already: in the suite, in the file that is written, in examples, in the queue."""
        from perdure.loop.work.evals.case_shapes import known_questions, shape_of
        from perdure.loop.work.evals.drafting import DraftPlan
        from perdure.loop.work.judges.growing import suite_file
        from perdure.loop.work.judges.queue import drafts_of
        from perdure.surface.eval_asking import declared_by_name

        given = self._project
        shape = shape_of(prompt, how.question)
        if how.out is None:
            suite_file(suite)
        cases = [*_cases(suite.cases), *(_cases(how.out) if how.out is not None else ())]
        drafts = drafts_of(given.place, suite.name)
        queued = [(shape.asked(each.inputs), str(each.expected)) for each in drafts]
        known = [*known_questions(shape, cases, prompt), *queued]
        retrieved = [*(each.contexts for each in cases), *(each.contexts for each in drafts)]
        texts = [text for each in retrieved for text in each if isinstance(text, str)]
        declared = declared_by_name(given.project, given.place, now)
        return DraftPlan(suite.name, "", shape, known=known, used=frozenset(texts), declared=declared)


@dataclass(slots=True, eq=False)
class _Keeping:
    """Keeps what each wave brought, so that nothing is lost where somebody stops it."""

    place: Workplace
    suite: Suite
    how: DraftHow
    now: datetime
    reviews: list[str] = field(default_factory=list)

    def take(self, sofar: Drafting, kept: Sequence[DraftedCase]) -> None:
        """Into the queue, or into the file."""
        if kept and self.how.out is None:
            from perdure.loop.work.judges.queue import ask_drafts

            asked = ask_drafts(self.place, self.suite, [each.case for each in kept], self.now)
            self.reviews += [each.id for each in asked]
        elif self.how.out is not None:
            from perdure.loop.work.judges.growing import append_line

            for each in kept:
                append_line(self.how.out, _row(each.case))
        if self.how.watching is not None:
            self.how.watching(sofar)


def _cases(cases: Any) -> Sequence[Case]:
    """Of a suite or a file; none of a file that is not there yet, or empty."""
    from perdure.assets.suite_file import read_cases

    if isinstance(cases, Path) and not (cases.exists() and cases.stat().st_size):
        return ()
    return read_cases(cases).cases


def _row(case: Case) -> dict[str, Any]:
    """A case as a line of a suite's file."""
    return {
        "id": case.id,
        "inputs": case.inputs,
        "expected": case.expected,
        "contexts": case.contexts,
        "cluster": case.cluster,
        "tags": case.tags,
        "provenance": case.provenance,
    }


def _told(plan: DraftPlan, made: Drafting, reviews: Sequence[str]) -> DraftTold:
    return DraftTold(
        suite=plan.suite,
        route=plan.route,
        kept=[each.case for each in made.kept],
        rejected=made.rejected,
        reasons=made.reasons(),
        reviews=reviews,
        n_wanted=made.n_wanted,
        n_passages=made.n_passages,
        n_used=made.n_used,
        n_asked=made.n_asked,
        n_unread=made.n_unread,
        failed=made.failed,
        spent_usd=made.cost_pusd / PICO,
        partial=made.partial,
    )
