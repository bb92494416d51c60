"""Phone numbers: international, behind a word, and the national shapes that are hardly anything else.

A bare run of ten digits is an order, an amount or an identifier far more often than a phone: it counts only behind a word.
"""

from __future__ import annotations

import re

from perdure.engines.guards.stretches import Pattern

_DATE = re.compile(r"[0-9]{1,2}([./\-])[0-9]{1,2}\1[0-9]{2,4}|[0-9]{1,2}[./\- ][0-9]{1,2}[./\- ](?:19|20)[0-9][0-9]")
_WORDS = (
    r"telephone|phone|tel|mobile|cell|fax|whatsapp|call|text me at|reach me at|telefon|handy|rufnummer|mobil|"
    r"t[eé]l[eé]phone|portable|tel[eé]fono|m[oó]vil|celular|telefone|cellulare|telefoon|телефон|тел|電話|电话|手机|전화"
)
_SIGNS = ("phone", "tel", "mob", "cell", "fax", "whatsapp", "call", "text me", "reach me", "handy", "rufn", "portable",
          "tél", "móvil", "celular", "тел", "電話", "电话", "手机", "전화")  # fmt: skip


def _digits(text: str) -> str:
    return re.sub(r"\D", "", text)


def _international(match: re.Match[str]) -> tuple[int, int] | None:
    digits = _digits(match[0])
    digits = digits.removeprefix("00")
    return match.span() if 8 <= len(digits) <= 15 and digits[0] != "0" and len(set(digits)) > 1 else None


def _trunk(match: re.Match[str]) -> tuple[int, int] | None:
    digits = _digits(match[0])
    # Grouped as people write it: a separator, no lone digit but a first, and no date.
    if not 9 <= len(digits) <= 12 or digits[1] == "0" or len(digits) == len(match[0]) or _DATE.match(match[0]):
        return None
    groups = re.split(r"[ .\-/()]+", match[0].strip("()"))
    return match.span() if all(len(each) > 1 for each in groups) and len(groups[0]) <= 6 else None


def _behind_word(match: re.Match[str]) -> tuple[int, int] | None:
    digits = _digits(match[1])
    if not 7 <= len(digits) <= 15 or _DATE.match(match[1]):
        return None
    return match.span(1)


PHONES: tuple[Pattern, ...] = (
    Pattern("phone", re.compile(r"[+0](?<![\w+.\-/].)(?:(?<=\+)|0(?=[1-9]))\(?[0-9](?:[ .\-/()]{0,2}[0-9]){7,15}(?!\w)"), 54,
            ("+", "00"), _international),
    Pattern("phone", re.compile(
        r"[12-9(](?<![\w+.\-/].)(?:(?<=1)[ .\-]\(?[2-9][0-9][0-9]|(?<=\()[2-9][0-9][0-9]|(?<=[2-9])[0-9][0-9])"
        r"(?:\) ?|([ .\-]))[2-9][0-9][0-9](?(1)\1|[ .\-])[0-9]{4}(?![\w\-]|\.[0-9])"), 22),
    Pattern("phone", re.compile(r"[(0](?<![\w+.,\-/].)(?:(?<=0)|0)[1-9](?:[ .\-/()]{0,2}[0-9]){7,10}(?!\w|[.\-/][0-9])"), 36,
            ("0",), _trunk),
    Pattern("phone", re.compile(r"\((?<![\w+.\-/].)[1-9][0-9]\) ?9?[0-9]{4}-[0-9]{4}(?![\w\-])"), 18),
    Pattern("phone", re.compile(r"[16-9](?<![\w+.\-/].)(?:(?<=[6-9])[0-9]{4} [0-9]{5}|(?<=1)[3-9][0-9]([ \-])[0-9]{4}\1[0-9]{4})(?![\w\-])"),
            16),
    Pattern("phone", re.compile(
        rf"(?<![^\W_])(?:{_WORDS})(?: ?(?:number|no|nr|nummer|me|us|him|her|at))?[ .:#=]{{1,4}}(?:(?:is|on|at|:) )?"
        r"(\(?\+?\(?[0-9](?:[ .\-/()]{0,2}[0-9]){6,14})(?!\w)", re.IGNORECASE), 90, _SIGNS, _behind_word, lower=True),
)  # fmt: skip
"""In the order in which they are looked for."""
