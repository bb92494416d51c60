"""Keys of callers: the secret is shown once, the ledger keeps its hash, and a revoked key stays revoked."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

import pytest

from perdure import Budget, Limits, Perdure, Project, Route, Target, Team, Upstream, days
from perdure.core.clock import parse_at
from perdure.core.errors import BadRequest, DeclarationError, NotFound, Refused
from perdure.surface.keying import KeyTerms

AT = parse_at("2026-01-01")
DECLARED = """\
from perdure import Route, Target, Team, Upstream

local = Upstream("local", "http://127.0.0.1:9/v1")
support = Route("support", [Target(local, "small")])
helpdesk = Team("helpdesk")
"""


@pytest.fixture
def found(tmp_path: Path) -> Perdure:
    return Perdure(tmp_path, project=Project.of("p", Team("helpdesk"), Team("sales")), actor="ann")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project's folder for the command line."""
    monkeypatch.setattr("sys.dont_write_bytecode", True)
    (tmp_path / "perdure.toml").write_text('[project]\nname = "p"\npackage = "gateway_keyed"\n')
    (tmp_path / "gateway_keyed.py").write_text(DECLARED)
    return tmp_path


def test_the_ledger_keeps_the_secret_s_hash_and_never_the_secret(found: Perdure, tmp_path: Path) -> None:
    terms = KeyTerms("bot", days(90), limits=Limits(requests=60), budgets=[Budget(5.0, per="day")])

    issued = found.create_key("helpdesk", terms, at=AT)

    with found._ledger.read() as session:
        [key] = session.keys.list()
    assert key.digest == sha256(issued.secret.encode()).hexdigest()
    assert issued.secret.startswith(f"pk-perdure-{key.id}-")
    assert (key.team, key.label, key.actor, key.expires_at) == ("helpdesk", "bot", "ann", AT + days(90))
    assert key.limits == {"requests": 60, "budgets": [{"usd": 5.0, "per": "day", "route": "", "each_key": False}]}
    found._ledger.close()
    kept = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    assert issued.secret.encode() not in kept
    assert key.digest.encode() in kept


def test_each_key_has_a_secret_of_its_own(found: Perdure) -> None:
    assert found.create_key("helpdesk").secret != found.create_key("helpdesk").secret


def test_keys_are_listed_with_how_they_stand(found: Perdure) -> None:
    forever = found.create_key("helpdesk", at=AT).key
    short = found.create_key("helpdesk", KeyTerms(expires=days(1)), at=AT + days(1)).key
    gone = found.create_key("sales", at=AT + days(2)).key
    found.revoke_key(gone.id, reason="left", at=AT + days(2))

    listed = found.list_keys(at=AT + days(2))

    assert [(key.id, key.state) for key in listed] == [
        (forever.id, "good"), (short.id, "expired"), (gone.id, "revoked")
    ]  # fmt: skip
    assert [key.id for key in found.list_keys("sales")] == [gone.id]


def test_a_key_is_revoked_once_with_its_reason(found: Perdure) -> None:
    key = found.create_key("helpdesk", at=AT).key

    revoked = found.revoke_key(key.id, reason=" left ", at=AT + days(1))
    again = found.revoke_key(key.id, reason="other", at=AT + days(2))

    assert again.revoked_at == revoked.revoked_at == AT + days(1)
    entries = [(entry.action, entry.actor, entry.reason) for entry in found.audit() if entry.subject == key.id]
    assert entries == [("keys.issue", "ann", "key create"), ("keys.revoke", "ann", "left")]
    assert found.verify_ledger().intact


def test_mistakes_are_told_and_nothing_is_written(found: Perdure) -> None:
    with pytest.raises(NotFound, match="'helpdesk'"):
        found.create_key("helpdsk")
    with pytest.raises(NotFound, match=r"no team 'sale'\. Did you mean 'sales'"):
        found.list_keys("sale")
    with pytest.raises(NotFound, match="no key"):
        found.revoke_key("key_0", reason="left")
    with pytest.raises(DeclarationError, match="can never be used"):
        KeyTerms(expires=days(0))
    assert found._ledger.sequence() == 0
    key = found.create_key("helpdesk").key
    found.create_key("helpdesk")
    with pytest.raises(DeclarationError, match="needs a reason"):
        found.revoke_key(key.id, reason=" ")
    with pytest.raises(BadRequest, match="2 keys begin with"):
        found.revoke_key("key_", reason="left")


def test_the_command_line_shows_a_secret_once(cli, folder: Path) -> None:
    issued = json.loads(
        cli("perdure key create --team helpdesk --label bot --expires 90d --admin --requests 5 --json", folder).out
    )

    assert issued["secret"].startswith(f"pk-perdure-{issued['key']['id']}-")
    assert (issued["key"]["admin"], issued["key"]["limits"]) == (True, {"requests": 5})
    listed = cli("perdure key list", folder).out
    assert "bot" in listed
    assert "(admin)" in listed
    as_json = cli("perdure key list --team helpdesk --json", folder).out
    assert issued["secret"] not in listed + as_json
    assert sha256(issued["secret"].encode()).hexdigest() not in listed + as_json


def test_the_command_line_revokes_for_a_reason(cli, folder: Path) -> None:
    told = cli("perdure key create --team helpdesk --as ann", folder).out.splitlines()
    key = told[0].split()[1]

    assert told[1].startswith(f"pk-perdure-{key}-")
    assert "needs a reason" in cli(f"perdure key revoke {key}", folder, expect=2).err
    assert f"revoked  {key}  of helpdesk" in cli(f"perdure key revoke {key} --reason left", folder).out
    assert json.loads(cli("perdure key list --json", folder).out)[0]["state"] == "revoked"


def test_the_command_line_tells_what_to_do(cli, folder: Path) -> None:
    assert cli("perdure key list", folder).out == "No key: perdure key create --team TEAM issues one.\n"
    assert "Did you mean 'helpdesk'?" in cli("perdure key create --team helpdsk", folder, expect=3).err
    assert "is not a duration" in cli("perdure key create --team helpdesk --expires soon", folder, expect=2).err
    assert "Missing option '--team'" in cli("perdure key create", folder, expect=2).err


def test_nobody_is_served_from_outside_before_an_administrator_has_a_key(tmp_path: Path) -> None:
    route = Route("support", [Target(Upstream("local", "http://127.0.0.1:9/v1"), "small")])
    found = Perdure(tmp_path, project=Project.of("p", route, Team("helpdesk")), actor="ann")
    found.create_key("helpdesk")

    with pytest.raises(Refused, match="no administrator has a key"):
        found.server(host="0.0.0.0", port=0)

    found.create_key("helpdesk", KeyTerms(admin=True))
    assert found.server(host="0.0.0.0", port=0) is not None
    assert found.server(host="127.0.0.1", port=0) is not None
