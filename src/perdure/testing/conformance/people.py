"""What the ledger's people guarantee, as tests; part of `LedgerConformance`, and usable alone.

class TestMyPeople(PeopleConformance):
    @pytest.fixture
    def ledger(self, tmp_path): return MyLedger(tmp_path / "ledger", project="conformance")
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from perdure.core.errors import DeclarationError, NotFound, Refused
from perdure.stores.ledger.people_protocols import PersonRecord
from perdure.stores.ledger.protocols import Ledger
from perdure.testing.conformance.ledger_records import AT, LedgerFixture


def a_person(name: str, *roles: str, **changes: Any) -> PersonRecord:
    """An open person with these roles; without any an administrator."""
    return replace(PersonRecord(name, roles or ("admin",), AT), **changes)


def let_in(ledger: Ledger, *people: PersonRecord, actor: str = "ana") -> None:
    """Put people in a transaction of its own."""
    with ledger.transaction(actor=actor, at=AT, reason="let in") as session:
        for person in people:
            session.people.put(person)


class PeopleConformance(LedgerFixture):
    """People and their roles."""

    @pytest.mark.parametrize(
        "changes",
        [{}, {"service": True}, {"duties": ("on_call", "owner")}, {"shown": "Ána Ärcher"}],
        ids=lambda each: " ".join(each) or "as it is",
    )
    def test_a_person_comes_back_as_let_in(self, ledger: Ledger, changes: dict[str, Any]) -> None:
        """Every field survives."""
        let_in(ledger, person := a_person("ann", "reviewer", "risk_officer", **changes))
        with ledger.read() as session:
            assert session.people.get("ann") == person
            assert session.people.list() == [person]

    def test_roles_are_a_set_in_order(self, ledger: Ledger) -> None:
        """Given twice is given once."""
        let_in(ledger, a_person("ann", "viewer", "admin", "viewer"))
        with ledger.read() as session:
            assert session.people.get("ann").roles == ("admin", "viewer")

    def test_people_stand_in_the_order_of_their_names_and_closed_ones_where_asked(self, ledger: Ledger) -> None:
        """Closed ones stay."""
        let_in(ledger, a_person("zoe"), a_person("ann"), a_person("bob", closed_at=AT + timedelta(days=1)))
        with ledger.read() as session:
            assert [each.name for each in session.people.list()] == ["ann", "zoe"]
            assert [each.name for each in session.people.list(open_only=False)] == ["ann", "bob", "zoe"]

    def test_each_change_is_told_by_one_entry_that_says_what_was_before(self, ledger: Ledger) -> None:
        """In the chain, with who did it."""
        let_in(ledger, a_person("ann"), a_person("bob", "viewer"))
        let_in(ledger, a_person("bob", "reviewer"), actor="ann")
        let_in(ledger, a_person("bob", "reviewer", closed_at=AT), actor="ann")
        with ledger.read() as session:
            told = session.audit.list(subject="person:bob")
        assert [(each.actor, each.action) for each in told] == [
            ("ana", "people.add"), ("ann", "people.change"), ("ann", "people.close"),
        ]  # fmt: skip
        assert told[1].facts["before"]["roles"] == ["viewer"]
        assert told[1].facts["roles"] == ["reviewer"]
        assert ledger.verify().intact

    def test_an_equal_one_changes_nothing(self, ledger: Ledger) -> None:
        """And moves no generation."""
        let_in(ledger, a_person("ann"))
        before = ledger.sequence()
        let_in(ledger, a_person("ann"))
        assert ledger.sequence() == before

    def test_the_generation_moves_with_each_change_and_with_nothing_else(self, ledger: Ledger) -> None:
        """0 while nobody is there."""
        with ledger.read() as session:
            assert session.people.generation() == 0
        let_in(ledger, a_person("ann"))
        with ledger.transaction(actor="ana", at=AT) as session:
            session.audit.append("something.else", "x", {})
        with ledger.read() as session:
            assert session.people.generation() == ledger.sequence() - 1

    @pytest.mark.parametrize("changes", [{"roles": ("viewer",)}, {"closed_at": AT}], ids=["role", "closed"])
    def test_the_last_administrator_stays_one(self, ledger: Ledger, changes: dict[str, Any]) -> None:
        """A program does not count as one, nor who is closed."""
        others = (a_person("bot", service=True), a_person("old", closed_at=AT), a_person("eve", "engineer"))
        let_in(ledger, a_person("ann"), *others)
        with pytest.raises(Refused, match="last administrator"):
            let_in(ledger, a_person("ann", **changes))
        let_in(ledger, a_person("zoe"))
        let_in(ledger, a_person("ann", **changes))

    def test_who_is_closed_stays_closed(self, ledger: Ledger) -> None:
        """The name is given to nobody else."""
        let_in(ledger, a_person("ann"), a_person("bob", "viewer", closed_at=AT))
        with pytest.raises(Refused, match="for good"):
            let_in(ledger, a_person("bob", "viewer"))

    @pytest.mark.parametrize(
        "changes", [{"service": True}, {"created_at": AT + timedelta(days=1)}], ids=["kind", "since"]
    )
    def test_a_person_becomes_no_program_and_nobody_else(self, ledger: Ledger, changes: dict[str, Any]) -> None:
        """What somebody is stays."""
        let_in(ledger, a_person("ann"), a_person("bob", "viewer"))
        with pytest.raises(Refused, match="since 20"):
            let_in(ledger, a_person("bob", "viewer", **changes))

    @pytest.mark.parametrize("name", ["", "Ann", "key:1", "a b", "ann\n", "a" * 65, "1st", "<b>"])
    def test_no_other_names_than_legal_ones(self, ledger: Ledger, name: str) -> None:
        """Of people and of roles."""
        with pytest.raises(DeclarationError):
            let_in(ledger, a_person(name))
        with pytest.raises(DeclarationError):
            let_in(ledger, a_person("ann", name))

    def test_an_unknown_name_is_told_with_the_nearest(self, ledger: Ledger) -> None:
        """As everywhere."""
        let_in(ledger, a_person("annabel"))
        with ledger.read() as session, pytest.raises(NotFound, match="Did you mean 'annabel'"):
            session.people.get("anabel")
