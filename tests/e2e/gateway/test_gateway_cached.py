"""Answers that are given again: embeddings as they came, and only to who asks the very same."""

from __future__ import annotations

import json

import pytest
from gateway_upstream import exactly

from perdure import Cache, Guard, Names, Route, minutes


def test_embeddings_are_given_again_byte_for_byte(world, upstreams):
    guard = Guard("names", [Names(("Globex",))], on=("input", "output"))
    world.declare(Route("main", [world.target()], cache=Cache(minutes(1)), guards=[guard], bodies="none"))
    odd = b'{ "data": [{"embedding": [1.50, -2e-3],"index":0}], "usage":{"prompt_tokens":11, "total_tokens":11}, "model":"m" }'
    upstreams.usual = exactly(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(odd), odd))
    with world.serving() as gateway:
        asked = [json.dumps({"model": "main", "input": each}).encode() for each in ("Hi", "Hi", "Ho")]
        answers = [gateway.ask("/v1/embeddings", each) for each in asked]
        calls = gateway.recorded(3)
    assert [each.headers["perdure-cache"] for each in answers] == ["miss", "exact", "miss"]
    assert [each.content for each in answers] == [odd] * 3
    assert len(upstreams.seen) == 2
    assert (calls[1].cost_pusd, calls[1].saved_pusd) == (0, calls[0].cost_pusd)


@pytest.mark.parametrize("name", ["anthropic_beta", "anthropic_version", "openai_beta"])
def test_headers_that_reach_an_upstream_are_part_of_what_is_asked(world, upstreams, name):
    world.declare(Route("main", [world.target()], cache=Cache(minutes(1)), bodies="none"))
    with world.serving() as gateway:
        told = [gateway.chat(headers={name: value}).headers["perdure-cache"] for value in ("a", "b", "a")]
        told.append(gateway.chat().headers["perdure-cache"])
    assert told == ["miss", "miss", "exact", "miss"]
