"""What a store of secrets, sessions and tries guarantees, as tests.

class TestMySignIn(SignInConformance):
    @pytest.fixture
    def stores(self, tmp_path): return MyPeople(tmp_path / "people")   # has `secrets`, `sessions` and `tries`
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Protocol

import pytest

from perdure.stores.sessions.protocols import Secret, Secrets, Session, Sessions, Tries

NOW = 1_700_000_000_000_000
SECOND, MINUTE, HOUR = 1_000_000, 60_000_000, 3_600_000_000


class SignInStores(Protocol):
    """The three roles of one store."""

    @property
    def secrets(self) -> Secrets:
        """Its secrets."""
        ...

    @property
    def sessions(self) -> Sessions:
        """Its sessions."""
        ...

    @property
    def tries(self) -> Tries:
        """Its tries."""
        ...


def a_secret(number: int, **changes: Any) -> Secret:
    """An invite of ann's whose id and digest depend on `number`."""
    return replace(Secret(f"secret_{number}", "ann", "invite", f"{number:064x}", NOW + number), **changes)


def a_session(number: int, **changes: Any) -> Session:
    """A session of ann's whose digest depends on `number`."""
    session = Session(f"{number:064x}", "ann", "csrf", NOW, NOW, NOW + 24 * HOUR, "10.0.0.1", "a browser")
    return replace(session, **changes)


class SignInConformance:
    """Subclass it with a fixture `stores`."""

    @pytest.fixture
    def stores(self) -> SignInStores:
        """The store under test, empty."""
        raise pytest.UsageError("A conformance suite needs a fixture `stores`.")

    def test_a_secret_comes_back_by_kind_and_digest(self, stores: SignInStores) -> None:
        """Every field survives, and a key is no invite."""
        secret = a_secret(1, kind="key", expires_us=NOW + HOUR, label="été")
        stores.secrets.put(secret)
        assert stores.secrets.find("key", secret.digest) == secret
        assert stores.secrets.find("invite", secret.digest) is None
        assert stores.secrets.list("ann") == [secret]
        assert stores.secrets.list("bob") == []

    def test_a_password_takes_the_place_of_the_former_and_ends_all_sessions_of_that_person(
        self, stores: SignInStores
    ) -> None:
        """Of nobody else."""
        stores.sessions.begin(a_session(1))
        stores.sessions.begin(a_session(2, person="bob"))
        stores.secrets.put(a_secret(1, kind="password", digest="first"))
        stores.secrets.put(a_secret(2, kind="password", digest="second"))
        found = stores.secrets.password("ann")
        assert found is not None
        assert found.digest == "second"
        assert len(stores.secrets.list("ann")) == 1
        assert stores.sessions.list("ann") == []
        assert len(stores.sessions.list("bob")) == 1

    def test_a_key_ends_no_session(self, stores: SignInStores) -> None:
        """Only a password does."""
        stores.sessions.begin(a_session(1))
        stores.secrets.put(a_secret(1, kind="key"))
        assert len(stores.sessions.list("ann")) == 1

    def test_an_invite_is_taken_by_the_first_who_asks(self, stores: SignInStores) -> None:
        """Of eight at once one gets it."""
        stores.secrets.put(a_secret(1, expires_us=NOW + HOUR))
        with ThreadPoolExecutor(8) as pool:
            taken = list(pool.map(lambda _: stores.secrets.take("secret_1", NOW), range(8)))
        assert sorted(taken) == [False] * 7 + [True]

    def test_an_invite_that_is_over_or_unknown_or_no_invite_is_taken_by_nobody(self, stores: SignInStores) -> None:
        """At its very end it is over."""
        stores.secrets.put(a_secret(1, expires_us=NOW))
        stores.secrets.put(a_secret(2, kind="key"))
        assert [stores.secrets.take(f"secret_{n}", NOW) for n in (1, 2, 3)] == [False, False, False]

    def test_the_use_of_a_key_is_written_once_a_minute(self, stores: SignInStores) -> None:
        """Not at every request."""
        stores.secrets.put(a_secret(1, kind="key"))
        for at in (NOW, NOW + MINUTE - 1, NOW + 2 * MINUTE):
            stores.secrets.used("secret_1", at)
        assert stores.secrets.list("ann")[0].used_us == NOW + 2 * MINUTE
        stores.secrets.used("secret_1", NOW + 2 * MINUTE + 1)
        assert stores.secrets.list("ann")[0].used_us == NOW + 2 * MINUTE

    def test_a_secret_is_forgotten_once(self, stores: SignInStores) -> None:
        """True for the first."""
        stores.secrets.put(a_secret(1))
        assert [stores.secrets.drop("secret_1") for _ in range(2)] == [True, False]
        assert stores.secrets.find("invite", a_secret(1).digest) is None

    def test_a_session_comes_back_until_it_was_idle_for_too_long(self, stores: SignInStores) -> None:
        """Each request begins the idle time anew."""
        stores.sessions.begin(a_session(1))
        digest = a_session(1).digest
        assert stores.sessions.find(digest, NOW + HOUR - 1, HOUR) is not None
        assert stores.sessions.find(digest, NOW + 2 * HOUR - 2, HOUR) is not None
        assert stores.sessions.find(digest, NOW + 3 * HOUR, HOUR) is None

    def test_a_session_ends_at_its_end_however_busy_it_was(self, stores: SignInStores) -> None:
        """The absolute end."""
        stores.sessions.begin(a_session(1))
        digest = a_session(1).digest
        for hour in range(24):
            assert stores.sessions.find(digest, NOW + hour * HOUR, 2 * HOUR) is not None
        assert stores.sessions.find(digest, NOW + 24 * HOUR, 2 * HOUR) is None

    def test_when_a_session_was_seen_is_written_once_a_minute(self, stores: SignInStores) -> None:
        """Not at every request."""
        stores.sessions.begin(a_session(1))
        stores.sessions.find(a_session(1).digest, NOW + MINUTE - 1, HOUR)
        assert stores.sessions.list("ann")[0].seen_us == NOW
        stores.sessions.find(a_session(1).digest, NOW + MINUTE, HOUR)
        assert stores.sessions.list("ann")[0].seen_us == NOW + MINUTE

    def test_a_notice_is_taken_once(self, stores: SignInStores) -> None:
        """Also by eight at once."""
        stores.sessions.begin(a_session(1))
        digest = a_session(1).digest
        assert stores.sessions.noted(digest) == ""
        stores.sessions.note(digest, "done")
        with ThreadPoolExecutor(8) as pool:
            assert sorted(pool.map(lambda _: stores.sessions.noted(digest), range(8))) == [""] * 7 + ["done"]

    def test_one_session_ends_or_all_of_a_person(self, stores: SignInStores) -> None:
        """Nobody else's."""
        for session in (a_session(1), a_session(2), a_session(3), a_session(4, person="bob")):
            stores.sessions.begin(session)
        assert stores.sessions.end(digest=a_session(1).digest) == 1
        assert stores.sessions.find(a_session(1).digest, NOW, HOUR) is None
        assert stores.sessions.end(person="ann") == 2
        assert stores.sessions.end() == 0
        assert len(stores.sessions.list("bob")) == 1

    def test_sessions_that_are_over_are_forgotten(self, stores: SignInStores) -> None:
        """By their end, or for they were idle."""
        for session in (a_session(1), a_session(2, expires_us=NOW), a_session(3, seen_us=NOW - 2 * HOUR)):
            stores.sessions.begin(session)
        assert stores.sessions.prune(NOW, HOUR) == 2
        assert [each.digest for each in stores.sessions.list("ann")] == [a_session(1).digest]

    def test_from_the_fifth_failed_try_on_there_is_a_wait_that_doubles_up_to_15_minutes(
        self, stores: SignInStores
    ) -> None:
        """Of whichever name waits longest."""
        waits = [stores.tries.failed(["name:ann"], NOW) for _ in range(16)]
        assert waits == [0, 0, 0, 0, *(2.0**n for n in range(10)), 900, 900]
        assert stores.tries.waits(["name:bob", "name:ann"], NOW) == 900
        assert stores.tries.waits(["name:bob"], NOW) == 0

    def test_a_wait_ends_and_all_is_forgotten_after_15_quiet_minutes(self, stores: SignInStores) -> None:
        """By the clock that is given."""
        for _ in range(6):
            stores.tries.failed(["name:ann"], NOW)
        assert stores.tries.waits(["name:ann"], NOW + SECOND) == 1
        assert stores.tries.waits(["name:ann"], NOW + 2 * SECOND) == 0
        assert stores.tries.failed(["name:ann"], NOW + 15 * MINUTE) == 0

    def test_what_was_counted_is_taken_back(self, stores: SignInStores) -> None:
        """For the named alone."""
        for _ in range(5):
            stores.tries.failed(["name:ann", "address:x"], NOW)
        stores.tries.clear(["name:ann"])
        assert stores.tries.waits(["name:ann"], NOW) == 0
        assert stores.tries.waits(["address:x"], NOW) == 1
