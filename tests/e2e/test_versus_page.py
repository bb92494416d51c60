"""The page of an eval as a person uses it: in a real Chromium, at a desk and on a phone, by keyboard, without the network."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from perdure.assets.health import Verdict
from perdure.core.clock import parse_at
from perdure.core.stats.intervals import Interval
from perdure.core.verdict import Comparison
from perdure.surface.eval_told import AnswerTold, CaseTold, EvalTold, Flip, ScorerTold, ScoreTold, SideTold
from perdure.surface.report.versus import write_versus

OLD, NEW = "answer@1111", "answer@2222"
HOSTILE = "</script><script>window.hit = 1</script><img src=x onerror='window.hit = 2'>\x00\x1b[31m\u202eevil \ud800 مرحبا & <b>bold</b>"
LONG = "a word " * 150_000
N = 2000


def answer(text: str, score: float, **fields: object) -> AnswerTold:
    scores = (ScoreTold("exact", score, "scored", "" if score else "not 'seven'"), ScoreTold("helpful", 0.5, "scored"))
    return AnswerTold(text, 0, score, scores, cost_usd=0.0001, latency_ms=41.5, **fields)  # type: ignore[arg-type]


def case(number: int) -> CaseTold:
    """Each tenth case is worse, each eleventh of the rest better."""
    flip: Flip = "worse" if number % 10 == 0 else "better" if number % 11 == 0 else "same"
    scores = {"worse": (1.0, 0.0), "better": (0.0, 1.0)}.get(flip, (1.0, 1.0))
    texts = (
        f"Orders of day {number} are paid back in seven days.",
        f"Orders of day {number} are paid back in nine days.",
    )
    if flip == "same":
        texts = (texts[0], texts[0])
    pair = tuple((answer(text, score),) for text, score in zip(texts, scores, strict=True))
    return CaseTold(
        f"case-{number}", f"When is order {number} paid back?", "in seven days", ("Refunds take seven days.",),
        ("refund",) if number % 2 else ("return", "<i>odd</i>"), f"k{number}", pair, flip, scores[1] - scores[0],
        "helpful says 0.5, the other scorers 1" if number % 500 == 0 else "",
    )  # fmt: skip


def told() -> EvalTold:
    cases = [case(number) for number in range(N)]
    cases[3] = replace(cases[3], id=f"hostile {HOSTILE}", question=HOSTILE, expected=HOSTILE, answers=(
        (answer(HOSTILE, 1.0),), (answer(HOSTILE + " more", 1.0),)))  # fmt: skip
    cases[4] = replace(cases[4], id="long", answers=((answer(LONG, 1.0),), (answer(LONG + "end", 1.0),)))
    marked = answer("🙂 Refunds take nine weeks. They are free.", 1.0, spans=((2, 26),))
    cases[5] = replace(
        cases[5], id="unsupported", answers=((answer("🙂 Refunds take a week. They are free.", 1.0),), (marked,))
    )
    broken = AnswerTold("", 0, 0.0, (ScoreTold("exact", 0.0, "failed", ""),), error="upstream.timed_out")
    cases[7] = replace(cases[7], id="broken", answers=(cases[7].answers[0], (broken,)))
    sides = (
        SideTold(OLD, Interval(0.91, 0.89, 0.93, N), 0.91, N, 0, 0.2, 0, 40.0, 80.0),
        SideTold(NEW, Interval(0.82, 0.80, 0.84, N), 0.82, N, 1, 0.2, 1, 41.0, 90.0),
    )
    down = Interval(-0.09, -0.11, -0.07, N)
    scorers = (
        ScorerTold("exact", (sides[0].score, sides[1].score), down),
        ScorerTold("helpful", (Interval(0.5, 0.4, 0.6, N),) * 2, None, (Interval(0.45, 0.3, 0.6, 80),) * 2, "by 80 labels", judge=True),
    )  # fmt: skip
    return EvalTold(
        "refunds", "s1", "r_1", parse_at("2026-05-01T10:00:00Z"), sides, scorers, tuple(cases),
        (Verdict("quality", Comparison.WORSE, False, "worse by 9 points"),), Comparison.WORSE, down,
        "worse by 9 points, 95% 7 to 11", n_cases=N, n_clusters=N, spent_usd=0.4,
    )  # fmt: skip


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two thousand cases, some of them hostile, one of a megabyte."""
    path = tmp_path_factory.mktemp("versus") / "versus.html"
    write_versus(told(), path)
    return path


@pytest.fixture
def opened(browser: Browser, page_file: Path) -> Iterator[Page]:
    """The page at a desk."""
    page, problems = _opened(browser, page_file, 1280)
    yield page
    assert problems == []
    page.close()


def _opened(
    browser: Browser, file: Path, width: int, scheme: Literal["light", "dark"] = "light"
) -> tuple[Page, list[str]]:
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.set_default_timeout(8000)
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("request", lambda request: problems.append(request.url) if not request.url.startswith("file:") else None)
    page.goto(file.as_uri())
    return page, problems


def count(page: Page) -> str:
    return page.locator("#count").inner_text()


def find(page: Page, text: str) -> None:
    """Show the one case that holds a text, opened."""
    page.get_by_role("searchbox").fill(text)
    page.get_by_text("Cases 1 to 1 of 1", exact=True).wait_for()
    page.locator("details.case summary").click()
    page.locator("details.case .said").first.wait_for()


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_the_page_fits_its_window_asks_nothing_of_the_network_and_has_no_barrier(
    browser: Browser, page_file: Path, width: int, scheme: Literal["light", "dark"]
) -> None:
    page, problems = _opened(browser, page_file, width, scheme)
    page.locator("details.case summary").first.click()
    page.locator("details.case .said").first.wait_for()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    found = Axe().run(page).response["violations"]
    assert [(each["id"], [node["html"] for node in each["nodes"]][:3]) for each in found] == []
    assert problems == []
    page.close()


def test_the_summary_has_verdict_gates_intervals_cost_and_latency_and_every_picture_its_table(opened: Page) -> None:
    body = opened.inner_text("main")
    for words in (
        "Verdict: worse",
        "-9.0 points",
        "(-11.0 to -7.0)",
        "worse by 9 points",
        "91.0% (89.0 to 93.0)",
        "$0.20 (1 without a price)",
        "90 ms",
        "45.0% (30.0 to 60.0)",
        "by 80 labels",
    ):
        assert words in body
    pictures = opened.locator("svg.forest").evaluate_all("all => all.map(svg => svg.getAttribute('aria-label'))")
    assert [each.split(" with")[0] for each in pictures] == ["Differences", "Scores"]
    drawn = opened.locator("svg.forest title").all_text_contents()
    assert "exact: -9.0, -11.0 to -7.0" in drawn
    outside = opened.evaluate(
        """() => [...document.querySelectorAll('svg.forest')].flatMap(svg => {
            const box = svg.getBoundingClientRect();
            return [...svg.querySelectorAll('text, line, circle')].filter(each => {
                const own = each.getBoundingClientRect();
                return own.left < box.left - 1 || own.right > box.right + 1 || own.bottom > box.bottom + 1;
            }).map(each => each.outerHTML);
        })"""
    )
    assert outside == []


def test_the_greatest_losses_come_first_and_pages_turn(opened: Page) -> None:
    assert count(opened) == "Cases 1 to 20 of 2,000"
    assert opened.locator("details.case").count() == 20
    assert opened.locator(".flip").first.inner_text() == "worse -100.0"
    opened.get_by_role("button", name="Next").click()
    assert count(opened) == "Cases 21 to 40 of 2,000"
    opened.get_by_role("button", name="Previous").click()
    opened.get_by_role("button", name="Previous").click(force=True)
    assert count(opened) == "Cases 1 to 20 of 2,000"


def test_filters_by_flip_tag_disagreement_failure_and_text(opened: Page) -> None:
    opened.get_by_role("radio", name="better").check()
    opened.get_by_text("of 163").wait_for()
    opened.get_by_role("combobox", name="tag").select_option("refund")
    opened.get_by_text("of 91").wait_for()
    opened.get_by_role("searchbox").fill("Order 121 PAID")
    opened.get_by_text("Cases 1 to 1 of 1", exact=True).wait_for()
    opened.get_by_role("searchbox").fill("")
    opened.get_by_role("combobox", name="tag").select_option("")
    opened.get_by_role("radio", name="all").check()
    opened.get_by_role("checkbox", name="judges disagree").check()
    opened.get_by_text("of 4", exact=False).wait_for()
    assert count(opened) == "Cases 1 to 4 of 4"
    opened.get_by_role("checkbox", name="judges disagree").uncheck()
    opened.get_by_role("checkbox", name="failures").check()
    opened.get_by_text("Cases 1 to 1 of 1", exact=True).wait_for()
    opened.get_by_role("radio", name="unpaired").check()
    opened.get_by_text("No case is like that.").wait_for()


def test_flips_are_those_of_the_chosen_scorer(opened: Page) -> None:
    opened.get_by_role("combobox", name="by scorer").select_option("helpful")
    opened.get_by_role("radio", name="worse").check()
    opened.get_by_text("No case is like that.").wait_for()
    opened.get_by_role("radio", name="same").check()
    opened.get_by_text("of 2,000").wait_for()


def test_answers_are_compared_by_words_with_scores_and_why(opened: Page) -> None:
    find(opened, "order 110 paid")
    within = opened.locator("details.case .within")
    assert within.locator(".s0 del").all_inner_texts() == ["seven"]
    assert within.locator(".s1 ins").all_inner_texts() == ["nine"]
    row = within.get_by_role("row", name="exact")
    assert [each.strip() for each in row.locator("td").all_inner_texts()] == ["1.00", "0.00", "not 'seven'"]
    assert "Refunds take seven days." in within.inner_text()
    assert "41.5 ms" in within.inner_text()


def test_unsupported_spans_are_marked_where_they_stand_behind_an_emoji_too(opened: Page) -> None:
    find(opened, "unsupported")
    assert "".join(opened.locator(".s1 mark").all_inner_texts()) == "Refunds take nine weeks."
    assert opened.locator(".s0 mark").count() == 0


def test_a_hostile_answer_is_text(opened: Page) -> None:
    find(opened, "hostile")
    body = opened.locator(".s1 .body").inner_text()
    assert body.startswith(
        "</script><script>window.hit = 1</script><img src=x onerror='window.hit = 2'>␀␛[31m[U+202E]evil"
    )
    assert body.endswith("مرحبا & <b>bold</b> more")
    assert opened.evaluate("window.hit") is None
    assert opened.locator("details.case b, details.case img, details.case i").count() == 0


def test_a_megabyte_is_cut_and_shown_whole_when_asked_for(opened: Page) -> None:
    find(opened, "long")
    body = opened.locator(".s1 .body")
    assert len(body.inner_text()) <= 20_000
    opened.locator(".s1").get_by_role("button", name="Show all 1,050,003 characters").click()
    assert body.evaluate("each => each.textContent.length") == len(LONG) + 3
    assert opened.evaluate("document.activeElement.className") == "body"


def test_a_failed_answer_says_so(opened: Page) -> None:
    find(opened, "broken")
    assert "failed: upstream.timed_out" in opened.locator(".s1").inner_text()


def test_all_of_it_is_reached_by_keyboard(opened: Page) -> None:
    opened.get_by_role("searchbox").focus()
    for name in ("Open these", "Previous", "Next"):
        opened.keyboard.press("Tab")
        assert opened.evaluate("document.activeElement.textContent") == name
    opened.keyboard.press("Enter")
    assert count(opened) == "Cases 21 to 40 of 2,000"
    opened.keyboard.press("Tab")
    assert opened.evaluate("document.activeElement.tagName") == "SUMMARY"
    opened.keyboard.press("Enter")
    opened.locator("details.case[open] .said").first.wait_for()


def test_two_thousand_cases_are_filtered_within_a_blink(opened: Page) -> None:
    took_ms = opened.evaluate(
        """() => {
            const form = document.getElementById("filters");
            const start = performance.now();
            form.elements.text.value = "order 1999 paid";
            form.elements.flip.value = "";
            form.dispatchEvent(new Event("input"));
            return new Promise(done => {
                const seen = new MutationObserver(() => done(performance.now() - start));
                seen.observe(document.getElementById("count"), { childList: true });
            });
        }"""
    )
    assert count(opened) == "Cases 1 to 1 of 1"
    assert took_ms < 2000  # some 20 ms; a busy machine takes more


def test_a_page_of_one_version_has_its_scores_and_no_flips(browser: Browser, tmp_path: Path) -> None:
    whole = told()
    cases = tuple(replace(each, answers=each.answers[:1], change=None, flip="same") for each in whole.cases[:30])
    scorers = tuple(replace(each, raw=each.raw[:1], difference=None, corrected=()) for each in whole.scorers)
    write_versus(
        replace(whole, sides=whole.sides[:1], cases=cases, scorers=scorers, comparison=None, difference=None, gates=()),
        tmp_path / "one.html",
    )
    page, problems = _opened(browser, tmp_path / "one.html", 1280)
    assert page.get_by_role("radio").count() == 0
    assert page.locator(".flip").first.inner_text() == "0.00"
    page.locator("details.case summary").first.click()
    page.locator("details.case[open] .said").first.wait_for()
    assert page.locator("details.case[open] .said").count() == 1
    assert problems == []
    page.close()
