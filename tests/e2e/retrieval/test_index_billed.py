"""Questions that an upstream embeds are on the bill of whoever asks, in the counters and the records of his calls."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from gateway_upstream import Said, exactly, recorded, status
from gateway_world import PRICES, Gateway, World
from retrieval_world import search

from perdure import Budget, Endpoint, Folder, Index, Limits, Perdure, Project, Route, Target, Team, UnitPrices, Upstream
from perdure.core.settings import CaptureSettings, ProjectSettings, ServeSettings, Settings
from perdure.core.usage import PICO

PRICE = 2_000_000
"""Picodollars a token of a question."""


class Desk:
    """A project whose index is embedded by an upstream, built and served."""

    def __init__(self, root: Path, upstreams, *teams: Team):
        (root / "docs").mkdir()
        (root / "docs" / "a.md").write_text("Trains leave at noon.")
        up = Upstream("up", upstreams.url + "/v1", key_env="UP_KEY")
        main = Route("main", [Target(up, "m-1", prices=PRICES)])
        vectors = Route("vectors", [Target(up, "small", prices=UnitPrices(input=2, output=0))])
        index = Index("handbook", Folder("docs"), embedder=Endpoint("vectors", 2, query_prefix="q: "))
        settings = Settings(
            ProjectSettings("p"), serve=ServeSettings(port=0, poll_ms=20), capture=CaptureSettings(min_free_bytes=0)
        )
        # Teams may ask the index and the model; whom the index is embedded by is not their matter.
        self.perdure = Perdure(root, settings, project=Project.of("p", main, vectors, index, *teams))
        self.perdure.apply()
        self.perdure.build_index("handbook")
        self.upstreams, self.server = upstreams, None
        upstreams.reset()
        self.secrets = {team.name: self.perdure.create_key(team.name).secret for team in teams}
        self.server = self.perdure.server()
        self.gateway = Gateway(World(root / ".perdure", upstreams.url), self.server.start(), self.secrets["team"])
        self.gateway.wait_ready()

    @property
    def n_embedded(self) -> int:
        """Questions that the upstream was asked to embed."""
        return sum(seen.kind == "embeddings" for seen in self.upstreams.seen)

    def calls(self, n: int):
        """Records of embeddings, as soon as there are so many."""
        return [call for call in self.gateway.recorded(n) if call.endpoint == "embeddings"]

    def used_usd(self) -> float:
        [budget] = [row for row in self.perdure.budgets().rows if row.what == "usd"]
        return budget.used


@pytest.fixture
def desk(tmp_path, upstreams, monkeypatch):
    """Opens a desk of some teams."""
    monkeypatch.setenv("UP_KEY", "sk-upstream-0123456789abcdefghij")
    opened = []

    def make(*teams: Team) -> Desk:
        opened.append(Desk(tmp_path, upstreams, *teams))
        return opened[-1]

    yield make
    for each in opened:
        each.server.stop()


def team(**members) -> Team:
    return Team("team", routes=("main", "index:handbook"), **members)


def test_a_question_is_a_call_of_its_team_and_key_once(desk):
    """With its tokens and its price, naming the search; asked again it is kept, and costs nobody anything."""
    made = desk(team(budgets=[Budget(1, per="total")], limits=Limits(tokens=100_000)))
    told = search(made.gateway, "When do trains leave?").json
    assert search(made.gateway, "When do trains leave?").status == 200
    [call] = made.calls(1)
    assert made.n_embedded == 1
    assert (call.route, call.team, call.outcome, call.status) == ("up/small", "team", "answered", 200)
    assert call.key
    assert call.affinity == call.key
    assert call.tags == {"search_for": told["search"], "index": "handbook"}
    assert call.cost_pusd == PRICE * call.usage.n_input > 0
    whole = call.cost_pusd / PICO
    assert made.gateway.wait_for(lambda: used if (used := made.used_usd()) >= whole else None) == pytest.approx(whole)
    by_team = {row.of["team"]: row.cost_usd for row in made.perdure.spend(["team"]).rows}
    assert by_team["team"] == pytest.approx(whole)


def test_who_has_spent_his_budget_embeds_nothing(desk):
    """Of the whole team or of this index alone; words are searched all the same."""
    made = desk(team(budgets=[Budget(1e-9)]), Team("other", budgets=[Budget(1e-9, route="index:handbook")]))
    for each in ("team", "other"):
        headers = {"authorization": f"Bearer {made.secrets[each]}"}
        found = search(made.gateway, "When do trains leave?", headers=headers)
        assert (found.status, found.json["error"]["code"]) == (429, "budget_spent")
        assert search(made.gateway, "trains", mode="lexical", headers=headers).status == 200
    assert made.n_embedded == 0


def test_tokens_a_minute_count_questions_too(desk):
    made = desk(team(limits=Limits(tokens=40)))
    statuses = [search(made.gateway, f"When do trains leave for town {n}?").status for n in range(8)]
    assert (statuses[0], statuses[-1]) == (200, 429)
    assert made.n_embedded == statuses.count(200)


def test_a_search_and_its_embedding_are_one_request(desk):
    made = desk(team(limits=Limits(requests=2)))
    assert [search(made.gateway, f"When do trains leave for {n}?").status for n in range(3)] == [200, 200, 429]
    assert made.n_embedded == 2


def test_an_answer_has_both_on_its_bill(desk):
    """What embeds its question, and the model."""
    made = desk(team(budgets=[Budget(1, per="total")]))
    made.upstreams.usual = recorded(Said(words=("Trains leave at noon [1].",)))
    body = json.dumps({"question": "When do trains leave?", "route": "main"}).encode()
    assert made.gateway.ask("/v1/indexes/handbook/answer", body).status == 200
    calls = made.gateway.recorded(2)
    assert sorted(call.endpoint for call in calls) == ["chat", "embeddings"]
    assert {call.team for call in calls} == {"team"}
    whole = sum(call.cost_pusd for call in calls) / PICO
    assert made.gateway.wait_for(lambda: used if (used := made.used_usd()) >= whole else None) == pytest.approx(whole)


@pytest.mark.parametrize("behaviour", [status(500), exactly(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")])
def test_an_embedder_that_fails_is_on_record_and_costs_nothing(desk, behaviour):
    made = desk(team(budgets=[Budget(1, per="total")]))
    made.upstreams.usual = behaviour
    assert search(made.gateway, "When do trains leave?").status == 502
    [call] = made.calls(1)
    assert (call.outcome, call.status, call.cost_pusd, call.usage.n_total) == ("failed", 502, 0, 0)
    assert call.attempts[0].error == "upstream"
    made.upstreams.reset()
    assert search(made.gateway, "When do trains leave?").status == 200
    whole = made.calls(2)[1].cost_pusd / PICO
    assert made.gateway.wait_for(lambda: used if (used := made.used_usd()) >= whole else None) == pytest.approx(whole)


def test_other_wordings_are_billed_each_and_a_blank_one_asks_nobody(desk):
    made = desk(team())
    assert search(made.gateway, "When?", others=["At noon?", "  "]).status == 200
    assert len(made.calls(2)) == made.n_embedded == 2
    assert [seen.body["input"] for seen in made.upstreams.seen] == [["q: When?"], ["q: At noon?"]]
