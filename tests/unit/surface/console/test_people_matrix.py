"""The authorisation matrix, written down here and computed by nothing under test: every page and deed, and its twin, by every role.

A new page or deed stands in this table, or the first test fails. Letters: v(iewer) s(cientist) e(ngineer) r(eviewer) a(dmin), and
b for a program that has all five roles.
"""

from __future__ import annotations

import re

import pytest

from perdure.surface.console import areas

LOOK, BODIES, NOTE, BRAKE = "vserab", "serab", "serab", "serab"
LABEL, WORK, DECIDE, ADMIN = "ser", "seb", "r", "a"
PAGES = {
    "home": LOOK,
    "assets": LOOK,
    "asset": LOOK,
    "asset_health": LOOK,
    "asset_versions": LOOK,
    "asset_version": LOOK,
    "asset_compare": LOOK,
    "asset_drift": LOOK,
    "asset_slices": LOOK,
    "asset_lineage": LOOK,
    "asset_contract": LOOK,
    "asset_predictions": BODIES,
    "prediction": BODIES,
    "incidents": LOOK,
    "incident": LOOK,
    "registry": LOOK,
    "history": LOOK,
    "approval": LOOK,
    "card": LOOK,
    "card-edit": NOTE,
    "card-versions": LOOK,
    "card-version": LOOK,
    "inbox": LOOK,
    "runs": LOOK,
    "runs compared": LOOK,
    "run": LOOK,
    "language": LOOK,
    "prompts": LOOK,
    "prompt": LOOK,
    "prompt-compare": LOOK,
    "evals": LOOK,
    "eval": LOOK,
    "eval-cases": BODIES,
    "suite": LOOK,
    "judge": LOOK,
    "reviews": BODIES,
    "indexes": LOOK,
    "index": LOOK,
    "index-golden": BODIES,
    "index-search": BODIES,
    "index-map": BODIES,
    "search": BODIES,
    "calls": LOOK,
    "call": LOOK,
    "call-texts": BODIES,
    "agent-runs": LOOK,
    "agent-run": LOOK,
    "agent-run-texts": BODIES,
    "agent": LOOK,
    "graph": LOOK,
    "guard": LOOK,
    "money": LOOK,
    "budgets": LOOK,
    "odd hours": LOOK,
    "ledger": LOOK,
    "verification": LOOK,
    "alerts": LOOK,
    "quarantine": LOOK,
    "feeds": LOOK,
    "entry": LOOK,
    "people": ADMIN,
    "person": ADMIN,
    "keys": ADMIN,
    "me": LOOK,
}
DEEDS = {
    "asset_pause": BRAKE,
    "asset_resume": BRAKE,
    "asset_rollback": BRAKE,
    "incident-take": NOTE,
    "incident-snooze": NOTE,
    "incident-wake": NOTE,
    "incident-hand-off": NOTE,
    "job-cancel": WORK,
    "approve": DECIDE,
    "reject": DECIDE,
    "edit-card": NOTE,
    "wait-approve": DECIDE,
    "wait-reject": DECIDE,
    "hand-off": NOTE,
    "hand-off-take": NOTE,
    "label": LABEL,
    "verify": NOTE,
    "people.add": ADMIN,
    "people.roles": ADMIN,
    "people.invite": ADMIN,
    "people.sessions": ADMIN,
    "people.close": ADMIN,
    "people.key": ADMIN,
    "people.key_revoke": ADMIN,
    "keys.issue": ADMIN,
    "keys.revoke": ADMIN,
    "me.sessions": LOOK,
}
OPEN = {"/sign-in", "/sign-in/{invite}", "/healthz", "/static/{digest}/{name:path}"}
"""Asked by anybody."""
OTHERS = {"/sign-out", "/me/password", "/live", "/api/openapi.json", "/graphs/{name}.svg"}
"""Neither page nor deed, and for those alone who are signed in: tested by name below."""
WHO = {"v": "ann", "s": "sue", "e": "eve", "r": "rex", "a": "adm", "b": "bot"}
REAL = {
    "kind": "model", "model": "eta", "run": "run_1", "key": "key_none", "sequence": "1", "id": "apr_1", "name": "eta",
}  # fmt: skip
FORBIDDEN = "may not do this."


def address(path: str) -> str:
    return re.sub(r"\{(\w+)\}", lambda found: REAL[found[1]], path)


def twin(path: str) -> str:
    return "/api" if path == "/" else f"/api{path}"


@pytest.fixture(scope="module")
def browsers(shared_door):
    key = shared_door.parts.project.create_service_key("bot").secret
    return {letter: (shared_door.as_("" if letter == "b" else name), key) for letter, name in WHO.items()}


def asked(browsers, letter, path):
    browser, key = browsers[letter]
    return browser.get(path, **({"authorization": f"Bearer {key}"} if letter == "b" else {}))


def sent(browsers, letter, path):
    browser, key = browsers[letter]
    if letter == "b":
        return browser.send(path, {}, authorization=f"Bearer {key}")
    return browser.post(path, {})


def test_every_page_and_deed_stands_in_the_table():
    assert {page.name for page in areas.pages()} == set(PAGES)
    assert {deed.name for deed in areas.deeds()} == set(DEEDS)


def test_every_route_is_a_page_a_deed_or_named_here(shared_door):
    known = {each.path for each in (*areas.pages(), *areas.deeds())}
    routes = {route.path for route in shared_door.console.app.routes}
    assert routes - {*known, *(twin(path) for path in known)} <= OPEN | OTHERS
    assert routes >= OPEN


@pytest.mark.parametrize("page", areas.pages(), ids=lambda page: page.name)
def test_a_page_and_its_twin_are_seen_by_whom_the_table_says(browsers, page):
    for path in (address(page.path), twin(address(page.path))):
        for letter in WHO:
            answer = asked(browsers, letter, path)
            allowed = letter in PAGES[page.name]
            assert (FORBIDDEN not in answer.text) == allowed, (path, letter, answer.status)
            assert answer.status in ((200, 404, 422, 400, 503) if allowed else (403,)), (
                path,
                letter,
                answer.text[:300],
            )


@pytest.mark.parametrize("deed", areas.deeds(), ids=lambda deed: deed.name)
def test_a_deed_and_its_twin_are_done_by_whom_the_table_says(browsers, deed):
    """Without a reason or a name it is done by nobody, but whoever may not is told so first."""
    for path in (address(deed.path), twin(address(deed.path))):
        for letter in WHO:
            answer = sent(browsers, letter, path)
            allowed = letter in DEEDS[deed.name]
            assert (FORBIDDEN not in answer.text) == allowed, (path, letter, answer.status)
            assert (answer.status == 403) <= (not allowed), (path, letter, answer.text[:300])
            assert answer.status < 500, (path, letter, answer.text[:300])


@pytest.mark.parametrize("page", areas.pages(), ids=lambda page: page.name)
def test_nobody_sees_a_page_without_signing_in(shared_door, page):
    nobody = shared_door.as_("")
    told = nobody.get(address(page.path))
    assert (told.status, told.headers["location"].partition("?")[0]) == (303, "/sign-in")
    assert nobody.get(twin(address(page.path))).status == 401


@pytest.mark.parametrize("deed", areas.deeds(), ids=lambda deed: deed.name)
def test_nobody_does_a_deed_without_signing_in(shared_door, deed):
    nobody = shared_door.as_("")
    assert nobody.post(address(deed.path), {"reason": "x"}).status == 401
    assert nobody.post(twin(address(deed.path)), {"reason": "x"}).status == 401


@pytest.mark.parametrize("deed", areas.deeds(), ids=lambda deed: deed.name)
@pytest.mark.parametrize("under", ["", "/api"], ids=["page", "twin"])
def test_a_deed_that_another_site_sends_is_refused(shared_door, deed, under):
    """Without a token, with one of another session, with one in the query, and from another site with the right one."""
    own, other, path = shared_door.as_("all"), shared_door.as_("rex"), under + address(deed.path)
    ours = {"sec-fetch-site": "same-origin"}
    assert own.send(path, {"reason": "x"}, **ours).status == 403
    assert own.send(path, {"reason": "x", "csrf": other.token()}, **ours).status == 403
    assert own.send(f"{path}?csrf={own.token()}", {"reason": "x"}, **ours).status == 403
    for elsewhere in (
        {"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}, {"sec-fetch-site": "none"},
        {"origin": "https://evil.example"}, {"origin": "null"}, {},
    ):  # fmt: skip
        answer = own.send(path, {"reason": "x", "csrf": own.token()}, **elsewhere)
        assert (answer.status, "not sent from a page" in answer.text) == (403, True), elsewhere


@pytest.mark.parametrize("deed", areas.deeds(), ids=lambda deed: deed.name)
def test_a_deed_in_text_that_a_foreign_form_can_send_is_not_read(shared_door, deed):
    """`text/plain` JSON needs no leave of the browser's."""
    from console_world import Console

    browser = shared_door.as_("all")
    console: Console = shared_door.console
    headers = {"content-type": "text/plain", "sec-fetch-site": "same-origin", "perdure-csrf": browser.token()}
    headers["cookie"] = f"perdure={browser.cookies['perdure']}"
    for path in (address(deed.path), twin(address(deed.path))):
        assert console.ask("POST", path, headers=headers, body=b'{"reason": "x"}').status == 415


@pytest.mark.parametrize("deed", areas.deeds(), ids=lambda deed: deed.name)
def test_a_deed_is_done_by_no_get(shared_door, deed):
    """A link does nothing."""
    browser = shared_door.as_("all")
    before = written(shared_door)
    assert browser.get(f"{address(deed.path)}?reason=x").status in (200, 404, 405)
    assert written(shared_door) == before


WRITES = {"call-texts", "agent-run-texts", "search"}
"""Who reads bodies of calls and runs leaves one entry a session and id."""


@pytest.mark.parametrize(
    "page", [page for page in areas.pages() if page.name not in WRITES], ids=lambda page: page.name
)
def test_looking_writes_nothing(shared_door, page):
    """Neither the page nor its twin adds to the ledger."""
    browser = shared_door.as_("all")
    before = written(shared_door)
    for path in (address(page.path), twin(address(page.path))):
        browser.get(path)
    assert written(shared_door) == before


def written(door):
    """Every entry but what a verification that another test began writes in a thread of its own."""
    return [each.sequence for each in door.entries() if each.action != "ledger.verified"]


class TestByRule:
    """Where a permit alone is not enough."""

    def test_a_question_is_answered_by_who_has_its_own_role_alone(self, door):
        """rex is a reviewer, and apr_2 asks for a risk_officer."""
        refused = door.as_("rex").post("/approvals/apr_2/approve", {"reason": "sure"})
        assert refused.status == 403
        assert "risk_officer" in refused.text

    def test_two_must_answer_and_one_is_not_counted_twice(self, door):
        rex, roy = door.as_("rex"), door.as_("roy")
        for browser in (rex, rex):
            browser.post("/approvals/apr_1/approve", {"reason": "better"})
        assert status_of(door, "apr_1") == "open"
        assert roy.post("/approvals/apr_1/approve", {"reason": "better too"}).status == 303
        assert status_of(door, "apr_1") == "approved"

    @pytest.mark.parametrize("under", ["", "/api"], ids=["page", "twin"])
    def test_an_administrator_gives_themselves_no_role_and_may_lay_one_down(self, door, under):
        """Who lets people in would else answer their own questions."""
        adm, project = door.as_("adm"), door.parts.project
        for form in ({"role.admin": "on", "role.reviewer": "on"}, {"role.admin": "on", "other_roles": "risk_officer"}):
            assert adm.post(f"{under}/people/adm/roles", {**form, "reason": "quick"}).status == 403
        assert project.person("adm").roles == ("admin",)
        every = door.as_("all")
        assert (
            every.post("/people/all/roles", {"role.admin": "on", "role.viewer": "on", "reason": "calm"}).status == 303
        )
        assert project.person("all").roles == ("admin", "viewer")

    def test_a_reviewer_of_the_ledger_answers_as_one_of_the_settings_does(self, door):
        project = door.parts.project
        assert {"rex", "roy", "all"} <= set(project.people.holders("reviewer"))
        assert "bot" not in project.people.holders("reviewer")

    def test_who_is_closed_holds_no_role_that_the_settings_name(self, door):
        door.parts.project.close_person("rex", reason="left")
        assert "rex" not in door.parts.project.people.holders("reviewer")

    def test_signing_out_and_another_password_need_a_session_and_its_token(self, door):
        for path in ("/sign-out", "/me/password"):
            assert door.as_("").post(path).status == 401
            assert door.as_("ann").post(path, token="").status == 403

    def test_ending_sessions_stands_in_the_ledger_by_whose_they_were(self, door):
        here, _ = door.as_("ann"), door.as_("ann")
        here.post("/me/sessions")
        here.post("/sign-out")
        told = [(each.action, each.actor, each.facts["n"]) for each in door.entries() if each.action == "session.ended"]
        assert told == [("session.ended", "ann", 1), ("session.ended", "ann", 1)]

    def test_a_stranger_who_guesses_is_nobody_in_the_ledger(self, door):
        """Nothing that was not proven to be somebody's stands under their name."""
        for name in ("ann", "stranger"):
            door.sign_in(name, "a wrong password")
        told = [each for each in door.entries() if each.action == "session.refused"]
        assert [(each.actor, each.subject) for each in told] == [("(nobody)", "person:ann"), ("(nobody)", "person")]

    def test_nobody_follows_what_changes_without_signing_in(self, shared_door):
        assert shared_door.as_("").get("/live").status in (303, 401)

    def test_what_the_console_offers_is_told_to_who_may_look(self, door):
        assert door.as_("").get("/api/openapi.json").status == 401
        assert door.as_("ann").get("/api/openapi.json").status == 200


def status_of(door, question):
    return next(each.status for each in door.parts.project.approvals(open_only=False) if each.id == question)
