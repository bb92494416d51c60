"""The pages of people: what they show, what they offer to whom, and that they draw nothing that their twin does not have."""

from __future__ import annotations

import re

import pytest

from perdure import Project, Team
from perdure.core.clock import parse_at
from perdure.core.errors import BadRequest
from perdure.surface.console.people.gateway_keys import issue_key, keys_page, revoke_key
from perdure.surface.console.records import Asked, Person
from perdure.surface.sdk import Perdure

ADDRESSES = ["/people", "/people?who=all", "/people/ann", "/people/bot", "/keys", "/me"]


@pytest.mark.parametrize("path", ADDRESSES)
def test_a_page_and_its_twin_are_served(shared_door, path):
    browser = shared_door.as_("all")
    assert browser.get(path).status == 200
    twin = browser.get(f"/api{path}")
    assert twin.status == 200
    assert twin.json


@pytest.mark.parametrize("path", ADDRESSES)
def test_every_form_carries_a_token_and_no_two_are_alike(shared_door, path):
    page = shared_door.as_("all").get(path).text
    forms = re.findall(r'<form method="post".*?</form>', page, re.DOTALL)
    tokens = [found[1] for form in forms if (found := re.search(r'name="csrf" value="([^"]{80,})"', form))]
    assert len(tokens) == len(forms)
    assert len(set(tokens)) == len(tokens)


def test_the_page_of_people_lists_them_and_offers_every_role(shared_door):
    told = shared_door.as_("adm").get("/api/people").json
    shown = str(told)
    assert all(f"'{name}'" in shown for name in ("adm", "ann", "bot", "rex"))
    page = shared_door.as_("adm").get("/people").text
    for role in ("viewer", "scientist", "engineer", "reviewer", "admin", "risk_officer"):
        assert f'name="role.{role}"' in page


def test_somebody_is_let_in_by_the_form_with_an_address_shown_once(door):
    adm = door.as_("adm")
    form = {"name": "zoe", "shown": "Zoe Z.", "role.reviewer": "on", "other_roles": "auditor, ", "duty.on_call": "on"}
    assert adm.post("/people", form).headers["location"] == "/people/zoe"
    person = door.parts.project.person("zoe")
    assert (person.roles, person.duties, person.shown) == (("auditor", "reviewer"), ("on_call",), "Zoe Z.")
    page = adm.get("/people/zoe").text
    invite = re.search(r"http://127\.0\.0\.1:8500(/sign-in/[\w-]+)", page)
    assert invite is not None
    assert door.as_("").get(invite[1]).status == 200
    assert "/sign-in/" not in adm.get("/people/zoe").text


def test_a_refused_name_is_told_with_what_was_expected(door):
    answer = door.as_("adm").post("/people", {"name": "Zoe Z", "role.viewer": "on"})
    assert answer.status == 422
    assert "It begins with a-z" in answer.text


def test_hostile_names_are_shown_as_they_are(door):
    door.parts.project.add_person("zoe", roles=["viewer"], shown="<img src=x onerror=alert(1)>")
    page = door.as_("adm").get("/people/zoe").text
    assert "<img src=x" not in page
    assert "&lt;img src=x onerror=alert(1)&gt;" in page


def test_one_s_own_page_tells_what_one_may_not_and_who_may(shared_door):
    page = shared_door.as_("ann").get("/me").text
    assert "answer questions" in page
    told = shared_door.as_("ann").get("/api/me").json
    assert ["let people in, and give roles", "admin"] in told["data"]["not_permitted"]


def test_a_person_ends_the_other_sessions_and_keeps_this_one(door):
    here, there = door.as_("ann"), door.as_("ann")
    assert here.post("/me/sessions").headers["location"] == "/me"
    assert "1 other session has ended." in here.get("/me").text
    assert there.get("/me").status == 303


def test_keys_of_the_gateway_are_asked_of_a_team_that_is_declared(door):
    page = door.as_("adm").get("/keys").text
    assert "No team is declared" in page
    assert door.as_("adm").post("/keys", {"team": "nobody"}).status == 404


class TestGatewayKeys:
    """By the verbs that issue and revoke them everywhere."""

    @pytest.fixture
    def asked(self, tmp_path):
        project = Perdure(tmp_path, project=Project.of("shop", Team("support")), actor="adm")

        def ask(path=None, query=None, form=None):
            person, none = Person("adm", frozenset({"admin"})), None
            return Asked(project, none, person, parse_at("2025-03-01T00:00:00Z"), path or {}, query or {}, form or {})

        return ask

    def test_a_key_is_issued_with_its_secret_in_the_notice_alone(self, asked):
        done = issue_key(asked(form={"team": "support", "label": "bot", "days": "90", "admin": "on"}))
        assert done.data.secret in done.text
        (key,) = keys_page(asked()).data.keys
        assert (key.team, key.label, key.state, key.admin) == ("support", "bot", "good", True)
        assert key.expires_at == parse_at("2025-05-30T00:00:00Z")
        assert done.data.secret not in str(keys_page(asked()))

    def test_a_key_that_is_revoked_offers_no_second_end(self, asked):
        issued = issue_key(asked(form={"team": "support"})).data
        revoke_key(asked(path={"key": issued.key.id}, form={"reason": "lost"}))
        (key,) = keys_page(asked()).data.keys
        assert (key.state, key.revoke, key.expires_at) == ("revoked", "", None)
        assert keys_page(asked(query={"state": "good"})).data.keys == ()
        assert [entry.actor for entry in asked().project.audit()] == ["adm", "adm"]

    def test_many_keys_are_paged(self, asked):
        for number in range(101):
            issue_key(asked(form={"team": "support", "label": f"bot {number}"}))
        first = keys_page(asked()).data
        assert (len(first.keys), first.keys[0].label, first.more) == (100, "bot 100", "/keys?from=100")
        assert [key.label for key in keys_page(asked(query={"from": "100"})).data.keys] == ["bot 0"]

    def test_days_are_a_number(self, asked):
        with pytest.raises(BadRequest, match="days is a whole number"):
            issue_key(asked(form={"team": "support", "days": "soon"}))


def test_closed_people_are_shown_where_asked_and_offer_nothing(door):
    door.parts.project.close_person("ann", reason="left")
    adm = door.as_("adm")
    assert 'href="/people/ann"' not in adm.get("/people").text
    assert 'href="/people/ann"' in adm.get("/people?who=all").text
    assert 'action="/people/ann' not in adm.get("/people/ann").text
