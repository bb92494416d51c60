"""Who is admitted by what, without HTTP: sessions that end, keys, tokens, addresses, and tries that come all at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure import Project
from perdure.core.errors import LimitReached, Refused, Unauthorized
from perdure.core.settings import ConsoleSettings
from perdure.stores.sessions.sqlite import SqlitePeople
from perdure.surface.console.auth.calling import Caller, address_of, cookie_name, cookie_text, host_known
from perdure.surface.console.auth.csrf import check_page_is_ours, masked, new_secret, secret_before, token_fits
from perdure.surface.console.auth.permitting import HOUR_US, OPEN_PATHS, admit, check_deed, require
from perdure.surface.console.auth.returning import returning_to
from perdure.surface.console.auth.sessions import begin
from perdure.surface.console.auth.trying import Tried
from perdure.surface.console.parts import ConsoleParts
from perdure.surface.console.records import PERMITS, ROLES, Person
from perdure.surface.sdk import Perdure

NOW = 1_700_000_000_000_000
SECRET = new_secret()
TLS = ConsoleSettings(behind_tls=True, hosts="console.example, other.example")


@pytest.fixture
def parts(tmp_path):
    project = Perdure(tmp_path, project=Project.of("shop"))
    project.add_person("ann", roles=["viewer", "risk_officer"], duties=["owner"])
    file = project.people_file
    return ConsoleParts(project, None, file.secrets, file.sessions, file.tries, ConsoleSettings(idle_h=1, longest_h=3))


def caller(token, **headers):
    return Caller({"host": "127.0.0.1:8500", **headers}, {"perdure": token})


class TestSessions:
    def test_a_session_is_its_person_with_the_roles_of_the_console(self, parts):
        begun = begin(parts, Caller(), "ann", NOW)
        admitted = admit(parts, caller(begun.token), NOW)
        assert admitted.person == Person("ann", frozenset({"viewer"}), ("owner",))
        assert admitted.digest == begun.session.digest
        assert begun.token not in str(parts.sessions.list("ann"))

    def test_a_session_ends_after_an_idle_time_and_at_its_end_whatever_happens(self, parts):
        idle, busy = (begin(parts, Caller(), "ann", NOW).token for _ in range(2))
        admit(parts, caller(idle), NOW + HOUR_US - 1)
        for half in range(6):
            admit(parts, caller(busy), NOW + half * HOUR_US // 2)
        with pytest.raises(Unauthorized):
            admit(parts, caller(idle), NOW + 2 * HOUR_US)
        with pytest.raises(Unauthorized):
            admit(parts, caller(busy), NOW + 3 * HOUR_US)

    @pytest.mark.parametrize("token", ["", "nothing", "x" * 10_000, "\u20ac"])
    def test_no_other_token_is_one(self, parts, token):
        begin(parts, Caller(), "ann", NOW)
        with pytest.raises(Unauthorized):
            admit(parts, caller(token), NOW)

    def test_the_digest_that_is_kept_opens_nothing(self, parts):
        """Whoever reads the file cannot sign in by it."""
        begun = begin(parts, Caller(), "ann", NOW)
        with pytest.raises(Unauthorized):
            admit(parts, caller(begun.session.digest), NOW)

    def test_a_deed_needs_a_token_of_this_session_and_a_page_of_ours(self, parts):
        own, other = (admit(parts, caller(begin(parts, Caller(), "ann", NOW).token), NOW) for _ in range(2))
        ours = caller("", **{"sec-fetch-site": "same-origin"})
        check_deed(parts, ours, own, {"csrf": own.csrf()})
        check_deed(parts, caller("", **{"sec-fetch-site": "same-origin", "perdure-csrf": own.csrf()}), own, {})
        with pytest.raises(Refused, match="not sent from a page"):
            check_deed(parts, caller("", **{"sec-fetch-site": "same-site"}), own, {"csrf": own.csrf()})
        for wrong in (other.csrf(), "", own.session.csrf, own.csrf()[:-4], "%%%", "\u20ac"):
            with pytest.raises(Refused):
                check_deed(parts, ours, own, {"csrf": wrong})

    def test_a_key_is_used_until_it_ends(self, parts):
        from datetime import timedelta

        parts.project.add_person("bot", roles=["engineer"], service=True)
        issued = parts.project.create_service_key("bot", expires=timedelta(hours=1))
        bearer = Caller({"authorization": f"bearer {issued.secret}"})
        ends_us = parts.secrets.list("bot")[0].expires_us
        admitted = admit(parts, bearer, ends_us - 1)
        assert (admitted.person.service, admitted.session, admitted.csrf()) == (True, None, "")
        with pytest.raises(Unauthorized):
            admit(parts, bearer, ends_us)


class TestTokens:
    @given(st.text(max_size=200))
    def test_no_text_is_a_token_by_chance(self, text):
        assert not token_fits(text, SECRET)

    def test_a_token_is_another_each_time_and_fits_its_secret_alone(self):
        made = {masked(SECRET) for _ in range(50)}
        assert len(made) == 50
        assert all(token_fits(each, SECRET) for each in made)
        assert not any(token_fits(each, secret_before("x")) for each in made)

    @pytest.mark.parametrize(
        ("headers", "settings", "ours"),
        [
            ({"sec-fetch-site": "same-origin"}, ConsoleSettings(), True),
            ({"sec-fetch-site": "same-origin", "origin": "http://evil.example"}, ConsoleSettings(), True),
            ({"sec-fetch-site": "none"}, ConsoleSettings(), False),
            ({"sec-fetch-site": ""}, ConsoleSettings(), False),
            ({"sec-fetch-site": "cross-site", "origin": "http://here:1"}, ConsoleSettings(), False),
            ({"origin": "http://here:1"}, ConsoleSettings(), True),
            ({"origin": "https://here:1"}, ConsoleSettings(), False),
            ({"origin": "https://here:1"}, TLS, True),
            ({"origin": "http://here:1"}, TLS, False),
            ({"origin": "http://here:1.evil.example"}, ConsoleSettings(), False),
            ({}, ConsoleSettings(), False),
        ],
    )
    def test_a_page_of_ours_is_told_by_the_browser(self, headers, settings, ours):
        """A page cannot set either header; the newer one is believed where it is there."""
        asked = Caller({"host": "here:1", **headers})
        if ours:
            check_page_is_ours(asked, settings)
        else:
            with pytest.raises(Refused):
                check_page_is_ours(asked, settings)

    def test_without_a_host_no_origin_is_ours(self):
        with pytest.raises(Refused):
            check_page_is_ours(Caller({"origin": "http://"}), ConsoleSettings())


class TestCallers:
    @pytest.mark.parametrize(
        ("host", "known"),
        [("localhost:8500", True), ("127.0.0.1", True), ("[::1]:8500", True), ("CONSOLE.example", True),
         ("other.example:443", True), ("evil.example", False), ("console.example.evil.example", False), ("", False),
         ("127.0.0.1.evil.example", False), ("0.0.0.0", False), ("localhost.evil.example", False), ("[::]", False)],
    )  # fmt: skip
    def test_a_console_is_known_by_loopback_names_and_those_of_its_settings(self, host, known):
        assert host_known(host, TLS) is known

    def test_an_address_to_bind_is_no_name(self):
        assert not host_known("0.0.0.0:8500", ConsoleSettings(host="0.0.0.0"))

    def test_cookies_under_tls_are_bound_to_the_host(self):
        assert cookie_name("session", TLS) == "__Host-perdure"
        said = cookie_text("session", "abc", TLS)
        assert said == "__Host-perdure=abc; Path=/; HttpOnly; SameSite=Lax; Max-Age=604800; Secure"
        assert "Domain" not in said
        assert "Max-Age=0" in cookie_text("session", "", TLS)

    def test_what_a_caller_says_of_its_address_is_believed_of_the_proxy_alone(self):
        said = {"x-forwarded-for": "6.6.6.6, 10.0.0.7"}
        assert address_of(said, "127.0.0.1", ConsoleSettings()) == "127.0.0.1"
        assert address_of(said, "127.0.0.1", TLS) == "10.0.0.7"
        assert address_of({}, "127.0.0.1", TLS) == "127.0.0.1"


class TestTries:
    @pytest.fixture
    def tried(self, tmp_path):
        file = SqlitePeople(tmp_path / "people.db")
        yield Tried(file.tries)
        file.close()

    def test_of_many_tries_at_once_no_more_are_let_through_than_one_after_the_other(self, tried):
        def attempt(_):
            try:
                tried.begin("ann", "10.0.0.1", NOW)
            except LimitReached:
                return False
            return True

        with ThreadPoolExecutor(16) as pool:
            assert sum(pool.map(attempt, range(64))) == 5

    def test_one_customer_s_addresses_of_ipv6_are_one(self, tried):
        for host in range(5):
            tried.failed(f"2001:db8::{host:x}", NOW)
        with pytest.raises(LimitReached):
            tried.begin("ann", "2001:db8::ffff", NOW)
        tried.begin("ann", "2001:db8:0:1::1", NOW)

    @pytest.mark.parametrize(
        "written", ["10.0.0.1:{}", "[10.0.0.1]:{}", "[2001:db8::1]:{}", "::ffff:10.0.0.1", "[2001:db8::{}]"]
    )
    def test_an_address_is_one_however_it_is_written(self, tried, written):
        """With a port that is new each time, guesses would be free."""
        for number in range(5):
            tried.failed(written.format(4000 + number), NOW)
        with pytest.raises(LimitReached):
            tried.begin("ann", "2001:db8::2" if "2001" in written else "10.0.0.1", NOW)

    def test_who_guesses_over_ipv4_holds_up_nobody_else_on_a_socket_of_both(self, tried):
        for _ in range(5):
            tried.failed("::ffff:10.0.0.1", NOW)
        tried.begin("ann", "::ffff:10.0.0.2", NOW)


class TestPermits:
    def test_each_role_permits_what_the_page_of_people_says(self):
        """Written down twice: what only one role may must never be given by a slip."""
        assert {role for role in ROLES if "decide" in PERMITS[role]} == {"reviewer"}
        assert {role for role in ROLES if {"people", "keys"} & PERMITS[role]} == {"admin"}
        assert {role for role in ROLES if "work" in PERMITS[role]} == {"scientist", "engineer"}
        assert PERMITS["viewer"] == {"look"}

    @pytest.mark.parametrize("permit", ["label", "decide", "keys", "people"])
    def test_a_program_never_does_what_people_do(self, permit):
        with pytest.raises(Refused) as told:
            require(Person("bot", frozenset(ROLES), service=True), permit)
        assert told.value.hint == "A person does this, no key."

    def test_who_may_not_is_told_who_may(self):
        with pytest.raises(Refused) as told:
            require(Person("ann", frozenset({"viewer"})), "work")
        assert told.value.hint == "Needs the role scientist or engineer."

    def test_what_anybody_may_ask_for_is_this_and_nothing_else(self):
        assert OPEN_PATHS == ("/sign-in", "/sign-in/{invite}", "/static/{path:path}", "/healthz")


@given(st.text(max_size=60))
def test_nobody_is_ever_sent_elsewhere(text):
    for wanted in (text, f"/{text}", f"//{text}", f"/people/{text}"):
        to = returning_to(wanted)
        assert to == "/" or (to == wanted and to.startswith("/") and to[1:2] not in ("/", "\\") and to.isprintable())
