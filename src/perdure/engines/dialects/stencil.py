"""`Stencil`: what the events of a stream have in common, so that of most of them only the text has to be looked at.

An upstream writes one event like the other: the same bytes, a piece of text, the same bytes, in some streams a padding of
random letters and the same bytes again. Where an event fits what an earlier one, read in full, was like, it can say nothing
else than its text. Used by `meter` and by whoever joins a kept stream.
"""

from __future__ import annotations

_PADDING = b'"obfuscation":"'
_MOST_TRIES = 8
"""Events that are looked at in the hope that others are like them; a stream of all different ones is left alone then."""


class Stencil:
    r"""Made anew for each stream.

    >>> stencil = Stencil()
    >>> stencil.learn(b'data: {"delta":{"content":"Hi"}}\n\n', b'"content":"')
    >>> stencil.text(b'data: {"delta":{"content":" there"}}\n\n'), stencil.text(b'data: {"delta":{}}\n\n')
    (b' there', None)
    """

    __slots__ = ("_after", "_before", "_end", "_n_after", "_n_before", "_n_tries")

    def __init__(self) -> None:
        self._before = self._after = self._end = b""
        self._n_before = self._n_after = 0
        self._n_tries = 0

    def text(self, event: bytes) -> bytes | None:
        """The text of an event that is like the learned one, as JSON writes it; None for any other. Cost: 0.3 µs.

        Args:
            event: with the blank line that ends it.
        """
        start = self._n_before
        if not start or not event.startswith(self._before):
            return None
        end = event.find(b'"', start)
        if self._end:
            if not event.startswith(self._after, end):
                return None
            if event[event.find(b'"', end + self._n_after) :] != self._end:
                return None
        elif event[end:] != self._after:
            return None
        text = event[start:end]
        return None if text.endswith(b"\\") or b"\n" in text or b"\r" in text else text

    def learn(self, event: bytes, mark: bytes) -> None:
        """Take an event as what others may be like; the caller knows that it says nothing but one text.

        Args:
            event: with the blank line that ends it.
            mark: the name before the text, its colon and the quotation mark, as `"content":"`.
        """
        if self._n_tries == _MOST_TRIES or event.count(mark) != 1 or event.count(b"\n\n") != 1:
            return
        self._n_tries += 1
        start = event.find(mark) + len(mark)
        end = event.find(b'"', start)
        if end < 0 or event[start:end].endswith(b"\\") or not event.endswith(b"\n\n"):
            return
        padded = event.find(_PADDING, end)
        cut = padded + len(_PADDING) if padded >= 0 else len(event)
        self._before, self._after = event[:start], event[end:cut]
        self._end = event[event.find(b'"', cut) :] if padded >= 0 else b""
        self._n_before, self._n_after = start, len(self._after)
