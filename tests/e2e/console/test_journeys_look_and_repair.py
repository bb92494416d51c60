"""Who looks, who measures and who releases: three people on four days of real flights, from the sign-in to the ledger."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.request import urlopen

import pytest
from playwright.sync_api import Page, expect

from perdure.assets.version import CHAMPION
from perdure.core.clock import monotonic_s, parse_at, sleep_s
from perdure.loop.release import to_canary
from perdure.surface.sdk import Perdure

ASSET = "/assets/model/air_time"


def _drag(page: Page, first: float, last: float) -> None:
    """Mark a part of the page's first chart."""
    page.locator("figure.picture .u-over").first.scroll_into_view_if_needed()
    box = page.locator("figure.picture .u-over").first.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + first * box["width"], box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + last * box["width"], box["y"] + box["height"] / 2, steps=4)
    page.mouse.up()


@pytest.mark.slow
def test_a_viewer_finds_what_is_broken_zooms_into_it_and_can_change_nothing(console, signed_in, shot) -> None:
    page = signed_in("vic")
    expect(page.get_by_role("heading", level=1)).to_have_text("flights")
    shot(page, "viewer_home")
    page.locator("a.tile", has_text="air_time").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("air_time")
    page.get_by_role("link", name=re.compile("Zoom in")).click()
    page.wait_for_selector("figure.picture canvas")
    whole = page.input_value("form[data-window] [name=from]")
    _drag(page, 0.3, 0.99)
    expect(page.locator("form[data-window] [name=from]")).not_to_have_value(whole)
    page.get_by_role("button", name="Show").click()
    expect(page.locator("figure.picture .legend.told")).to_be_visible()
    shot(page, "viewer_readings_zoomed")

    page.goto(console.url + ASSET)
    expect(page.locator("#brakes")).to_contain_text("Pausing and going back is for scientists, engineers, reviewers")
    assert page.locator("main form[method=post]").count() == 0
    before = console.project.audit(limit=1_000_000)[-1].sequence
    token = page.locator(".me form input[name=csrf]").input_value()
    for path in (f"{ASSET}/pause", f"{ASSET}/rollback", "/cards/air_time", "/people"):
        made_by_hand = page.request.post(
            console.url + path,
            form={"csrf": token, "reason": "let me", "to": "air_time"},
            headers={"Origin": console.url},
        )
        assert (made_by_hand.status, "vic may not do this" in made_by_hand.text()) == (403, True), path
    assert console.project.audit(limit=1_000_000)[-1].sequence == before
    assert [each.actor for each in console.entries("session.began")] == ["vic"]


@pytest.mark.slow
def test_a_data_scientist_sees_what_drifts_compares_the_runs_and_writes_it_on_the_card(
    console, signed_in, shot
) -> None:
    page = signed_in("sue", "/inbox")
    expect(page.get_by_role("heading", level=1)).to_have_text("Inbox of the data scientist")
    shot(page, "scientist_inbox")
    page.locator("#drift").get_by_role("link", name=re.compile("^drift")).click()
    worst = page.locator("figure.multiple").first
    expect(worst).to_contain_text("pressure_mb")
    worst.get_by_text("Table").click()
    assert worst.locator("tbody tr").count() > 3
    shot(page, "scientist_drift")

    page.get_by_role("link", name="Overview").click()
    page.get_by_role("link", name="Training runs").click()
    for box in page.get_by_role("checkbox", name=re.compile("^Compare run_")).all():
        box.check()
    page.get_by_role("button", name="Compare what is ticked").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("2 runs compared")
    expect(page.locator("#different")).to_contain_text("n_estimators")
    shot(page, "scientist_runs_compared")

    page.goto(console.url + "/inbox")
    page.locator("#candidates").get_by_role("link", name=re.compile("^air_time@")).click()
    expect(page.locator("#version")).to_contain_text("Its release waits for a yes")
    shot(page, "scientist_candidate")
    page.get_by_role("link", name="The run that made it").click()
    expect(page.locator("figure.picture canvas").first).to_be_visible()
    shot(page, "scientist_curves")

    page.goto(console.url + ASSET)
    page.get_by_role("link", name="Model card").click()
    page.locator("#words").get_by_role("link", name="Edit").click()
    page.get_by_label("Text").fill("## Doubts\n\nThe candidate goes by distance alone while the weather is stale.")
    page.get_by_label("Why it is changed").fill("drift of the pressure")
    page.get_by_role("button", name="Keep as a new version").click()
    expect(page.locator("main")).to_contain_text("goes by distance alone")
    shot(page, "scientist_card")
    page.get_by_role("link", name="All versions").click()
    expect(page.locator("main tbody tr")).to_have_count(1)
    expect(page.locator("main tbody tr")).to_contain_text("drift of the pressure")
    assert [each.actor for each in console.entries("registry.put_version") if "card" in str(each.facts)] == ["sue"]


def _ramp(project: Perdure) -> tuple[str, str]:
    """Begin a canary of what sue trained, as the loop does once a release is allowed; the champion's id and the candidate's."""
    with project.place.stores.ledger.read() as session:
        champion = next(each.version for each in session.pointers.list("air_time") if each.name == CHAMPION)
        candidate = next(
            each.id for each in session.registry.list_versions("air_time", limit=10) if each.id != champion
        )
    with project.place.transaction(parse_at("2013-03-05T05:00:00Z"), "ramp") as session:
        to_canary(session, "air_time", candidate, 0.2, {"stage": "canary"})
    return champion, candidate


@contextmanager
def _served(console) -> Iterator[Callable[[], list[str]]]:
    """The data plane beside the console; what is yielded asks it which arms answer."""
    server = console.done(lambda project: project.server(port=0))
    url = console.done(lambda _: server.start())

    def arms() -> list[str]:
        with urlopen(f"{url}/v1/models") as answer:
            return [each["name"] for each in json.load(answer)["models"][0]["arms"]]

    try:
        yield arms
    finally:
        server.stop()


def _within(seconds: float, holds: Callable[[], bool]) -> bool:
    until = monotonic_s() + seconds
    while not holds() and monotonic_s() < until:
        sleep_s(0.05)
    return holds()


@pytest.mark.slow
@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without scripts"])
def test_an_engineer_ends_a_release_under_way_and_the_history_says_who_when_and_why(
    console, signed_in, shot, scripts
) -> None:
    champion, candidate = console.done(_ramp)
    page = signed_in("eve", scripts=scripts)
    page.reload()
    expect(page.locator("#releases")).to_contain_text("20%")
    shot(page, f"engineer_home_{'with' if scripts else 'without'}_scripts")
    page.locator("#releases").get_by_role("link", name="air_time", exact=True).click()
    brakes = page.locator("#brakes")
    expect(brakes).to_contain_text(f"{candidate} has 20% of the traffic")
    form = brakes.locator("form", has_text="End the release")
    form.get_by_label("Reason").fill("late answers at JFK")
    with _served(console) as arms:
        assert arms() == ["champion", "challenger"]
        form.get_by_role("button").click()
        expect(page.locator(".notices")).to_contain_text(f"{champion} answers everything")
        assert _within(60, lambda: arms() == ["champion"]), "serving follows the pointers"
    expect(page.locator("#brakes")).not_to_contain_text("End the release")
    shot(page, f"engineer_ended_{'with' if scripts else 'without'}_scripts")
    page.get_by_role("link", name="History of its pointers").click()
    newest = page.locator("#moves tbody tr").first
    expect(newest).to_contain_text("eve")
    expect(newest).to_contain_text("late answers at JFK")
    shot(page, f"engineer_history_{'with' if scripts else 'without'}_scripts")
    with console.project.place.stores.ledger.read() as session:
        assert [(each.name, each.version) for each in session.pointers.list("air_time")] == [("champion", champion)]
    moved = console.entries("pointers.set", "eve")[-1]
    assert (moved.subject, moved.reason) == ("air_time", "late answers at JFK")
