"""An embedder behind a real `/v1/embeddings`: another model comes behind its name, and the sentences, over the same wire, find it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from indexing import HEALTHY, IndexWorld

from perdure import Endpoint, Route, Target, Upstream
from perdure.assets.policy import Policy
from perdure.core.errors import UpstreamBad
from perdure.testing.indexes import DIMENSIONS, WordModel, question_of

pytestmark = pytest.mark.enable_socket


class Provider:
    """A provider of embeddings on a port of this machine; which model answers to its one name is its own matter."""

    def __init__(self) -> None:
        self.model = WordModel()
        self.noise = 0.0
        """Of other hardware, in each number."""
        self.n_dimensions = DIMENSIONS
        self.n_asked = 0
        self.authorized: set[str] = set()
        provider = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # one packet an answer: two would wait for each other

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                provider.authorized.add(self.headers.get("authorization", ""))
                known = self.path == "/v1/embeddings" and body["model"] == "small"
                answer = json.dumps(provider.answer(body["input"]) if known else {"error": {"message": "No."}}).encode()
                self.send_response(200 if known else 404)
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                """Nobody reads it."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/v1"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, texts: list[str]) -> dict:
        self.n_asked += len(texts)
        rows = self.model.embed(texts)[:, : self.n_dimensions]
        rows = rows + self.noise * np.random.default_rng(self.n_asked).standard_normal(rows.shape)
        data = [{"index": i, "embedding": row.tolist()} for i, row in enumerate(rows)]
        return {"object": "list", "data": data[::-1], "model": "small", "usage": {"prompt_tokens": 7 * len(texts)}}


@pytest.fixture
def provider() -> Iterator[Provider]:
    made = Provider()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def opened(provider, tmp_path, monkeypatch):
    """A world whose index is embedded by the provider, released and filled."""
    monkeypatch.setenv("PROVIDER_KEY", "sk-of-the-provider")
    route = Route("vectors", [Target(Upstream("provider", provider.url, key_env="PROVIDER_KEY"), "small")])

    def make(**declared):
        given = {"embedder": Endpoint("vectors", DIMENSIONS), **declared}
        return IndexWorld(tmp_path, n_documents=20, declared=given, beside=(route,))

    return make


def finds_all(world):
    return all(world.finds(question_of(number))[0] == f"{number:03d}.md" for number in (0, 7, 19))


def test_another_model_behind_the_name_is_found_replaced_and_proven(opened, provider):
    """Within an hour; everything is embedded by what it is now beside what answers, and the golden questions say so."""
    world = opened()
    assert provider.authorized == {"Bearer sk-of-the-provider"}
    assert finds_all(world)
    swapped_at = world.now
    provider.model = WordModel("second")
    world.live(8)
    [incident] = world.incidents()
    assert incident.kind == "embedder_changed"
    assert (incident.opened_at - swapped_at).total_seconds() <= 3_600
    assert incident.closed_at is not None
    assert world.champion() != world.first
    assert finds_all(world)
    story = world.story()
    for told in (
        "The embedder changed behind its name: fixed sentences are up to",
        "passed index_whole: A census of 20 documents",
        "passed index_golden: nDCG@10",
        f"champion {world.champion()} (all)",
    ):
        assert told in story, story


def test_what_may_only_be_proposed_waits_for_a_person(opened, provider):
    """What answers stays, and nothing is written into it by the other model."""
    world = opened()
    world.open(policy=Policy.propose())
    provider.model = WordModel("second")
    world.live(4)
    [incident] = world.incidents()
    assert (incident.kind, incident.closed_at) == ("embedder_changed", None)
    assert world.champion() == world.first
    assert [each for each in world.said("loop.verify") if each.get("stage") == "resync"] == []


def test_vectors_of_another_size_are_refused_and_nothing_of_them_is_kept(opened, provider):
    """Each look says what came and what was declared; the index stays as it is until they are right again, and catches up."""
    world = opened()
    provider.n_dimensions = DIMENSIONS // 2
    world.documents.write(99, world.now)
    generation = world.perdure.show_index("handbook").generation
    raised = []
    for _ in range(4):  # of five repairs that fail the loop would ask a person
        try:
            world.live(0.5)
        except UpstreamBad as error:
            raised.append(error.message)
    assert len(raised) >= 3
    assert all("shape (1, 24), finite: True; (1, 48) was declared" in each for each in raised)
    assert [each.kind for each in world.incidents()] == ["sync_stopped"]
    assert (world.champion(), world.perdure.show_index("handbook").generation) == (world.first, generation)
    provider.n_dimensions = DIMENSIONS
    world.live(5)
    assert finds_all(world)
    assert world.finds(question_of(99))[0] == "099.md"
    assert world.champion() == world.first
    assert all(each.closed_at is not None for each in world.incidents())


def test_rounding_of_other_hardware_is_no_other_model(opened, provider):
    world = opened(healthy=HEALTHY[1:])
    provider.noise = 1e-5
    world.live(4)
    assert world.incidents() == []
    assert world.champion() == world.first
