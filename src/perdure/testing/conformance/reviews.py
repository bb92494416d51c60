"""What the ledger's reviews guarantee, as tests; part of `LedgerConformance`, and usable alone.

class TestMyReviews(ReviewsConformance):
    @pytest.fixture
    def ledger(self, tmp_path): return MyLedger(tmp_path / "ledger", project="conformance")
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from typing import Any

import pytest

from perdure.core.errors import DeclarationError, NotFound, Refused
from perdure.stores.ledger.protocols import Ledger, Review, ReviewLabel
from perdure.testing.conformance.ledger_records import AT, LedgerFixture


def a_review(number: int, **changes: Any) -> Review:
    """An open review whose id, case and instant depend on `number`."""
    review = Review(
        id=f"rev_{number:04}",
        subject="helpfulness",
        key=f"call:{number}",
        case=sha256(f"case {number}".encode()).hexdigest(),
        why="drawn",
        asked_at=AT + timedelta(hours=number, microseconds=1),
        inclusion=0.25,
        facts={"judged": 0.75, "version": "helpfulness@3f2a9c1b7d40"},
    )
    return replace(review, **changes)


def a_label(number: int, labeller: str = "ana", **changes: Any) -> ReviewLabel:
    """What somebody said of the review of that number."""
    label = ReviewLabel(
        review=f"rev_{number:04}",
        labeller=labeller,
        value=1.0,
        at=AT + timedelta(days=1, hours=number),
        word="good",
        note="klärt alles",
        source="cli",
    )
    return replace(label, **changes)


def ask(ledger: Ledger, *asked: Review) -> list[Review]:
    """Ask in a transaction of its own."""
    with ledger.transaction(actor="ana", at=AT) as session:
        return session.reviews.ask(asked)


def say(ledger: Ledger, *labels: ReviewLabel) -> list[Review]:
    """Label in a transaction of its own."""
    with ledger.transaction(actor="ana", at=AT) as session:
        return session.reviews.label(labels)


class ReviewsConformance(LedgerFixture):
    """Cases that people label."""

    @pytest.mark.parametrize("changes", [{}, {"inclusion": None, "why": "by_hand"}, {"facts": {}}], ids=str)
    def test_a_review_comes_back_as_it_was_asked(self, ledger: Ledger, changes: dict[str, Any]) -> None:
        """Every field survives."""
        asked = a_review(1, **changes)
        assert ask(ledger, asked) == [asked]
        with ledger.read() as session:
            assert session.reviews.get("rev_0001") == asked
            assert session.reviews.list() == [asked]

    def test_a_case_is_asked_once_under_its_subject_and_key(self, ledger: Ledger) -> None:
        """The second asking gives the first as it stands; another subject's is another."""
        ask(ledger, a_review(1))
        say(ledger, a_label(1))
        before = ledger.sequence()
        (again,) = ask(ledger, a_review(2, key="call:1"))
        assert (again.id, [each.value for each in again.labels]) == ("rev_0001", [1.0])
        assert ledger.sequence() == before
        ask(ledger, a_review(2, key="call:1", subject="refunds"))
        with ledger.read() as session:
            assert len(session.reviews.list()) == 2

    def test_two_people_who_disagree_both_stand(self, ledger: Ledger) -> None:
        """By time."""
        ask(ledger, a_review(1))
        later = a_label(1, "bo", value=0.0, word="bad", at=AT + timedelta(days=2))
        say(ledger, later, a_label(1))
        with ledger.read() as session:
            assert session.reviews.get("rev_0001").labels == (a_label(1), later)

    def test_of_one_person_the_last_label_stands_and_the_chain_has_both(self, ledger: Ledger) -> None:
        """Nobody's change of mind is lost."""
        ask(ledger, a_review(1))
        say(ledger, a_label(1))
        changed = a_label(1, value=0.0, word="bad", at=AT + timedelta(days=3))
        say(ledger, changed)
        with ledger.read() as session:
            assert session.reviews.get("rev_0001").labels == (changed,)
            said = [each.facts for each in session.audit.list() if each.action == "reviews.label"]
        assert [(each["value"], each.get("before")) for each in said] == [(1.0, None), (0.0, 1.0)]
        assert ledger.verify().intact

    def test_an_equal_label_is_no_event(self, ledger: Ledger) -> None:
        """An import that is done twice writes once."""
        ask(ledger, a_review(1))
        say(ledger, a_label(1))
        before = ledger.sequence()
        say(ledger, a_label(1))
        assert ledger.sequence() == before

    @pytest.mark.parametrize(
        "label",
        [a_label(1, value=1.5), a_label(1, value=float("nan")), a_label(1, "")],
        ids=["above 1", "NaN", "nobody"],
    )
    def test_a_label_is_from_0_to_1_and_by_somebody(self, ledger: Ledger, label: ReviewLabel) -> None:
        """Else nothing is kept."""
        ask(ledger, a_review(1))
        with pytest.raises(DeclarationError):
            say(ledger, label)
        with ledger.read() as session:
            assert session.reviews.get("rev_0001").labels == ()

    @pytest.mark.parametrize(
        "changes", [{"case": "the text itself"}, {"inclusion": 0.0}, {"inclusion": 1.2}, {"status": "done"}], ids=str
    )
    def test_what_is_asked_wrongly_is_refused(self, ledger: Ledger, changes: dict[str, Any]) -> None:
        """A text in place of its digest, a probability that is none, a review that is over."""
        with pytest.raises(DeclarationError):
            ask(ledger, a_review(1, **changes))
        assert ledger.sequence() == 0

    def test_an_id_is_of_one_review(self, ledger: Ledger) -> None:
        """Another case under it is refused."""
        ask(ledger, a_review(1))
        with pytest.raises(Refused, match="rev_0001"):
            ask(ledger, a_review(2, id="rev_0001"))

    def test_a_review_that_is_over_takes_no_label(self, ledger: Ledger) -> None:
        """But for those that it has, and it is ended once."""
        ask(ledger, a_review(1))
        say(ledger, a_label(1))
        with ledger.transaction(actor="ana", at=AT) as session:
            assert session.reviews.close("rev_0001", "accepted").status == "accepted"
            assert session.reviews.close("rev_0001", "accepted").status == "accepted"
        assert say(ledger, a_label(1))[0].labels == (a_label(1),)
        with pytest.raises(Refused, match="accepted"):
            say(ledger, a_label(1, "bo"))
        with ledger.read() as session:
            assert sum(each.action == "reviews.close" for each in session.audit.list()) == 1

    def test_reviews_are_listed_by_subject_and_status_in_their_order(self, ledger: Ledger) -> None:
        """With `limit` the newest."""
        ask(ledger, *(a_review(number, subject="refunds" if number == 2 else "helpfulness") for number in (3, 1, 2)))
        with ledger.transaction(actor="ana", at=AT) as session:
            session.reviews.close("rev_0001", "dropped")
        with ledger.read() as session:
            found = [
                session.reviews.list(),
                session.reviews.list(subject="helpfulness"),
                session.reviews.list(status="open"),
                session.reviews.list(limit=1),
                session.reviews.list(subject="nobody"),
            ]
        assert [[int(each.id[-1]) for each in part] for part in found] == [[1, 2, 3], [1, 3], [2, 3], [3], []]

    def test_an_unknown_review_is_not_found(self, ledger: Ledger) -> None:
        """The nearest known one is named."""
        ask(ledger, a_review(1))
        with ledger.read() as session, pytest.raises(NotFound, match="rev_0001"):
            session.reviews.get("rev_0002")
        with pytest.raises(NotFound):
            say(ledger, a_label(7))
