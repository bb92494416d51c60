"""The file of secrets and sessions keeps every promise of its Protocols, and its own."""

from __future__ import annotations

import stat

import pytest

from perdure.core.errors import Corrupt
from perdure.stores.sessions.sqlite import SqlitePeople
from perdure.testing.conformance.sign_in import HOUR, NOW, SignInConformance, a_secret, a_session


class TestSqlitePeople(SignInConformance):
    @pytest.fixture
    def stores(self, tmp_path):
        made = SqlitePeople(tmp_path / "people.db")
        yield made
        made.close()


def test_nobody_but_its_owner_reads_the_file_or_its_companions(tmp_path):
    file = SqlitePeople(tmp_path / "people.db")
    file.secrets.put(a_secret(1))
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    file.close()
    assert modes == {"people.db": 0o600, "people.db-wal": 0o600, "people.db-shm": 0o600}


def test_another_process_sees_what_was_written_at_once(tmp_path):
    """A command beside a running console."""
    console, command = SqlitePeople(tmp_path / "people.db"), SqlitePeople(tmp_path / "people.db")
    console.sessions.begin(a_session(1))
    command.secrets.put(a_secret(1, kind="password"))
    assert console.sessions.find(a_session(1).digest, NOW, HOUR) is None
    for file in (console, command):
        file.close()


def test_what_was_written_is_there_when_it_is_opened_again(tmp_path):
    first = SqlitePeople(tmp_path / "people.db")
    first.secrets.put(a_secret(1))
    first.close()
    again = SqlitePeople(tmp_path / "people.db")
    assert again.secrets.list("ann") == [a_secret(1)]
    again.close()


def test_a_file_that_is_no_database_is_refused(tmp_path):
    (tmp_path / "people.db").write_bytes(b"no database" * 1000)
    with pytest.raises(Corrupt):
        SqlitePeople(tmp_path / "people.db")


def test_people_of_one_project_are_nobody_in_another_that_keeps_its_stores_in_the_same_folder(tmp_path):
    """Else whoever lets people in there would come in here as anybody."""
    here, there = (SqlitePeople(tmp_path / "people.db", project) for project in ("shop", "shop/desk"))
    for number, kind in enumerate(("password", "key", "invite"), 1):
        here.secrets.put(a_secret(number, kind=kind))
    here.sessions.begin(a_session(1))
    assert there.sessions.find(a_session(1).digest, NOW, HOUR) is None
    assert [there.secrets.find(kind, a_secret(n).digest) for n, kind in ((2, "key"), (3, "invite"))] == [None, None]
    assert (there.secrets.password("ann"), there.secrets.list("ann"), there.sessions.list("ann")) == (None, [], [])
    assert there.sessions.end(person="ann") == 0
    there.secrets.put(a_secret(4, kind="password"))
    assert here.sessions.find(a_session(1).digest, NOW, HOUR) is not None
    assert len(here.secrets.list("ann")) == 3
    for file in (here, there):
        file.close()
