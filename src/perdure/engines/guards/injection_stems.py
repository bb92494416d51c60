"""Which stems of `injection_rules` a text holds: one number for it, of the numbers of its words.

A bit stands for a stem that is in a word, for the beginning that a word has, or for a letter that is a word. Words come again and
again, so their bits are remembered; those of a text are all of them together, and whether a rule can match is a matter of
a few `&`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from perdure.engines.guards.injection_rules import RULES

KEY = 4  # letters of a word by which rules are brought up
_BETWEEN = re.compile(r"[\W_]+")
_SPACES = bytes(code + 32 if 65 <= code <= 90 else code if chr(code).isalnum() else 32 for code in range(128)) + bytes(
    range(128, 256)
)
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
# Beginnings of the words that attacks hide most, backwards and in rot13.
_BACKWARD = ("eron", "snoi", "noit", "tpmo", "drag", "selu", "teg")
_ROT = ("vtab", "vafg", "cebz", "qvfe", "ehyr", "flfg")
_MOST_WORDS, _LONGEST_WORD = 20_000, 40
_MANY = 300  # words, of which most come twice


@dataclass(frozen=True, slots=True)
class Group:
    """Stems of which one stands in every match of a rule."""

    bits: int
    """Those within a word."""
    loose: int
    """Those, and a word of each that is more than one, in ASCII: no text in ASCII without any of it has the group."""
    plain: tuple[str, ...]
    """Those that are more than a word, in ASCII."""
    other: tuple[str, ...]
    """Those that are not."""
    signs: tuple[str, ...]
    """Those that have no word at all."""

    def stands(self, bits: int, text: str) -> bool:
        """Whether one of them does in a text with these bits."""
        if bits & self.bits:
            return True
        for stem in self.plain:
            if stem in text:
                return True
        if self.other and not text.isascii():
            for stem in self.other:
                if stem in text:
                    return True
        return False


def spaced(plain: str) -> str:
    """Words with a space for whatever stands between them."""
    if not plain.isascii():
        return _BETWEEN.sub(" ", plain)
    words = " ".join(words_of(plain))
    before = " " if plain and not plain[0].isalnum() else ""
    return before + words + (" " if words and not plain[-1].isalnum() else "")


def words_of(plain: str) -> list[str]:
    """The words of a text."""
    if plain.isascii():
        return plain.encode().translate(_SPACES).decode().split()
    return _BETWEEN.sub(" ", plain).split()


def bits_of(words: Sequence[str]) -> int:
    """The bits of a text with these words. Some 50 nanoseconds a word that is known, a microsecond one that is not."""
    bits = ANY
    for found in filter(None, map(_KNOWN.__getitem__, set(words) if len(words) > _MANY else words)):
        bits |= found
    return bits


def bits_of_each(words: Iterable[str]) -> Iterable[int]:
    """The bits of each word."""
    return map(_KNOWN.__getitem__, words)


def _longest(stem: str) -> str:
    """The longest word of a stem; empty where it has none."""
    return max(words_of(stem), key=len, default="")


def _bits() -> tuple[dict[str, int], dict[str, int], dict[str, int]]:
    """Bits of stems, of beginnings of words, and of letters."""
    written = {stem for rule in RULES for group in rule.needs for stem in group if stem.isascii()}
    stems = {stem for stem in written if stem.isalnum()} | {_longest(stem) for stem in written} - {""}
    keys = {stem.split()[0][:KEY] for rule in RULES for stem in rule.needs[0] if stem.isascii()}
    keys = {key for key in keys if key.isalnum()} | {*_BACKWARD, *_ROT}
    n = 0
    made: list[dict[str, int]] = []
    for names in (sorted(stems), sorted(keys), _LETTERS):
        made.append({name: 1 << (n + at) for at, name in enumerate(names)})
        n += len(names)
    return made[0], made[1], made[2]


STEM_BITS, KEY_BITS, LETTER_BITS = _bits()
ANY = 1 << (len(STEM_BITS) + len(KEY_BITS) + len(LETTER_BITS))
"""The bit that every text has: some stems are no words."""
STEMS = sum(STEM_BITS.values())
LETTERS = sum(LETTER_BITS.values())
BACKWARD = sum(KEY_BITS[key] for key in _BACKWARD)
ROT = sum(KEY_BITS[key] for key in _ROT)


def beginnings_of(bits: int) -> tuple[str, ...]:
    """The beginnings of words that bits stand for."""
    return tuple(key for key, bit in KEY_BITS.items() if bits & bit)


def _by_two() -> dict[str, tuple[tuple[str, int], ...]]:
    found: dict[str, list[tuple[str, int]]] = {}
    for stem, bit in STEM_BITS.items():
        found.setdefault(stem[:2], []).append((stem, bit))
    return {two: tuple(stems) for two, stems in found.items()}


_BY_TWO = _by_two()


class _Words(dict[str, int]):
    """Words that were met, with their bits; a word that is not known is known from now on, if it is not too long."""

    def __missing__(self, word: str) -> int:
        bits = KEY_BITS.get(word[:KEY], 0) | LETTER_BITS.get(word, 0)
        for at in range(len(word) - 1):
            for stem, bit in _BY_TWO.get(word[at : at + 2], ()):
                if word.startswith(stem, at):
                    bits |= bit
        if len(word) <= _LONGEST_WORD:
            if len(self) >= _MOST_WORDS:
                self.clear()
            self[word] = bits
        return bits


_KNOWN = _Words()


def group_of(stems: tuple[str, ...]) -> Group:
    """Stems as bits, where they are bits."""
    whole = tuple(stem for stem in stems if not (stem.isascii() and stem.isalnum()))
    plain = tuple(stem for stem in whole if stem.isascii())
    bits = sum(STEM_BITS[stem] for stem in set(stems) - set(whole))
    loose = bits
    for stem in plain:
        word = _longest(stem)
        loose = loose | STEM_BITS[word] if word else ANY
    signs = tuple(stem for stem in plain if not _longest(stem))
    return Group(bits, loose, plain, tuple(stem for stem in whole if not stem.isascii()), signs)
