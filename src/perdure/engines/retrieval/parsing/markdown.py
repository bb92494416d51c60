"""Markdown by markdown-it-py (CommonMark with tables), whose tokens know their lines: the text stays as it was written.

Only blocks are parsed: what stands within a line is of no use to a cut, and takes three times as long. Definitions of links stay
paragraphs: reading them takes time by the square of their number.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib.metadata import version
from itertools import accumulate
from typing import TYPE_CHECKING

from perdure.core.documents import RawDocument
from perdure.engines.retrieval.parsing.decoding import decoded
from perdure.engines.retrieval.parsing.front_matter import front_matter
from perdure.engines.retrieval.parsing.plain import label
from perdure.engines.retrieval.protocols import Block, BlockForm, Parsed

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

_FORMS: dict[str, BlockForm] = {
    "heading_open": "heading",
    "paragraph_open": "paragraph",
    "bullet_list_open": "list",
    "ordered_list_open": "list",
    "fence": "code",
    "code_block": "code",
    "blockquote_open": "quote",
    "table_open": "table",
    "html_block": "paragraph",
}


class MarkdownParser:
    """`text/markdown`, with front matter."""

    media_types = ("text/markdown", "text/x-markdown")

    @property
    def fingerprint(self) -> str:
        """Of ours and of the library's version."""
        return f"markdown-1-{version('markdown-it-py')}"

    def parse(self, document: RawDocument) -> Parsed:
        """See `Parser.parse`."""
        text, warnings = decoded(document.data)
        front = front_matter(text)
        blocks = (*front.blocks, *_blocks(text, front.end))
        title = front.members.get("title", "")
        return Parsed(text, blocks, label(str(title)), (*warnings, *front.warnings), front.members)


@cache
def _markdown() -> MarkdownIt:
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark").enable("table").disable("reference")


def _blocks(text: str, start: int) -> Iterator[Block]:
    body = text[start:]
    tokens: list[Token] = []
    parser = _markdown()
    parser.block.parse(body, parser, {}, tokens)
    lines = list(accumulate((len(line) + 1 for line in body.split("\n")), initial=start))
    for number, token in enumerate(tokens):
        form = _FORMS.get(token.type)
        if form is None or token.level or token.map is None:
            continue
        begin, end = lines[token.map[0]], min(lines[token.map[1]], len(text))
        said = text[begin:end].rstrip()
        if not said or (token.type == "html_block" and said.startswith("<!--") and said.endswith("-->")):
            continue
        yield Block(form, begin, begin + len(said), *_of_heading(form, token, tokens, number, said))


def _of_heading(form: BlockForm, token: Token, tokens: list[Token], number: int, said: str) -> tuple[int, str]:
    """Level and label."""
    if form == "heading":
        return int(token.tag[1:]), label(tokens[number + 1].content)
    return 0, label(said.partition("\n")[0]) if form == "table" else ""
