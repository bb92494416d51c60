"""Whether an answer refuses, by a rule that can be read: the provider's own word, or a short answer in refusing words.

Signals and gates of routes call it for each answer that is kept, and a scorer of evals. The rule looks for a first person that
cannot or will not, near the beginning; a long answer that regrets something on its way is no refusal. What surprised us: nearly
all refusals come within the first two sentences, and "I can't find it" is no refusal: it is the verb behind that tells.
"""

# ruff: noqa: RUF001 - words of other languages
from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

LONGEST = 800
"""Characters: an answer that is longer has helped with something."""
HEAD = 280
"""Characters in which the refusing words stand."""
FILTERED = "content_filter"
"""The neutral finish of an answer that the provider held back."""

_EN_VERBS = (
    "help|assist|provide|comply|fulfil|fulfill|answer that|answer this|do that|do this|discuss|support|create|generate|"
    "share|engage|respond|continue|write|offer|give you|participate|advise|produce|complete this|complete that"
)
_PHRASES: Mapping[str, str] = {
    "en": rf"\bi(?:'m| am)? ?(?:can't|cannot|can not|won't|will not|not able to|unable to|must decline to|have to decline to|"
    rf"am not able to|won't be able to|not comfortable) ?(?:\w+ ){{0,2}}?(?:{_EN_VERBS})"
    r"|\bi(?:'m| am) (?:sorry|afraid)[^.!?]{0,30}\bi (?:can't|cannot|can not|won't|will not|must decline)(?! find)"
    r"|\bi (?:must|have to) (?:respectfully )?(?:decline|refuse)",
    "de": r"\b(?:ich (?:kann|darf|werde)|(?:kann|darf|werde) ich)\b[^.!?]{0,80}\bnicht (?:\w+ )?(?:helfen|weiterhelfen|beantworten|unterstützen|"
    r"bereitstellen|erfüllen|geben|erstellen|behilflich|nachkommen|schreiben)"
    r"|\b(?:tut mir leid|leider)[^.!?]{0,60}\b(?:kann|darf) ich\b[^.!?]{0,90}\bnicht\b",
    "fr": r"\bje ne (?:peux|puis|suis) (?:malheureusement )?pas (?:\w+ |\w+'){0,3}?(?:aider|fournir|répondre|assister|mesure|"
    r"créer|continuer|donner|écrire)",
    "es": r"\bno (?:puedo|podré|me es posible) (?:\w+ )?(?:ayudar|proporcionar|asistir|responder|cumplir|crear|generar|ofrecer|"
    r"escribir|dar)",
    "it": r"\bnon (?:posso|sono in grado di) (?:\w+ )?(?:aiutar|fornir|assister|risponder|crear|generar|soddisfar|scriver|dar)",
    "pt": r"\bnão (?:posso|consigo) (?:\w+ )?(?:ajudar|fornecer|auxiliar|responder|atender|criar|gerar|escrever|dar)"
    r"|\bnão (?:posso|consigo) (?:ajudá|auxiliá)",
    "nl": r"\bik kan\b[^.!?]{0,60}\bniet (?:\w+ )?(?:helpen|beantwoorden|geven|voldoen|ondersteunen|verstrekken|schrijven)",
    "pl": r"\bnie mogę (?:\w+ )?(?:pomóc|udzielić|odpowiedzieć|spełnić|napisać|stworzyć|podać)",
    "ru": r"\b(?:извините|простите|к сожалению)[^.!?]{0,60}\bне (?:могу|смогу)\b"
    r"|\bя не (?:могу|смогу) (?:\w+ )?(?:помочь|предоставить|ответить|выполнить|создать|написать)",
    "zh": r"(?:抱歉|对不起|對不起|很遗憾)[^。！？]{0,24}(?:不能|无法|無法|没办法)|我(?:不能|无法|無法)(?:为您|为你|向您)?(?:提供|协助|帮助|回答|满足|完成)",
    "ja": r"(?:申し訳|すみません|残念ながら)[^。！？]{0,60}(?:できません|できかねます|いたしかねます)|お(?:手伝い|答え)(?:することは)?できません",
    "ko": r"(?:죄송|미안|유감)[^.!?]{0,60}(?:수 없|어렵습니다|드릴 수 없)",
}  # fmt: skip
_COMPILED = {language: re.compile(phrase) for language, phrase in _PHRASES.items()}
_QUOTES = str.maketrans({"\u2019": "'", "\u2018": "'", "\u02bc": "'", "\u00a0": " "})


def refusing_language(text: str) -> str:
    """The language in whose words a text refuses; empty where it does not.

    Cost: some 40 µs for a text of any length.

    >>> refusing_language("I'm sorry, but I can't help with that.")
    'en'
    >>> refusing_language("Dabei kann ich leider nicht weiterhelfen."), refusing_language("I can't find order 12.")
    ('de', '')
    """
    stripped = text.strip()
    if not stripped or len(stripped) > LONGEST:
        return ""
    head = stripped[:HEAD].lower().translate(_QUOTES)
    return next((language for language, phrase in _COMPILED.items() if phrase.search(head)), "")


def refuses(message: Mapping[str, Any], finish: str = "") -> bool:
    """Whether an answer's neutral message refuses.

    Args:
        message: of the neutral answer: its `refusal` member, else its text is looked at.
        finish: why the answer ended.

    >>> refuses({"content": None, "refusal": "No."}), refuses({"content": "Paris."}), refuses({}, "content_filter")
    (True, False, True)
    """
    if finish == FILTERED or message.get("refusal"):
        return True
    return not message.get("tool_calls") and bool(refusing_language(text_of(message)))


def text_of(message: Mapping[str, Any]) -> str:
    """What a neutral message says: its text, its parts' texts, and the calls of tools as text.

    >>> text_of({"content": [{"type": "text", "text": "It is"}, {"type": "text", "text": "late."}]})
    'It is late.'
    """
    content = message.get("content")
    if isinstance(content, str):
        parts = [content]
    else:
        given = content if isinstance(content, list | tuple) else ()
        parts = [str(part["text"]) for part in given if isinstance(part, dict) and part.get("text")]
    calls = message.get("tool_calls")
    for call in calls if isinstance(calls, list | tuple) else ():
        function = call.get("function") if isinstance(call, Mapping) else None
        if isinstance(function, Mapping):
            parts.append(f"{function.get('name')}({function.get('arguments')})")
    return " ".join(part for part in parts if part)
