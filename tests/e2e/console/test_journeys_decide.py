"""On real flights: two reviewers decide with four eyes, who is on call hands an incident on, a data engineer follows a feed to its brake."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

if TYPE_CHECKING:
    from playwright.sync_api import Page

END = datetime(2013, 3, 5, 5, tzinfo=UTC)
"""Of the world's last round."""
Shot = Callable[["Page", str], None]


def _question(console: Any) -> Any:
    (question,) = console.done(lambda p: p.approvals())
    return question


def _champion(console: Any) -> str:
    moves = [each for each in console.done(lambda p: p.history("air_time")) if each.pointer == "champion"]
    return str(moves[-1].version)


def _say_yes(page: Page, why: str) -> None:
    page.locator("#mine").get_by_role("link", name="Look at the evidence").click()
    expect(page.locator("#metrics")).to_contain_text("valid mae")
    expect(page.locator("#slices")).to_contain_text("origin=EWR")
    expect(page.locator("#diff")).to_contain_text("n_estimators")
    page.get_by_label("Why yes").fill(why)
    page.get_by_role("button", name="Approve").click()


@pytest.mark.slow
@pytest.mark.parametrize(("width", "scripts"), [(1280, True), (390, True), (1280, False)], ids=["wide", "phone", "no-scripts"])  # fmt: skip
def test_two_reviewers_say_yes_and_the_version_is_released(
    console: Any, signed_in: Any, shot: Shot, width: int, scripts: bool
) -> None:
    """Neither who asked nor who has not the role can answer; one yes is not enough; after two, what was asked for answers."""
    question, before = _question(console), _champion(console)
    wanted = question.facts["version"]
    page_of = f"/approvals/{question.id}"
    for name in ("sue", "adm"):
        page = signed_in(name, page_of, width=width, scripts=scripts)
        expect(page.locator("#decide .why-not")).to_be_visible()
        expect(page.get_by_role("button", name="Approve")).to_have_count(0)

    rex = signed_in("rex", "/inbox", width=width, scripts=scripts)
    _say_yes(rex, "it learnt the newest weeks")
    expect(rex.locator("#decide")).to_contain_text("You said yes; 1 other person must say yes too.")
    expect(rex.get_by_role("button", name="Approve")).to_have_count(0)
    console.done(lambda p: p.apply(at=END + timedelta(hours=1)), "sue")
    assert _champion(console) == before

    roy = signed_in("roy", "/inbox", width=width, scripts=scripts)
    _say_yes(roy, "the slices hold")
    expect(roy.get_by_role("status").first).to_contain_text("perdure apply makes the release now")
    expect(roy.locator("#decide")).to_contain_text("2 reviewers must say yes, 2 did")
    shot(roy, f"journey_4_approved_{width}{'' if scripts else '_no_scripts'}")
    console.done(lambda p: p.apply(at=END + timedelta(hours=2)), "sue")
    assert _champion(console) == wanted
    roy.reload()
    expect(roy.locator("#decide")).not_to_contain_text("makes the release now")

    home = signed_in("vic", "/registry/air_time/history", width=width, scripts=scripts)
    expect(home.locator("main")).to_contain_text(wanted)
    told = [(each.actor, each.reason) for each in console.done(lambda p: p.audit(limit=10_000)) if each.action == "approvals.answer"]  # fmt: skip
    assert told == [("rex", "it learnt the newest weeks"), ("roy", "the slices hold")]
    assert console.done(lambda p: p.verify_ledger().intact)


@pytest.mark.slow
def test_one_no_is_enough_and_nothing_is_released(console: Any, signed_in: Any) -> None:
    """A reviewer who sees that the error on held-out rows has grown says no; the question is closed for the other, too."""
    question, before = _question(console), _champion(console)
    page = signed_in("rex", f"/approvals/{question.id}")
    page.get_by_label("Why no").fill("its held-out error is larger")
    page.get_by_role("button", name="Reject").click()
    expect(page.locator("#decide")).to_contain_text("its held-out error is larger")
    other = signed_in("roy", f"/approvals/{question.id}")
    expect(other.get_by_role("button", name="Approve")).to_have_count(0)
    assert _champion(console) == before


@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 390])
def test_who_is_on_call_takes_snoozes_and_hands_off(console: Any, signed_in: Any, shot: Shot, width: int) -> None:
    """A link of an alert leads through the sign-in to the incident; the hand-off waits for whom it was given to."""
    (incident,) = console.done(lambda p: p.incidents())
    eve = signed_in("eve", f"/incidents/{incident.id}", width=width)
    taking = eve.locator("form[action$='/take']")
    taking.get_by_label("Reason").fill("I know this feed")
    taking.get_by_role("button").click()
    expect(eve.locator("#now")).to_contain_text("I know this feed")
    asleep = eve.locator("form[action$='/snooze']")
    asleep.get_by_label("Snooze for").select_option("24")
    asleep.get_by_label("Reason").fill("the week's window must pass")
    asleep.get_by_role("button").click()
    expect(eve.locator("#now")).to_contain_text("the week's window must pass")
    given = eve.locator("form[action$='/hand-off']")
    given.get_by_label("Hand off to").select_option("person:sue")
    given.get_by_label("What is to be done").fill("see whether weather_now needs a fallback")
    given.get_by_role("button").click()
    expect(eve.locator("#now")).to_contain_text("weather_now needs a fallback")
    shot(eve, f"journey_5_incident_{width}")

    sue = signed_in("sue", "/inbox", width=width)
    expect(sue.locator("#mine")).to_contain_text("weather_now needs a fallback")
    sue.locator("#mine").get_by_label("Reason").fill("I look at it")
    sue.locator("#mine").get_by_role("button", name="Take it").click()
    sue.wait_for_url(re.compile(rf"/incidents/{incident.id}$"))
    expect(sue.locator("#now")).to_contain_text("I look at it")
    assert console.done(lambda p: p.hand_offs()) == []
    eve.goto(f"{console.url}/inbox?duty=on_call")
    expect(eve.locator("#incidents")).to_contain_text("1 more asleep")
    assert {"eve", "sue"} <= {each.actor for each in console.done(lambda p: p.audit(limit=10_000)) if each.subject in (incident.id, incident.asset)}  # fmt: skip


@pytest.mark.slow
def test_a_data_engineer_follows_the_fault_of_the_feed_to_its_brake(console: Any, signed_in: Any, shot: Shot) -> None:
    """From the inbox to the range that was set aside, to the feed's age, and to a pause that the ledger knows."""
    eve = signed_in("eve", "/inbox?duty=data_engineer", width=390)
    expect(eve.locator("#incidents")).to_contain_text("Broken feed")
    expect(eve.locator("#quarantine")).to_contain_text("right again")
    shot(eve, "journey_6_inbox_390")
    eve.locator("#quarantine").get_by_role("link", name="wind_mph is 1.609").click()
    eve.wait_for_url(re.compile("/ledger/quarantine$"))
    expect(eve.locator("main")).to_contain_text("air_time: 765 predictions")

    eve.goto(f"{console.url}/inbox?duty=data_engineer")
    eve.locator("#incidents").get_by_role("link", name="Broken feed").click()
    eve.locator("#now").get_by_role("link", name="weather").click()
    eve.wait_for_url(re.compile("/assets/source/weather$"))
    expect(eve.locator("main")).to_contain_text("freshness_h over 1d <= 6")
    pausing = eve.locator("form[action$='/pause']")
    pausing.get_by_label("Reason").fill("the provider changes its units tonight")
    pausing.get_by_role("button", name="Pause").click()
    expect(eve.get_by_role("status").first).to_contain_text("weather is paused")
    expect(eve.locator("form[action$='/resume']")).to_be_visible()
    shot(eve, "journey_6_paused_390")
    told = [(each.actor, each.reason) for each in console.done(lambda p: p.audit(limit=10_000)) if each.subject == "weather"]  # fmt: skip
    assert told[-1] == ("eve", "the provider changes its units tonight")
