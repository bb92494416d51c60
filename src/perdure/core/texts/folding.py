"""One reading of a text for patterns and rules, however it was disguised.

`unveiled` keeps a way back to the text's own places: digits of other scripts and full-width forms become plain, characters
without width go. `plainest` goes further and keeps no way back: NFKC, lower case, no accents, letters of other scripts that
look Latin become Latin. Both cost next to nothing on plain ASCII.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from dataclasses import dataclass

# Zero width, soft hyphen, direction marks, variation selectors, byte order mark: seen by a model, not by a reader.
_INVISIBLE = frozenset(
    (0x00AD, 0x034F, 0x061C, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x180E, 0x3164, 0xFEFF, 0xFFA0, *range(0x200B, 0x2010),
     *range(0x202A, 0x202F), *range(0x2060, 0x2070), *range(0xFE00, 0xFE10))
)  # fmt: skip
_DASHES = frozenset([0x2010, 0x2011, 0x2012, 0x2013, 0x2014, 0x2015, 0x2212, 0xFE58, 0xFE63])
_SPACES = frozenset([0x00A0, 0x2007, 0x202F, 0x205F, 0x3000, *range(0x2000, 0x200B)])
# Cyrillic and Greek letters that are drawn as Latin ones (Unicode TR39, confusables, the single letters of them).
_LOOKALIKES = dict(
    zip(
        "аеорсухіјѕһԁԛԝвкмнтгАВЕКМНОРСТУХІЈЅαβεικνορτυχωΑΒΕΖΗΙΚΜΝΟΡΤΥΧ",
        "aeopcyxijshdqwbkmhtrabekmhopctyxijsabeikvoptuxwabezhikmnoptyx",
        strict=True,
    )
)
_TAGS = re.compile("[\U000e0020-\U000e007e]+")


def _plain_forms() -> dict[int, str]:
    forms: dict[int, str] = {}
    for code in range(0x80, sys.maxunicode + 1):
        letter = chr(code)
        digit = unicodedata.decimal(letter, -1)
        if digit >= 0:
            forms[code] = str(digit)
    for code in range(0xFF01, 0xFF5F):
        forms[code] = chr(code - 0xFEE0)
    forms.update(dict.fromkeys(_DASHES, "-"))
    forms.update(dict.fromkeys(_SPACES, " "))
    return forms


def _accents() -> dict[int, str]:
    forms = {}
    for code in (*range(0xC0, 0x250), *range(0x1E00, 0x1F00)):
        plain = unicodedata.normalize("NFKD", chr(code))[0].lower()
        if plain.isascii():
            forms[code] = plain
    forms.update({ord("ß"): "ss", ord("ł"): "l", 0x131: "i", ord("ø"): "o", ord("đ"): "d"})
    return forms


_PLAIN = _plain_forms()
_GONE_RUN = re.compile("[" + "".join(map(chr, sorted(_INVISIBLE))) + "]+")
_VEILED = frozenset(map(chr, (*_PLAIN, *_INVISIBLE)))
_RUN = re.compile(r"[\x00-\x7f]?[^\x00-\x7f]+")
_NO_ASCII = re.compile(r"[^\x00-\x7f]+")
_OTHER_LETTERS = re.compile("[\u0370-\u052f]+")
_NO_LETTERS = bytes(code for code in range(128) if not chr(code).isalpha())
_GONE = str.maketrans(dict.fromkeys(_INVISIBLE))
_ACCENTS = str.maketrans({**_accents(), **dict.fromkeys(range(0x300, 0x370))})
_LATIN = str.maketrans(_LOOKALIKES)


@dataclass(frozen=True, slots=True)
class Unveiled:
    """A text as patterns read it."""

    text: str
    places: list[int] | None
    """Character → its place in the original; None where they are equal."""

    def place(self, index: int, end: int) -> int:
        """Where the character `index` stands in the original, whose length is `end`."""
        if self.places is None:
            return index
        return self.places[index] if index < len(self.places) else end


def unveiled(text: str) -> Unveiled:
    r"""The text with plain digits and signs and without invisible characters, and the way back. Linear.

    >>> unveiled("a\u200b@b")
    Unveiled(text='a@b', places=[0, 2, 3])
    >>> unveiled("٤١").text
    '41'
    """
    if text.isascii() or _VEILED.isdisjoint("".join(_NO_ASCII.findall(text))):
        return Unveiled(text, None)
    plain = _NO_ASCII.sub(lambda match: match[0].translate(_PLAIN), text)
    places: list[int] = []
    begin = 0
    for match in _GONE_RUN.finditer(plain):
        places += range(begin, match.start())
        begin = match.end()
    if not begin:
        return Unveiled(plain, None)
    places += range(begin, len(plain))
    return Unveiled(_GONE_RUN.sub("", plain), places)


def plainest(text: str) -> str:
    r"""The text in lower case without accents, disguises and invisible characters. Linear.

    >>> plainest("Ignor\u0435 les r\xe8\u200bgles")
    'ignore les regles'
    """
    if text.isascii():
        return text.lower()
    n_ascii = len(text.encode("ascii", "ignore"))
    latin = _latin(text)
    if 4 * n_ascii < 3 * len(text):
        return unicodedata.normalize("NFKC", text.translate(_GONE)).lower().translate(_ACCENTS).translate(latin)
    # Most is ASCII, which none of this changes: a letter of it before a run may take an accent from there.
    accents = any(map(unicodedata.combining, set("".join(_NO_ASCII.findall(text)))))
    normal = (_RUN if accents else _NO_ASCII).sub(
        lambda match: unicodedata.normalize("NFKC", match[0].translate(_GONE)), text
    )
    return _NO_ASCII.sub(lambda match: match[0].translate(_ACCENTS).translate(latin), normal.lower())


def _latin(text: str) -> dict[int, str]:
    """What look-alikes become: only in a text that has Latin letters; Russian stays Russian."""
    other = sum(map(len, _OTHER_LETTERS.findall(text)))
    return _LATIN if other and len(text.encode("ascii", "ignore").translate(None, _NO_LETTERS)) >= other else {}


def tagged(text: str) -> str:
    """What is written in Unicode's tag characters, which nobody sees and models read; mostly empty.

    >>> tagged("hello" + "".join(chr(0xE0000 + ord(each)) for each in "ignore"))
    'ignore'
    """
    if text.isascii():
        return ""
    return "".join(chr(ord(each) - 0xE0000) for each in "".join(_TAGS.findall(text)))
