"""The reviews role: cases that people are asked to label, and what each of them said.

The case itself (texts of production, perhaps) is a blob and stands here by its digest only, so that a text can be
forgotten while its label stays. Of one person the last label stands, and the audit keeps the former; of two people both
stand: that they disagree is what tells how far a judge can agree with anybody.
"""

from __future__ import annotations

import builtins
import json
import math
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import ColumnElement, Row, select

from perdure.core.clock import from_us, to_us
from perdure.core.errors import DeclarationError, Refused, not_found
from perdure.stores.ledger.chain import json_text
from perdure.stores.ledger.protocols import Review, ReviewLabel, ReviewStatus
from perdure.stores.ledger.schema import review_labels, reviews
from perdure.stores.ledger.scope import Change, Scope, Write

_DIGEST = re.compile(r"[0-9a-f]{64}")
_OPEN: ReviewStatus = "open"
_IDS_A_QUERY = 500
"""SQLite takes 999 parameters in its older builds."""


class SqlReviews:
    """Reviews by id and by subject and key, over one snapshot or transaction."""

    __slots__ = ("_scope",)

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    def ask(self, asked: Sequence[Review]) -> list[Review]:
        """Put cases into the queue; one that its subject was asked under the same key already is returned as it stands.

        Raises:
            DeclarationError: a case is no digest, a probability is not above 0 and at most 1, or it is labelled already.
            Refused: an id is taken by another case.
        """
        self._scope.writing()
        return [self._ask(each) for each in asked]

    def label(self, labels: Sequence[ReviewLabel]) -> list[Review]:
        """Keep what people said; an equal label of one person changes nothing, another one replaces theirs.

        Raises:
            NotFound: no such review.
            DeclarationError: a value outside 0 to 1, or nobody said it.
            Refused: the review is over.
        """
        self._scope.writing()
        return [self._label(each) for each in labels]

    def close(self, review_id: str, status: ReviewStatus) -> Review:
        """End a review as `done`, `accepted` (its case stands in a suite) or `dropped`; one that is so already stays so.

        Raises:
            NotFound: no such review.
            DeclarationError: `open` ends nothing.
        """
        self._scope.writing()
        review = self.get(review_id)
        if status == _OPEN:
            raise DeclarationError("A review is not ended as `open`.", hint="Say done, accepted or dropped.")
        if review.status == status:
            return review
        closed = replace(review, status=status)
        self._save("reviews.close", closed, {"status": status}, replaces=True)
        return closed

    def get(self, review_id: str) -> Review:
        """The review of an id.

        Raises:
            NotFound: no such review.
        """
        found = self._find(reviews.c.id == review_id)
        if not found:
            known = select(reviews.c.id).where(reviews.c.project == self._scope.project)
            raise not_found("review", review_id, self._scope.connection.scalars(known))
        return found[0]

    def list(
        self, *, subject: str | None = None, status: ReviewStatus | None = None, limit: int | None = None
    ) -> builtins.list[Review]:
        """With their labels, in the order in which they were asked; with `limit` only so many of the newest."""
        conditions = []
        if subject is not None:
            conditions.append(reviews.c.subject == subject)
        if status is not None:
            conditions.append(reviews.c.status == status)
        return self._find(*conditions, limit=limit)

    def _find(self, *conditions: ColumnElement[bool], limit: int | None = None) -> builtins.list[Review]:
        query = select(reviews).where(reviews.c.project == self._scope.project, *conditions)
        query = query.order_by(reviews.c.asked_us.desc(), reviews.c.id.desc()).limit(limit)
        rows = self._scope.connection.execute(query).all()[::-1]
        labels = self._labels([row.id for row in rows])
        return [_review(row, labels.get(row.id, ())) for row in rows]

    def _labels(self, ids: Sequence[str]) -> dict[str, tuple[ReviewLabel, ...]]:
        found: dict[str, tuple[ReviewLabel, ...]] = {}
        for first in range(0, len(ids), _IDS_A_QUERY):
            some = ids[first : first + _IDS_A_QUERY]
            here = (review_labels.c.project == self._scope.project, review_labels.c.review.in_(some))
            query = select(review_labels).where(*here)
            for row in self._scope.connection.execute(
                query.order_by(review_labels.c.labelled_us, review_labels.c.labeller)
            ):
                found[row.review] = (*found.get(row.review, ()), _label(row))
        return found

    def _ask(self, review: Review) -> Review:
        same = self._find(reviews.c.subject == review.subject, reviews.c.key == review.key)
        if same:
            return same[0]
        sound = review.inclusion is None or 0.0 < review.inclusion <= 1.0
        if not _DIGEST.fullmatch(review.case) or not sound or review.labels or review.status != _OPEN:
            raise DeclarationError(
                f"The review {review.key!r} of {review.subject!r} is {review.status!r}, has {len(review.labels)} labels "
                f"and the probability {review.inclusion!r}.",
                hint="Ask an open one without labels, of a blob by its digest, drawn with a probability above 0 up to 1.",
            )
        if self._find(reviews.c.id == review.id):
            raise Refused(f"The id {review.id!r} is taken by another review.", hint="Make one by `new_id`.")
        kept = replace(review, facts=json.loads(json_text(review.facts)))
        said = {"why": kept.why, "inclusion": kept.inclusion, "case": kept.case}
        self._save("reviews.ask", kept, said, replaces=False)
        return kept

    def _label(self, label: ReviewLabel) -> Review:
        review = self.get(label.review)
        if not (math.isfinite(label.value) and 0.0 <= label.value <= 1.0) or not label.labeller:
            raise DeclarationError(
                f"A label of the review {label.review!r} is {label.value!r} by {label.labeller!r}.",
                hint="Labels are from 0 to 1, by somebody.",
            )
        before = next((each for each in review.labels if each.labeller == label.labeller), None)
        if before == label:
            return review
        if review.status != _OPEN:
            raise Refused(f"The review {review.id!r} is {review.status} already.", hint="It needs no further label.")
        author = self._scope.writing()
        row = {
            "project": self._scope.project,
            "review": label.review,
            "labeller": label.labeller,
            "value": label.value,
            "word": label.word,
            "note": label.note,
            "source": label.source,
            "labelled_us": to_us(label.at),
            "actor": author.actor,
        }
        said = {"review": review.id, "labeller": label.labeller, "value": label.value, "source": label.source}
        said |= {} if before is None else {"before": before.value}
        write = Write(review_labels, row, replaces=before is not None)
        self._scope.save(Change("reviews.label", review.subject, said), [write])
        return self.get(review.id)

    def _save(self, action: str, review: Review, said: dict[str, Any], *, replaces: bool) -> None:
        row = {
            "project": self._scope.project,
            "id": review.id,
            "subject": review.subject,
            "key": review.key,
            "case": review.case,
            "why": review.why,
            "inclusion": review.inclusion,
            "asked_us": to_us(review.asked_at),
            "status": review.status,
            "facts": json_text(review.facts),
            "actor": self._scope.writing().actor,
        }
        change = Change(action, review.subject, {"review": review.id, **said})
        self._scope.save(change, [Write(reviews, row, replaces=replaces)])


def _review(row: Row[Any], labels: tuple[ReviewLabel, ...]) -> Review:
    return Review(
        id=row.id,
        subject=row.subject,
        key=row.key,
        case=row.case,
        why=row.why,
        inclusion=row.inclusion,
        asked_at=from_us(row.asked_us),
        status=row.status,
        labels=labels,
        facts=json.loads(row.facts),
    )


def _label(row: Row[Any]) -> ReviewLabel:
    return ReviewLabel(
        review=row.review,
        labeller=row.labeller,
        value=row.value,
        at=from_us(row.labelled_us),
        word=row.word,
        note=row.note,
        source=row.source,
    )
