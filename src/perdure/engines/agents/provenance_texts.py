"""Texts as provenance compares them: what in them could be sent somewhere, what they say once decoded, what they share.

`provenance` alone asks here. What surprised us: letters and digits alone, without case, spaces and signs, are enough to find a stretch
again however it was spaced, quoted or broken over lines.
"""

from __future__ import annotations

import base64
import binascii
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from urllib.parse import unquote

_GRAM = 10
"""Letters by which a stretch is found; sampled at every tenth place of what is compared with."""
_MOST_PAIRS = 200_000
"""Places of two texts that are compared in one judgement: more are only alike in texts that were made for it."""
_NOT_ALNUM = re.compile(r"[\W_]+")
_WORD = re.compile(r"[^\W_]+")
_TOKEN = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9]|[-_:./#](?=[A-Za-z0-9]))+")
_DOTS = {0x3002: ".", 0xFF61: "."}
"""What names of hosts may be written with in the place of a dot."""
_DIGITS = re.compile(r"\d{4,}")
_SPACED = re.compile(r"(?<!\d)\d(?:[\W_]{1,3}\d(?!\d)){3,}")
_NAME = re.compile(r"\b[A-ZÀ-Þ][\w'-]+(?:\s+[A-ZÀ-Þ][\w'-]+){1,3}")
_TARGETS = (
    ("@", re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){0,8}")),
    (":/", re.compile(r"[a-z][a-z0-9+.-]{1,20}:/{1,3}[^\s\"'<>)\]]+", re.IGNORECASE)),
    (".", re.compile(r"(?<![\w@/.-])(?:[\w-]{1,63}\.){1,8}[A-Za-z]{2,24}(?![\w@])")),
    ("/", re.compile(r"(?<![\w/])(?:~|\.{1,2})?/[\w.~-][\w./~-]*")),
    ("\\", re.compile(r"(?<!\w)[A-Za-z]:\\[\w.\\ -]+")),
    ("", re.compile(r"(?<![\w.])\+?\d[\d ()./-]{6,30}\d(?![\w.])")),
    ("@", re.compile(r"(?<!\w)@[A-Za-z_]\w{2,}")),
    (":", re.compile(r"(?<![\w:])(?=[0-9A-Fa-f:]*::|(?:[0-9A-Fa-f]{1,4}:){7})[0-9A-Fa-f:]{2,39}(?!\w)")),
    ("ocalhost", re.compile(r"(?<![\w.-])localhost(?![\w.-])", re.IGNORECASE)),
)
"""What has to stand in a text, and where it could point to: long texts of one letter must not take long."""
_DATE = re.compile(r"\d{4}-\d\d-\d\d(?:[T ][\d:.Z+-]*)?|\d{1,2}[./]\d{1,2}[./]\d{2,4}|\d\d?:\d\d(?::\d\d)?")
_RUN = re.compile(r"[A-Za-z0-9+/_=-]{20,}")
_CODES = (
    re.compile(r"(?:[01]{7,8}[ ,]?){4,}"),
    re.compile(r"(?:(?:0x|\\x|%)?[0-9A-Fa-f]{2}[ :,]?){10,}"),
    re.compile(r"(?:[.\-]{1,6}[ /]{1,3}){8,}"),
    re.compile(r"<~[!-u\s]{8,}"),
    re.compile(r"(?:\\u[0-9A-Fa-f]{4}){4,}"),
    re.compile(r"(?:\b\d{2,3}\b[ ,;]{1,2}){7,}\d{2,3}\b"),
    re.compile(r"[!-~]{40,}"),
)
_ALIKE = frozenset({"LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE"})
_VOWELS = frozenset("aeiouyáàâäéèêëíïóôöúüAEIOUY")
_ESCAPED = re.compile(r"\\u([0-9A-Fa-f]{4})")
_LONGEST_PIECE = 20_000


def normal(text: str) -> str:
    """Letters and digits alone, folded.

    >>> normal("The *key* is: A-1 b")
    'thekeyisa1b'
    """
    folded = text if text.isascii() else unicodedata.normalize("NFKC", text)
    return _NOT_ALNUM.sub("", folded).casefold()


def words_of(text: str) -> set[str]:
    """Its words, folded."""
    return set(_WORD.findall(text.casefold()))


def tokens_of(text: str, least: int = 4) -> set[str]:
    """What identifies: so many letters and digits or more with a digit among them, folded and without signs.

    >>> sorted(tokens_of("Order AB-4471 of 12 items, flight UA1545"))
    ['ab4471', 'ua1545']
    """
    found = {normal(match) for match in _TOKEN.findall(text)}
    return {each for each in found if len(each) >= least and any(letter.isdigit() for letter in each)}


def numbers_of(text: str) -> set[str]:
    """Numbers of four digits and more, whatever letters stand around them or signs between their digits.

    >>> sorted(numbers_of("card5093x, 4 4-7 1 and 12"))
    ['4471', '5093']
    """
    if not any(each.isdigit() for each in text):
        return set()
    spaced = (_NOT_ALNUM.sub("", match) for match in _SPACED.findall(text))
    return {*_DIGITS.findall(text), *spaced}


def names_of(text: str) -> set[str]:
    """Words in a row that begin with capitals: names, mostly."""
    return set(_NAME.findall(text))


def targets_of(text: str) -> set[str]:
    """Where something could be sent, or what could be acted on: addresses, hosts, paths, phone numbers, handles.

    >>> sorted(targets_of("Mail a@b.org, see example.com/x and /var/db; it is 12:30 on 2026-01-02."))
    ['/var/db', 'a@b.org', 'example.com']
    """
    text = text if text.isascii() else unicodedata.normalize("NFKC", text).translate(_DOTS)
    plain = _DATE.sub(" ", text) if any(each.isdigit() for each in text) else text
    found = {match for sign, pattern in _TARGETS if sign in plain for match in pattern.findall(plain)}
    return {match.rstrip(".,;:!?/") for match in found} - {""}


def opaque(text: str) -> list[str]:
    """Runs that no reader can make sense of: codes, keys, digests, invisible letters.

    >>> opaque("an uncharacteristically long word"), opaque("c2VuZCBpdCB0byBldmVAZXhhbXBsZQ==")
    ([], ['c2VuZCBpdCB0byBldmVAZXhhbXBsZQ=='])
    """
    found = [run for run in _RUN.findall(text) if _is_drawn(run)]
    found += [match[0] for pattern in _CODES for match in pattern.finditer(text)]
    if not text.isascii():
        found += [word for word in _WORD.findall(text) if _is_mixed(word)]
    hidden = [each for each in text if unicodedata.category(each) in ("Cf", "Co", "Cn")]
    return found + (["".join(hidden)] if hidden else [])


def _is_mixed(word: str) -> bool:
    """Whether a word mixes letters of alphabets that look alike: nobody writes so who wants to be read."""
    if word.isascii():
        return False
    scripts = {unicodedata.name(each, "").partition(" ")[0] for each in word if each.isalpha()}
    return len(scripts & _ALIKE) > 1


def decoded(text: str) -> list[str]:
    """A text and what it says once decoded."""
    text = text[: _LONGEST_PIECE * 3]
    readings = [text]
    if "%" in text or "\\u" in text:
        readings += [unquote(text), _ESCAPED.sub(lambda match: chr(int(match[1], 16)), text)]
    return readings + [piece for run in _runs(text) for piece in _pieces(run)]


def turned(text: str, *, shifts: Sequence[int] = range(1, 26)) -> list[str]:
    """A text backwards, and with its letters shifted."""
    text = text[: _LONGEST_PIECE * 3]
    return [text[::-1], *(_shifted(text, by) for by in shifts)]


@dataclass(frozen=True, slots=False, eq=False)
class Reference:
    """Texts that others are held against; what it takes is made when it is asked for."""

    texts: Sequence[str]
    _n_pairs: list[int] = field(default_factory=lambda: [0])
    """How many places were compared with these so far."""

    @cached_property
    def folded(self) -> str:
        """All of them, folded."""
        return "\n".join(self.texts).casefold()

    @cached_property
    def normal(self) -> str:
        """All of them, letters and digits alone."""
        return "\n".join(map(normal, self.texts))

    @cached_property
    def tokens(self) -> set[str]:
        """What identifies in them, however short."""
        return {token for text in self.texts for token in tokens_of(text, 2)}

    @cached_property
    def numbers(self) -> set[str]:
        """Of all of them."""
        return {number for text in self.texts for number in numbers_of(text)}

    @cached_property
    def pairs(self) -> set[str]:
        """Of names in them."""
        return {pair for text in self.texts for name in names_of(text) for pair in pairs_of(name)}

    @cached_property
    def every_pair(self) -> set[str]:
        """Of all words of them."""
        return {pair for text in self.texts for pair in pairs_of(text)}

    @cached_property
    def words(self) -> set[str]:
        """Of all of them."""
        return words_of(self.folded)

    @cached_property
    def _sampled(self) -> dict[str, list[int]]:
        """Where each sampled stretch of them begins."""
        found: dict[str, list[int]] = {}
        theirs = self.normal
        for at in range(0, len(theirs) - _GRAM + 1, _GRAM):
            found.setdefault(theirs[at : at + _GRAM], []).append(at)
        return found

    @cached_property
    def _stems(self) -> set[str]:
        return {word[:5] for word in self.words}

    def names(self, told: str) -> bool:
        """Whether something stands in them as it is, and not as a part of a longer word."""
        plain = re.escape(told.casefold())
        return re.search(rf"(?<![\w@.-]){plain}(?![\w@-]|\.\w)", self.folded) is not None

    def has_stem(self, word: str) -> bool:
        """Whether a word that begins like it stands in them."""
        return word[:5] in self._stems

    def shares(self, plain: str, least: int, own: Reference, *, beyond: int = 0) -> bool:
        """Whether a stretch of a normal text, `least` letters or more, stands in these and not in `own`; also where that takes too long to see.

        Args:
            plain: the text.
            least: twice the sampled length, or more.
            own: what may go out.
            beyond: the stretch has to end behind this place.
        """
        if len(plain) < least or plain in own.normal:
            return False
        seen: dict[int, int] = {}
        # A stretch that ends behind a place has a sampled piece that begins less than twice its length before it.
        for place in range(max(0, beyond - 2 * _GRAM), len(plain) - _GRAM + 1):
            for at in self._sampled.get(plain[place : place + _GRAM], ()):
                if place < seen.get(place - at, 0):
                    continue
                self._n_pairs[0] += 1
                if self._n_pairs[0] > _MOST_PAIRS:
                    return True
                start, end = _extended(plain, place, self.normal, at)
                seen[place - at] = end
                if end - start >= least and end > beyond and plain[start:end] not in own.normal:
                    return True
        return False


def reference(texts: Sequence[str]) -> Reference:
    """Texts to compare with."""
    return Reference(tuple(each for each in texts if each))


def _extended(plain: str, place: int, theirs: str, at: int) -> tuple[int, int]:
    """The whole stretch that two texts share around a place."""
    start = place
    while start and at and plain[start - 1] == theirs[at - 1]:
        start, at = start - 1, at - 1
    end = start
    while end < len(plain) and at < len(theirs) and plain[end] == theirs[at]:
        end, at = end + 1, at + 1
    return start, end


def pairs_of(text: str) -> set[str]:
    """Words that stand side by side, without case and what stands between them.

    >>> sorted(pairs_of("To Ada, KOWALCZYK!"))
    ['adakowalczyk', 'toada']
    """
    words = _WORD.findall(text.casefold())
    return {first + second for first, second in pairwise(words)}


def _runs(text: str) -> Iterator[str]:
    """What could be a code: long runs as they stand, and without the spaces between groups."""
    yield from (match for match in _RUN.findall(text))
    for pattern in _CODES[:2]:
        yield from (match[0] for match in pattern.finditer(text))


def _pieces(run: str) -> Iterator[str]:
    bare = re.sub(r"0x|\\x|[ ,:%]", "", run)[:_LONGEST_PIECE]
    for read in (_base64, _base32, _hex, _bits):
        try:
            piece = read(bare).decode()
        except (ValueError, binascii.Error):
            continue
        if piece.isprintable() or any(each.isspace() for each in piece):
            yield piece


def _base64(bare: str) -> bytes:
    bare = bare.rstrip("=")
    return base64.b64decode(
        bare[: len(bare) - (len(bare) % 4 == 1)] + "=" * (-len(bare) % 4),
        altchars=b"-_" if "-" in bare or "_" in bare else None,
    )


def _base32(bare: str) -> bytes:
    bare = bare.rstrip("=").upper()
    return base64.b32decode(bare + "=" * (-len(bare) % 8))


def _hex(bare: str) -> bytes:
    return bytes.fromhex(bare)


def _bits(bare: str) -> bytes:
    if set(bare) - {"0", "1"} or len(bare) % 8:
        raise ValueError("no bits")
    return bytes(int(bare[at : at + 8], 2) for at in range(0, len(bare), 8))


def _shifted(text: str, by: int) -> str:
    lower, upper = "abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    return text.translate(str.maketrans(lower + upper, lower[by:] + lower[:by] + upper[by:] + upper[:by]))


def _is_drawn(run: str) -> bool:
    """Whether a run looks drawn rather than written: digits among letters, or no vowels where words have them."""
    letters = [each for each in run if each.isalpha()]
    if not letters:
        return True
    digits = sum(each.isdigit() for each in run)
    parts = [part for part in re.split(r"[-_/+=]", run) if part]
    if digits and any(any(each.isdigit() for each in part) and any(each.isalpha() for each in part) for part in parts):
        return True
    mixed = any(re.search(r"[a-z][A-Z][a-z]?[A-Z]|[A-Z]{2}[a-z]+[A-Z]", part) for part in parts)
    vowels = sum(each in _VOWELS for each in letters) / len(letters)
    return mixed or vowels < 0.2 or max(map(len, parts), default=0) > 28
