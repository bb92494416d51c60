"""Signing in through the real door, and every way in that there must not be."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest
from people_world import OURS, PASSWORD, open_door, token_of

from perdure.core.clock import machine_us
from perdure.core.settings import ConsoleSettings
from perdure.surface.console.auth.csrf import masked, new_secret
from perdure.surface.console.auth.permitting import HOUR_US
from perdure.surface.console.auth.signing_in import SigningIn
from perdure.surface.peopling import digest_of


@pytest.fixture
def ann(door):
    """The door, where ann has a password."""
    chosen(door, "ann")
    return door


@pytest.fixture(scope="module")
def settled(shared_door):
    """One door for the whole module, where ann has a password."""
    chosen(shared_door, "ann")
    return shared_door


@pytest.fixture
def calm(settled):
    """A new browser before that door, which has forgotten every failed try."""
    settled.parts.tries.clear(["name:ann", "address:127.0.0.1"])
    return settled.as_("")


def chosen(door, name, password=PASSWORD):
    """Choose a password by an invite, in a browser of its own."""
    path = door.parts.project.invite_person(name).path
    browser = door.as_("")
    page = browser.get(path)
    answer = browser.post(path, {"password": password, "again": password}, token=token_of(page.text))
    assert answer.status == 303, answer.text
    return browser


def actions(door, name):
    return [entry.action for entry in door.entries() if entry.subject == f"person:{name}"]


class TestSignIn:
    def test_a_person_signs_in_and_the_ledger_says_so(self, ann):
        answer = ann.sign_in("ann")
        assert (answer.status, answer.headers["location"]) == (303, "/")
        assert ann.get("/me").status == 200
        assert actions(ann, "ann")[-1] == "session.began"

    @pytest.mark.parametrize(
        ("name", "password"), [("ann", "not the password"), ("nobody", PASSWORD), ("eve", PASSWORD), ("bot", PASSWORD)]
    )
    def test_what_is_wrong_is_never_told_and_costs_the_same_work(self, ann, name, password):
        """A wrong password, an unknown name, a person without a password and a program: one verification, one answer."""
        before = ann.hasher.n_verified
        answer = ann.sign_in(name, password)
        assert answer.status == 401
        assert "Name and password do not fit." in answer.text
        assert ann.hasher.n_verified == before + 1
        assert "perdure" not in ann.cookies

    def test_the_cookie_is_read_by_no_script_and_sent_by_no_other_site_s_form(self, ann):
        said = ann.sign_in("ann").headers["set-cookie"]
        assert "perdure=" in said
        assert "; Path=/; HttpOnly; SameSite=Lax; Max-Age=604800" in said
        assert "Secure" not in said

    def test_a_token_planted_before_signing_in_is_of_no_use_after_it(self, ann):
        """Session fixation."""
        ann.cookies["perdure"] = "planted" * 7
        ann.sign_in("ann")
        assert ann.cookies["perdure"] != "planted" * 7
        planted = ann.as_("")
        planted.cookies["perdure"] = "planted" * 7
        assert planted.get("/me").status == 303

    def test_signing_in_ends_the_session_that_the_browser_had(self, ann):
        other = ann.as_("rex")
        old = other.cookies["perdure"]
        other.sign_in("ann")
        assert other.parts.sessions.find(digest_of(old), machine_us(), HOUR_US) is None

    def test_signing_out_ends_the_session_on_the_server(self, door):
        browser = door.as_("ann")
        token = browser.cookies["perdure"]
        answer = browser.post("/sign-out")
        assert answer.headers["location"] == "/sign-in"
        assert "perdure" not in browser.cookies
        browser.cookies["perdure"] = token
        assert browser.get("/me").status == 303

    def test_a_name_is_kept_in_the_form_and_a_password_never(self, ann):
        answer = ann.sign_in("ann", "my secret password")
        assert 'value="ann"' in answer.text
        assert "my secret password" not in answer.text


class TestReturning:
    @pytest.mark.parametrize(
        "wanted",
        ["//evil.example", "/\\evil.example", "https:evil.example", "https://evil.example", "/%0d%0aset-cookie:a=b",
         "javascript:alert(1)", "/nowhere", "/me\r\nx: y", " /me", "/me /", "\t//evil", "/sign-out", "/" * 3000],
    )  # fmt: skip
    def test_nobody_is_sent_to_another_site_or_to_no_page(self, calm, wanted):
        """Open redirects."""
        answer = calm.sign_in("ann", next=wanted)
        assert (answer.status, answer.headers["location"]) == (303, "/")

    @pytest.mark.parametrize("wanted", ["/me", "/people/ann", "/people?who=all", "/people/a%20b"])
    def test_a_page_that_was_asked_for_before_comes_after(self, calm, wanted):
        assert calm.sign_in("ann", next=wanted).headers["location"] == wanted

    def test_a_page_asked_for_by_nobody_leads_to_sign_in_and_names_it(self, calm):
        answer = calm.get("/people?who=all")
        assert (answer.status, answer.headers["location"]) == (303, "/sign-in?next=%2Fpeople%3Fwho%3Dall")
        assert 'value="/people?who=all"' in calm.get(answer.headers["location"]).text


class TestGuessing:
    def test_the_fifth_wrong_password_of_a_name_begins_a_wait_that_doubles(self, ann):
        for n in range(5):
            ann.cookies.clear()
            assert ann.sign_in("ann", f"guess number {n}").status == 401
        waited = ann.sign_in("ann", "guess number 6")
        assert waited.status == 429
        assert waited.headers["retry-after"] == "1"
        ann.clock[0] += 1_000_001
        assert ann.sign_in("ann", "guess number 6").status == 401
        assert ann.sign_in("ann").headers["retry-after"] == "2"

    def test_who_waits_out_the_time_signs_in_and_is_free_again(self, ann):
        for n in range(5):
            ann.sign_in("ann", f"guess number {n}")
        assert ann.sign_in("ann").status == 429
        ann.clock[0] += 1_000_001
        assert ann.sign_in("ann").status == 303
        assert ann.sign_in("ann", "wrong once more").status == 401

    def test_one_address_that_guesses_at_many_names_waits_too(self, ann):
        for n in range(5):
            assert ann.sign_in(f"name{n}", "the same password").status == 401
        assert ann.sign_in("ann").status == 429

    def test_signing_in_as_oneself_buys_no_guesses_at_others(self, ann):
        """The address keeps its count."""
        for n in range(5):
            ann.sign_in(f"name{n}", "the same password")
        ann.clock[0] += 1_000_001
        assert ann.sign_in("ann").status == 303
        assert ann.sign_in("name9", "the same password").status == 401
        assert ann.sign_in("name9", "the same password").status == 429

    def test_all_is_forgotten_after_a_quarter_of_an_hour(self, ann):
        for n in range(5):
            ann.sign_in("ann", f"guess number {n}")
        ann.clock[0] += 900_000_001
        for n in range(4):
            assert ann.sign_in("ann", f"guess number {n}").status == 401

    def test_who_waits_is_verified_not_once(self, ann):
        for n in range(5):
            ann.sign_in("ann", f"guess number {n}")
        before = ann.hasher.n_verified
        ann.sign_in("ann")
        assert ann.hasher.n_verified == before

    def test_the_ledger_hears_of_failures_once_a_minute_and_name(self, ann):
        for n in range(4):
            ann.sign_in("ann", f"guess number {n}")
            ann.sign_in(f"stranger{n}", "x")
            ann.clock[0] += 10_000_000
        assert actions(ann, "ann").count("session.refused") == 1
        ann.clock[0] += 60_000_000
        ann.sign_in("ann", "another guess")
        told = [entry for entry in ann.entries() if entry.action == "session.refused"]
        assert [entry.facts["n"] for entry in told if entry.subject == "person:ann"] == [1, 4]
        assert len([entry for entry in told if entry.subject == "person"]) == 1
        assert not any("stranger" in str(entry) or "guess" in str(entry.facts) for entry in told)

    def test_the_answer_does_not_wait_for_the_ledger(self, ann, monkeypatch):
        """What is written for somebody's name alone would be felt: who has an account."""
        seen = []
        monkeypatch.setattr(SigningIn, "tell", lambda _: seen.append(actions(ann, "ann").count("session.refused")))
        ann.sign_in("ann", "a wrong password")
        assert (seen, actions(ann, "ann").count("session.refused")) == ([0], 0)


class TestInvite:
    def test_an_invite_is_good_once(self, door):
        path = door.parts.project.invite_person("ann").path
        first, second = door.as_(""), door.as_("")
        pages = [first.get(path), second.get(path)]
        form = {"password": PASSWORD, "again": PASSWORD}
        assert first.post(path, form, token=token_of(pages[0].text)).status == 303
        assert first.get("/me").status == 200
        assert second.post(path, form, token=token_of(pages[1].text)).status == 403
        assert second.get("/me").status == 303
        assert second.get(path).status == 403

    def test_looking_at_an_invite_does_not_use_it(self, door):
        """Mail programs look at links."""
        path = door.parts.project.invite_person("ann").path
        for _ in range(3):
            assert door.get(path).status == 200

    def test_an_invite_ends_after_a_quarter_of_an_hour(self, door):
        path = door.parts.project.invite_person("ann").path
        door.clock[0] += 901_000_000
        assert door.get(path).status == 403

    def test_a_newer_invite_voids_the_older(self, door):
        old = door.parts.project.invite_person("ann").path
        door.parts.project.invite_person("ann")
        assert door.get(old).status == 403

    def test_an_invite_that_never_was_tells_nothing_of_it(self, door):
        assert door.get("/sign-in/" + "x" * 43).status == 403

    @pytest.mark.parametrize("password", ["short", "aaaaaaaaaaaaa", "annannannannann", "x" * 201])
    def test_a_password_that_is_easily_guessed_is_refused_and_the_invite_stays_good(self, door, password):
        path = door.parts.project.invite_person("ann").path
        answer = door.post(path, {"password": password, "again": password}, token=token_of(door.get(path).text))
        assert answer.status == 400
        assert door.get(path).status == 200

    def test_two_passwords_that_differ_are_refused(self, door):
        path = door.parts.project.invite_person("ann").path
        answer = door.post(path, {"password": PASSWORD, "again": PASSWORD + "x"}, token=token_of(door.get(path).text))
        assert "The two passwords differ." in answer.text

    def test_an_invite_of_who_was_closed_since_is_void(self, door):
        path = door.parts.project.invite_person("ann").path
        door.parts.project.close_person("ann", reason="left")
        assert door.get(path).status == 403


class TestPassword:
    def test_a_changed_password_ends_every_other_session_and_keeps_this_one(self, ann):
        here, there = ann.as_("ann"), ann.as_("ann")
        form = {"old": PASSWORD, "password": "nine blue kettles", "again": "nine blue kettles"}
        old_token = here.cookies["perdure"]
        assert here.post("/me/password", form).headers["location"] == "/me"
        assert here.cookies["perdure"] != old_token
        assert "Your password is changed" in here.get("/me").text
        assert there.get("/me").status == 303
        assert ann.as_("").sign_in("ann").status == 401
        assert ann.as_("").sign_in("ann", "nine blue kettles").status == 303

    def test_without_the_present_password_it_is_not_changed(self, ann):
        form = {"old": "not the password", "password": "nine blue kettles", "again": "nine blue kettles"}
        assert ann.as_("ann").post("/me/password", form).status == 403
        assert ann.as_("").sign_in("ann").status == 303

    def test_guesses_at_the_present_password_are_slowed_down_as_any(self, ann):
        browser = ann.as_("ann")
        form = {"old": "a wrong guess", "password": "nine blue kettles", "again": "nine blue kettles"}
        assert [browser.post("/me/password", form).status for _ in range(6)] == [403] * 5 + [429]

    def test_a_reset_by_invite_ends_the_sessions_too(self, ann):
        there = ann.as_("ann")
        chosen(ann, "ann", "nine blue kettles")
        assert there.get("/me").status == 303

    def test_no_secret_stands_in_the_ledger(self, ann):
        ann.sign_in("ann")
        told = str(ann.entries())
        kept = [secret.digest for secret in ann.parts.secrets.list("ann")]
        assert kept
        assert PASSWORD not in told
        assert not any(digest in told for digest in kept)


class TestLoginForgery:
    """Another site that signs somebody in as the attacker."""

    FORM = {"name": "ann", "password": PASSWORD}

    def test_without_the_cookie_of_the_page_nobody_signs_in(self, calm):
        token = token_of(calm.get("/sign-in").text)
        stranger = calm.as_("")
        assert stranger.send("/sign-in", {**self.FORM, "csrf": token}, **OURS).status == 403
        assert "perdure" not in stranger.cookies

    def test_without_a_token_nobody_signs_in(self, calm):
        calm.get("/sign-in")
        assert calm.send("/sign-in", self.FORM, **OURS).status == 403

    @pytest.mark.parametrize(
        "headers",
        [{"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}, {"origin": "https://evil.example"}, {},
         {"origin": "null"}],
    )  # fmt: skip
    def test_from_another_site_nobody_signs_in(self, calm, headers):
        token = token_of(calm.get("/sign-in").text)
        assert calm.send("/sign-in", {**self.FORM, "csrf": token}, **headers).status == 403
        assert "perdure" not in calm.cookies

    def test_a_browser_that_tells_its_origin_alone_may(self, calm):
        token = token_of(calm.get("/sign-in").text)
        answer = calm.send("/sign-in", {**self.FORM, "csrf": token}, origin="http://127.0.0.1:8500")
        assert answer.status == 303

    def test_a_token_of_another_secret_is_none(self, calm):
        calm.get("/sign-in")
        assert calm.send("/sign-in", {**self.FORM, "csrf": masked(new_secret())}, **OURS).status == 403


class TestUnderTls:
    def test_cookies_are_sent_over_tls_alone_and_set_by_this_host_alone(self, people_folder, tmp_path):
        settings = ConsoleSettings(behind_tls=True, hosts="console.example")
        door = open_door(shutil.copytree(people_folder, tmp_path / "shop"), settings)
        page = door.get("/sign-in", host="console.example")
        assert "__Host-perdure_before=" in page.headers["set-cookie"]
        assert page.headers["set-cookie"].endswith("; Secure")


class TestRoles:
    def test_a_role_taken_away_is_gone_with_the_next_request(self, door):
        adm, all_ = door.as_("adm"), door.as_("all")
        assert all_.get("/people").status == 200
        done = adm.post("/people/all/roles", {"role.viewer": "on", "reason": "too many"})
        assert done.status == 303
        assert all_.get("/people").status == 403
        assert all_.get("/me").status == 200

    def test_closing_somebody_ends_their_sessions_and_their_keys(self, door):
        adm, ann = door.as_("adm"), door.as_("ann")
        key = door.parts.project.create_service_key("bot").secret
        assert door.as_("").get("/api/me", authorization=f"Bearer {key}").status == 200
        for name in ("ann", "bot"):
            assert adm.post(f"/people/{name}/close", {"reason": "left"}).status == 303
        assert ann.get("/me").status == 303
        assert door.as_("").get("/api/me", authorization=f"Bearer {key}").status == 401

    def test_somebody_closed_beside_the_console_is_out_with_the_next_request(self, door):
        """By whoever writes to the ledger alone: the session goes with the next look."""
        ann = door.as_("ann")
        ledger = door.parts.project.place.stores.ledger
        with ledger.transaction(actor="adm", at=door.parts.boards.now().at, reason="left") as session:
            session.people.put(replace(session.people.get("ann"), closed_at=door.parts.boards.now().at))
        assert ann.get("/me").status == 303
        assert door.parts.sessions.list("ann") == []

    def test_an_administrator_s_deed_ends_another_s_session_and_their_next_click_is_the_sign_in(self, door):
        ann = door.as_("ann")
        assert door.as_("adm").post("/people/ann/sessions", {"reason": "lost laptop"}).status == 303
        assert ann.get("/me").headers["location"].startswith("/sign-in")

    def test_the_last_administrator_stays(self, door):
        door.parts.project.close_person("all", reason="left")
        adm = door.as_("adm")
        assert adm.post("/people/adm/roles", {"role.viewer": "on", "reason": "tired"}).status == 403
        assert adm.post("/people/adm/close", {"reason": "tired"}).status == 403

    def test_deeds_stand_in_the_ledger_by_the_name_of_who_did_them(self, door):
        door.as_("adm").post("/people", {"name": "zoe", "role.viewer": "on"})
        entry = next(entry for entry in door.entries() if entry.subject == "person:zoe")
        assert (entry.action, entry.actor) == ("people.add", "adm")


class TestKeys:
    def test_a_key_that_expired_or_never_was_opens_nothing_even_beside_a_session(self, door):
        adm = door.as_("adm")
        assert adm.get("/api/me").status == 200
        for said in ("Bearer nonsense", "Basic YTpi", "Bearer ", ""):
            assert adm.get("/api/me", authorization=said).status == 401

    def test_a_key_of_the_gateway_opens_no_page(self, door):
        assert door.get("/api/me", authorization="Bearer pk-perdure-key_1-abc").status == 401

    def test_a_program_never_decides_labels_or_lets_in_whatever_its_roles(self, door):
        key = {"authorization": f"Bearer {door.parts.project.create_service_key('bot').secret}"}
        assert door.get("/api/people", **key).status == 403
        assert door.send("/api/people", {"name": "zoe", "role.admin": "on"}, **key).status == 403
        assert door.send("/api/approvals/apr_1/approve", {"reason": "sure"}, **key).status == 403

    def test_a_program_needs_no_token(self, door):
        key = {"authorization": f"Bearer {door.parts.project.create_service_key('bot').secret}"}
        assert door.send("/api/me/sessions", {}, **key).status == 200

    def test_a_secret_is_shown_once(self, door):
        adm = door.as_("adm")
        adm.post("/people/bot/keys", {"label": "ci"})
        page = adm.get("/people/bot").text
        assert "pc-perdure-" in page
        assert "pc-perdure-" not in adm.get("/people/bot").text
        assert "pc-perdure-" not in str(door.entries())


def test_the_line_that_the_proxy_added_is_believed_and_not_the_browser_s_own(people_folder, tmp_path):
    """HAProxy adds a line where others lengthen one."""
    from starlette.requests import Request

    from perdure.surface.console.serving_pages import caller_of

    folder = shutil.copytree(people_folder, tmp_path / "shop")
    app = open_door(folder, ConsoleSettings(behind_tls=True)).console.app
    lines = [(b"x-forwarded-for", b"1.1.1.1"), (b"x-forwarded-for", b"10.0.0.7")]
    assert caller_of(Request({"type": "http", "app": app, "headers": lines})).address == "10.0.0.7"
