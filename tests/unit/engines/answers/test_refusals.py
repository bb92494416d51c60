"""The rule of refusals, over refusals in twelve languages and answers that only look like one."""

# ruff: noqa: RUF001 - words of other languages
from __future__ import annotations

import pytest

from perdure.engines.answers.refusals import refuses, refusing_language, text_of

REFUSALS = {
    "en": [
        "I'm sorry, but I can't help with that.",
        "I cannot assist with this request. Is there anything else?",
        "I\u2019m unable to provide medical advice.",
        "I must respectfully decline.",
        "As an AI language model, I cannot generate such content.",
    ],
    "de": ["Das kann ich leider nicht beantworten.", "Tut mir leid, dabei kann ich dir nicht helfen."],
    "fr": ["Je suis désolé, mais je ne peux pas vous aider.", "Je ne suis pas en mesure de répondre."],
    "es": ["Lo siento, no puedo ayudar con eso."],
    "it": ["Mi dispiace, non posso aiutarti con questo."],
    "pt": ["Desculpe, não posso ajudar com isso."],
    "nl": ["Sorry, ik kan je daar niet mee helpen."],
    "pl": ["Przepraszam, nie mogę pomóc w tej sprawie."],
    "ru": ["Извините, я не могу помочь с этим."],
    "zh": ["抱歉，我无法提供这方面的帮助。"],
    "ja": ["申し訳ありませんが、その質問にはお答えできません。"],
    "ko": ["죄송하지만 그 요청은 도와드릴 수 없습니다."],
}
ANSWERS = [
    "The API cannot provide more than 100 rows.",
    "I can't find order 12; which e-mail address did you use?",
    "Sorry for the delay! Your parcel left Bonn this morning.",
    "Nein, der Zug fährt nicht nach Köln.",
    "I can help you with that.",
    "Unfortunately the shop is closed on Sundays.",
    "不能在星期天退货。",
]


@pytest.mark.parametrize(("language", "text"), [(name, text) for name, texts in REFUSALS.items() for text in texts])
def test_a_refusal_is_seen_in_its_language(language, text):
    assert refusing_language(text) == language
    assert refuses({"role": "assistant", "content": text})


@pytest.mark.parametrize("text", ANSWERS)
def test_what_helps_is_no_refusal(text):
    assert refusing_language(text) == ""


def test_a_long_answer_that_regrets_something_is_no_refusal():
    assert not refuses({"content": "Here is what I know. " * 60 + "I can't help with the rest."})


def test_the_providers_own_word_counts_whatever_the_text():
    assert refuses({"content": None, "refusal": "No."})
    assert refuses({"content": "Par"}, "content_filter")


def test_a_call_of_a_tool_is_no_refusal():
    called = {"content": "I can't help with that.", "tool_calls": [{"function": {"name": "find", "arguments": "{}"}}]}
    assert not refuses(called)
    assert text_of(called) == "I can't help with that. find({})"
