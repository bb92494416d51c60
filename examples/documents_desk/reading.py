"""One sentence of a page: what a model of 135 million parameters can read.

A page, or a section of one, is too much for it. So the line that says most of what is asked is taken out; a row of a table becomes a
sentence with the columns that the question names. Cases of the suite are made of the documentation's own tables in the same way.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from math import log
from pathlib import Path
from random import Random

from perdure import Case

N_CASES = 48
_WORD = re.compile(r"[a-z0-9_]+(?:\.[a-z0-9_]+)*")
_CELL = re.compile(r"(?<!\\)\|")
Row = Mapping[str, str]


def words(text: str) -> set[str]:
    """Words of a text, names with dots as one."""
    return set(_WORD.findall(text.lower()))


def rows(text: str) -> Iterator[Row]:
    """Rows of the tables of a Markdown text: head of the column → plain cell."""
    head: Sequence[str] = ()
    for line in text.splitlines():
        if not line.startswith("|"):
            head = ()
            continue
        cells = [each.replace("`", "").strip().strip('"') for each in _CELL.split(line.strip()[1:-1])]
        if not head:
            head = cells
        elif len(cells) == len(head) and set(line) - set("|-: "):
            yield dict(zip(head, cells, strict=True))


def sentence(row: Row, question: str) -> str:
    """A row as words: what it says of itself, then the columns that are asked for, else all of them.

    >>> sentence({"key": "poll_ms", "type": "int", "default": "200", "": "How often it looks."}, "What is the default of poll_ms?")
    'How often it looks. The key poll_ms has the default 200.'
    """
    named = [(head, cell) for head, cell in row.items() if head and cell]
    if len(named) < 2:
        return ", ".join(cell for cell in row.values() if cell)
    (kind, name), *others = named
    asked = [each for each in others if each[0].lower() in words(question)] or others
    told = " and ".join(f"the {head} {cell}" for head, cell in asked)
    return f"{row.get('', '')} The {kind} {name} has {told}.".strip()


def best_line(texts: Sequence[str], question: str) -> str:
    """The row or line of these texts that shares most with the question: a word counts the more, the fewer lines have it."""
    lines = [sentence(row, question) for text in texts for row in rows(text)]
    for text in texts:
        lines += [line.strip("-# ") for line in text.splitlines() if line.strip() and not line.startswith("|")]
    told, asked = [words(line) for line in lines], words(question)
    weights = {word: log((1 + len(lines)) / (1 + sum(word in each for each in told))) for word in asked}
    scores = [sum(weights[word] for word in each & asked) for each in told]
    return lines[max(range(len(lines)), key=scores.__getitem__)] if lines else ""


def section(page: str, name: str) -> str:
    """The section of a Markdown page that has a row of a name; empty where none has, or two have.

    >>> section("# A ## B | `b` | 1 | ## C | `c` | 2 |", "c")
    '## C | `c` | 2 |'
    """
    found = [f"## {each}" for each in page.split("## ")[1:] if f"| `{name}` |" in each]
    return found[0] if len(found) == 1 else ""


def cases(pages: Path) -> list[Case]:
    """Questions on defaults of settings and statuses of errors, each with the sentence that answers it."""
    known = {  # a key of two sections counts once
        f"What is the default of {row['key']}?": (row, row["default"].removesuffix(".0"))
        for row in rows((pages / "settings.md").read_text("utf-8"))
        if row.get("type") in ("int", "float")
    } | {
        f"Which HTTP status has {row['code']}?": (row, row["HTTP"])
        for row in rows((pages / "errors.md").read_text("utf-8"))
        if row.get("HTTP", "").isdecimal()
    }
    chosen = sorted(Random(7).sample(sorted(known), min(N_CASES, len(known))))
    return [_case(question, *known[question]) for question in chosen]


def _case(question: str, row: Row, right: str) -> Case:
    passage, name = sentence(row, question), question.rstrip("?").split()[-1]
    return Case(name, {"passage": passage, "question": question}, right, contexts=(passage,), cluster=name)


def keep_cases(found: Sequence[Case], to: Path) -> None:
    """Write cases as JSON lines: from then on they stay what they are while pages change."""
    lines = [{"id": each.id, "inputs": dict(each.inputs), "expected": each.expected} for each in found]
    to.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")


def kept_cases(file: Path) -> list[Case]:
    """What `keep_cases` wrote; none where it did not."""
    lines = [json.loads(line) for line in file.read_text("utf-8").splitlines()] if file.exists() else []
    return [
        Case(each["id"], each["inputs"], each["expected"], contexts=(each["inputs"]["passage"],), cluster=each["id"])
        for each in lines
    ]
