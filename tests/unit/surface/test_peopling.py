"""Verbs and commands of people: who is let in, by whom it is told, and what is never told."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from perdure import Project
from perdure.core.errors import DeclarationError, NotFound, Refused
from perdure.core.settings import ConsoleSettings, ProjectSettings, Settings
from perdure.stores.ledger.people_protocols import PersonRecord
from perdure.surface.governance.roles import People
from perdure.surface.peopling import FIRST_ROLES
from perdure.surface.sdk import Perdure

AT = "2025-03-01T00:00:00Z"


@pytest.fixture
def shop(tmp_path):
    return Perdure(tmp_path, project=Project.of("shop"))


def settings(**console):
    return Settings(ProjectSettings("shop"), console=ConsoleSettings(**console))


class TestFirst:
    def test_the_first_invite_makes_the_project_s_actor_an_administrator_who_can_do_everything(self, shop):
        invited = shop.invite_first(at=AT)
        assert (invited.person, shop.person("local").roles) == ("local", FIRST_ROLES)

    def test_while_nobody_has_used_it_a_newer_invite_is_for_the_same_person(self, shop):
        paths = [shop.invite_first(at=AT) for _ in range(2)]
        assert [each.person for each in paths] == ["local", "local"]
        assert paths[0].path != paths[1].path
        assert len([each for each in shop.people_file.secrets.list("local") if each.kind == "invite"]) == 1

    def test_where_an_administrator_has_a_password_nobody_is_invited(self, shop):
        password(shop, shop.invite_first(at=AT).person)
        assert shop.invite_first(at=AT) is None

    def test_an_actor_whose_name_cannot_be_one_of_the_console_gets_another(self, tmp_path):
        shop = Perdure(tmp_path, Settings(ProjectSettings("shop", actor="Ann Archer")), project=Project.of("shop"))
        assert shop.invite_first(at=AT).person == "admin"


class TestOutside:
    def test_loopback_asks_for_nothing(self, shop):
        shop.check_outside("127.0.0.1")

    def test_without_tls_others_cannot_reach_it(self, shop):
        password(shop, shop.invite_first(at=AT).person)
        with pytest.raises(Refused, match="without TLS"):
            shop.check_outside("0.0.0.0")

    def test_without_an_administrator_s_password_others_cannot_reach_it(self, tmp_path):
        shop = Perdure(tmp_path, settings(behind_tls=True), project=Project.of("shop"))
        name = shop.invite_first(at=AT).person
        with pytest.raises(Refused, match="no administrator has a password"):
            shop.check_outside("10.0.0.1")
        password(shop, name)
        shop.check_outside("10.0.0.1")


class TestPeople:
    def test_a_name_is_given_once(self, shop):
        shop.add_person("ann", roles=["viewer"], at=AT)
        with pytest.raises(Refused, match="taken"):
            shop.add_person("ann", roles=["admin"], at=AT)

    def test_nobody_comes_in_without_a_role_or_with_a_duty_that_is_none(self, shop):
        with pytest.raises(DeclarationError, match="without a role"):
            shop.add_person("ann", roles=[], at=AT)
        with pytest.raises(DeclarationError, match="'boss' is no duty"):
            shop.add_person("ann", roles=["viewer"], duties=["boss"], at=AT)

    def test_a_change_needs_a_reason_and_keeps_what_it_does_not_name(self, shop):
        shop.add_person("ann", roles=["viewer"], duties=["owner"], at=AT)
        with pytest.raises(DeclarationError, match="reason"):
            shop.change_person("ann", roles=["engineer"], reason=" ", at=AT)
        changed = shop.change_person("ann", roles=["engineer"], reason="moved", at=AT)
        assert (changed.roles, changed.duties) == (("engineer",), ("owner",))

    def test_closing_forgets_every_secret_and_ends_every_session(self, shop):
        shop.add_person("ann", roles=["viewer"], at=AT)
        password(shop, "ann")
        shop.invite_person("ann")
        shop.close_person("ann", reason="left", at=AT)
        assert shop.people_file.secrets.list("ann") == []
        with pytest.raises(Refused, match="for good"):
            shop.invite_person("ann")

    def test_a_program_is_not_invited_and_a_person_has_no_key(self, shop):
        shop.add_person("ann", roles=["viewer"], at=AT)
        shop.add_person("bot", roles=["viewer"], service=True, at=AT)
        with pytest.raises(Refused, match="'bot' is a program"):
            shop.invite_person("bot")
        with pytest.raises(Refused, match="'ann' is a person"):
            shop.create_service_key("ann")

    def test_a_key_s_secret_is_kept_nowhere(self, shop):
        shop.add_person("bot", roles=["viewer"], service=True, at=AT)
        issued = shop.create_service_key("bot", label="ci", expires=timedelta(days=1), at=AT)
        assert shop.list_service_keys() == [issued.key]
        assert issued.secret not in str(shop.people_file.secrets.list("bot")) + str(shop.audit())
        with pytest.raises(NotFound):
            shop.revoke_service_key("service_none", reason="lost", at=AT)
        shop.revoke_service_key(issued.key.id, reason="lost", at=AT)
        assert shop.list_service_keys("bot") == []
        assert [entry.action for entry in shop.audit()][-2:] == ["people.key", "people.key_revoked"]

    def test_a_key_that_is_over_before_it_begins_is_refused(self, shop):
        shop.add_person("bot", roles=["viewer"], service=True, at=AT)
        with pytest.raises(DeclarationError, match="can never be used"):
            shop.create_service_key("bot", expires=timedelta(0), at=AT)


class TestActing:
    def test_another_acts_on_the_same_stores_and_the_ledger_says_who(self, shop):
        other = shop.acting("eve")
        other.add_person("ann", roles=["viewer"], at=AT)
        assert (shop.actor, other.actor, other.place.actor) == ("local", "eve", "eve")
        assert other.place.stores is shop.place.stores
        assert [entry.actor for entry in shop.audit()] == ["eve"]

    def test_what_holds_who_acts_is_made_anew(self, shop):
        own = (shop.evals, shop.agents)
        other = shop.acting("eve")
        assert other.evals is not own[0]
        assert other.agents is not own[1]
        assert shop.evals is own[0]


class TestUnion:
    """`[roles]` and the ledger's people."""

    SETTINGS = Settings(ProjectSettings("shop"), roles={"reviewer": ("ann", "bob"), "risk": ()})

    def person(self, name, *roles, **changes):
        from perdure.core.clock import parse_at

        return PersonRecord(name, roles, parse_at(AT), **changes)

    def test_a_role_is_held_by_those_of_both(self):
        people = People.of(self.SETTINGS, [self.person("zoe", "reviewer", "auditor"), self.person("ann", "reviewer")])
        assert people.holders("reviewer") == ("ann", "bob", "zoe")
        assert people.holders("auditor") == ("zoe",)

    def test_a_program_and_who_is_closed_hold_none(self):
        closed = self.person("bob", "reviewer", closed_at=self.person("x").created_at)
        people = People.of(self.SETTINGS, [closed, self.person("bot", "risk", service=True)])
        assert people.holders("reviewer") == ("ann",)
        assert people.holders("risk") == ()
        with pytest.raises(Refused, match="has not the role 'risk'"):
            people.require("ann", "risk")

    def test_once_somebody_is_in_the_ledger_the_project_s_actor_has_no_role_by_being_it(self):
        people = People.of(Settings(ProjectSettings("shop")), [self.person("zoe", "reviewer")])
        assert not people.has("local", "reviewer")
        with pytest.raises(NotFound):
            people.holders("auditor")


class TestCommands:
    @pytest.fixture
    def told(self, tmp_path, capsys, monkeypatch):
        from perdure.surface.cli.app import run

        (tmp_path / "perdure.toml").write_text('[project]\nname = "shop"\npackage = "shop"\n', "utf-8")
        (tmp_path / "shop.py").write_text("", "utf-8")

        def said(*words):
            monkeypatch.setattr("sys.argv", ["perdure", "people", *words, "-p", str(tmp_path)])
            with pytest.raises(SystemExit) as ended:
                run()
            out = capsys.readouterr()
            return ended.value.code or 0, out.out, out.err

        return said

    def test_a_person_is_let_in_with_an_address_that_is_printed_once(self, told):
        code, out, _ = told("add", "ann", "--role", "reviewer,risk_officer", "--duty", "on_call", "--at", AT)
        assert code == 0
        assert "http://127.0.0.1:8500/sign-in/" in out
        listed = json.loads(told("list", "--json")[1])
        assert [(each["name"], each["roles"], each["duties"]) for each in listed] == [
            ("ann", ["reviewer", "risk_officer"], ["on_call"])
        ]

    def test_a_program_is_let_in_with_a_key(self, told):
        issued = json.loads(told("add", "bot", "--role", "engineer", "--service", "--json")[1])
        assert issued["secret"].startswith("pc-perdure-")
        assert issued["secret"] not in told("keys")[1]
        assert "good" in told("keys", "bot")[1]
        assert "revoked" in told("keys", "--revoke", issued["key"]["id"], "--reason", "lost")[1]
        assert told("keys")[1].startswith("No key")

    def test_roles_change_and_people_are_closed_with_a_reason(self, told):
        told("add", "ann", "--role", "viewer")
        assert told("role", "ann")[0] == 2
        assert told("role", "ann", "--role", "engineer")[0] == 2
        assert "engineer" in told("role", "ann", "--role", "engineer", "--reason", "moved")[1]
        assert told("close", "ann")[0] == 2
        assert "closed" in told("close", "ann", "--reason", "left")[1]
        assert "ann" in told("list", "--all")[1]
        assert told("invite", "ann")[0] == 5

    def test_a_key_is_made_for_one_program(self, told):
        assert told("keys", "--create")[0] == 2
        told("add", "bot", "--service")
        assert "pc-perdure-" in told("keys", "bot", "--create", "--label", "ci", "--expires", "90d")[1]


def password(shop, name):
    from perdure.stores.sessions.protocols import Secret

    shop.people_file.secrets.put(Secret(f"password_{name}", name, "password", f"digest of {name}", 1))
