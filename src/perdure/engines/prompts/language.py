"""What a template may hold: variables, filters and tests of a list, conditions, loops. Nothing is called, nothing is set.

Jinja's sandbox alone leaves much to a hostile template: `{{ "x" * 10**10 }}`, methods of texts, addresses of objects in print.
So a template is parsed, and refused unless each of its nodes is known here; what is left is compiled in that sandbox, with
member access that reaches the items of lists and objects and nothing else of Python. A loop counts against what one rendering may
do, and filters that could make much of little look at the size first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from jinja2 import StrictUndefined, TemplateError, Undefined, nodes, pass_context
from jinja2.filters import FILTERS
from jinja2.runtime import Context, LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.tests import TESTS
from jinja2.visitor import NodeTransformer

from perdure.core.errors import BadPrompt, nearest

LEFT = "_left"
"""Under this name a rendering's context has what its loops may still do; no template can name it."""
MOST_CHARS = 1_000_000
"""Of one rendering, all its messages together."""
MOST_ROUNDS = 10_000
"""Of all loops of one rendering together."""
_EACH, _TEXT = "_each", "_text"
_OF_LOOP = frozenset({"index", "index0", "revindex", "revindex0", "first", "last", "length", "depth", "depth0"})
_FILTERS = (
    "abs", "capitalize", "count", "default", "dictsort", "first", "float", "int", "last", "length", "list", "lower", "max", "min",
    "reverse", "sort", "title", "trim", "truncate", "unique", "upper", "wordcount",
)  # fmt: skip
_TESTS = (
    "boolean", "defined", "divisibleby", "eq", "even", "false", "float", "ge", "gt", "in", "integer", "le", "lower", "lt",
    "mapping", "ne", "none", "number", "odd", "sequence", "string", "true", "undefined", "upper",
)  # fmt: skip
_NODES: tuple[type[nodes.Node], ...] = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.If, nodes.For, nodes.Name, nodes.Const, nodes.Getattr,
    nodes.Getitem, nodes.Filter, nodes.Test, nodes.Keyword, nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not,
    nodes.CondExpr, nodes.Concat, nodes.Add, nodes.Sub, nodes.Div, nodes.FloorDiv, nodes.Neg, nodes.Pos, nodes.Tuple,
    nodes.List, nodes.Dict, nodes.Pair, nodes.Slice,
)  # fmt: skip
_HIDDEN = frozenset({"self", "super", "caller", "varargs", "kwargs"})
"""Names that mean something of Jinja's own."""
_to_json = msgspec.json.Encoder(order="deterministic").encode
_ATOMS = (int, float)


class Unrenderable(TemplateError):
    """What a template met while it was rendered; the message holds no value."""


class _Environment(ImmutableSandboxedEnvironment):
    """Members of objects and items of lists, of which there is nothing else to reach."""

    def getattr(self, obj: Any, attribute: str) -> Any:
        """A member of an object, or what a loop knows of itself."""
        if isinstance(obj, dict) and attribute in obj:
            return obj[attribute]
        if isinstance(obj, LoopContext) and attribute in _OF_LOOP:
            return getattr(obj, attribute)
        if isinstance(obj, Undefined):
            return obj
        return self.undefined(obj=obj, name=attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """A member by its name, an item by its place, a part of a text."""
        if isinstance(obj, Undefined):
            return obj
        try:
            if isinstance(obj, dict | list | tuple | str):
                return obj[argument]
        except (LookupError, TypeError, ValueError):
            pass
        return self.undefined(obj=obj, name="[…]")  # a name that was computed may hold a value


def printed(value: Any) -> Any:
    """How a value stands in a text: null as nothing; lists, objects and true or false as JSON."""
    if type(value) is str or isinstance(value, str | Undefined):
        return value
    if value is None:
        return ""
    if isinstance(value, bool | list | dict | tuple):
        return _json(value)
    if isinstance(value, _ATOMS):
        return value
    raise Unrenderable("A template prints what is no value.")


def _json(value: Any, indent: int = 0) -> str:
    try:
        data = _to_json(value)
        return (msgspec.json.format(data, indent=min(int(indent), 8)) if indent else data).decode()
    except (TypeError, ValueError, RecursionError) as error:
        raise Unrenderable("A template prints as JSON what is none.") from error


@pass_context
def _each(context: Context, items: Any) -> Any:
    """What a loop goes through, counted before it does."""
    left = context.parent[LEFT]
    left[0] -= len(items)
    if left[0] < 0:
        raise Unrenderable(f"The loops of a prompt go on for more than {MOST_ROUNDS:,} rounds.")
    return items


def bounded(size: int) -> None:
    """Refuse a text that is longer than one rendering may be."""
    if size > MOST_CHARS:
        raise Unrenderable(f"A prompt comes to more than {MOST_CHARS:,} characters.")


def _join(items: Any, by: str = "") -> str:
    parts = [_text(each) for each in items]
    bounded(sum(map(len, parts)) + len(by) * len(parts))
    return by.join(parts)


def _replace(text: str, old: str, new: str) -> str:
    if old:
        bounded(len(text) + text.count(old) * max(len(new) - len(old), 0))
        return text.replace(old, new)
    return text


def _indent(text: str, width: int = 4, first: bool = False) -> str:
    bounded(len(text) + (text.count("\n") + 1) * width)
    lead = " " * width
    told = text.replace("\n", f"\n{lead}")
    return lead + told if first else told


def _round(value: float, digits: int = 0) -> float:
    return round(value, max(-15, min(int(digits), 15)))  # 10 to a caller's power can take for ever


def _text(value: Any) -> str:
    return str(printed(value))


def _items(value: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return list(value.items())


def _as_list(function: Callable[..., Any]) -> Callable[..., Any]:
    """A filter of Jinja's that gives a generator, made to give a list, whose length is known."""

    def whole(*given: Any, **named: Any) -> Any:
        found = function(*given, **named)
        return found if isinstance(found, str) else list(found)

    for flag in ("jinja_pass_arg",):
        if hasattr(function, flag):
            setattr(whole, flag, getattr(function, flag))
    return whole


def _environment() -> _Environment:
    made = _Environment(
        undefined=StrictUndefined,
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=printed,
        cache_size=0,
        auto_reload=False,
    )
    made.globals.clear()
    own = {
        "join": _join, "replace": _replace, "indent": _indent, "round": _round, "items": _items, "tojson": _json,
        "string": _text, _EACH: _each, _TEXT: _text,
    }  # fmt: skip
    lists = {name: _as_list(FILTERS[name]) for name in ("reverse", "unique")}
    made.filters = {**{name: FILTERS[name] for name in _FILTERS}, **lists, **own}
    made.tests = {name: TESTS[name] for name in _TESTS}
    return made


ENVIRONMENT = _environment()


def parse(text: str, where: str) -> nodes.Template:
    """A template's tree, once it is known to hold nothing but what a prompt may.

    Args:
        text: the template.
        where: names it in errors.

    Raises:
        BadPrompt: it cannot be read, or holds what is not known here; the message ends with the line.
    """
    try:
        tree = ENVIRONMENT.parse(text)
        _check(tree, where)
    except (TemplateError, RecursionError) as error:
        line, why = getattr(error, "lineno", None) or 1, getattr(error, "message", None) or "too deep."
        raise BadPrompt(f"{where} cannot be read: {why} (line {line})", hint="Templates are Jinja's.") from error
    return tree


def code_of(tree: nodes.Template, where: str) -> Any:
    """What a checked tree is compiled to, its loops counted.

    Raises:
        BadPrompt: it is deeper than Python can compile.
    """
    try:
        return ENVIRONMENT.compile(_Watched().visit(tree))
    except (TemplateError, RecursionError, SyntaxError, MemoryError) as error:
        raise BadPrompt(f"{where} is too deep.", hint="Write it flatter.") from error


class _Watched(NodeTransformer):
    """Sends what each loop goes through past `_each`, and what is put together past `_text`."""

    def visit_For(self, node: nodes.For) -> nodes.For:  # noqa: N802 - Jinja's word
        self.generic_visit(node)
        node.iter = _filtered(node.iter, _EACH)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Concat:  # noqa: N802 - Jinja's word
        self.generic_visit(node)
        node.nodes = [_filtered(each, _TEXT) for each in node.nodes]
        return node


def _filtered(node: Any, name: str) -> nodes.Filter:
    return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno, environment=ENVIRONMENT)


def _check(node: nodes.Node, where: str) -> None:
    """Refuse what no prompt may hold."""
    if not isinstance(node, _NODES):
        raise BadPrompt(
            f"{where} holds {_words(node)} (line {node.lineno}).",
            hint="A prompt has variables, filters, if and for; nothing is called or set, `include` stands alone in a file.",
        )
    if isinstance(node, nodes.Filter):
        _known(node, "filter", node.name, ENVIRONMENT.filters, where)
    elif isinstance(node, nodes.Test):
        _known(node, "test", node.name, ENVIRONMENT.tests, where)
    elif isinstance(node, nodes.For) and node.recursive:
        raise BadPrompt(f"{where} has a loop that goes into itself (line {node.lineno}).", hint="Write it flat.")
    name = _named(node)
    if name.startswith("_") or (isinstance(node, nodes.Name) and name in _HIDDEN):
        raise BadPrompt(
            f"{where} names {name!r}, which is private (line {node.lineno}).", hint="Use a variable of the prompt."
        )
    for child in node.iter_child_nodes():
        _check(child, where)


def _named(node: nodes.Node) -> str:
    if isinstance(node, nodes.Name):
        return node.name
    if isinstance(node, nodes.Getattr):
        return node.attr
    key = node.arg if isinstance(node, nodes.Getitem) else None
    return key.value if isinstance(key, nodes.Const) and isinstance(key.value, str) else ""


def _known(node: nodes.Node, what: str, name: str, known: Mapping[str, Any], where: str) -> None:
    if name not in known or name.startswith("_"):
        names = [each for each in known if not each.startswith("_")]
        near = nearest(name, names)
        raise BadPrompt(
            f"{where} uses the {what} {name!r}, which prompts do not have (line {node.lineno}).",
            hint=f"Did you mean {near!r}?" if near else f"Use one of {', '.join(sorted(names))}.",
        )


_WORDS: Mapping[type[nodes.Node], str] = {
    nodes.Call: "a call", nodes.Assign: "a set", nodes.AssignBlock: "a set", nodes.Include: "an include",
    nodes.Import: "an import", nodes.FromImport: "an import", nodes.Extends: "an extends", nodes.Macro: "a macro",
    nodes.Mul: "a multiplication", nodes.Pow: "a power", nodes.Mod: "a remainder or a format",
}  # fmt: skip


def _words(node: nodes.Node) -> str:
    return _WORDS.get(type(node), f"a {type(node).__name__.lower()}")
