"""An administrator's journey: lets a person in, gives another role, ends a session, and the ledger says so."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from playwright.sync_api import expect

if TYPE_CHECKING:
    from playwright.sync_api import Page


def test_an_administrator_lets_a_person_in_changes_a_role_and_ends_a_session(
    console: Any, signed_in: Any, shot: Callable[[Page, str], None]
) -> None:
    """Each step is seen by the person it is about, with the next click; a page that is open meanwhile asks for nothing in vain."""
    adm = signed_in("adm", "/people")
    adm.get_by_label("Name", exact=True).fill("zoe")
    adm.get_by_label("Full name").fill("Zoe Zimmer")
    adm.locator("#add").get_by_label(re.compile("^viewer")).check()
    adm.get_by_role("button", name="Let in").click()
    invite = re.search(r"/sign-in/[\w-]+", adm.get_by_role("status").inner_text())
    assert invite is not None

    zoe = signed_in.nobody(width=390)
    zoe.goto(console.url + invite[0])
    zoe.get_by_role("textbox", name="Password").fill("nine blue kettles")
    zoe.get_by_label("The same again").fill("nine blue kettles")
    zoe.get_by_role("button", name="Choose it and sign in").click()
    zoe.wait_for_url(console.url + "/")
    zoe.goto(console.url + "/me")
    expect(zoe.locator("#may")).to_contain_text("see every page without bodies")
    expect(zoe.locator("#may li")).to_have_count(1)
    shot(zoe, "me_390")

    adm.goto(console.url + "/people/zoe")
    adm.locator("#roles").get_by_label(re.compile("^engineer")).check()
    adm.locator("#roles").get_by_label("Reason").fill("she is on call from today")
    adm.get_by_role("button", name="Give these").click()
    expect(adm.get_by_role("status")).to_contain_text("zoe is now engineer, viewer")
    shot(adm, "person_1280")
    zoe.reload()
    expect(zoe.locator("#may li")).to_have_count(7)

    adm.locator("#sessions").get_by_label("Reason").fill("lost telephone")
    adm.get_by_role("button", name="End them all").click()
    expect(adm.get_by_role("status")).to_contain_text("1 session has ended")
    zoe.wait_for_timeout(3_500)  # more than a stream that was cut waits before it is asked for again
    zoe.reload()
    zoe.wait_for_url(re.compile(r"/sign-in\?next=%2Fme$"))

    told = [(entry.actor, entry.action) for entry in console.done(lambda p: p.audit(limit=1_000_000)) if entry.subject == "person:zoe"]  # fmt: skip
    assert told == [
        ("adm", "people.add"), ("adm", "people.invite"), ("zoe", "session.password"), ("zoe", "session.began"),
        ("adm", "people.change"), ("adm", "people.sessions_ended"),
    ]  # fmt: skip
    assert console.done(lambda p: p.verify_ledger().intact)


def test_an_administrator_gives_a_program_a_key_takes_it_away_and_verifies_that_all_of_it_stands_in_the_chain(
    console: Any, signed_in: Any, shot: Callable[[Page, str], None]
) -> None:
    """The key opens pages as JSON by its role, no question, and nothing once it is void."""
    page = signed_in("adm", "/people")
    page.get_by_label("Name", exact=True).fill("deploy-bot")
    page.locator("#add").get_by_label(re.compile("^viewer")).check()
    page.get_by_label(re.compile("^A program")).check()
    page.get_by_role("button", name="Let in").click()
    expect(page.get_by_role("status")).to_contain_text("Make a key for it next")
    page.locator("#keys").get_by_label("Label").fill("pipeline")
    page.get_by_role("button", name="Make a key").click()
    secret = re.search(r"pc-perdure-\S+", page.get_by_role("status").inner_text())
    assert secret is not None
    page.reload()
    expect(page.get_by_text(secret[0])).to_have_count(0)

    assert _status(console.url + "/api/incidents", secret[0]) == 200
    assert _status(console.url + "/api/people", secret[0]) == 403
    expect(page.locator("#keys article")).to_contain_text("pipeline")
    page.locator("#keys").get_by_text("Take it away").click()
    page.locator("#keys article").get_by_label("Reason").fill("the pipeline is gone")
    page.get_by_role("button", name="Revoke").click()
    expect(page.get_by_role("status")).to_contain_text("is void")
    assert _status(console.url + "/api/incidents", secret[0]) == 401

    page.get_by_role("link", name="Ledger", exact=True).click()
    expect(page.locator("#entries tbody tr").first).to_contain_text("deploy-bot")
    page.get_by_role("link", name="Verification").click()
    page.get_by_role("button", name="Verify now").click()
    expect(page.locator("#job .lead")).to_contain_text("intact", timeout=30_000)
    shot(page, "journey_9_verified")
    done = [(entry.actor, entry.action) for entry in console.done(lambda p: p.audit(limit=1_000_000)) if entry.subject == "person:deploy-bot"]  # fmt: skip
    assert done == [("adm", "people.add"), ("adm", "people.key"), ("adm", "people.key_revoked")]
    assert secret[0] not in str(console.done(lambda p: p.audit(limit=1_000_000)))


def _status(url: str, key: str) -> int:
    try:
        with urlopen(Request(url, headers={"authorization": f"Bearer {key}"}), timeout=20) as answer:
            return int(answer.status)
    except HTTPError as error:
        with error:
            return error.code
