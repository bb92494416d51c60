"""CSV and JSON as texts that can be found: a row is a line, a member is `name: value`.

What surprised us: JSON may hold halves of characters that no encoding can write, and numbers that take minutes to read.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

from perdure.core.documents import RawDocument
from perdure.engines.retrieval.parsing.decoding import MOST_BYTES, decoded
from perdure.engines.retrieval.parsing.plain import MOST_LABEL, Composed, PlainParser
from perdure.engines.retrieval.protocols import Parsed, Unparsable

_DEEPEST = 12


class CsvParser:
    """`text/csv` and tabs: one table, whose first row is its header."""

    media_types = ("text/csv", "text/tab-separated-values")
    fingerprint = "csv-1"

    def parse(self, document: RawDocument) -> Parsed:
        """See `Parser.parse`."""
        text, warnings = decoded(document.data)
        head = text[: text.find("\n")] if "\n" in text else text
        delimiter = max(",;\t|", key=head.count)
        try:
            rows = [
                " | ".join(map(_line, row)) for row in csv.reader(io.StringIO(text), delimiter=delimiter) if any(row)
            ]
        except csv.Error as error:
            raise Unparsable("unparsable", f"It is no CSV: {error}.") from error
        composed = Composed()
        if rows:
            composed.add("table", "\n".join(rows), header=rows[0])
        return composed.parsed(warnings=warnings)


class JsonParser:
    """JSON and JSON lines: an element of a list, or a member of an object, is a block of `name: value`."""

    media_types = ("application/json", "application/jsonl", "application/x-ndjson", "application/ld+json")
    fingerprint = "json-1"

    def parse(self, document: RawDocument) -> Parsed:
        """See `Parser.parse`. What is no JSON is read as plain text, with a warning."""
        text, warnings = decoded(document.data)
        try:
            composed = _composed(_values(text))
        except (ValueError, RecursionError):
            plain = PlainParser().parse(document)
            return Parsed(plain.text, plain.blocks, warnings=(*warnings, "it is no JSON, and read as plain text"))
        return composed.parsed(warnings=warnings)


def _composed(values: list[Any]) -> Composed:
    composed, n_characters = Composed(), 0
    for value in values:
        lines = []
        for line in _told(value, "", 0):
            n_characters += len(line) + 1
            if n_characters > 2 * MOST_BYTES:
                raise Unparsable("bomb", f"Written out it has more than {2 * MOST_BYTES:,} characters.")
            lines.append(line)
        composed.add("paragraph", "\n".join(lines))
    return composed


def _values(text: str) -> list[Any]:
    try:
        whole = json.loads(text)
    except ValueError:
        whole = [json.loads(line) for line in text.splitlines() if line.strip()]
    if isinstance(whole, dict):
        return [{name: value} for name, value in whole.items()]
    return whole if isinstance(whole, list) else [whole]


def _told(value: Any, path: str, depth: int) -> Iterator[str]:
    """Lines of `path: value`; deeper than twelve names, as JSON again."""
    if isinstance(value, dict) and depth < _DEEPEST:
        for name, each in value.items():
            yield from _told(each, f"{path}.{name}"[-MOST_LABEL:] if path else str(name)[:MOST_LABEL], depth + 1)
        return
    if isinstance(value, list) and depth < _DEEPEST and any(isinstance(each, dict | list) for each in value):
        for each in value:
            yield from _told(each, path, depth + 1)
        return
    said = ", ".join(map(_said, value)) if isinstance(value, list) and depth < _DEEPEST else _said(value)
    yield f"{path}: {said}" if path else said


def _said(value: Any) -> str:
    return _line(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _line(value: str) -> str:
    return " ".join(value.split())
