"""References and conditions of graphs: `$node.member[0].name`, `$sort.text == 'question' and not $input.internal`.

Read by a small parser of our own into records, and worked out over what nodes gave; nothing of Python is run. Used by whoever compiles,
checks, draws and drives graphs.

What surprised us: Python says that `True == 1`. Values here come from JSON, where they are two things, and so they are here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NoReturn

from perdure.core.errors import BadGraph

SIGN = "$"
LONGEST = 2_000
"""Characters of one expression."""
_DEEPEST = 40
Operator = Literal["==", "!=", "<", "<=", ">", ">=", "in"]
_NUMBER = r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?"
_TEXT = r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\""
_STEP = re.compile(rf"\.(?P<name>[A-Za-z_][A-Za-z0-9_]*)|\[(?P<place>\d{{1,6}})\]|\[(?P<quoted>{_TEXT})\]")
_TOKEN = re.compile(
    rf"\s*(?:(?P<ref>\$[A-Za-z_][A-Za-z0-9_]*)|(?P<number>{_NUMBER})|(?P<text>{_TEXT})"
    r"|(?P<word>[A-Za-z_][A-Za-z0-9_]*)|(?P<sign>==|!=|<=|>=|[<>()\[\],]))"
)
_CONSTANTS: Mapping[str, Any] = {"true": True, "false": False, "null": None}
_ELSEWHERE = {"=": "==", "&&": "and", "&": "and", "||": "or", "|": "or", "!": "not"}
_ESCAPES = {"n": "\n", "t": "\t"}


@dataclass(frozen=True, slots=True)
class Ref:
    """What a node gave, or a part of it."""

    node: str
    path: tuple[str | int, ...] = ()
    column: int = field(default=1, compare=False)

    def __str__(self) -> str:
        steps = (f"[{each}]" if isinstance(each, int) else f".{each}" for each in self.path)
        return f"{SIGN}{self.node}{''.join(steps)}"


@dataclass(frozen=True, slots=True)
class Constant:
    """A number, text, truth value or null."""

    value: Any
    column: int = field(default=1, compare=False)


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list of expressions: what stands behind `in`."""

    items: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Compare:
    """Two sides and what is asked of them."""

    operator: Operator
    left: Expression
    right: Expression
    column: int = field(default=1, compare=False)


@dataclass(frozen=True, slots=True)
class Not:
    """The other truth value."""

    part: Expression


@dataclass(frozen=True, slots=True)
class Every:
    """`and`."""

    parts: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Some:
    """`or`."""

    parts: tuple[Expression, ...]


Expression = Ref | Constant | ListOf | Compare | Not | Every | Some


def parse(text: str) -> Expression:
    """The expression that a text says.

    Raises:
        BadGraph: it says none; `facts["column"]` counts from 1.

    >>> parse("$sort.text == 'question'").left
    Ref(node='sort', path=('text',), column=1)
    """
    if len(text) > LONGEST:
        raise BadGraph(
            f"An expression has {len(text):,} characters.",
            hint=f"Write up to {LONGEST:,}, and more in a PythonNode.",
            column=LONGEST,
        )
    return _Parser(text).whole()


def reference(text: str) -> Ref:
    """The reference that a text is, and nothing else.

    Raises:
        BadGraph: it is none.

    >>> str(reference("$found.hits[0]['text']"))
    '$found.hits[0].text'
    """
    found = parse(text)
    if not isinstance(found, Ref):
        raise BadGraph(
            f"`{text}` at column 1: what is given on is one reference, such as $node.member.",
            hint="Work things out in a RuleNode or a PythonNode, and refer to it.",
            column=1,
        )
    return found


def refs(expression: Expression) -> Iterator[Ref]:
    """Every reference in it, from left to right."""
    if isinstance(expression, Ref):
        yield expression
    elif isinstance(expression, Compare):
        yield from refs(expression.left)
        yield from refs(expression.right)
    elif isinstance(expression, Not):
        yield from refs(expression.part)
    elif isinstance(expression, ListOf):
        for each in expression.items:
            yield from refs(each)
    elif isinstance(expression, Every | Some):
        for each in expression.parts:
            yield from refs(each)


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    column: int


class _Parser:
    """Goes down: or, and, not, comparison, single."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._depth = 0
        self._next = self._read()

    def whole(self) -> Expression:
        if self._next.kind == "end":
            self._fail("it is empty", "Write a reference such as $node.member.")
        found = self._or()
        if self._next.kind != "end":
            self._fail(f"nothing is expected behind {self._text[: self._next.column - 1].strip()!r}",
                       "Join conditions with `and` or `or`.")  # fmt: skip
        return found

    def _or(self) -> Expression:
        parts = [self._and()]
        while self._took("or"):
            parts.append(self._and())
        return parts[0] if len(parts) == 1 else Some(tuple(parts))

    def _and(self) -> Expression:
        parts = [self._not()]
        while self._took("and"):
            parts.append(self._not())
        return parts[0] if len(parts) == 1 else Every(tuple(parts))

    def _not(self) -> Expression:
        if not self._took("not"):
            return self._comparison()
        self._deeper()
        found = Not(self._not())
        self._depth -= 1
        return found

    def _comparison(self) -> Expression:
        left = self._single()
        found = self._operator()
        if found is None:
            return left
        operator, denied, column = found
        right = self._single()
        made: Expression = Compare(operator, left, right, column)
        if self._next.text in ("==", "!=", "<", "<=", ">", ">=", "in"):
            self._fail("a comparison has two sides", "Write $a < $b and $b < $c.")
        return Not(made) if denied else made

    def _operator(self) -> tuple[Operator, bool, int] | None:
        token = self._next
        if token.text == "not":
            self._next = self._read()
            if not self._took("in"):
                self._fail("`in` is expected behind `not`", "Write $a not in [1, 2], or not $a == 1.")
            return "in", True, token.column
        if token.text == "in" or (token.kind == "sign" and token.text in ("==", "!=", "<", "<=", ">", ">=")):
            self._next = self._read()
            return token.text, False, token.column  # type: ignore[return-value]
        return None

    def _single(self) -> Expression:
        token = self._next
        if token.kind == "ref":
            made = Ref(token.text[1:], self._path(), token.column)
            self._next = self._read()
            return made
        if token.kind in ("number", "text"):
            self._next = self._read()
            return Constant(_number(token.text) if token.kind == "number" else _unquoted(token.text), token.column)
        if token.text in ("(", "["):
            return self._bracketed(token.text)
        return self._word(token)

    def _bracketed(self, opened: str) -> Expression:
        self._deeper()
        self._next = self._read()
        found = self._inside() if opened == "(" else self._items()
        self._depth -= 1
        return found

    def _inside(self) -> Expression:
        found = self._or()
        if not self._took(")"):
            self._fail("`)` is expected", "Close the bracket.")
        return found

    def _items(self) -> Expression:
        items: list[Expression] = []
        while not self._took("]"):
            items.append(self._single())
            if not self._took(",") and self._next.text != "]":
                self._fail("`,` or `]` is expected", "Write ['a', 'b'].")
        return ListOf(tuple(items))

    def _word(self, token: _Token) -> Expression:
        if token.kind == "word" and token.text in _CONSTANTS:
            self._next = self._read()
            return Constant(_CONSTANTS[token.text], token.column)
        if token.kind == "end":
            self._fail("it ends where a value is expected", "Write a reference, a text in quotes, or a number.")
        why, hint = f"{token.text!r} stands where a value is expected", "Write a reference, a text or a number."
        if token.text in ("True", "False", "None"):
            hint = "Write true, false or null."
        elif token.kind == "word":
            hint = f"A text stands in quotes, '{token.text}'; a node behind a {SIGN}, {SIGN}{token.text}."
        return self._fail(why, hint)

    def _path(self) -> tuple[str | int, ...]:
        """The steps behind a node's name; nothing may stand between them."""
        steps: list[str | int] = []
        while self._text[self._at : self._at + 1] in (".", "["):
            match = _STEP.match(self._text, self._at)
            if match is None:
                hint = "Write .member, [0] or ['a member'] behind it."
                self._fail_at(self._at + 1, "a member or a place is expected", hint)
            self._at = match.end()
            if match["place"] is not None:
                steps.append(int(match["place"]))
            else:
                steps.append(match["name"] if match["name"] is not None else _unquoted(match["quoted"]))
        return tuple(steps)

    def _took(self, text: str) -> bool:
        if self._next.text != text or self._next.kind not in ("word", "sign"):
            return False
        self._next = self._read()
        return True

    def _read(self) -> _Token:
        match = _TOKEN.match(self._text, self._at)
        if match is None:
            rest = self._text[self._at :]
            at = self._at + len(rest) - len(rest.lstrip())
            if not rest.strip():
                return _Token("end", "", at + 1)
            self._unread(at)
        self._at = match.end()
        kind = match.lastgroup or ""
        return _Token(kind, match[kind], match.start(kind) + 1)

    def _unread(self, at: int) -> NoReturn:
        found = self._text[at]
        hints = {"$": "Write $node, or $node.member.", "'": "Close the quote.", '"': "Close the quote."}
        doubled = self._text[at : at + 2]
        instead = _ELSEWHERE.get(doubled) or _ELSEWHERE.get(found)
        hint = f"Write {instead}." if instead else hints.get(found, "Use == != < <= > >= in, and, or, not.")
        self._fail_at(at + 1, f"{found!r} means nothing here", hint)

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > _DEEPEST:
            self._fail("it goes too deep", f"Use up to {_DEEPEST} brackets, and more in a PythonNode.")

    def _fail(self, why: str, hint: str) -> NoReturn:
        self._fail_at(self._next.column, why, hint)

    def _fail_at(self, column: int, why: str, hint: str) -> NoReturn:
        raise BadGraph(f"`{self._text}` at column {column}: {why}.", hint=hint, column=column)


def _number(text: str) -> int | float:
    try:
        return int(text)
    except ValueError:
        return float(text)


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[1]), text[1:-1], flags=re.DOTALL)
