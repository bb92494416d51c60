"""Golden questions of an index: written by a model, drawn from searches, labelled by people, and scored for one version or two."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace

import polars as pl
import pytest

from perdure.assets.chunkers import CustomChunker, Whole
from perdure.assets.project import Project
from perdure.assets.route import Route, Target, UnitPrices
from perdure.assets.upstream import Upstream
from perdure.core.clock import parse_at, to_us
from perdure.core.documents import Chunk
from perdure.core.errors import BadIndex, NotFound
from perdure.core.ports import Answered
from perdure.core.units import days
from perdure.core.usage import Usage
from perdure.engines.retrieval.golden import read_golden
from perdure.loop.work.captured_searches import SEARCHES, searches_table
from perdure.loop.work.indexes.golden_asking import _drawn
from perdure.stores.capture.events import Searched
from perdure.surface.sdk import Perdure
from perdure.testing.indexes import DocumentsWorld, question_of, text_of

AT = parse_at("2026-01-10T00:00:00Z")
N = 24


@dataclass
class Writer:
    """Writes two drafts of each chunk, of which one says what the chunk does not."""

    asked: list = field(default_factory=list)

    async def ask(self, asked):
        self.asked.append(asked)
        said = str(asked.messages[-1]["content"])
        return Answered(
            {"content": self.answer(said)}, "stop", Usage(n_input=9, n_output=9), 1_000, 1000, "local/small"
        )

    def answer(self, said):
        if not said.startswith('"'):
            return "I don't know."
        subject, place, clerk = re.search(
            r"The (\w+) of district\d+ are \w+ in (\w+) by (\w+)", json.loads(said)
        ).groups()
        good = {
            "question": f"Which clerk deals with the {subject} that go to {place}, {clerk[-4:]}?",
            "expected": clerk,
        }
        return json.dumps({"cases": [good, {"question": f"Who paints {place}?", "expected": "Otto Krummbein"}]})

    async def close(self):
        """Nothing is open."""


@pytest.fixture
def world(tmp_path):
    made = DocumentsWorld(tmp_path, n_documents=N)
    made.write_all(AT - days(1))
    return made


@pytest.fixture
def writer():
    return Writer()


@pytest.fixture
def shop(tmp_path, world, writer):
    main = Route("main", [Target(Upstream("local", "http://127.0.0.1:9/v1"), "small", prices=UnitPrices(1, 1))])
    (tmp_path / "asked.jsonl").write_text('{"query": "Where is it?", "relevant": ["000.md"]}')
    index = world.index(golden=str(tmp_path / "asked.jsonl"), chunker=Whole())
    made = Perdure(tmp_path, project=Project.of("shop", index, main), actor="ana")
    made.apply(at=AT)
    made.build_index("handbook", at=AT)
    made.__dict__["place"] = replace(made.place, open_answerer=lambda: writer)
    return made


def searched(shop, *queries):
    rows = [
        Searched(
            id=f"s{n}",
            index="handbook",
            version="handbook@1",
            arm="champion",
            generation=1,
            seen_us=1,
            served_us=to_us(AT) + n,
            recorded_us=1,
            latency_us=900,
            key="",
            team="",
            query=query,
            mode="hybrid",
            k=5,
            as_of_us=0,
            keys=[],
            documents=[],
            scores=[],
            cosines=[],
            dropped=[],
        )
        for n, query in enumerate(queries)
    ]
    shop.place.stores.lake.append(SEARCHES, searches_table(rows).with_columns(batch=pl.lit(1, pl.Int64)))


def test_a_model_writes_questions_on_chunks_and_people_say_which_stay(shop, writer, tmp_path):
    told = shop.draft_golden("handbook", 4, route="main", budget_usd=1.0, at=AT)
    assert (len(told.questions), len(told.reviews)) == (4, 4)
    assert told.reasons["unanswerable"] > 0
    first, second, third, _ = shop.next_reviews("handbook", 9)
    assert (first.why, first.words, first.rubric) == (
        "synthetic",
        ("bad", "good"),
        "Does this text of the document answer the question?",
    )
    assert text_of(int(first.case["inputs"]["document"][:3])) in first.case["answers"][0]
    for shown, word in ((first, "good"), (second, "bad"), (third, "good")):
        shop.label_review(shown.id, word, at=AT)
    taken = shop.accept_golden("handbook", at=AT)
    assert (len(taken.added), taken.n_bad, taken.n_waiting) == (2, 1, 1)
    found = read_golden((tmp_path / "asked.jsonl").read_text())
    assert found.troubles == ()
    assert [each.query for each in found.questions] == ["Where is it?", *(each.query for each in taken.added)]
    [item] = next(each for each in found.questions if each.query == first.case["inputs"]["question"]).relevant
    assert (item.document, item.text) == (first.case["inputs"]["document"], first.case["answers"][0])
    assert found.questions[1].provenance["from"] == "synthetic"
    assert shop.accept_golden("handbook", at=AT).added == []
    again = shop.draft_golden("handbook", 50, route="main", at=AT)
    assert again.n_chunks == N - told.n_asked
    assert len(shop.list_reviews("handbook")) == 1 + len(again.questions)


def test_searches_are_asked_about_with_what_words_and_vectors_find_and_become_questions_when_all_is_labelled(
    shop, tmp_path
):
    searched(shop, question_of(3), question_of(3), "zebra", "of another time")
    told = shop.sample_golden("handbook", 2, over=days(2), at=AT + days(1))
    assert len(told.questions) == 2
    assert len(shop.list_reviews("handbook")) == len(told.reviews) >= 6
    rest = shop.sample_golden("handbook", 9, over=days(2), at=AT + days(1))
    assert set(told.questions) | set(rest.questions) == {question_of(3), "zebra", "of another time"}
    assert shop.sample_golden("handbook", 9, over=days(2), at=AT + days(1)).reviews == []
    shown = {each.id: each for each in shop.list_reviews("handbook")}
    of_three = [each for each in shown.values() if each.case["inputs"]["question"] == question_of(3)]
    for each in of_three[:-1]:
        shop.label_review(each.id, "good" if each.case["inputs"]["document"] == "003.md" else "bad", at=AT)
    assert shop.accept_golden("handbook", at=AT).n_waiting == 3
    for each in shown.values():
        shop.label_review(
            each.id, "0.8" if each.case["inputs"]["document"] == "003.md" and each in of_three else "bad", at=AT
        )
    taken = shop.accept_golden("handbook", at=AT)
    assert set(taken.unanswered) == {"zebra", "of another time"}
    [_, question] = read_golden((tmp_path / "asked.jsonl").read_text()).questions
    assert (question.query, question.provenance["from"]) == (question_of(3), "searches")
    assert [(each.document, each.grade) for each in question.relevant] == [("003.md", 0.8)]


def test_what_is_searched_often_is_drawn_more_likely_and_the_same_way_again():
    counts = {f"q{n}": 9 if n < 100 else 1 for n in range(1000)}
    drawn = _drawn(counts, {"q1"}, 100)
    assert 35 < sum(int(each[1:]) < 100 for each in drawn) < 65
    assert "q1" not in drawn
    assert _drawn(dict(reversed(counts.items())), {"q1"}, 100) == drawn


def test_a_version_is_scored_by_every_measure_and_held_against_another(shop, world, tmp_path):
    world.golden()
    (tmp_path / "asked.jsonl").write_bytes((tmp_path / "golden.jsonl").read_bytes())
    alone = shop.score_index("handbook", k=3)
    assert (alone.n_questions, alone.n_clusters, alone.against, alone.compared) == (N, N, "", {})
    assert list(alone.measures) == ["recall", "precision", "ndcg", "mrr", "hit_rate"]
    assert alone.measures["recall"].value == alone.measures["hit_rate"].value > 0.9
    assert alone.measures["precision"].value == pytest.approx(alone.measures["recall"].value / 3)
    assert alone.measures["recall"].low < alone.measures["recall"].value <= alone.measures["recall"].high
    same = shop.score_index("handbook", "declared", against="champion", k=3)
    assert {each.difference.value for each in same.compared.values()} == {0.0}
    assert {each.verdict for each in same.compared.values()} == {"equivalent"}


def test_a_version_that_finds_less_is_worse_by_a_verdict(shop, world, tmp_path):
    world.golden()
    (tmp_path / "asked.jsonl").write_bytes((tmp_path / "golden.jsonl").read_bytes())
    lame = world.index(golden=str(tmp_path / "asked.jsonl"), chunker=CustomChunker(nothing_said))
    other = Perdure(tmp_path, project=Project.of("shop", lame), actor="ana")
    other.build_index("handbook", at=AT)
    found = other.score_index("handbook", "declared", against="champion", k=3)
    recall = found.compared["recall"]
    assert found.measures["recall"].value < 0.3
    assert found.n_missed > 0.7 * N
    assert recall.before > 0.9
    assert (recall.verdict, recall.difference.value) == (
        "worse",
        pytest.approx(found.measures["recall"].value - recall.before),
    )
    assert found.missed[0] == question_of(0)


def test_what_is_relevant_is_found_where_its_words_stand_after_a_paragraph_came_above(shop, world, tmp_path):
    path, words = world.path(5), text_of(5)
    row = {
        "document": "005.md",
        "start": path.read_text().index(words),
        "end": path.read_text().index(words) + len(words),
    }
    (tmp_path / "asked.jsonl").write_text(json.dumps({"query": question_of(5), "relevant": [{**row, "text": words}]}))
    path.write_text("Far above it stands a paragraph that is new, and long enough. " * 40 + "\n\n" + path.read_text())
    other = Perdure(
        tmp_path, project=Project.of("shop", world.index(golden=str(tmp_path / "asked.jsonl"))), actor="ana"
    )
    other.build_index("handbook", at=AT)
    assert other.score_index("handbook", "declared", k=1).measures["hit_rate"].value == 1.0


def nothing_said(document):
    """Few documents say anything, and all the same."""
    return "", [Chunk("", 0, "nothing at all", 0, 14)] if document.ref.id >= "020" else []


def test_what_cannot_be_scored_or_grown_is_told(shop, tmp_path):
    with pytest.raises(NotFound):
        shop.draft_golden("handbook", route="nobody")
    with pytest.raises(BadIndex):
        shop.draft_golden("handbook", 0, route="main")
    (tmp_path / "asked.jsonl").write_bytes(b"\xff")
    with pytest.raises(BadIndex, match="cannot be read"):
        shop.accept_golden("handbook")
    with pytest.raises(BadIndex, match="cannot be read"):
        shop.score_index("handbook")
