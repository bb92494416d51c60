"""An administrator's journey: lets a person in, gives another role, ends a session, and the ledger says so."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from playwright.sync_api import expect

if TYPE_CHECKING:
    from playwright.sync_api import Page


def test_an_administrator_lets_a_person_in_changes_a_role_and_ends_a_session(
    console: Any, signed_in: Any, shot: Callable[[Page, str], None]
) -> None:
    """Each step is seen by the person it is about, with the next click."""
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
    zoe.reload()
    zoe.wait_for_url(re.compile(r"/sign-in\?next=%2Fme$"))

    told = [(entry.actor, entry.action) for entry in console.done(lambda p: p.audit(limit=1_000_000)) if entry.subject == "person:zoe"]  # fmt: skip
    assert told == [
        ("adm", "people.add"), ("adm", "people.invite"), ("zoe", "session.password"), ("zoe", "session.began"),
        ("adm", "people.change"), ("adm", "people.sessions_ended"),
    ]  # fmt: skip
    assert console.done(lambda p: p.verify_ledger().intact)
