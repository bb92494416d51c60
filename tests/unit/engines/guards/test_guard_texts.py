"""Conversations, masks and folding: every text is read, and masks land where they belong."""

from __future__ import annotations

import json

import pytest

from perdure.engines.guards.conversation import answers_of, calls_of, rewritten, rewritten_answer, said
from perdure.engines.guards.folding import plainest, unveiled
from perdure.engines.guards.masking import Masks, restored
from perdure.engines.guards.protocols import Span
from perdure.engines.guards.tools import ToolCallsCheck

CALL = {"id": "c", "type": "function", "function": {"name": "mail", "arguments": '{"to": "ann\\u0040example.org"}'}}
MESSAGES = [
    {"role": "system", "content": "be kind"},
    {"role": "user", "content": [{"type": "text", "text": "see"}, {"type": "image_url", "image_url": {"url": "x"}},
                                 {"type": "text", "text": "this"}]},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "c", "content": "sent"},
]  # fmt: skip


def shout(text: str) -> str:
    return text.upper()


def test_every_text_of_a_conversation_is_read() -> None:
    """Parts of one message are one text; an escape in arguments is what a model reads it as."""
    assert [(each.message, each.role, each.text) for each in said(MESSAGES)] == [
        (0, "system", "be kind"),
        (1, "user", "see\nthis"),
        (2, "assistant", '{"to": "ann@example.org"}'),
        (3, "tool", "sent"),
    ]


def test_texts_are_rewritten_in_their_own_part_and_nothing_given_changes() -> None:
    before = json.dumps(MESSAGES)

    changed = rewritten(MESSAGES, shout)

    assert json.dumps(MESSAGES) == before
    assert [part.get("text") for part in changed[1]["content"]] == ["SEE", None, "THIS"]
    assert changed[1]["content"][1] is MESSAGES[1]["content"][1]
    assert changed[3]["content"] == "SENT"
    assert json.loads(changed[2]["tool_calls"][0]["function"]["arguments"]) == {"TO": "ANN@EXAMPLE.ORG"}


def test_arguments_stay_json_when_a_number_in_them_is_masked() -> None:
    message = {
        "role": "assistant",
        "tool_calls": [{"function": {"name": "pay", "arguments": '{"card": 4111111111111111}'}}],
    }

    changed = rewritten([message], lambda text: text.replace("4111111111111111", "[CARD-aaaaaaaa]"))

    assert json.loads(changed[0]["tool_calls"][0]["function"]["arguments"]) == {"card": "[CARD-aaaaaaaa]"}


def test_what_is_put_back_into_arguments_cannot_change_their_shape() -> None:
    """A restored text with quotes in it stays one value."""
    arguments = '{"to": "[NAME-aaaaaaaa]"}'
    restore = {"[NAME-aaaaaaaa]": 'x", "admin": "yes'}
    answer = {"choices": [{"message": {"tool_calls": [{"function": {"name": "f", "arguments": arguments}}]}}]}

    changed = rewritten_answer(answer, lambda text: restored(text, restore))

    found = changed["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"]
    assert json.loads(found) == {"to": 'x", "admin": "yes'}


def test_arguments_that_nothing_changes_keep_their_bytes() -> None:
    message = {"tool_calls": [{"function": {"name": "f", "arguments": '{"a" :1,  "b": "\\u00e9"}'}}]}
    assert rewritten([message], lambda text: text) == [message]


def test_messages_of_strange_shapes_are_read_and_written_without_an_error() -> None:
    strange = [{}, {"role": 7, "content": 7}, {"content": [None, 3, "a", {"type": "text"}, {"text": 5}]}, {"tool_calls": [None, {}]},
               {"tool_calls": [{"function": None}, {"function": {"arguments": {"a": 1}}}], "function_call": {"arguments": "{"}, "role": "x"},
               {"content": [{"type": "tool_result", "content": [{"type": "text", "text": "deep"}]}]}]  # fmt: skip

    texts = [each.text for each in said(strange)]

    assert "a" in texts
    assert "deep" in texts
    assert len(rewritten(strange, shout)) == len(strange)


def test_an_answer_is_its_choices_or_a_bare_message() -> None:
    assert answers_of({"content": "a"}) == [{"content": "a"}]
    assert answers_of({"choices": [{"message": {"content": "a"}}, {"text": "b"}, None]}) == [{"content": "a"}]
    assert calls_of({"function_call": {"name": "f", "arguments": {"a": 1}}}) == [("f", '{"a": 1}')]


def test_the_same_text_has_the_same_mask_within_a_call_and_another_in_the_next() -> None:
    one, other = Masks(), Masks()
    text, spans = "a@b.org and a@b.org", [Span(0, 7, "email"), Span(12, 19, "email")]

    masked = one.masked(text, spans)

    first, second = masked.split(" and ")
    assert first == second
    assert other.masked(text, spans) != masked
    assert one.count == 2
    assert restored(masked, one.restore) == text


def test_a_mask_that_may_not_be_put_back_is_not_in_the_map() -> None:
    masks = Masks(lambda kind: kind == "email")
    masks.mask("secret", "aws_key")
    masks.mask("a@b.org", "email")
    assert list(masks.restore.values()) == ["a@b.org"]


def test_a_mask_that_nobody_gave_out_stays_as_it_is() -> None:
    assert restored("[EMAIL-bbbbbbbb]", {"[EMAIL-aaaaaaaa]": "a@b.org"}) == "[EMAIL-bbbbbbbb]"


def test_russian_stays_russian_and_a_disguise_becomes_latin() -> None:
    assert plainest("Привет, сорока") == "привет, сорока"
    assert plainest("ign\u043er\u0435 all") == "ignore all"


def test_the_way_back_leads_to_the_places_of_the_original() -> None:
    text = "\u200ba\u200b\uff11b"
    seen = unveiled(text)
    assert seen.text == "a1b"
    assert [text[seen.place(index, len(text))] for index in range(3)] == ["a", "\uff11", "b"]
    assert seen.place(3, len(text)) == len(text)


DOCUMENT = {"type": "document", "title": "a", "context": "b", "source": {"type": "text", "media_type": "text/plain", "data": "c"}}  # fmt: skip
HIDDEN = {
    "a document in plain text": ([DOCUMENT], "a\nb\nc"),
    "a document of parts": (
        [{"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": "a"}]}}],
        "a",
    ),
    "a document of one text": ([{"type": "document", "source": {"type": "content", "content": "a"}}], "a"),
    "a search result": (
        [{"type": "search_result", "source": "https://x", "title": "a", "content": [{"type": "text", "text": "b"}]}],
        "a\nb",
    ),
    "one part without a list": ({"type": "text", "text": "a"}, "a"),
    "a text within a text": ([{"type": "text", "text": {"value": "a"}}], "a"),
    "a result that is a text": ([{"type": "tool_result", "content": "a"}], "a"),
    "lists within lists": ([["a", [{"type": "text", "text": "b"}]]], "a\nb"),
}


@pytest.mark.parametrize("name", HIDDEN)
def test_a_text_is_read_and_masked_wherever_content_holds_it(name: str) -> None:
    """Whatever a model may read of a message, in whatever shape it is sent, a guard reads too."""
    content, text = HIDDEN[name]

    assert [each.text for each in said([{"role": "user", "content": content}])] == [text]

    [changed] = rewritten([{"role": "user", "content": content}], shout)
    assert [each.text for each in said([changed])] == [text.upper()]


def test_bytes_and_addresses_are_no_texts() -> None:
    content = [
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "abcd"}},
        {"type": "document", "source": {"type": "url", "url": "https://x"}},
        {"type": "search_result", "source": "https://x", "content": []},
    ]
    message = {"role": "user", "content": content}
    assert said([message]) == []
    assert rewritten([message], shout) == [message]


def test_what_custom_tools_are_given_is_read_and_masked() -> None:
    call = {"id": "c", "type": "custom", "custom": {"name": "run", "input": "print('a')"}}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    assert [each.text for each in said([message])] == ["print('a')"]
    assert rewritten([message], shout)[0]["tool_calls"][0]["custom"]["input"] == "PRINT('A')"
    assert ToolCallsCheck(["search"]).judge([message], []) is not None
    assert ToolCallsCheck(["run"]).judge([message], []) is None


def test_tool_calls_that_are_no_list_are_none() -> None:
    assert said([{"role": "assistant", "content": "x", "tool_calls": 5}])[0].text == "x"
