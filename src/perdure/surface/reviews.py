"""Verbs of the review queue: cases that people label for judges and suites, and cases that a suite grows by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from perdure.core.clock import EPOCH
from perdure.core.errors import BadRequest, DeclarationError, NotFound, not_found
from perdure.core.units import days
from perdure.surface.governance.entries import by_beginning
from perdure.surface.opened import Opened, When, instant_of

if TYPE_CHECKING:
    from perdure.engines.judges.anchors import Judgeable
    from perdure.loop.work.judges.growing import Accepted
    from perdure.stores.ledger.protocols import Review, ReviewLabel

MONTH = days(30)
_PLAIN = ("bad", "good")
"""Words of a suite's reviews."""
_ANSWERS = "Does this text of the document answer the question?"
_KEYS = {"review", "label", "labeller", "note", "at"}
_FIRST = {"incident": 0, "flip": 0, "outdated": 0, "disputed": 1, "drawn": 2, "feedback": 3, "by_hand": 3}


@dataclass(frozen=True, slots=True)
class ReviewShown:
    """A case of the queue, as a person sees it. What the judge said is not shown before it is labelled."""

    id: str
    subject: str
    why: str
    status: str
    asked_at: datetime
    inclusion: float | None
    """With which probability it was drawn; None: by hand, and no estimate rests on it."""
    words: Sequence[str]
    """What may be said, worst first."""
    rubric: str
    """What is good, where it is a judge's."""
    case: Mapping[str, Any] | None
    """`inputs`, `answers`, `expected`; None: it was forgotten."""
    labels: Sequence[ReviewLabel]
    judged: float | None
    """What the judge said, 0 to 1; None while nobody labelled it, or it said nothing."""


class Labelling(Opened):
    """The review queue of a project."""

    def next_reviews(self, subject: str = "", n: int = 1, *, by: str = "") -> list[ReviewShown]:
        """The open cases whose labels are worth most: incidents and flips, disputes, then what was drawn.

        What was drawn comes in an order of chance: whoever stops in the middle leaves a sample as good as the whole, where by
        probability, or by time, the labels would be of the likeliest, or the oldest.

        Args:
            subject: a judge or suite; empty: all.
            n: how many.
            by: who asks: what this person labelled already is left out, and what others labelled comes last.
        """
        with self._ledger.read() as session:
            found = session.reviews.list(subject=subject or None, status="open")
        mine = [each for each in found if by not in {label.labeller for label in each.labels}]
        ordered = sorted(
            mine,
            key=lambda each: (
                len(each.labels),
                _FIRST.get(each.why, 3),
                each.asked_at if each.inclusion is None else EPOCH,
                each.id,
            ),
        )
        return [self._shown(each) for each in ordered[:n]]

    def list_reviews(self, subject: str = "", *, every: bool = False, limit: int = 100) -> list[ReviewShown]:
        """Open cases in the order in which they were asked; with `every` those that are over, too."""
        with self._ledger.read() as session:
            found = session.reviews.list(subject=subject or None, status=None if every else "open", limit=limit)
        return [self._shown(each) for each in found]

    def label_review(self, review: str, label: str, *, by: str = "", note: str = "", at: When = None) -> ReviewShown:
        """Say what a case is worth; a second time, another opinion of the same person.

        Args:
            review: its id, or how it begins.
            label: a word of its scale, or a number from 0 to 1.
            by: who says so; by default the actor.
            note: why.
            at: domain time.

        Raises:
            NotFound: no such review.
            DeclarationError: no such word.
            Refused: the review is over.
        """
        from perdure.stores.ledger.protocols import ReviewLabel

        now, found = instant_of(at), self._review(review)
        value, word = self._value(found.subject, label)
        said = ReviewLabel(found.id, by or self.actor, value, now, word, note, "by_hand")
        with self.place.transaction(now, "a person labelled") as session:
            (kept,) = session.reviews.label([said])
        return self._shown(kept)

    def draw_reviews(
        self, judge: str, route: str, n: float, *, over: timedelta = MONTH, at: When = None
    ) -> list[ReviewShown]:
        """Judge the newest calls of a route whose texts were kept, and put about `n` of them into the queue.

        The more likely the judge errs on a case, the likelier it is drawn; the probability is kept with it.

        Raises:
            NotFound: no such judge or route, or no call with its texts.
            NotReady: no version of the judge answers.
        """
        from perdure.core.errors import NotReady
        from perdure.loop.work.judges.production import Wanted, draw_calls
        from perdure.loop.work.versions import find_champion

        declared = self.project.judge(judge)
        if route not in self.project.routes:
            raise not_found("route", route, self.project.routes)
        champion = find_champion(self._ledger, judge)
        if champion is None:
            raise NotReady(f"No version of judge {judge!r} answers yet.", hint="Release it: perdure apply")
        drawn = draw_calls(self.place, declared, champion, Wanted(route, over, n), instant_of(at))
        return [self._shown(each) for each in drawn]

    def ask_about_suite(self, suite: str, n: int = 20, *, at: When = None) -> list[ReviewShown]:
        """Ask people about answers of a suite's newest run where measures contradict one another, `n` at most.

        Bad ones while what it tests has an incident; those that two versions differ at; those that a judge and the other scorers
        see otherwise. They are chosen, not drawn: no estimate rests on them.

        Raises:
            NotFound: no such suite, or it was not run to its end yet.
        """
        from perdure.loop.work.judges.disputes import ask_about

        found = ask_about(self.place, self.project.suite(suite), n, instant_of(at))
        return [self._shown(each) for each in found]

    def import_reviews(
        self, subject: str, file: str | Path | None = None, *, over: timedelta = MONTH, at: When = None
    ) -> list[ReviewShown]:
        """Labels from a JSONL file of `review`, `label`, `labeller`; without one, from feedback named `review:<subject>`.

        Again the same: nothing is kept twice.

        Raises:
            DeclarationError: a line is wrong; the message has its number, and nothing was kept.
            NotFound: no such judge or suite.
        """
        from perdure.loop.work.judges.production import import_feedback

        self._check_subject(subject)
        now = instant_of(at)
        if file is None:
            return [self._shown(each) for each in import_feedback(self.place, subject, now - over, now)]
        said = [
            self._line(subject, line, f"{Path(file).name}, line {number}", now) for number, line in _lines(Path(file))
        ]
        with self.place.transaction(now, "labels of a file") as session:
            return [self._shown(each) for each in session.reviews.label(said)]

    def accept_review(self, review: str, suite: str, *, expected: Any = None, at: When = None) -> Accepted:
        """Take a labelled case into a suite's JSONL file, with where it came from; a case that stands there is not added.

        Raises:
            NotFound: no such review or suite, or its case was forgotten.
            BadSuite: the suite's cases are no JSONL file, or the inputs are not the variables of its prompt.
            DeclarationError: nobody labelled it.
        """
        from perdure.loop.work.judges.growing import accept

        grown, id_ = self.project.suite(suite), self._review(review).id
        return accept(self.place, grown, id_, expected, instant_of(at), self.project.prompts.get(grown.prompt))

    def drop_review(self, review: str, *, at: When = None) -> ReviewShown:
        """End a review without a use for it; its labels stay.

        Raises:
            NotFound: no such review.
        """
        now = instant_of(at)
        with self.place.transaction(now, "dropped") as session:
            return self._shown(session.reviews.close(self._review(review).id, "dropped"))

    def _review(self, begins: str) -> Review:
        with self._ledger.read() as session:
            known = {each.id: each for each in session.reviews.list()}
        whole = begins if begins.startswith("rev_") else f"rev_{begins}"
        if not any(each.startswith(whole) for each in known):
            if not known:
                raise NotFound(f"There is no review {begins!r}.", hint="Nobody was asked yet: perdure review draw.")
            raise not_found("review", begins, known)
        return known[by_beginning("review", whole, known)]

    def _check_subject(self, subject: str) -> None:
        known = {**self.project.judges, **self.project.suites, **self.project.indexes}
        if subject not in known:
            raise not_found("judge, suite or index", subject, known)

    def _words(self, subject: str) -> tuple[str, ...]:
        from perdure.engines.judges.scales import words_of

        judge = self.project.judges.get(subject)
        return _PLAIN if judge is None else words_of(judge.definition())

    def _value(self, subject: str, label: str) -> tuple[float, str]:
        from perdure.engines.judges.scales import value_of, word_of

        words = self._words(subject)
        value = value_of(label, words)
        if value is None:
            try:
                value = float(label)
            except ValueError:
                value = -1.0
        if not 0.0 <= value <= 1.0:
            raise DeclarationError(
                f"{label!r} is no label of {subject!r}.",
                hint=f"Say one of {', '.join(words)}, or a number from 0 to 1.",
            )
        return value, word_of(value, words)

    def _asks(self, review: Review) -> str:
        if review.why == "outdated":
            how = "is gone" if review.facts["text"] == "gone" else "changed"
            return f"This text of {review.facts['document']} {how} since: are question and answer still right?"
        return _ANSWERS if review.subject in self.project.indexes else ""

    def _line(self, subject: str, line: str, where: str, now: datetime) -> ReviewLabel:
        from perdure.stores.ledger.protocols import ReviewLabel

        try:
            row = msgspec.json.decode(line)
        except msgspec.DecodeError:
            raise BadRequest(f"{where}: this is no JSON.", hint="One JSON object a line.") from None
        sound = isinstance(row, dict) and {"review", "label", "labeller"} <= set(row) <= _KEYS
        if not sound or not all(isinstance(row.get(name, ""), str) for name in _KEYS - {"label"}):
            raise DeclarationError(
                f"{where}: this is no label.", hint='Such as {"review": "rev_…", "label": "good", "labeller": "ana"}.'
            )
        review = self._review(row["review"])
        if review.subject != subject:
            raise DeclarationError(
                f"{where}: the review is of {review.subject!r}.", hint=f"Import those of {subject!r}."
            )
        value, word = self._value(subject, str(row["label"]))
        said_at = instant_of(row["at"]) if "at" in row else now
        return ReviewLabel(review.id, row["labeller"], value, said_at, word, row.get("note", ""), "file")

    def _shown(self, review: Review) -> ReviewShown:
        from perdure.loop.work.judges.labels import find_case

        case: Judgeable | None = find_case(self.place, review.case)
        judge = self.project.judges.get(review.subject)
        told = None
        if case is not None:
            told = {"inputs": case.inputs, "answers": list(case.answers), "expected": case.expected}
        return ReviewShown(
            id=review.id,
            subject=review.subject,
            why=review.why,
            status=review.status,
            asked_at=review.asked_at,
            inclusion=review.inclusion,
            words=self._words(review.subject),
            rubric=judge.rubric if judge is not None else self._asks(review),
            case=told,
            labels=review.labels,
            judged=review.facts.get("judged") if review.labels else None,
        )


def _lines(file: Path) -> list[tuple[int, str]]:
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadRequest(f"{file.name} cannot be read.", hint="Give a JSONL file of UTF-8 text.") from error
    return [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
