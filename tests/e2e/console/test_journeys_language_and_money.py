"""Two journeys at the desk that answers from documentation: who writes its wording, and who owns what it costs."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.slow


def test_a_prompt_author_sees_why_a_wording_was_stopped_case_by_case_and_labels_what_it_said(
    desk: Any, at_desk: Any, shot: Callable[[Page, str], None]
) -> None:
    """From the inbox to the wording that its gate stopped, its difference, its cases; a label goes to the ledger under the author's name."""
    waiting = desk.done(lambda p: p.ask_about_suite("facts", 3, at=desk.now))
    assert len(waiting) == 3
    page = at_desk("pat", "/inbox")
    expect(page.get_by_role("heading", level=1)).to_have_text("Inbox of the prompt author")
    expect(page.locator("#reviews")).to_contain_text("3 cases in all.")

    page.get_by_role("link", name="Language", exact=True).click()
    page.get_by_role("link", name="answer", exact=True).first.click()
    stopped = page.locator("#compare tbody tr").first
    expect(stopped).to_contain_text("stopped: worse")
    stopped.get_by_role("link", name="with the one before").click()
    expect(page.locator("pre.diff .removed")).to_have_text("-Context: {{ passage }}")
    expect(page.locator("pre.diff .added")).to_have_text("+Context: {{ passage | truncate(40) }}")

    page.locator("#evals").get_by_role("link", name="cmp_").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("facts: worse")
    gate = page.locator("#gates tbody tr")
    expect(gate).to_have_count(1)
    expect(gate).to_contain_text("prompt_quality")
    expect(gate).to_contain_text("stopped")
    shot(page, "journey_7_eval")
    page.get_by_role("link", name=re.compile("^worse")).click()
    page.get_by_role("link", name="Case by case, with what was said").click()
    page.get_by_label("Flip").select_option("worse")
    page.get_by_label("Text").fill("segment_bytes")
    page.get_by_role("button", name="Filter").click()
    case = page.locator("details.case")
    expect(case).to_have_count(1)
    if not case.evaluate("each => each.open"):
        case.locator("summary").first.click()
    expect(case.get_by_role("heading", name="question")).to_be_visible()
    expect(case.locator(".said").nth(0)).to_contain_text("default 16000000.")
    expect(case.locator(".said").nth(1)).to_contain_text("I do not know.")
    shot(page, "journey_7_case")

    page.get_by_role("link", name="Inbox", exact=True).click()
    page.locator("#reviews").get_by_role("link", name="facts").click()
    first = page.locator("#case code.id").first.inner_text()
    expect(page.locator("#case")).to_contain_text("I do not know.")
    page.get_by_role("button", name="bad", exact=True).click()
    expect(page.get_by_role("status")).to_contain_text("Kept: bad. 2 cases left.")
    expect(page.locator("#case code.id").first).not_to_have_text(first)
    shown = desk.done(lambda p: p.list_reviews("facts", every=True))
    labels = [(each.labeller, each.word) for review in shown if review.id == first for each in review.labels]
    assert labels == [("pat", "bad")]


def test_an_owner_sees_what_each_key_spent_which_budget_ends_and_what_is_owed_and_hands_a_task_on(
    desk: Any, at_desk: Any, shot: Callable[[Page, str], None]
) -> None:
    """Spend by key, a budget nearly gone, what automation lacks, objectives by stakeholder; what is to be done reaches an engineer."""
    page = at_desk("ona", "/inbox")
    expect(page.get_by_role("heading", level=1)).to_have_text("Inbox of the owner")
    expect(page.locator("#budgets tbody tr").first).to_contain_text("trial")
    expect(page.locator("#maturity")).to_contain_text("policy = Policy.propose(…) or Policy.act(…)")
    shot(page, "journey_8_owner")
    page.locator("#months").get_by_role("link", name="More").click()
    page.get_by_role("link", name="key", exact=True).click()
    spent = page.locator("#by tbody tr").filter(has=page.locator("th"))
    names = [each.strip() for each in page.locator("#by > .scroll tbody th").all_inner_texts()]
    assert names[0] == "evals"
    assert sorted(names[1:]) == ["chat", "trial", "website"]
    told = desk.done(lambda p: p.spend(["key"], at=desk.now))
    assert told.total.calls == 128
    expect(spent.filter(has_text="trial").last).to_contain_text("11")
    expect(page.locator(".figures")).to_contain_text("128")
    plot = page.locator("#over-time .canvas canvas")
    expect(plot).to_be_visible()
    shot(page, "journey_8_money")

    page.goto(f"{desk.url}/money/budgets")
    expect(page.locator("table tbody tr").first).to_contain_text("trial")
    expect(page.locator("table tbody tr").first).to_contain_text(re.compile(r"8\d%|9\d%|100%"))
    page.get_by_label("Team").select_option("readers")
    page.get_by_role("button", name="Show").click()
    expect(page.locator("table tbody tr")).to_have_count(1)

    page.get_by_role("link", name="Inbox", exact=True).click()
    page.get_by_role("link", name="business analyst").click()
    owed = page.locator("#owed tbody tr")
    expect(owed).to_have_count(2)
    expect(owed.filter(has_text="eval_score suite=facts")).to_contain_text("readers")

    form = page.locator("#hand-off")
    form.get_by_label("Asset, or an incident's id").fill("desk")
    form.locator("select[name=to]").select_option("duty:ml_engineer")
    form.get_by_label("What is to be done").fill("Give it a policy, so that it mends itself.")
    form.get_by_role("button", name="Hand off").click()
    expect(page.get_by_role("status")).to_contain_text("desk")
    engineer = at_desk("eve", "/inbox", width=390)
    expect(engineer.locator("#mine")).to_contain_text("Give it a policy, so that it mends itself.")
    engineer.locator("#mine").get_by_label("Reason").fill("this afternoon")
    engineer.get_by_role("button", name="Take it").click()
    expect(engineer.locator("#mine")).to_contain_text("Nothing waits for you now.")
    shot(engineer, "journey_8_taken_390")
    assert [each.actor for each in desk.entries("handed_off")] == ["ona"]
