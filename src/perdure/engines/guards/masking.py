"""Masks: what stands in for a stretch that must not go out, and the way back.

A mask is `[EMAIL-kqzvhwpt]`: letters and a hyphen in brackets, so that it survives JSON, Markdown and models, matches no pattern
of ours, and is guessed by nobody. It is drawn anew for each call: two calls never share one.
"""

from __future__ import annotations

import re
import secrets
import string
from collections.abc import Callable, Mapping, Sequence

from perdure.engines.guards.protocols import Span

_LETTERS = 8  # 26^8 = 2e11
_LONGEST = 64
_MASK = re.compile(r"\[[A-Z_]{1,48}-[a-z]{8}\]")
_BEGUN = re.compile(r"\[(?:[A-Z_]{1,48}(?:-[a-z]{0,8})?)?\Z")


def _drawn() -> str:
    return "".join(secrets.choice(string.ascii_lowercase) for _ in range(_LETTERS))


class Masks:
    """The masks of one call: the same text has the same mask. For one thread.

    Args:
        restorable: kind → whether its masks may be put back.
        draw: makes the unguessable part; for tests.
    """

    __slots__ = ("_by_text", "_draw", "_restorable", "count", "restore")

    def __init__(self, restorable: Callable[[str], bool] = lambda _: True, draw: Callable[[], str] = _drawn) -> None:
        self._by_text: dict[tuple[str, str], str] = {}
        self._draw = draw
        self._restorable = restorable
        self.count = 0
        self.restore: dict[str, str] = {}

    def mask(self, text: str, kind: str) -> str:
        """The mask for a text of a kind.

        >>> Masks(draw=lambda: "kqzvhwpt").mask("ann@example.org", "email")
        '[EMAIL-kqzvhwpt]'
        """
        self.count += 1
        found = self._by_text.get((kind, text))
        if found is None:
            found = f"[{re.sub('[^A-Z]', '_', kind.upper())[:48] or 'HIDDEN'}-{self._draw()}]"
            self._by_text[kind, text] = found
            if self._restorable(kind):
                self.restore[found] = text
        return found

    def masked(self, text: str, spans: Sequence[Span]) -> str:
        """The text with its spans masked; they are in order and do not overlap."""
        if not spans:
            return text
        pieces, at = [], 0
        for span in spans:
            pieces += [text[at : span.start], self.mask(text[span.start : span.end], span.kind)]
            at = span.end
        return "".join([*pieces, text[at:]])


def restored(text: str, restore: Mapping[str, str]) -> str:
    """The text with the masks of `restore` replaced by what they stand for; unknown ones stay.

    >>> restored("Write to [EMAIL-kqzvhwpt].", {"[EMAIL-kqzvhwpt]": "ann@example.org"})
    'Write to ann@example.org.'
    """
    if not restore or "[" not in text:
        return text
    return _MASK.sub(lambda match: restore.get(match[0], match[0]), text)


class Restoring:
    """Puts masks back into a streamed answer, wherever it was cut.

    At most 59 characters are held, and only where a mask may have begun.

    >>> stream = Restoring({"[EMAIL-kqzvhwpt]": "ann@example.org"})
    >>> [stream.feed(piece) for piece in ("Write to [EM", "AIL-kqzvhwpt", "].")] + [stream.end()]
    ['Write to ', '', 'ann@example.org.', '']
    """

    __slots__ = ("_held", "_restore")

    def __init__(self, restore: Mapping[str, str]) -> None:
        self._restore = restore
        self._held = ""

    def feed(self, text: str) -> str:
        """What may be sent now."""
        if not self._restore:
            return text
        text = self._held + text
        begun = _BEGUN.search(text, max(0, len(text) - _LONGEST)) if "[" in text else None
        cut = len(text) if begun is None else begun.start()
        self._held = text[cut:]
        return restored(text[:cut], self._restore)

    def end(self) -> str:
        """What was still held."""
        held, self._held = self._held, ""
        return held
