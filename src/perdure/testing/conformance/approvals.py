"""What the ledger's approvals guarantee, as tests; part of `LedgerConformance`, and usable alone.

class TestMyApprovals(ApprovalsConformance):
    @pytest.fixture
    def ledger(self, tmp_path): return MyLedger(tmp_path / "ledger", project="conformance")
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from perdure.core.errors import DeclarationError, NotFound, Refused
from perdure.stores.ledger.protocols import Answer, Approval, Ledger
from perdure.testing.conformance.ledger_records import AT, LedgerFixture


def a_question(number: int, **changes: Any) -> Approval:
    """An open question whose id, key and instant depend on `number`."""
    question = Approval(
        id=f"apr_{number:04}",
        asset="air_time",
        key=f"release {number}",
        text="Release air_time@3f2a?",
        role="reviewer",
        n_needed=1,
        asked_by="loop",
        asked_at=AT + timedelta(hours=number),
        status="open",
        facts={"verdicts": [{"gate": "paired", "gain": 0.25}]},
    )
    return replace(question, **changes)


def an_answer(actor: str, *, yes: bool = True, reason: str = "été", minutes: int = 0) -> Answer:
    """One person's word."""
    return Answer(actor, yes, reason, AT + timedelta(minutes=minutes, microseconds=1))


def ask(ledger: Ledger, question: Approval) -> Approval:
    """Ask in a transaction of its own."""
    with ledger.transaction(actor=question.asked_by, at=AT) as session:
        return session.approvals.ask(question)


def say(ledger: Ledger, approval_id: str, answer: Answer) -> Approval:
    """Answer in a transaction of its own."""
    with ledger.transaction(actor=answer.actor, at=AT) as session:
        return session.approvals.answer(approval_id, answer)


class ApprovalsConformance(LedgerFixture):
    """Questions to people."""

    def test_a_question_comes_back_as_it_was_asked(self, ledger: Ledger) -> None:
        """Every field survives."""
        assert ask(ledger, a_question(1)) == a_question(1)
        with ledger.read() as session:
            assert session.approvals.get("apr_0001") == a_question(1)

    def test_a_question_is_asked_once_under_its_key(self, ledger: Ledger) -> None:
        """Asked again, also after it is decided, the first one is returned and nothing written."""
        ask(ledger, a_question(1))
        before = ledger.sequence()
        assert ask(ledger, a_question(2, key="release 1")) == a_question(1)
        assert ledger.sequence() == before
        approved = say(ledger, "apr_0001", an_answer("ann"))
        assert ask(ledger, a_question(3, key="release 1")) == approved
        with ledger.read() as session:
            assert session.approvals.list() == [approved]

    def test_one_yes_approves_where_one_is_needed(self, ledger: Ledger) -> None:
        """The answer is kept with its reason and instant; who asked may give it."""
        for number, actor in ((1, "ann"), (2, "loop")):
            ask(ledger, a_question(number))
            answered = say(ledger, f"apr_{number:04}", an_answer(actor))
            assert answered == a_question(number, status="approved", answers=(an_answer(actor),))
            with ledger.read() as session:
                assert session.approvals.get(answered.id) == answered

    def test_an_approval_given_twice_counts_once(self, ledger: Ledger) -> None:
        """A second answer of one person changes nothing, not even when it is another one."""
        ask(ledger, a_question(1, n_needed=2))
        first = say(ledger, "apr_0001", an_answer("ann"))
        before = ledger.sequence()
        assert say(ledger, "apr_0001", an_answer("ann", minutes=5)) == first
        assert say(ledger, "apr_0001", an_answer("ann", yes=False)) == first
        assert (first.status, len(first.answers)) == ("open", 1)
        assert ledger.sequence() == before
        decided = say(ledger, "apr_0001", an_answer("bo"))
        assert decided.status == "approved"
        assert say(ledger, "apr_0001", an_answer("bo")) == decided

    def test_different_people_approve_where_several_are_needed(self, ledger: Ledger) -> None:
        """In the order in which they answered."""
        ask(ledger, a_question(1, n_needed=3))
        assert [say(ledger, "apr_0001", an_answer(actor)).status for actor in ("ann", "bo", "cy")] == [
            "open",
            "open",
            "approved",
        ]
        with ledger.read() as session:
            assert [answer.actor for answer in session.approvals.get("apr_0001").answers] == ["ann", "bo", "cy"]

    def test_who_asked_may_not_answer_where_several_are_needed(self, ledger: Ledger) -> None:
        """Neither yes nor no: four eyes are two people beside them."""
        ask(ledger, a_question(1, n_needed=2, asked_by="ann"))
        for yes in (True, False):
            with pytest.raises(Refused, match="ann"):
                say(ledger, "apr_0001", an_answer("ann", yes=yes))
        with ledger.read() as session:
            assert session.approvals.get("apr_0001").answers == ()

    def test_one_no_rejects(self, ledger: Ledger) -> None:
        """Whoever said yes before; nobody can answer after it."""
        ask(ledger, a_question(1, n_needed=2))
        say(ledger, "apr_0001", an_answer("ann"))
        rejected = say(ledger, "apr_0001", an_answer("bo", yes=False))
        assert (rejected.status, len(rejected.answers)) == ("rejected", 2)
        with pytest.raises(Refused, match="rejected"):
            say(ledger, "apr_0001", an_answer("cy"))

    def test_a_withdrawn_question_cannot_be_answered(self, ledger: Ledger) -> None:
        """Withdrawing again changes nothing; a decided one stays as it is."""
        ask(ledger, a_question(1))
        ask(ledger, a_question(2))
        decided = say(ledger, "apr_0002", an_answer("ann"))
        with ledger.transaction(actor="loop", at=AT) as session:
            assert session.approvals.withdraw("apr_0001").status == "withdrawn"
        before = ledger.sequence()
        with ledger.transaction(actor="loop", at=AT) as session:
            assert session.approvals.withdraw("apr_0001").status == "withdrawn"
            assert session.approvals.withdraw("apr_0002") == decided
        assert ledger.sequence() == before
        with pytest.raises(Refused, match="withdrawn"):
            say(ledger, "apr_0001", an_answer("ann"))

    def test_questions_are_listed_in_the_order_in_which_they_were_asked(self, ledger: Ledger) -> None:
        """Of one asset or all, open ones or all."""
        for number in (3, 1, 2):
            ask(ledger, a_question(number, asset="fares" if number == 2 else "air_time"))
        say(ledger, "apr_0001", an_answer("ann"))
        with ledger.read() as session:
            listed = [session.approvals.list(), session.approvals.list(open_only=True)]
            listed += [session.approvals.list(asset="air_time"), session.approvals.list(asset="fares", open_only=True)]
        assert [[int(each.id[-1]) for each in part] for part in listed] == [[1, 2, 3], [2, 3], [1, 3], [2]]

    def test_an_unknown_question_is_not_found(self, ledger: Ledger) -> None:
        """Whatever is asked of it."""
        with ledger.transaction(actor="ana", at=AT) as session:
            for act in (session.approvals.get, session.approvals.withdraw):
                with pytest.raises(NotFound):
                    act("apr_0")
            with pytest.raises(NotFound):
                session.approvals.answer("apr_0", an_answer("ann"))

    @pytest.mark.parametrize(
        "changes",
        [{"status": "approved"}, {"answers": (an_answer("ann"),)}, {"n_needed": 0}],
        ids=lambda each: str(*each),
    )
    def test_only_an_open_question_is_asked(self, ledger: Ledger, changes: dict[str, Any]) -> None:
        """Nobody approves by asking."""
        with pytest.raises(DeclarationError):
            ask(ledger, a_question(1, **changes))
        assert ledger.sequence() == 0

    def test_an_id_is_one_question_s(self, ledger: Ledger) -> None:
        """Another key under it is refused."""
        ask(ledger, a_question(1))
        with pytest.raises(Refused, match="apr_0001"):
            ask(ledger, a_question(1, key="another"))

    def test_every_word_is_in_the_chain(self, ledger: Ledger) -> None:
        """Who said what, about which asset."""
        ask(ledger, a_question(1, n_needed=2))
        say(ledger, "apr_0001", an_answer("ann", reason="looks right"))
        with ledger.read() as session:
            entries = session.audit.list(subject="air_time")
        assert [entry.actor for entry in entries] == ["loop", "ann"]
        assert entries[1].facts["why"] == "looks right"
        assert ledger.verify().intact
