"""Makes cases of a corpus: a model writes questions on its passages, and those that prove nothing are thrown out.

`perdure eval draft` calls it. A draft is thrown out where it asks nothing, copies its passage, expects what the passage does not say,
asks what is asked already, or where the same model knew the answer without the passage: that one question more a draft is what it
costs to know. What is kept is told wave by wave, so that nothing that was paid for is lost where somebody stops it.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from perdure.assets.suite import Case
from perdure.assets.suite_file import case_digest
from perdure.assets.version import Version
from perdure.core.errors import NotReady
from perdure.core.ports import Answered, Asked
from perdure.core.texts.tokens import answer_words, words
from perdure.engines.evals.growing import (
    DRAFTS_SCHEMA,
    Draft,
    closed_book_messages,
    generation_messages,
    question_keys,
    read_drafts,
    sift,
)
from perdure.loop.protocols import Workplace
from perdure.loop.work.evals.case_shapes import CaseShape
from perdure.loop.work.evals.corpus import Passage
from perdure.loop.work.evals.pacing import NO_MONEY, Paced, Purse
from perdure.loop.work.evals.prices import prices_of
from perdure.loop.work.evals.running import version_of
from perdure.loop.work.judges.queue import SYNTHETIC

UNASKED = "unasked"
"""Reason of a draft that nobody could be asked without its passage: the money was spent, or the question failed."""
REASONS: Mapping[str, str] = {
    "empty": "no question or no answer",
    "trivial": "answered without the passage",
    "copied": "copies the passage",
    "unanswerable": "the passage does not say it",
    "duplicate": "asked already, here or in an example",
    UNASKED: "could not be asked without the passage",
}
"""Why drafts are thrown out, in words; in this order they are told."""
_A_PASSAGE = 3
_OTHER = (
    NO_MONEY,
    "budget",
    "insufficient",
    "limit",
    "upstream.",
    "not_",
    "unauthorized",
    "store",
    "cancelled",
    "http.5",
)
"""How errors begin that have nothing to do with the form of the answer that was asked for."""
_FORM = {"type": "json_schema", "json_schema": {"name": "cases", "strict": True, "schema": dict(DRAFTS_SCHEMA)}}


@dataclass(frozen=True, slots=True)
class DraftedCase:
    """A case that was kept."""

    case: Case
    passage: Passage
    model: str
    """`upstream/model` that wrote it."""


@dataclass(frozen=True, slots=True)
class RejectedDraft:
    """A draft that was thrown out."""

    question: str
    expected: str
    reason: str
    """Of `REASONS`."""
    place: str
    """`handbook/returns.md:120-940`."""


@dataclass(frozen=True, slots=True)
class Drafting:
    """How far it is, and in the end what came of it."""

    n_wanted: int
    n_passages: int
    """Of the corpus, but for those that cases were made of already."""
    n_used: int = 0
    """Passages that cases were made of already, and that nobody was asked about."""
    n_asked: int = 0
    """Passages that a model was asked about."""
    n_unread: int = 0
    """Of those: how many answers were no cases."""
    failed: Mapping[str, int] = field(default_factory=dict)
    """Questions that failed, by the error's code."""
    kept: Sequence[DraftedCase] = ()
    rejected: Sequence[RejectedDraft] = ()
    cost_pusd: int = 0
    partial: str = ""
    """Why there are fewer than wanted although passages are left; empty: there are not."""

    def reasons(self) -> dict[str, int]:
        """How many drafts were thrown out, by reason, in the order of `REASONS`."""
        counts = Counter(each.reason for each in self.rejected)
        return {reason: counts[reason] for reason in REASONS if counts[reason]}


@dataclass(frozen=True, slots=True, eq=False)
class DraftPlan:
    """What is drafted, and what is there already.

    Args:
        suite: its name, for records of calls.
        route: who writes the drafts, and is asked without the passage.
        shape: how a question becomes inputs.
        n: cases that are wanted.
        budget_pusd: what it may spend, picodollars; None: as `[evals] budget_usd` says.
        known: questions with their answers that are there already: in the suite, in examples, in the queue.
        used: passages, as texts, of which there are cases already.
        declared: versions that are declared and not released yet, by name.
    """

    suite: str
    route: str
    shape: CaseShape
    n: int = 50
    budget_pusd: int | None = None
    known: Sequence[tuple[str, str]] = ()
    used: frozenset[str] = frozenset()
    declared: Mapping[str, Version] = field(default_factory=dict)


Told = Callable[[Drafting, Sequence[DraftedCase]], None]
"""Told after each wave: how far it is, and which cases were kept since."""


def draft_cases(
    place: Workplace, passages: Sequence[Passage], plan: DraftPlan, told: Told = lambda _, __: None
) -> Drafting:
    """Cases of a corpus, as many as are wanted where it holds so many.

    Which passages are asked about first goes by the hash of their texts: over all files, and the same way again.

    Args:
        place: who asks models.
        passages: of the corpus.
        plan: what is wanted.
        told: see `Told`.

    Raises:
        NotReady: nobody can be asked here.
        NotFound: no such route.
        BadSuite: a budget cannot hold since a price is not known.
    """
    if place.open_answerer is None:
        raise NotReady("Nobody can be asked here: no route is declared.", hint="Declare a Route.")
    budget = plan.budget_pusd
    if budget is None:
        budget = int(place.settings.evals.budget_usd * 1e12) or None
    route = version_of(place, plan.route, plan.declared)
    price_of = (lambda _: 0) if budget is None else prices_of({plan.route: route.definition})
    return asyncio.run(_draft(place, passages, plan, told, Purse(budget), price_of))


async def _draft(
    place: Workplace, passages: Sequence[Passage], plan: DraftPlan, told: Told, purse: Purse, price_of: Any
) -> Drafting:
    assert place.open_answerer is not None
    most = place.settings.evals.concurrency
    desk = _Desk(Paced(place.open_answerer(), most, purse, price_of), plan)
    fresh = sorted((each for each in passages if each.text not in plan.used), key=_by_hash)
    sofar = Drafting(plan.n, len(fresh), len(passages) - len(fresh))
    try:
        while len(sofar.kept) < plan.n and sofar.n_asked < len(fresh) and not desk.paced.stopped:
            wave = _wave(fresh[sofar.n_asked :], plan.n - len(sofar.kept), most)
            sofar, kept = await desk.draft(wave, sofar)
            told(sofar, kept)
            desk.stop_if_nobody_answers(sofar)
    finally:
        await desk.paced.close()
    return replace(sofar, partial=desk.paced.stopped if len(sofar.kept) < plan.n else "")


def _by_hash(passage: Passage) -> bytes:
    return hashlib.sha256(passage.text.encode("utf-8", "replace")).digest()


def _wave(passages: Sequence[Passage], n: int, most: int) -> list[tuple[Passage, int]]:
    """Passages to be asked about at a time, with how many drafts: never more than are wanted still."""
    shares = [min(_A_PASSAGE, n - at) for at in range(0, n, _A_PASSAGE)]
    return list(zip(passages, shares[:most], strict=False))


@dataclass(slots=True, eq=False)
class _Seen:
    """Questions that are there.

    Of two passages nearly the same words ask for two things (how long does ferry A take, how long ferry B), so such questions are
    the same only where their answers are.
    """

    exact: set[tuple[str, ...]] = field(default_factory=set)
    near: set[tuple[int, tuple[str, ...]]] = field(default_factory=set)

    def holds(self, draft: Draft) -> bool:
        """Whether a draft's question was there; from now on it is."""
        asked, answer = tuple(words(draft.question)), tuple(answer_words(draft.expected))
        keys = {(key, answer) for key in question_keys(draft.question).tolist()}
        found = asked in self.exact or not self.near.isdisjoint(keys)
        self.exact.add(asked)
        self.near |= keys
        return found


@dataclass(slots=True, eq=False)
class _Desk:
    """Asks and sifts; for one event loop."""

    paced: Paced
    plan: DraftPlan
    seen: _Seen = field(init=False)
    form: bool = True
    """Whether the route takes a form of answers; one that refuses it once is asked without."""

    def __post_init__(self) -> None:
        self.seen = _Seen()
        for question, expected in self.plan.known:
            self.seen.holds(Draft(question, expected))

    async def draft(self, wave: Sequence[tuple[Passage, int]], sofar: Drafting) -> tuple[Drafting, list[DraftedCase]]:
        """One wave: drafts, what can be told without asking, and the question without its passage for the rest."""
        answers = await asyncio.gather(*(self._write(passage, n) for passage, n in wave))
        failed, rejected = Counter(sofar.failed), list(sofar.rejected)
        failed.update(each.error for each in answers if each.error and each.error != NO_MONEY)
        unread, left = 0, []
        for (passage, n), answered in zip(wave, answers, strict=True):
            drafts = read_drafts(answered.text)[:n]
            unread += not drafts and not answered.error
            for draft, reason in self._sifted(drafts, passage):
                if reason:
                    rejected.append(_rejected(draft, reason, passage))
                else:
                    left.append((draft, passage, answered.model))
        closed = await asyncio.gather(*(self._ask_closed(draft) for draft, _, _ in left))
        failed.update(each.error for each in closed if each.error and each.error != NO_MONEY)
        kept = []
        for (draft, passage, model), answered in zip(left, closed, strict=True):
            reason = UNASKED if answered.error else _closed_reason(draft, passage, answered.text)
            if reason:
                rejected.append(_rejected(draft, reason, passage))
            else:
                kept.append(DraftedCase(_case(draft, passage, self.plan.shape, model), passage, model))
        after = replace(
            sofar,
            n_asked=sofar.n_asked + len(wave),
            n_unread=sofar.n_unread + unread,
            failed=failed,
            kept=(*sofar.kept, *kept),
            rejected=tuple(rejected),
            cost_pusd=self.paced.purse.spent,
        )
        return after, kept

    def stop_if_nobody_answers(self, sofar: Drafting) -> None:
        """A route that refused all that it was asked until now will refuse the rest."""
        if sum(sofar.failed.values()) >= sofar.n_asked and not (sofar.kept or sofar.rejected):
            self.paced.stopped = self.paced.stopped or f"no question was answered ({next(iter(sofar.failed))})"

    def _sifted(self, drafts: Sequence[Draft], passage: Passage) -> list[tuple[Draft, str]]:
        found = []
        for each in sift(drafts, passage.text):
            reason: str = each.reason or ""
            if not reason and self.seen.holds(each.draft):
                reason = "duplicate"
            found.append((each.draft, reason))
        return found

    async def _write(self, passage: Passage, n: int) -> Answered:
        messages = generation_messages(passage.text, n)
        found = await self._ask(messages, {"response_format": _FORM} if self.form else {})
        if self.form and found.error and not found.error.startswith(_OTHER):
            plain = await self._ask(messages, {})
            self.form = bool(plain.error)
            return plain
        return found

    async def _ask_closed(self, draft: Draft) -> Answered:
        return await self._ask(closed_book_messages(draft.question), {})

    async def _ask(self, messages: Sequence[Mapping[str, Any]], params: Mapping[str, Any]) -> Answered:
        return await self.paced.ask(Asked(self.plan.route, messages, params, {"suite": self.plan.suite}))


def _closed_reason(draft: Draft, passage: Passage, answer: str) -> str:
    [sifted] = sift([draft], passage.text, closed_book={draft.question: answer})
    return sifted.reason or ""


def _case(draft: Draft, passage: Passage, shape: CaseShape, model: str) -> Case:
    """Cases of one passage belong together; its id is made of its content."""
    provenance = {"from": SYNTHETIC, "file": passage.file, "start": passage.start, "end": passage.end, "model": model}
    inputs = shape.inputs(draft.question, passage.text)
    made = Case("", inputs, draft.expected, (passage.text,), passage.place, (SYNTHETIC,), provenance=provenance)
    return replace(made, id=f"draft_{case_digest(made)[:12]}")


def _rejected(draft: Draft, reason: str, passage: Passage) -> RejectedDraft:
    return RejectedDraft(draft.question, draft.expected, reason, passage.place)
