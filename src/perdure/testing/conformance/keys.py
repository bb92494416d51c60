"""What the ledger's keys guarantee, as tests; part of `LedgerConformance`, and usable alone.

class TestMyKeys(KeysConformance):
    @pytest.fixture
    def ledger(self, tmp_path): return MyLedger(tmp_path / "ledger", project="conformance")
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from typing import Any

import pytest

from perdure.core.canonical import plain
from perdure.core.errors import DeclarationError, NotFound, Refused
from perdure.stores.ledger.protocols import Key, Ledger
from perdure.testing.conformance.ledger_records import AT, LedgerFixture


def a_key(number: int, **changes: Any) -> Key:
    """A key whose id, secret and instant depend on `number`."""
    key = Key(
        id=f"key_{number:04}",
        team="support",
        digest=sha256(f"secret {number}".encode()).hexdigest(),
        label="été",
        created_at=AT + timedelta(hours=number, microseconds=1),
        expires_at=AT + timedelta(days=90),
        limits={"requests": 60},
        actor="ana",
    )
    return replace(key, **changes)


def keep(ledger: Ledger, *keys: Key) -> None:
    """Put keys in a transaction of its own."""
    with ledger.transaction(actor="ana", at=AT) as session:
        for key in keys:
            session.keys.put(key)


class KeysConformance(LedgerFixture):
    """Callers' keys."""

    @pytest.mark.parametrize(
        "changes",
        [{}, {"expires_at": None, "limits": {}}, {"admin": True}, {"revoked_at": AT + timedelta(days=1)}],
        ids=lambda each: " ".join(each) or "as it is",
    )
    def test_a_key_comes_back_as_it_was_issued(self, ledger: Ledger, changes: dict[str, Any]) -> None:
        """Every field survives."""
        keep(ledger, a_key(1, **changes))
        with ledger.read() as session:
            assert session.keys.get("key_0001") == a_key(1, **changes)
            assert session.keys.list() == [a_key(1, **changes)]

    def test_a_key_put_again_changes_nothing(self, ledger: Ledger) -> None:
        """An equal one is no event."""
        keep(ledger, a_key(1))
        before = ledger.sequence()
        keep(ledger, a_key(1))
        assert ledger.sequence() == before

    def test_a_key_is_revoked_by_its_later_state(self, ledger: Ledger) -> None:
        """It stays in the list, and its label and limits may change before."""
        keep(ledger, a_key(1), a_key(2))
        keep(ledger, a_key(1, label="batch", limits={"tokens": 10}, expires_at=None))
        revoked = a_key(1, label="batch", limits={"tokens": 10}, expires_at=None, revoked_at=AT + timedelta(days=1))
        keep(ledger, revoked)
        with ledger.read() as session:
            assert session.keys.list() == [revoked, a_key(2)]

    def test_a_revocation_is_for_good(self, ledger: Ledger) -> None:
        """Neither may the key be valid again, nor anything else of it change."""
        keep(ledger, a_key(1, revoked_at=AT))
        for later in (a_key(1), a_key(1, revoked_at=AT, label="other"), a_key(1, revoked_at=AT + timedelta(days=1))):
            with pytest.raises(Refused, match="revoked"):
                keep(ledger, later)
        with ledger.read() as session:
            assert session.keys.list() == [a_key(1, revoked_at=AT)]

    def test_a_secret_is_of_one_key(self, ledger: Ledger) -> None:
        """A second key with its digest is refused, also once the first was revoked."""
        keep(ledger, a_key(1, revoked_at=AT))
        with pytest.raises(Refused, match="Another key"):
            keep(ledger, a_key(2, digest=a_key(1).digest))
        with ledger.read() as session:
            assert [key.id for key in session.keys.list()] == ["key_0001"]

    @pytest.mark.parametrize(
        "changes",
        [{"team": "sales"}, {"digest": "ab" * 32}, {"created_at": AT}, {"actor": "bo"}],
        ids=lambda each: str(*each),
    )
    def test_what_a_key_is_never_changes(self, ledger: Ledger, changes: dict[str, Any]) -> None:
        """Team, secret, instant and issuer are those of its issue."""
        keep(ledger, a_key(1))
        with pytest.raises(Refused, match="key_0001"):
            keep(ledger, a_key(1, **changes))

    @pytest.mark.parametrize("digest", ["", "pk-perdure-1-secret", "AB" * 32, "ab" * 33])
    def test_only_a_digest_is_kept(self, ledger: Ledger, digest: str) -> None:
        """A secret that is given in its place is refused, and not told."""
        with pytest.raises(DeclarationError) as told:
            keep(ledger, a_key(1, digest=digest))
        assert not digest or digest not in str(told.value)
        assert ledger.sequence() == 0

    def test_keys_are_listed_in_the_order_in_which_they_were_issued(self, ledger: Ledger) -> None:
        """Of one team or all."""
        keep(ledger, *(a_key(number, team="sales" if number == 2 else "support") for number in (3, 1, 2)))
        with ledger.read() as session:
            listed = [session.keys.list(), session.keys.list(team="support"), session.keys.list(team="nobody")]
        assert [[int(key.id[-1]) for key in part] for part in listed] == [[1, 2, 3], [1, 3], []]

    def test_the_generation_is_that_of_the_newest_change_of_a_key(self, ledger: Ledger) -> None:
        """It grows with each issue and revocation, and with nothing else."""
        seen = []
        for key in (a_key(1), a_key(2), a_key(1, revoked_at=AT)):
            keep(ledger, key)
            with ledger.transaction(actor="ana", at=AT) as session:
                session.audit.append("note", "air_time", {})
                seen.append(session.keys.generation())
        assert seen == [1, 3, 5]

    def test_without_keys_the_generation_is_0(self, ledger: Ledger) -> None:
        """Whatever else there is."""
        with ledger.transaction(actor="ana", at=AT) as session:
            session.audit.append("note", "air_time", {})
            assert session.keys.generation() == 0

    def test_an_unknown_key_is_not_found(self, ledger: Ledger) -> None:
        """The nearest known one is named."""
        keep(ledger, a_key(1))
        with ledger.read() as session, pytest.raises(NotFound, match="key_0001"):
            session.keys.get("key_0002")

    def test_what_happens_to_keys_is_in_the_chain_without_their_secrets_digest(self, ledger: Ledger) -> None:
        """Who issued, changed and revoked which key of which team."""
        keep(ledger, a_key(1))
        keep(ledger, a_key(1, label="batch"))
        keep(ledger, a_key(1, label="batch", revoked_at=AT))
        with ledger.read() as session:
            entries = session.audit.list(subject="key_0001")
        assert [entry.action for entry in entries] == ["keys.issue", "keys.change", "keys.revoke"]
        assert {(entry.actor, entry.facts["team"]) for entry in entries} == {("ana", "support")}
        assert a_key(1).digest not in json.dumps(plain(entries))
        assert ledger.verify().intact
