"""Golden questions and cases that were made of texts of an index: people are asked about them when a text changes or goes."""

from __future__ import annotations

import json

import pytest

from perdure import Perdure, Project, Whole
from perdure.assets.route import Route, Target
from perdure.assets.scorers import Exact
from perdure.assets.suite import Suite
from perdure.assets.upstream import Upstream
from perdure.core.clock import parse_at
from perdure.core.units import days, hours
from perdure.loop.work.judges.queue import n_outdated
from perdure.testing.indexes import DocumentsWorld, text_of

AT = parse_at("2026-01-10T00:00:00Z")


def case(number, file, text):
    where = {"from": "synthetic", "file": file, "start": 0, "end": len(text)}
    inputs = {"messages": [{"role": "user", "content": f"What of {number}?"}]}
    return json.dumps({"id": f"c{number}", "inputs": inputs, "expected": "x", "contexts": [text], "provenance": where})


class Resting:
    """Documents with an index, a suite whose cases were made of two of them, and golden questions on two."""

    def __init__(self, root):
        self.now = AT
        self.world = DocumentsWorld(root, n_documents=12)
        self.world.write_all(AT - days(1))
        cases = [case(n, f"handbook/{n:03d}.md", text_of(n)) for n in (1, 2)]
        cases += [case(7, "handbook/007.md", "This never stood there."), case(8, "elsewhere/x.txt", "Nor did this.")]
        self.cases = root / "cases.jsonl"
        self.cases.write_text("\n".join(cases))
        self.golden = root / "asked.jsonl"
        rows = [{"document": f"{n:03d}.md", "start": 0, "end": 9, "text": text_of(n)} for n in (2, 3)]
        self.golden.write_text(
            "\n".join(json.dumps({"query": f"q{n}", "relevant": [row]}) for n, row in enumerate(rows))
        )
        route = Route("main", [Target(Upstream("local", "http://127.0.0.1:9/v1"), "small")])
        suite = Suite("asked", self.cases, [Exact()], route="main")
        index = self.world.index(golden=str(self.golden), chunker=Whole())
        self.perdure = Perdure(root, project=Project.of("shop", index, route, suite), actor="ana")
        self.perdure.apply(at=AT)
        self.perdure.build_index("handbook", at=AT)

    def tick(self):
        self.now += hours(1)
        self.perdure.sync_index("handbook", at=self.now, allow_deletion=True)
        self.perdure.tick(at=self.now)

    def asked(self):
        found = self.perdure.list_reviews()
        return {(each.subject, each.case["answers"][0]): each for each in found if each.why == "outdated"}


@pytest.fixture
def resting(tmp_path):
    return Resting(tmp_path)


def test_nobody_is_asked_while_every_text_stands_and_of_what_never_stood_there_nobody_is(resting):
    resting.tick()
    assert resting.asked() == {}
    resting.world.write(5, resting.now)
    resting.world.write(2, resting.now, more="\nOne more paragraph.")
    resting.tick()
    assert resting.asked() == {}


def test_people_are_asked_about_what_rests_on_a_text_that_changed_or_went(resting):
    resting.tick()
    resting.world.path(2).write_text("# Another\n\nAll is new here.\n")
    resting.world.remove(3)
    resting.tick()
    asked = resting.asked()
    assert set(asked) == {("asked", text_of(2)), ("handbook", text_of(2)), ("handbook", text_of(3))}
    assert (
        asked["handbook", text_of(3)].rubric
        == "This text of 003.md is gone since: are question and answer still right?"
    )
    assert (n_outdated(resting.perdure.place, "asked"), n_outdated(resting.perdure.place, "handbook")) == (1, 2)
    assert resting.perdure.next_reviews("asked")[0].why == "outdated"
    resting.tick()
    assert len(resting.asked()) == 3
    assert resting.perdure.accept_golden("handbook", at=resting.now).added == []


def test_a_text_that_is_back_or_a_case_that_was_mended_ends_the_review_and_a_yes_counts(resting):
    resting.tick()
    resting.world.path(2).write_text("# Another\n\nAll is new here.\n")
    resting.world.path(1).write_text("# Another\n\nAll is new here, too.\n")
    resting.tick()
    first = resting.asked()["asked", text_of(1)]
    resting.perdure.label_review(first.id, "good", at=resting.now)
    assert n_outdated(resting.perdure.place, "asked") == 1
    resting.perdure.drop_review(first.id, at=resting.now)
    resting.cases.write_text("\n".join(resting.cases.read_text().splitlines()[:1]))
    resting.tick()
    assert set(resting.asked()) == {("handbook", text_of(2))}
    resting.world.write(2, resting.now)
    resting.tick()
    assert resting.asked() == {}
    resting.world.path(2).write_text("Once more.\n")
    resting.tick()
    assert set(resting.asked()) == {("handbook", text_of(2))}


def test_of_files_that_cannot_be_read_nothing_is_known_until_they_can(resting):
    resting.tick()
    resting.world.path(2).write_text("# Another\n\nAll is new here.\n")
    resting.tick()
    was, golden = resting.cases.read_text(), resting.golden.read_text()
    resting.cases.write_text("{")
    resting.golden.write_bytes(b"\xff")
    resting.world.path(1).write_text("# Another\n\nAll is new here, too.\n")
    resting.tick()
    assert set(resting.asked()) == {("asked", text_of(2)), ("handbook", text_of(2))}
    resting.cases.write_text(was)
    resting.golden.write_text(golden)
    resting.tick()
    assert set(resting.asked()) == {("asked", text_of(2)), ("handbook", text_of(2)), ("asked", text_of(1))}
