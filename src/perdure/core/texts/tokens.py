"""Words of any script, as answers are compared by them, and the longest common subsequence of two lists of words.

`words` are runs of letters, marks and digits; where a script has no spaces (Chinese, Japanese, Thai …) each letter is one.
`answer_words` are SQuAD's: without punctuation and English articles. On ASCII they are exactly what rouge-score and SQuAD's own
script make; both of these drop or join what is not ASCII, so that Japanese text scores 0 against itself.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Hashable, Sequence

_ASCII = re.compile(r"[a-z0-9]+")
_MARKS = (
    "\u0300-\u036f\u0483-\u0487\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u064b-\u065f\u0670"
    "\u06d6-\u06dc\u06df-\u06e4\u06e7\u06e8\u06ea-\u06ed\u0900-\u0963\u0966-\u0dff\u0e31\u0e34-\u0e3a\u0e47-\u0e4e"
    "\u0eb1\u0eb4-\u0ebc\u0ec8-\u0ece\u0f71-\u0f84\u102b-\u103e\u17b4-\u17d3\u3099\u309a"
)
_UNSPACED = (
    "\u0e01-\u0e30\u0e32\u0e33\u0e40-\u0e46\u0e81-\u0eb0\u0eb2\u0eb3\u0ec0-\u0ec6\u0f40-\u0f6c\u1000-\u102a"
    "\u1780-\u17b3\u3005-\u3007\u3041-\u3096\u309d-\u30fa\u30fc-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff"
)
HAS_UNSPACED = re.compile(f"[{_UNSPACED}]")
"""Finds a letter of a script that is written without spaces."""
UNSPACED_RUN = re.compile(f"[{_UNSPACED}{_MARKS}]+")
"""A stretch in such a script."""
_LETTER = re.compile(f"[{_UNSPACED}][{_MARKS}]*")
_WORD = re.compile(rf"(?:[^\W_]|[{_MARKS}])+")
_ANY = re.compile(rf"[{_UNSPACED}][{_MARKS}]*|(?:(?![{_UNSPACED}])(?:[^\W_]|[{_MARKS}]))+")
# Vowel signs of Arabic and Hebrew and the stretching line: the same words are written with and without them.
_OPTIONAL = dict.fromkeys(
    [*range(0x0591, 0x05BE), 0x05BF, 0x05C1, 0x05C2, 0x05C4, 0x05C5, 0x05C7, *range(0x064B, 0x0660), 0x0670, 0x0640]
)
_ARTICLES = frozenset(("a", "an", "the"))
_PUNCTUATION = str.maketrans("", "", string.punctuation)
# Wide punctuation stands between words without spaces around it.
_WIDE = {ord(each): " " for each in "、。，．！？；：「」『』（）・〜【】《》〈〉…—"}  # noqa: RUF001 - wide forms are meant


class _Dropped(dict[int, str | None]):
    """Punctuation of any script goes; what a character is, is looked up once."""

    def __missing__(self, code: int) -> str | None:
        letter = chr(code)
        gone = letter in string.punctuation or unicodedata.category(letter)[0] == "P"
        made = None if gone else letter
        self[code] = made
        return made


_DROPPED = _Dropped(_WIDE)


def folded(text: str) -> str:
    """The text as words are compared: NFKC, folded case, without optional vowel signs. Linear.

    >>> folded("Straße") == folded("STRASSE"), folded("مُحَمَّد") == folded("محمد")
    (True, True)
    """
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFKC", text).casefold().translate(_OPTIONAL)


def words(text: str) -> list[str]:
    """Runs of letters and digits, folded; letters of scripts without spaces one by one.

    Cost: 6 µs for 100 words of ASCII.

    >>> words("It's Zürich, 東京."), words("l'été_2024")
    (['it', 's', 'zürich', '東', '京'], ['l', 'été', '2024'])
    """
    if text.isascii():
        return _ASCII.findall(text.lower())
    plain = folded(text)
    return _ANY.findall(plain) if HAS_UNSPACED.search(plain) else _WORD.findall(plain)


def answer_words(text: str) -> list[str]:
    """SQuAD's words: folded, without punctuation and English articles, what stands between spaces.

    Source: Rajpurkar et al. 2016, the evaluation script. Cost: 12 µs for 100 words of ASCII.

    >>> answer_words("The U.S. army's"), answer_words("東京タワー")
    (['us', 'armys'], ['東', '京', 'タ', 'ワ', 'ー'])
    """
    if text.isascii():
        return [word for word in text.lower().translate(_PUNCTUATION).split() if word not in _ARTICLES]
    found = [word for word in folded(text.translate(_WIDE)).translate(_DROPPED).split() if word not in _ARTICLES]
    if not HAS_UNSPACED.search(text):
        return found
    return [piece for word in found for piece in (_split(word) if HAS_UNSPACED.search(word) else (word,))]


def _split(word: str) -> list[str]:
    pieces: list[str] = []
    begin = 0
    for match in _LETTER.finditer(word):
        if match.start() > begin:
            pieces.append(word[begin : match.start()])
        pieces.append(match[0])
        begin = match.end()
    return [*pieces, word[begin:]] if begin < len(word) else pieces


def n_common(one: Sequence[Hashable], other: Sequence[Hashable]) -> int:
    """Length of the longest common subsequence, by bits: a row of the table is one whole number.

    Source: Hyyrö 2004, "Bit-parallel LCS-length computation revisited".
    Cost: len(longer) steps on numbers of len(shorter) bits; 15 µs for 100 words each.

    >>> n_common("the cat sat here".split(), "the dog sat down here".split())
    3
    """
    if len(one) > len(other):
        one, other = other, one
    places: dict[Hashable, int] = {}
    bit = 1
    for each in one:
        places[each] = places.get(each, 0) | bit
        bit <<= 1
    full = row = bit - 1
    for each in other:
        at = places.get(each)
        if at is not None:
            met = row & at
            row = (row + met | row - met) & full
    return len(one) - row.bit_count()
