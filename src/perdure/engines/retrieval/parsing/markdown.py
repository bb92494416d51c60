"""Markdown by markdown-it-py (CommonMark with tables), whose tokens know their lines: the text stays as it was written.

Only blocks are parsed: what stands within a line is of no use to a cut, and takes three times as long. Definitions of links stay
paragraphs: reading them takes time by the square of their number.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from importlib.metadata import version
from itertools import accumulate
from typing import TYPE_CHECKING

from perdure.core.documents import RawDocument
from perdure.engines.retrieval.parsing.decoding import decoded
from perdure.engines.retrieval.parsing.front_matter import front_matter
from perdure.engines.retrieval.parsing.plain import label
from perdure.engines.retrieval.protocols import Block, BlockForm, Parsed, Unparsable

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.rules_block import StateBlock
    from markdown_it.token import Token

_LEFT = "looks_left"
_LOOKS_A_LINE, _LOOKS, _MOST_LOOKS = 20, 20_000, 1_500_000
"""How often lines are looked at, at most. Manuals need one or two looks a line, lists within lists four; a quote whose lines belong
to it only perhaps is read anew from each of them. A look takes 20 µs."""
_RULE = re.compile(r"\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$", re.MULTILINE)
_BAR = re.compile(r"(?<!\\)\|")
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

    parser = MarkdownIt("commonmark").enable("table").disable("reference")
    everywhere = ["paragraph", "reference", "blockquote", "list", "table"]
    parser.block.ruler.at("table", _table, {"alt": ["paragraph", "reference"]})
    parser.block.ruler.before("table", "counted", _counted, {"alt": everywhere})
    return parser


def _counted(state: StateBlock, _line: int, _end: int, _silent: bool) -> bool:
    """A rule that never matches, asked wherever any rule is: counts how often lines are looked at."""
    left = state.env[_LEFT] = state.env[_LEFT] - 1
    if left < 0:
        raise Unparsable("bomb", "Its quotes and lists make the reader go back again and again.")
    return False


def _table(state: StateBlock, line: int, end: int, silent: bool) -> bool:
    """A table as one token. The library's rule makes four of each cell, which takes longer than all else of a page."""
    if line + 2 > end or state.sCount[line + 1] < state.blkIndent or state.is_code_block(line):
        return False
    rule = _RULE.match(state.src, state.bMarks[line + 1] + state.tShift[line + 1], state.eMarks[line + 1])
    if rule is None or "|" not in rule[0] or rule[0].startswith(("- ", "-\t")):
        return False
    header = state.src[state.bMarks[line] + state.tShift[line] : state.eMarks[line]]
    if _n_cells(header) != _n_cells(rule[0]):
        return False
    if silent:
        return True
    last = line + 2
    terminators = state.md.block.ruler.getRules("blockquote")
    while last < end and state.sCount[last] >= state.blkIndent and not state.isEmpty(last):
        if state.is_code_block(last) or any(rule(state, last, end, True) for rule in terminators):
            break
        last += 1
    state.push("table_open", "table", 0).map = [line, last]
    state.line = last
    return True


def _n_cells(row: str) -> int:
    row = row.strip().removeprefix("|")
    return len(_BAR.findall(row)) + (_BAR.search(row, len(row) - 1) is None)


def _blocks(text: str, start: int) -> Iterator[Block]:
    body = text[start:]
    tokens: list[Token] = []
    parser = _markdown()
    lines = list(accumulate((len(line) + 1 for line in body.split("\n")), initial=start))
    left = min(_LOOKS_A_LINE * len(lines) + _LOOKS, _MOST_LOOKS)
    parser.block.parse(body, parser, {_LEFT: left}, tokens)
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
