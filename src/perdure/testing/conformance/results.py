"""What every `Results` guarantees, as tests. Subclass it and give the fixture `results`:

    class TestMyResults(ResultsConformance):
        @pytest.fixture
        def results(self, tmp_path):
            return MyResults(tmp_path / "results")

Needs pytest only.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import pytest

from perdure.core.usage import Usage
from perdure.stores.results.protocols import Results, RunRow


def a_row(case: str = "a", sample: int = 0, **changes: Any) -> RunRow:
    """A row of one answer that was right."""
    row = RunRow(
        case=case,
        case_id=f"case-{case}",
        cluster=case,
        sample=sample,
        subject="support@000000000001",
        answer=f"answer-{case}-{sample}",
        scores=[("exact", 1.0, "scored", ""), ("cheaper", None, "not_applicable", "the price is not known")],
        score=1.0,
        usage=Usage(n_input=12, n_output=3),
        cost_pusd=1_500_000,
        spent_pusd=1_500_000,
        latency_us=250_000,
        weight=0.1 + 0.2,
        tags=["gold"],
    )
    return msgspec.structs.replace(row, **changes)


class ResultsConformance:
    """All that results guarantee."""

    @pytest.fixture
    def results(self) -> Results:
        """An empty store."""
        pytest.fail("Override the fixture `results` with one that returns an empty store.")

    def test_what_is_put_is_found_and_nothing_else(self, results: Results) -> None:
        """Bytes come back as they were, empty ones too."""
        results.put_answers([("a", b"\x00\xff"), ("b", b"")])
        results.put_scores([("a:1", b"1")])
        assert results.find_answers(["b", "c", "a"]) == {"a": b"\x00\xff", "b": b""}
        assert results.find_scores(["a:1", "a"]) == {"a:1": b"1"}

    def test_nothing_is_put_and_found_without_complaint(self, results: Results) -> None:
        """A batch of cached answers puts none."""
        results.put_answers([])
        results.put_scores([])
        results.put_run("run", [])
        assert results.find_answers([]) == {} == results.find_scores([])
        assert list(results.list_run("run")) == []

    def test_of_one_key_the_first_stands(self, results: Results) -> None:
        """A draw that was made is never drawn again, within one call or between two."""
        results.put_answers([("a", b"first"), ("a", b"second")])
        results.put_answers([("a", b"third")])
        results.put_scores([("a:1", b"first")])
        results.put_scores([("a:1", b"second")])
        assert results.find_answers(["a"]) == {"a": b"first"}
        assert results.find_scores(["a:1"]) == {"a:1": b"first"}

    def test_answers_that_are_replaced_take_the_scores_of_the_former_along(self, results: Results) -> None:
        """Of their keys alone; of one key the last stands, whether there was one before or not."""
        results.put_answers([("a", b"first"), ("ab", b"other")])
        results.put_scores([("a:1", b"1"), ("ab:1", b"2")])
        results.replace_answers([("a", b"second"), ("c", b"new"), ("a", b"third")])
        assert results.find_answers(["a", "ab", "c"]) == {"a": b"third", "ab": b"other", "c": b"new"}
        assert results.find_scores(["a:1", "ab:1"]) == {"ab:1": b"2"}
        results.replace_answers([])

    def test_thousands_of_keys_are_found_at_once(self, results: Results) -> None:
        """As a whole suite asks."""
        put = [(f"{i:064x}", str(i).encode()) for i in range(3000)]
        results.put_answers(put)
        assert results.find_answers([key for key, _ in put]) == dict(put)

    def test_a_row_comes_back_as_it_was_put(self, results: Results) -> None:
        """Every field survives, missing values too."""
        put = [
            a_row("a"),
            a_row("b", scores=[], score=None, usage=None, cost_pusd=None, error="upstream.timed_out", cached=True),
        ]
        results.put_run("run", put)
        assert list(results.list_run("run")) == put

    def test_rows_come_in_the_order_of_cases_then_subjects_and_samples(self, results: Results) -> None:
        """Whichever answer came first."""
        results.put_run("run", [a_row("b", 1), a_row("a", 0, subject="y"), a_row("b", 0)])
        results.put_run("run", [a_row("a", 1, subject="x"), a_row("c"), a_row("a", 0, subject="x")])
        told = [(row.case, row.subject[:1], row.sample) for row in results.list_run("run")]
        assert told == [("b", "s", 0), ("b", "s", 1), ("a", "x", 0), ("a", "x", 1), ("a", "y", 0), ("c", "s", 0)]

    def test_an_equal_row_replaces_the_former(self, results: Results) -> None:
        """A batch that is done twice leaves one row a case; of another sample, subject or run there are two."""
        results.put_run("run", [a_row("a", score=0.0), a_row("a", 1), a_row("a", subject="other")])
        results.put_run("other", [a_row("a")])
        results.put_run("run", [a_row("a", score=0.5)])
        assert [row.score for row in results.list_run("run")] == [1.0, 0.5, 1.0]
        assert len(list(results.list_run("other"))) == 1

    def test_forgotten_answers_take_their_scores_along(self, results: Results) -> None:
        """Of the keys that were named, and of those alone: one that only begins alike stays."""
        results.put_answers([("a", b"1"), ("ab", b"2")])
        results.put_scores([("a:1", b"1"), ("a:2", b"2"), ("ab:1", b"3")])
        assert results.forget(["a", "unknown"]) == 1
        assert results.find_answers(["a", "ab"]) == {"ab": b"2"}
        assert results.find_scores(["a:1", "a:2", "ab:1"]) == {"ab:1": b"3"}
        assert results.forget([]) == 0

    def test_threads_put_side_by_side(self, results: Results) -> None:
        """None is lost."""

        def put(i: int) -> None:
            results.put_answers([(f"{i}", b"x")])
            results.put_run("run", [a_row(str(i))])

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(put, range(40)))
        assert len(results.find_answers([str(i) for i in range(40)])) == 40
        assert len(list(results.list_run("run"))) == 40
