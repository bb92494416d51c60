"""A kept answer as a stream is the same answer; a stream is one answer however it is cut."""

from __future__ import annotations

import copy
import json

from hypothesis import given
from hypothesis import strategies as st

from perdure.engines.dialects.openai_stream import OpenAIChunks
from perdure.serve.gateway.caching_replay import as_chunks, joined, joined_stream

texts = st.text(max_size=200)
calls = st.lists(
    st.fixed_dictionaries(
        {
            "id": texts,
            "type": st.just("function"),
            "function": st.fixed_dictionaries({"name": texts, "arguments": texts}),
        }
    ),
    min_size=1,
    max_size=3,
)
messages = st.fixed_dictionaries(
    {"role": st.just("assistant"), "content": st.none() | texts},
    optional={
        "refusal": st.none() | texts,
        "reasoning_content": texts,
        "annotations": st.lists(st.just({"type": "url_citation"}), max_size=2),
        "tool_calls": calls,
    },
)
choices = st.fixed_dictionaries(
    {"message": messages, "finish_reason": st.sampled_from([None, "stop", "length", "tool_calls"])},
    optional={"logprobs": st.none() | st.just({"content": [{"token": "a", "logprob": -0.5}], "refusal": None})},
)
answers = st.fixed_dictionaries(
    {
        "id": texts,
        "object": st.just("chat.completion"),
        "created": st.integers(0),
        "model": texts,
        "choices": st.lists(choices, min_size=1, max_size=3).map(
            lambda found: [{"index": place, **choice} for place, choice in enumerate(found)]
        ),
    },
    optional={
        "usage": st.fixed_dictionaries({"prompt_tokens": st.integers(0), "completion_tokens": st.integers(0)}),
        "system_fingerprint": st.none() | texts,
    },
)


@given(answers)
def test_chunks_of_an_answer_make_the_answer_again(answer):
    before = copy.deepcopy(answer)
    chunks = as_chunks(answer)
    assert joined(chunks) == answer == before
    assert joined(as_chunks(joined(chunks))) == answer, "joining changed the chunks"
    assert all(chunk["object"] == "chat.completion.chunk" for chunk in chunks)


@given(texts, texts, st.lists(st.integers(1, 9), max_size=60))
def test_a_stream_makes_one_answer_however_it_is_cut(content, arguments, cuts):
    """As providers send it: the role first, texts and arguments in pieces, the reason last, usage apart."""

    def pieces(text):
        start, found = 0, []
        for size in [*cuts, len(text)]:
            found.append(text[start : start + size])
            start += size
        return found

    def chunk(delta, reason=None):
        return {"id": "x", "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}

    call = {"index": 0, "id": "t", "type": "function", "function": {"name": "f", "arguments": ""}}
    chunks = [
        chunk({"role": "assistant", "content": ""}),
        *[chunk({"content": piece}) for piece in pieces(content)],
        chunk({"tool_calls": [call]}),
        *[chunk({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}) for piece in pieces(arguments)],
        chunk({}, "tool_calls"),
        {"id": "x", "model": "m", "choices": [], "usage": {"prompt_tokens": 1}},
    ]
    function = {"name": "f", "arguments": arguments}
    message = {
        "role": "assistant",
        "content": content,
        "tool_calls": [{"id": "t", "type": "function", "function": function}],
    }
    assert joined(chunks) == {
        "id": "x",
        "model": "m",
        "object": "chat.completion",
        "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}],
        "usage": {"prompt_tokens": 1},
    }


@given(st.text(min_size=1, max_size=5_000))
def test_a_text_is_streamed_in_a_few_pieces(text):
    answer = {"id": "x", "choices": [{"index": 0, "message": {"content": text}, "finish_reason": "stop"}]}
    pieces = [chunk["choices"][0]["delta"].get("content") for chunk in as_chunks(answer)[1:-1]]
    assert "".join(pieces) == text
    assert len(pieces) <= 24


def test_a_chunk_with_more_than_text_is_joined_whole_among_others() -> None:
    """What is added quickly is the text alone: log-probabilities, new members and reasons of ends are not lost."""

    def chunk(delta: dict[str, object], **more: object) -> dict[str, object]:
        return {"choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": None, **more}]}

    answer = joined(
        [
            chunk({"role": "assistant", "content": "a"}),
            chunk({"content": "b"}),
            chunk({"content": "c"}, logprobs={"content": [{"token": "c"}]}),
            chunk({"content": "d"}, stop_reason=None),
            chunk({"content": "e"}, stop_reason=7),
            chunk({"content": None}),
            chunk({"refusal": "no"}),
            chunk({"content": "f"}),
            chunk({}, finish_reason="stop"),
        ]
    )

    assert answer["choices"] == [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "abcdef", "refusal": "no"},
            "finish_reason": "stop",
            "logprobs": {"content": [{"token": "c"}]},
            "stop_reason": 7,
        }
    ]


@given(
    answers,
    st.sampled_from([(",", ":"), (", ", ": ")]),
    st.booleans(),
    st.sampled_from([{}, {"usage": None}, {"usage": None, "obfuscation": "ab"}]),
)
def test_a_stream_as_it_came_makes_the_answer_that_its_chunks_make(answer, separators, ascii_only, more):
    chunks = [{**more, **chunk} for chunk in as_chunks(answer)]
    events = [json.dumps(chunk, separators=separators, ensure_ascii=ascii_only) for chunk in chunks]
    data = "".join(f"data: {event}\n\n" for event in [*events, "[DONE]"]).encode()
    assert joined_stream(data, OpenAIChunks()) == joined(OpenAIChunks().feed(data)) == joined(chunks)
