"""Answers to questions that mean the same: what is compared, what never is."""

from __future__ import annotations

import json

import msgspec
import numpy as np
import pytest

from perdure.core.errors import UpstreamError
from perdure.core.ports import Embedded
from perdure.serve.gateway.caching import CacheRules, Caller, Forgiving, RouteCache
from perdure.serve.gateway.caching_semantic import Embedder, SemanticCache, is_sampled, question_of
from perdure.stores.cache.memory import MemoryCache
from perdure.stores.cache.protocols import Entry

NOW_US = 1_000_000_000
ANSWER = b'{"choices":[{"finish_reason":"stop"}]}'
SYSTEM = {"role": "system", "content": "Be short."}


class Vectors:
    """Texts that are told to mean the same have nearly the same vector."""

    def __init__(self):
        self.at = {}
        self.asked = []

    def embed(self, route, texts):
        self.asked.append((route, list(texts)))
        return Embedded(np.array([self.at.get(text, (0.0, 1.0)) for text in texts], dtype=np.float32), n_tokens=5)


class Gateway:
    """The two caches of a route version, asked as the gateway will."""

    def __init__(self, **rules):
        self.rules = CacheRules(60_000_000, **{"semantic": 0.9, "embedder": "u/e", **rules})
        self.embedder = Vectors()
        store = Forgiving(MemoryCache())
        self.exact = RouteCache(store, self.rules, route="a", version="a@1")
        self.semantic = SemanticCache(store, self.embedder, self.rules, Embedder("u/e", None))

    def ask(self, text, *, team="support", now_us=NOW_US, cache_control="", call_id="c_9", **more):
        request = {"messages": [SYSTEM, {"role": "user", "content": text}], **more}
        raw = msgspec.json.decode(json.dumps(request).encode(), type=dict[str, msgspec.Raw])
        asked = self.exact.asked(raw, Caller(team, "chat"), cache_control)
        question = self.semantic.question(request, asked)
        if question is None:
            return None
        looked = self.semantic.find(question, asked, call_id=call_id, now_us=now_us)
        if looked.hit is None and self.exact.keep(asked, Entry(ANSWER, call_id, now_us, 700, question.text)):
            self.semantic.keep(question, asked, looked.vector)
        return looked.hit


@pytest.fixture
def gateway():
    gateway = Gateway()
    gateway.embedder.at = {"How do I pay?": (1.0, 0.0), "How can I pay?": (0.99, 0.1), "May I pay?": (0.7, 0.7)}
    return gateway


def test_a_question_that_means_the_same_gets_the_answer(gateway):
    assert gateway.ask("How do I pay?", call_id="c_1") is None
    hit = gateway.ask("How can I pay?")
    assert (hit.kind, hit.entry.call_id, hit.entry.cost_pusd) == ("semantic", "c_1", 700)
    assert hit.similarity == pytest.approx(0.9949, abs=1e-3)
    assert gateway.embedder.asked == [("u/e", ["How do I pay?"]), ("u/e", ["How can I pay?"])]


def test_one_that_is_less_near_than_the_route_s_threshold_does_not(gateway):
    gateway.ask("How do I pay?")
    assert gateway.ask("May I pay?") is None


@pytest.mark.parametrize(
    "other",
    [
        {"team": "sales"},
        {"temperature": 0.3},
        {"response_format": {"type": "json_object"}},
        {"messages": [{"role": "user", "content": "How can I pay?"}]},
        {"messages": [{"role": "system", "content": "Be long."}, {"role": "user", "content": "How can I pay?"}]},
        {"messages": [SYSTEM, {"role": "user", "content": "How can I pay?", "name": "Ann"}]},
        {"cache_control": "no-cache"},
        {"now_us": NOW_US + 60_000_000},
        {"now_us": NOW_US + 2_000_000, "cache_control": "max-age=1"},
    ],
)
def test_everything_but_the_last_words_must_be_equal(gateway, other):
    gateway.ask("How do I pay?")
    assert gateway.ask("How can I pay?", **other) is None


def test_streaming_and_the_caller_s_own_notes_do_not_matter(gateway):
    gateway.ask("How do I pay?")
    assert gateway.ask("How can I pay?", stream=True, user="u2", metadata={"a": "b"}) is not None


def test_questions_with_different_numbers_never_meet(gateway):
    gateway.embedder.at |= {"Refund 12": (0.0, 1.0), "Refund 13": (0.0, 1.0)}
    gateway.ask("Refund 12")
    assert gateway.ask("Refund 13") is None
    assert gateway.ask("12: Refund") is not None


IMAGE = [{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": "data:,"}}]


@pytest.mark.parametrize(
    "request_",
    [
        {"messages": [{"role": "user", "content": "Hi"}], "tools": [{}]},
        {"messages": [{"role": "user", "content": "Hi"}], "functions": [{}]},
        {"messages": [{"role": "user", "content": IMAGE}]},
        {"messages": [{"role": "user", "content": IMAGE}, {"role": "user", "content": "Hi"}]},
        {"messages": [{"role": "assistant", "content": "x", "tool_calls": [{}]}, {"role": "user", "content": "Hi"}]},
        {"messages": [{"role": "tool", "content": "4"}, {"role": "user", "content": "Hi"}]},
        {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]},
        {"messages": [{"role": "user", "content": "x" * 1_001}]},
        {"messages": [{"role": "user", "content": " \n"}]},
        {"messages": [{"role": "user", "content": []}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": 5}]}]},
        {"messages": [{"role": "user", "content": None}]},
        {"messages": ["Hi"]},
        {"messages": []},
        {"input": "Hi"},
    ],
)
def test_what_is_no_plain_question_is_never_compared(request_):
    assert question_of(request_, b"", "e") is None


def test_text_in_parts_is_one_question():
    parts = [{"type": "text", "text": "How"}, {"type": "text", "text": "so?"}]
    assert question_of({"messages": [{"role": "user", "content": parts}]}, b"", "e").text == "How\nso?"


def test_another_embedder_has_spaces_of_its_own():
    request = {"messages": [{"role": "user", "content": "Hi"}]}
    assert question_of(request, b"", "e").space != question_of(request, b"", "f").space
    assert question_of(request, b"", "e").space != question_of(request, b"s", "e").space


def test_an_embedder_that_fails_is_a_miss_and_counted(gateway):
    def down(route, texts):
        raise UpstreamError("It is down.")

    gateway.ask("How do I pay?")
    gateway.embedder.embed = down
    request = {"messages": [SYSTEM, {"role": "user", "content": "How can I pay?"}]}
    raw = msgspec.json.decode(json.dumps(request).encode(), type=dict[str, msgspec.Raw])
    asked = gateway.exact.asked(raw, Caller("support", "chat"))
    looked = gateway.semantic.find(gateway.semantic.question(request, asked), asked, call_id="c", now_us=NOW_US)
    assert (looked.hit, looked.vector, gateway.semantic.n_failed) == (None, None, 1)


def test_a_share_of_hits_is_sampled_and_its_fresh_call_says_of_what():
    gateway = Gateway(sample=0.2)
    gateway.embedder.at = {"How do I pay?": (1.0, 0.0), "How can I pay?": (0.99, 0.1)}
    gateway.ask("How do I pay?", call_id="c_0")
    hits = [gateway.ask("How can I pay?", call_id=f"c_{number}") for number in range(1, 1_001)]
    sampled = [hit for hit in hits if hit.sampled]
    assert 150 < len(sampled) < 250
    assert sampled[0].tags() == {"cache_of": "c_0", "cache_similarity": f"{sampled[0].similarity:.6f}"}
    again = [is_sampled(f"c_{number}", 0.2) for number in range(1, 1_001)]
    assert [hit.sampled for hit in hits] == again


def test_a_route_without_a_threshold_never_hits():
    gateway = Gateway(semantic=None)
    gateway.ask("How do I pay?")
    assert gateway.ask("How do I pay?") is None
