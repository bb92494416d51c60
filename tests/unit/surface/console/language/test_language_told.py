"""What pages of evals, searches, maps, calls and runs tell: numbers of the world, filters, why and how fresh."""

from __future__ import annotations

from dataclasses import replace

import language_world
import pytest

from perdure.loop.repair import VERIFIED
from perdure.loop.work.evals.running import VERDICT
from perdure.surface.console.drawing import scatter
from perdure.surface.console.language.eval_cases import _word_diff
from perdure.surface.console.language.waterfall import Bar, placed


def data(desk, path, as_="scientist"):
    answer = desk.get(f"/api{path}", as_=as_)
    assert answer.status == 200, answer.text
    return answer.json["data"]


def words(row):
    return [each if isinstance(each, str) else each["text"] for each in row]


class TestEvals:
    def test_a_comparison_tells_its_verdict_its_gate_and_what_became_of_each_case(self, desk, run):
        told = data(desk, f"/language/evals/{run}", "viewer")
        flips = {flip: n for flip, n, _, _ in told["flips"]}
        assert told["verdict"] == "worse"
        assert flips["worse"] > 0
        assert flips["better"] == 0
        assert sum(flips.values()) == told["n_cases"]
        assert words(told["gates"]["rows"][0])[1] == "stopped"
        assert told["diff"].startswith("/language/prompts/support.answer/compare?before=")

    def test_a_version_whose_text_is_gone_is_not_linked_to(self, desk, run, monkeypatch):
        monkeypatch.setattr("perdure.surface.console.language.eval_run._are_known", lambda *_: False)
        assert data(desk, f"/language/evals/{run}")["diff"] == ""

    def test_what_differs_between_the_compared_versions_is_a_click_away(self, desk, run):
        told = data(desk, data(desk, f"/language/evals/{run}")["diff"])
        assert {"-Be exact.", "+Be kind."} <= set(told["lines"])
        assert [words(row)[0] for row in told["evals"]["rows"]] == [run]

    def test_a_version_that_a_gate_stopped_says_so_with_the_way_to_the_run_that_it_rests_on(self, own_desk, run):
        suites = {"numbers": {"results": run, "comparison": "worse"}}
        verdict = {
            "gate": "prompt_quality",
            "passed": False,
            "comparison": "worse",
            "text": "-60 points",
            "evidence": {"suites": suites},
        }
        ledger, page = own_desk.project.place.stores.ledger, "/language/prompts/support.answer"
        stopped = words(data(own_desk, page)["versions"]["rows"][0])[0]
        trial = {"candidate": stopped, "incumbent": "support.answer@x", "passed": False, "verdicts": [verdict]}
        with ledger.transaction(actor="loop", at=language_world.NOW, reason="verify") as session:
            record = session.runs.get(run)
            session.runs.put(replace(record, facts={**record.facts, VERDICT: None}))
            session.audit.append(VERIFIED, "support.answer", {"trials": [trial], "winner": None})

        rows = {words(row)[0]: row for row in data(own_desk, page)["versions"]["rows"]}
        told = rows[stopped][2]
        assert (told["text"], told["href"], told["hint"]) == ("stopped: worse", f"/language/evals/{run}", "-60 points")
        assert [row[2] for name, row in rows.items() if name != stopped] == [""] * (len(rows) - 1)
        listed = {words(row)[0]: words(row)[3] for row in data(own_desk, "/language/evals")["runs"]["rows"]}
        assert listed[run] == "worse"
        gates = [words(row) for row in data(own_desk, f"/language/evals/{run}")["gates"]["rows"]]
        assert ["prompt_quality", "stopped", "worse", "-60 points"] in gates

    def test_the_difference_is_drawn_left_of_zero_where_it_is_a_loss(self, desk, run):
        told = data(desk, f"/language/evals/{run}")
        drawn = told["scorers"][0]["drawn"]
        assert 0 <= drawn["low"] < drawn["value"] < drawn["high"] < told["scale"]["zero"] == 50.0
        assert told["scale"]["left"] < 50.0 < told["scale"]["right"]

    def test_a_flip_chooses_its_cases_and_leaves_the_figures(self, desk, run):
        whole, same = data(desk, f"/language/evals/{run}"), data(desk, f"/language/evals/{run}?flip=same")
        assert {words(row)[1] for row in same["cases"]["rows"]} == {"same"}
        assert len(same["cases"]["rows"]) < len(whole["cases"]["rows"])
        assert same["flips"] == whole["flips"]

    def test_cases_are_filtered_by_flip_tag_and_text_and_show_what_is_said_otherwise(self, desk, run):
        told = data(desk, f"/language/evals/{run}/cases?flip=worse&tag=odd&q=onerror")
        assert told["n"] > 0
        for case in told["cases"]:
            assert (case["flip"], case["tags"]) == ("worse", ["odd"])
            assert case["difference"][0]["how"] == "new"
            assert case["sides"][0]["answers"][0]["score"] == "100.0%"
        assert data(desk, f"/language/evals/{run}/cases?q=no+such+text")["cases"] == []

    def test_one_case_is_reached_from_its_row(self, desk, run):
        row = data(desk, f"/language/evals/{run}")["cases"]["rows"][0]
        told = data(desk, row[0]["href"])
        assert [each["id"] for each in told["cases"]] == [row[0]["text"]]

    def test_a_word_that_is_no_filter_is_refused_with_those_that_are(self, desk, run):
        answer = desk.get(f"/api/language/evals/{run}?flip=wrose", as_="scientist")
        assert answer.status == 400
        assert "Did you mean 'worse'?" in answer.text

    def test_runs_of_another_suite_are_not_listed(self, desk, run):
        assert len(data(desk, "/language/evals?suite=numbers")["runs"]["rows"]) == 1
        assert desk.get("/language/evals?suite=nosuch").status == 400

    def test_answers_are_compared_word_by_word(self):
        assert [(each.how, each.text) for each in _word_diff("It is five.", "It is six.")] == [
            ("same", "It is "), ("gone", "five"), ("new", "six"), ("same", "."),
        ]  # fmt: skip
        assert _word_diff("same", "same") == ()
        assert _word_diff("a " * 5_000, "b") == ()


class TestSearch:
    def test_a_chunk_tells_why_it_was_found_and_how_fresh_it_is(self, desk):
        told = data(desk, "/language/indexes/handbook/search?q=refund+money&k=3")
        first = told["chunks"][0]
        assert first["document"].startswith("refunds")
        assert (float(first["by_vector"]) > 0.4, first["why"]) == (True, "its words match and its meaning is near")
        assert first["indexed"]["at"] == "2026-03-20T12:00:00Z"
        assert first["skew"] == ""
        assert (len(told["chunks"]), told["generation"], told["seen_at"]) == (3, 1, "2026-03-20T12:00:00Z")

    def test_by_words_alone_no_vector_is_asked(self, desk):
        told = data(desk, "/language/indexes/handbook/search?q=opening&mode=lexical")
        assert {each["by_vector"] for each in told["chunks"]} == {"–"}
        assert {each["why"] for each in told["chunks"]} == {"its words match"}

    def test_before_it_was_written_nothing_can_be_asked(self, desk):
        answer = desk.get("/language/indexes/handbook/search?q=refund&as_of=2020-01-01", as_="scientist")
        assert answer.status == 404
        assert "cannot be asked as of" in answer.text

    def test_a_changed_document_is_told_with_its_new_generation(self, own_desk):
        own = own_desk
        assert data(own, "/language/indexes/handbook/search?q=refund")["generation"] == 1
        (own.project.folder / "docs" / "refunds.md").write_text("# refunds\n\nA refund takes two days.\n", "utf-8")
        own.project.sync_index("handbook", at="2026-03-20T13:00:00Z")
        told = data(own, "/language/indexes/handbook/search?q=refund+takes+two+days&k=1")
        assert (told["generation"], told["chunks"][0]["generation"]) == (2, 2)
        assert "two days" in told["chunks"][0]["text"]

    def test_where_the_embedder_costs_only_who_may_ask_has_the_question_embedded(self, desk, monkeypatch):
        monkeypatch.setattr("perdure.surface.console.language.searching.costs", lambda *_: True)
        told = data(desk, "/language/indexes/handbook/search?q=refund", "admin")
        assert "costs money" in told["why_words"]
        assert {each["by_vector"] for each in told["chunks"]} == {"–"}
        assert data(desk, "/language/indexes/handbook/search?q=refund")["why_words"] == ""


class TestMap:
    def test_chunks_and_questions_stand_on_one_plane_and_what_found_nothing_is_told(self, desk):
        told = data(desk, "/language/indexes/handbook/map")
        picture = told["picture"]
        assert len(picture["at"]) == len(picture["kinds"]) == len(picture["names"]) == 12 + 3
        assert picture["groups"][-2:] == ["questions", "questions without an answer"]
        assert (told["n_questions"], told["n_unanswered"]) == (3, 1)
        assert [words(row)[0] for row in told["unanswered"]["rows"]] == ["spaceships"]
        assert sum(int(words(row)[2]) for row in told["clusters"]["rows"]) == 12

    def test_a_map_is_made_once_a_generation(self, desk, monkeypatch):
        data(desk, "/language/indexes/handbook/map")

        def never(*_):
            raise AssertionError

        monkeypatch.setattr("perdure.surface.console.language.mapped.make_map", never)
        assert data(desk, "/language/indexes/handbook/map")["n_sampled"] == 12

    def test_questions_are_not_embedded_for_a_picture_where_that_costs(self, desk, monkeypatch):
        monkeypatch.setattr("perdure.surface.console.language.mapped.costs", lambda *_: True)
        told = data(desk, "/language/indexes/handbook/map")
        assert (told["n_questions"], "costs money" in told["note"]) == (0, True)


class TestIndex:
    def test_what_a_census_found_is_told_by_document(self, own_desk):
        own = own_desk
        (own.project.folder / "docs" / "refunds.md").unlink()
        own.project.census_index("handbook", at="2026-03-20T13:00:00Z")
        own.boards.refresh()
        told = data(own, "/language/indexes/handbook", "viewer")
        assert told["n_wrong"] == 1
        assert words(told["skews"]["rows"][0])[:2] == ["refunds.md", "ghost"]

    def test_golden_questions_tell_whether_their_texts_stand(self, desk):
        [row] = data(desk, "/language/indexes/handbook/golden")["questions"]["rows"]
        assert words(row)[:3] == ["how long do refunds take", "refunds.md", "people"]


class TestCalls:
    def test_calls_are_filtered_by_route_and_by_how_they_ended(self, desk):
        assert data(desk, "/language/calls")["n"] == 5
        [blocked] = data(desk, "/language/calls?outcome=blocked&route=main")["calls"]["rows"]
        assert (blocked[0]["href"], words(blocked)[5]) == ("/language/calls/c_3", "blocked")
        assert data(desk, "/language/calls?before=2026-03-20T11:57:30Z")["n"] == 3

    def test_one_call_leads_through_guard_cache_and_tries_to_its_search(self, desk):
        told = data(desk, "/language/calls/c_2", "viewer")
        kinds = [each["kind"] for each in told["bars"]]
        assert kinds == ["call", "guard of the input", "cache", "model", "model"]
        failed, answered = told["bars"][-2:]
        assert (failed["tone"], answered["tone"]) == ("bad", "good")
        assert failed["left"] + failed["width"] <= answered["left"] + 1
        links = [each["href"] for row in told["facts"]["rows"] for each in row if isinstance(each, dict)]
        assert "/language/searches/s_1" in links
        assert (told["request"], told["answer"]) == ([], [])

    def test_a_guard_tells_what_it_stopped_and_how_often_it_acted(self, desk):
        told = data(desk, "/language/guards/privacy", "viewer")
        assert (told["n"], told["n_acted"]) == (5, 5)
        assert ["c_3", "blocked"] in [[words(row)[0], words(row)[3]] for row in told["newest"]["rows"]]
        assert told["by_check"]["rows"][0][:2] == ["pii email", 4.0]


class TestRuns:
    def test_a_run_is_a_waterfall_whose_steps_lead_on(self, desk):
        told = data(desk, "/language/runs/run_000007", "viewer")
        assert told["status"] == "done"
        assert len(told["bars"]) == 2
        assert told["exchanges"] == []
        assert [words(row)[1] for row in told["waits"]["rows"]] == ["send_reply"]

    def test_runs_are_chosen_by_status_and_paged_by_the_last_one(self, desk):
        assert [words(row)[0] for row in data(desk, "/language/runs?status=done")["runs"]["rows"]] == ["run_000007"]
        assert data(desk, "/language/runs?status=failed")["runs"]["rows"] == []
        assert data(desk, "/language/runs?before=run_000007")["runs"]["rows"] == []

    def test_a_graph_is_drawn_as_a_picture_of_its_own(self, desk):
        told = data(desk, "/language/graphs/post", "viewer")
        assert told["drawing"].startswith("data:image/svg+xml,%3Csvg")
        assert [words(row)[0] for row in told["nodes"]["rows"]] == ["loud", "send"]
        assert '<img class="graph" src="data:image/svg+xml,' in desk.get("/language/graphs/post").text

    def test_an_agent_tells_what_its_tools_may_do(self, desk):
        [tool] = data(desk, "/language/agents/support", "viewer")["tools"]["rows"]
        assert words(tool)[:4] == ["send", "function", "keyed", "on_call"]


def test_bars_lie_within_the_whole_and_short_ones_are_seen():
    bars = placed([Bar("a", "", "good", "", 0.0, 100.0), Bar("b", "", "good", "", 99.9, 0.0)], 100.0)
    assert all(each.left + each.width <= 100.0 for each in bars)
    assert bars[1].width > 0


@pytest.mark.parametrize("kind", ["prompt", "index", "judge", "guard", "agent", "graph"])
def test_the_overview_shows_one_kind_alone(desk, kind):
    told = data(desk, f"/language?kind={kind}", "viewer")
    assert {words(row)[1] for row in told["assets"]["rows"]} == {kind}


def test_questions_are_rings_over_the_chunks_however_many_those_are():
    """Their names stand under the pointer though those of a thousand chunks do not."""
    at = [(float(n % 40), float(n // 40)) for n in range(1000)] + [(3.5, 3.5), (9.5, 9.5)]
    kinds, names = [0] * 1000 + [1, 2], [f"c{n}" for n in range(1000)] + ["how?", "why?"]
    drawn = scatter(at, kinds, names, groups=["chunks", "questions", "without an answer"], rings=(1, 2))
    assert drawn.count('class="ring r1" cx') == drawn.count('class="ring r2" cx') == 1
    assert "<title>why?</title>" in drawn
    assert "<title>c7</title>" not in drawn
    assert '<i class="ring r2"' in drawn


def test_two_sentences_that_share_little_stand_beside_each_other_alone():
    assert _word_diff("The key has the default 16.", "I do not know.") == ()
    assert [each.how for each in _word_diff("The default is 16.", "The default is 32.")] == [
        "same",
        "gone",
        "new",
        "same",
    ]
