"""Where in a long text the stems of a rule stand side by side, so that its expression is run on those stretches only.

Words are taken in blocks of eight. For each stem there is one number, a bit of which is a block that has it; where all groups of
a rule are near enough for a match is a matter of a few shifts and `&` of such numbers, however long the text is.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator

from perdure.engines.guards.injection_stems import Group, bits_of, bits_of_each

_EIGHT = 8
_MOST_BLOCKS = 16  # of a stretch, beside what its last match reaches over
_BLOCK = re.compile(rf"[^ ]++(?: ++[^ ]++){{0,{_EIGHT - 1}}}+")
# What is no ASCII is taken for a letter: fewer words, and a stem stays within one of them.
_BETWEEN = bytes(
    code + 32 if 65 <= code <= 90 else code if (code < 128 and chr(code).isalnum()) or chr(code) == "?" else 32
    for code in range(256)
)
_OTHER = re.compile(r"[^\x00-\x7f]+")
_ASCII = _BETWEEN.replace(b"?", b" ")


class Places:
    """The blocks of one text, in lower case, and the stems in them. Some 20 microseconds a kilobyte."""

    __slots__ = ("_begins", "_of_bit", "_of_stem", "_plain", "_read", "_scripts", "_signs", "_words", "bits")

    def __init__(self, plain: str) -> None:
        ascii_only = plain.isascii()
        self._plain = plain
        written = plain.encode("ascii", "replace")
        self._signs = written.decode()  # searched several times as fast as letters of two bytes
        self._read = written.translate(_ASCII if ascii_only else _BETWEEN).decode()
        self._scripts = frozenset() if ascii_only else frozenset("".join(_OTHER.findall(plain)))
        self._words = self._read.split()
        self.bits = bits_of(self._words)
        self._begins: list[int] = []
        self._of_bit: list[tuple[int, int]] = []
        self._of_stem: dict[str, int] = {}

    def locate(self, stems: int) -> None:
        """Find out where some stems stand, by their bits; before anything is asked."""
        # What stands between two blocks belongs to the second.
        self._begins = [0, *[match.end() for match in _BLOCK.finditer(self._read)][:-1]]
        unlike = set(self._words)
        wanted = {word: bits & stems for word, bits in zip(unlike, bits_of_each(unlike), strict=True) if bits & stems}
        blocks: dict[str, int] = {}
        for at, word in enumerate(self._words):
            if word in wanted:
                blocks[word] = blocks.get(word, 0) | 1 << (at // _EIGHT)
        found: dict[int, int] = {}
        for word, having in blocks.items():
            left = wanted[word]
            while left:
                bit = left & -left
                left ^= bit
                found[bit] = found.get(bit, 0) | having
        self._of_bit = list(found.items())

    def starts(self, first: Group, further: tuple[Group, ...], reach: int) -> int:
        """The blocks, as bits, in which a match of a rule may begin that reaches over so many spaces."""
        blocks = -(-reach // _EIGHT)
        found = _before(self._having(first), blocks)
        for group in further:
            if not found:
                return 0
            found &= _before(self._having(group), blocks)
        return found

    def block(self, at: int) -> int:
        """The block that has the character at `at`, or stands before it."""
        return max(bisect_right(self._begins, at) - 1, 0)

    def stretches(self, starts: int, reach: int) -> Iterator[tuple[int, int]]:
        """From where to where in the text the matches lie that begin in these blocks: bounded stretches, in order."""
        blocks = -(-reach // _EIGHT)
        begins, n = self._begins, len(self._begins)
        while starts:
            low = (starts & -starts).bit_length() - 1
            run = starts >> low
            size = min((~run & (run + 1)).bit_length() - 1, _MOST_BLOCKS)  # so many ones
            starts &= ~(((1 << size) - 1) << low)
            after = low + size + blocks
            yield begins[low], begins[after] if after < n else len(self._plain)

    def _having(self, group: Group) -> int:
        """The blocks that may have one of the stems of a group."""
        found = 0
        loose = group.loose
        for stem in group.signs:
            found |= self._having_stem(stem, self._signs)
        for bit, blocks in self._of_bit:
            if bit & loose:
                found |= blocks
        for stem in group.other if self._scripts else ():
            if stem[0] in self._scripts:
                found |= self._having_stem(stem, self._plain)
        return found

    def _having_stem(self, stem: str, text: str) -> int:
        blocks = self._of_stem.get(stem)
        if blocks is None:
            blocks, at = 0, text.find(stem)
            while at >= 0:
                here = self.block(at)
                blocks |= 1 << here
                after = self._begins[here + 1] if here + 1 < len(self._begins) else len(self._plain)
                at = text.find(stem, max(after, at + 1))
            self._of_stem[stem] = blocks
        return blocks


def _before(blocks: int, n: int) -> int:
    """Blocks, and the `n` before each."""
    done = 0
    while done < n:
        step = min(done + 1, n - done)
        blocks |= blocks >> step
        done += step
    return blocks
