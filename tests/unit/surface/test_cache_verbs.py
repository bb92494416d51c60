"""The gateway's cache from the outside: calibrated on judged pairs, dropped by tags, and dropped when a source changes."""

from __future__ import annotations

import json
import threading
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import polars as pl
import pytest

from perdure import Cache, Contract, Perdure, Project, Route, Source, Target, Team, Upstream, days, minutes
from perdure.core.clock import parse_at
from perdure.core.errors import BadRequest, BadRoute, NotFound, Refused, UpstreamError
from perdure.core.settings import GatewaySettings, ProjectSettings, Settings
from perdure.loop.outdated import DROPPED
from perdure.serve.live import Live
from perdure.serve.loader import Loader
from perdure.serve.watcher import Watcher, WatcherParts
from perdure.stores.cache.protocols import Entry
from perdure.stores.ledger.sqlite import SqliteLedger
from perdure.surface.compose import stores_root
from perdure.surface.compose_gateway import gateway_declared, open_answers
from perdure.surface.embedding import HttpEmbed

NOW = parse_at("2026-03-10T00:00:00Z")


class Embedder:
    """An `/embeddings` that turns a text `a 0.25` into the angle 0.25; keeps what it was asked."""

    def __init__(self):
        self.asked, self.status, self.body = [], 200, None
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                outer.asked.append((self.path, self.headers.get("authorization"), body["model"], len(body["input"])))
                angles = [float(text.rpartition(" ")[2]) for text in body["input"]]
                rows = [{"index": n, "embedding": [np.cos(a), np.sin(a)]} for n, a in enumerate(angles)]
                answer = outer.body or json.dumps({"data": rows[::-1]}).encode()
                self.send_response(outer.status)
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/v1"


@pytest.fixture
def embedder():
    made = Embedder()
    yield made
    made.server.shutdown()
    made.server.server_close()


def pairs(folder, n=400):
    """Pairs that mean the same are near, the others far; their texts are angles, so numbers must not tell them apart."""
    rng = np.random.default_rng(0)
    lines = []
    for place in range(n):
        same = place % 4 == 0
        angle = abs(rng.normal(0.05, 0.02)) if same else rng.uniform(0.5, 1.5)
        lines.append({"question": "a 0.0", "other": f"b {angle:.6f}", "same": same})
    file = folder / "pairs.jsonl"
    file.write_text("\n".join(json.dumps(line) for line in lines) + "\n\n")
    return file


class Passage(Contract):
    passage_id: str
    at: datetime


class Shop:
    """A route whose answers rest on the source `handbook`, with a cache that is shared or not."""

    def __init__(self, folder, cache="sqlite", url="http://127.0.0.1:9/v1"):
        self.rows = 1
        source = Source("handbook", Passage, self.read, event_at="at", key=("passage_id",), every=days(1))
        up = Upstream("up", url, key_env="EMBED_KEY")
        route = Route(
            "main", [Target(up, "m-1")], source="handbook", cache=Cache(minutes(9), semantic=0.9, embedder="up/e")
        )
        settings = Settings(ProjectSettings("shop"), gateway=GatewaySettings(cache=cache))
        self.project = Project.of("shop", source, route, Team("help"))
        self.perdure = Perdure(folder, settings, project=self.project)
        self.root = stores_root(folder, settings)

    def read(self):
        return pl.DataFrame(
            {
                "passage_id": [f"p{n}" for n in range(self.rows)],
                "at": [NOW - days(9) + days(n) for n in range(self.rows)],
            }
        )

    def answers(self):
        return open_answers(self.root, self.perdure.settings)

    def keep(self, key="k", tags=("route:main", "source:handbook")):
        answers = self.answers()
        answers.put(key, Entry(b"{}", "c_1", 0, None), ends_us=2**60, tags=tags)
        answers.close()

    def has(self, key="k"):
        answers = self.answers()
        found = answers.get(key, now_us=1)
        answers.close()
        return found is not None

    def dropped(self):
        return [entry.facts for entry in self.perdure.audit(limit=1000) if entry.action == DROPPED]


class TestCalibrate:
    pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

    def test_the_command_asks_the_address_with_its_key_and_tells_the_threshold(self, cli, tmp_path, embedder):
        (tmp_path / "perdure.toml").write_text('[project]\nname = "p"\n')
        file = tmp_path / "pairs.jsonl"
        lines = [{"question": "a 0.0", "other": "b 0.0", "same": True}] * 20
        lines += [{"question": "a 0.0", "other": "b -0.0" if n % 2 else "c 0.0", "same": True} for n in range(20)]
        file.write_text("\n".join(json.dumps(line) for line in lines))
        command = f"perdure cache calibrate pairs.jsonl --embedder small --url {embedder.url} --key-env HUSH"
        told = cli(command, tmp_path, expect=2, HUSH="s3cret")
        assert "pairs" in told.err, "too few pairs that differ"
        assert embedder.asked == []
        assert cli(command, tmp_path, expect=3).err.startswith("error[")

    def test_the_threshold_keeps_false_hits_below_the_limit(self, tmp_path, embedder, monkeypatch):
        monkeypatch.setenv("EMBED_KEY", "s3cret")
        monkeypatch.setattr("perdure.engines.semantics.calibration.same_numbers", lambda _one, _other: True)
        found = Shop(tmp_path, url=embedder.url).perdure.calibrate_cache(pairs(tmp_path), "up/e", false_hits=0.02)
        assert np.cos(0.5) < found.threshold < np.cos(0.05)
        assert (found.n_pairs, found.n_different, found.false_hits) == (400, 300, 0.0)
        assert found.false_hits_at_most <= 0.02
        assert {asked[:3] for asked in embedder.asked} == {("/v1/embeddings", "Bearer s3cret", "e")}

    def test_a_line_that_is_no_pair_and_an_embedder_that_there_is_not_are_told(self, tmp_path):
        shop = Shop(tmp_path)
        (tmp_path / "bad.jsonl").write_text('{"question": "a", "other": "b", "same": true}\n{"question": "a"}\n')
        with pytest.raises(BadRequest, match=r"Line 2 of bad\.jsonl"):
            shop.perdure.calibrate_cache(tmp_path / "bad.jsonl", "up/e")
        with pytest.raises(NotFound, match="no embedder 'upp/e'"):
            shop.perdure.calibrate_cache(pairs(tmp_path), "upp/e")
        with pytest.raises(NotFound, match="cannot be read"):
            shop.perdure.calibrate_cache(tmp_path / "none.jsonl", "up/e")


class TestEmbedding:
    pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

    def made(self, url, dialect="openai"):
        up = Upstream("up", url, dialect=dialect)
        return HttpEmbed({"vectors": Route("vectors", [Target(up, "e")])}, {"up": up}, {})

    def test_vectors_come_in_the_order_of_the_texts_over_one_connection(self, embedder):
        embed = self.made(embedder.url)
        told = embed.embed("vectors", [f"t {n / 1000}" for n in range(300)])
        found = told.vectors
        assert np.allclose(np.arctan2(found[:, 1], found[:, 0]), np.arange(300) / 1000, atol=1e-6)
        assert [asked[3] for asked in embedder.asked] == [256, 44]
        assert [len(free) for free in embed._pool.values()] == [1]

    @pytest.mark.parametrize(
        ("status", "body"), [(500, b"no"), (200, b"no"), (200, b'{"data":[]}'), (200, b'{"data":[{"index":0,"embedding":[null]}]}')]
    )  # fmt: skip
    def test_what_holds_no_vectors_is_an_error_of_the_upstream(self, embedder, status, body):
        embedder.status, embedder.body = status, body
        with pytest.raises(UpstreamError):
            self.made(embedder.url).embed("up/e", ["t 0.1"])

    def test_an_upstream_of_another_dialect_cannot_embed(self):
        with pytest.raises(BadRoute, match="speaks anthropic"):
            self.made("http://127.0.0.1:9", "anthropic").embed("up/e", ["t"])

    def test_the_gateway_embeds_where_a_route_finds_answers_by_meaning(self, tmp_path):
        shop = Shop(tmp_path)
        assert isinstance(gateway_declared(shop.root, shop.perdure.settings, shop.project).embed, HttpEmbed)
        plain = Project.of("p", Route("main", [Target(Upstream("up", "http://127.0.0.1:9/v1"), "m")]))
        assert gateway_declared(tmp_path, Settings(), plain).embed is None


class TestDrop:
    def test_answers_of_a_tag_are_forgotten_and_others_stay(self, tmp_path):
        shop = Shop(tmp_path)
        shop.keep("k")
        shop.keep("other", tags=["route:other"])
        assert shop.perdure.drop_cache(["source:handbook", "source:none"]) == 1
        assert (shop.has("k"), shop.has("other")) == (False, True)

    def test_a_cache_of_each_server_s_own_and_a_tag_that_is_none_are_refused(self, tmp_path):
        with pytest.raises(Refused, match="own memory"):
            Shop(tmp_path, cache="memory").perdure.drop_cache(["source:handbook"])
        with pytest.raises(BadRequest, match="'handbook' is no tag"):
            Shop(tmp_path).perdure.drop_cache(["handbook"])


class TestSourceChanged:
    def test_new_rows_of_the_source_drop_its_answers_and_a_round_without_does_not(self, tmp_path):
        shop = Shop(tmp_path)
        shop.perdure.tick(at=NOW)
        shop.keep()
        shop.perdure.tick(at=NOW + days(1))
        assert shop.has(), "nothing came"
        shop.rows = 11
        shop.perdure.tick(at=NOW + days(2))
        assert not shop.has()
        assert [facts["dropped"] for facts in shop.dropped()] == [0, 1]

    def test_a_server_with_answers_of_its_own_is_told_by_the_ledger(self, tmp_path):
        shop, told = Shop(tmp_path, cache="memory"), []
        shop.perdure.tick(at=NOW)
        watcher = Watcher(
            WatcherParts(
                lambda: SqliteLedger.open_read_only(shop.root / "ledger.db", project="shop"),
                Loader({}, declared={}), Live(), frozenset(), tmp_path / "table.json", 0.01, told.append,
            )
        )  # fmt: skip
        watcher.look()
        assert told == [], "what is cached begins with the first look"
        shop.rows = 11
        shop.perdure.tick(at=NOW + days(2))
        watcher.look()
        watcher.look()
        assert told == ["handbook"]
        assert shop.dropped()[-1]["dropped"] is None
        watcher._close_ledger()
