"""What a page of HTML shows, gathered from the begins and ends of its elements. `hypertext` feeds it."""

from __future__ import annotations

import re
from collections.abc import Mapping

from perdure.engines.retrieval.parsing.plain import Composed
from perdure.engines.retrieval.protocols import BlockForm, Parsed, Unparsable

_UNSEEN = frozenset({
    "script", "style", "template", "noscript", "svg", "math", "nav", "iframe", "object", "select", "textarea",
    "button", "dialog", "canvas", "audio", "video",
})  # fmt: skip
_INLINE = frozenset({
    "a", "abbr", "acronym", "b", "bdi", "bdo", "big", "br", "cite", "code", "data", "del", "dfn", "em", "font",
    "html", "i", "img", "ins", "kbd", "label", "mark", "q", "rp", "rt", "ruby", "s", "samp", "small", "span",
    "strike", "strong", "sub", "sup", "time", "tt", "u", "var", "wbr",
})  # fmt: skip
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_SPACE = re.compile(r"\s+")
_DEEPEST = 5000
"""Elements within each other. Pages have dozens; more than this is no page."""


class Events:
    """A target of lxml's parser.

    Args:
        most_characters: of the text that is gathered; more is a bomb.
    """

    def __init__(self, *, most_characters: int) -> None:
        self._composed = Composed()
        self._most = most_characters
        self._n_characters = 0
        self._depth = 0
        self._unseen: int | None = None
        """Depth of the element within which nothing is shown."""
        self._said: list[str] = []
        self._lines: list[str] = []
        """Of the list or table that is open."""
        self._cells: list[str] = []
        self._lists = self._tables = self._pres = self._quotes = 0
        self._heading = 0
        self._title: list[str] | None = None
        self._called = ""

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        """An element begins."""
        self._depth += 1
        if self._depth > _DEEPEST:
            raise Unparsable("bomb", f"More than {_DEEPEST:,} elements stand within each other.")
        if self._unseen is not None:
            return
        if tag in _UNSEEN or _hidden(attributes):
            self._unseen = self._depth
        elif tag == "title" and not self._called:
            self._title = []
        elif tag == "br":
            self._said.append("\n")
        elif tag == "img":
            self._said.append(f" {attributes.get('alt', '')} ")
        elif tag not in _INLINE:
            self._begin(tag)

    def end(self, tag: str) -> None:
        """An element ends."""
        if self._unseen is None and tag == "title" and self._title is not None:
            self._called, self._title = _line("".join(self._title)), None
        elif self._unseen is None and tag not in _INLINE:
            self._end(tag)
        if self._unseen == self._depth:
            self._unseen = None
        self._depth -= 1

    def data(self, text: str) -> None:
        """Text between elements."""
        if self._unseen is not None:
            return
        self._n_characters += len(text)
        if self._n_characters > self._most:
            raise Unparsable("bomb", f"It shows more than {self._most:,} characters.")
        if self._title is not None:
            self._title.append(text)
        else:
            self._said.append(text if self._pres else _SPACE.sub(" ", text))

    def close(self) -> None:
        """The page ends."""
        self._flush()
        self._close_lines("list" if self._lists else "table")

    def parsed(self, warnings: tuple[str, ...]) -> Parsed:
        """All that was gathered."""
        return self._composed.parsed(title=self._called, warnings=warnings)

    def _begin(self, tag: str) -> None:
        if tag in ("td", "th"):
            self._said.append(" ") if self._tables > 1 else self._flush_cell()
            return
        self._flush()
        if tag in _HEADINGS:
            self._heading = _HEADINGS[tag]
        elif tag in ("ul", "ol", "dl"):
            self._lists += 1
        elif tag == "table":
            self._tables += 1
        elif tag == "pre":
            self._pres += 1
        elif tag == "blockquote":
            self._quotes += 1

    def _end(self, tag: str) -> None:
        if tag in ("td", "th") and self._tables == 1:
            self._flush_cell()
            return
        if tag == "tr" and self._tables == 1:
            self._end_row()
            return
        self._flush()
        if tag in _HEADINGS:
            self._heading = 0
        elif tag in ("ul", "ol", "dl") and self._lists:
            self._lists -= 1
            self._close_lines("list")
        elif tag == "table" and self._tables:
            self._end_row()
            self._tables -= 1
            self._close_lines("table")
        elif tag == "pre" and self._pres:
            self._pres -= 1
        elif tag == "blockquote" and self._quotes:
            self._quotes -= 1

    def _flush(self) -> None:
        """What was said since the last block ended becomes one."""
        if self._tables:
            self._said.append(" ")
            return
        said, self._said = "".join(self._said), []
        code = bool(self._pres)
        text = said.strip("\n").rstrip() if code else "\n".join(filter(None, map(_line, said.split("\n"))))
        if not text.strip():
            return
        if self._lists:
            mark = "  " * (self._lists - 1) + "- "
            self._lines.append(mark + text.replace("\n", "\n" + " " * len(mark)))
            return
        form: BlockForm = "heading" if self._heading else "code" if code else "quote" if self._quotes else "paragraph"
        self._composed.add(form, text, level=self._heading)

    def _flush_cell(self) -> None:
        said, self._said = _line("".join(self._said)), []
        if said:
            self._cells.append(said)

    def _end_row(self) -> None:
        self._flush_cell()
        if self._cells:
            self._lines.append(" | ".join(self._cells))
        self._cells = []

    def _close_lines(self, form: BlockForm) -> None:
        if self._lines and not self._lists and not self._tables:
            self._composed.add(form, "\n".join(self._lines), header=self._lines[0] if form == "table" else "")
            self._lines = []


def _hidden(attributes: Mapping[str, str]) -> bool:
    if not attributes:
        return False
    style = attributes.get("style", "").replace(" ", "").lower()
    return (
        "hidden" in attributes
        or attributes.get("aria-hidden") == "true"
        or "display:none" in style
        or "visibility:hidden" in style
    )


def _line(text: str) -> str:
    return " ".join(text.split())
