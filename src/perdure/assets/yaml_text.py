"""YAML as plain data, with the line of every part: what prompts' front matter and files of suites are read by.

An alias is refused, because a few lines of them can stand for gigabytes; so is a key that is there twice, of which YAML would
take the last. What surprised us: YAML 1.1 reads `no` as false, `12:30` as 750, `007` as 7 and `2024-01-01` as a date. Where answers
are compared with such words they must stay texts: `as_written` keeps all of them so. And libyaml's own composing of nodes, in C, ends
the process on ten thousand open brackets; so its events are put together here, one by one.
"""

from __future__ import annotations

import math
import re
from typing import Any

Path = tuple[str | int, ...]
_TAG = "tag:yaml.org,2002:"
_PLAIN = re.compile(
    r"(?P<null>|~|null|Null|NULL)|(?P<true>true|True|TRUE)|(?P<false>false|False|FALSE)|(?P<int>[-+]?(?:0|[1-9][0-9]*))"
    r"|(?P<float>[-+]?(?:0|[1-9][0-9]*)(?:\.[0-9]*)?(?:[eE][-+]?[0-9]+)?)"
)
"""What is read as something else than a text. Source: YAML 1.2.2, 10.3.2, without octal and leading zeros."""
_DEEPEST = 64
_LONGEST_INT = 400
"""Digits; Python takes its time with longer ones."""


class NotYaml(ValueError):
    """A text that is no YAML, or holds what is refused. `line` counts from 1."""

    def __init__(self, problem: str, line: int = 1) -> None:
        super().__init__(problem)
        self.problem = problem
        self.line = line


def load_yaml(text: str, *, as_written: bool = False) -> Any:
    """One YAML document of plain data; nothing in it is None.

    Args:
        text: the document.
        as_written: `no`, `12:30`, `007` and dates are texts.

    Raises:
        NotYaml: it cannot be read, has a key twice, or an alias.

    >>> load_yaml("answer: no"), load_yaml("answer: no", as_written=True)
    ({'answer': False}, {'answer': 'no'})
    """
    return load_lined(text, as_written=as_written)[0]


def load_lined(text: str, *, as_written: bool = False, depth: int = 4) -> tuple[Any, dict[Path, int]]:
    r"""The same with the line at which each part begins, down to `depth` levels.

    >>> load_lined("cases:\n- id: a\n- id: b")[1]["cases", 1]
    3

    Raises:
        NotYaml: it cannot be read, has a key twice, or an alias.

    Cost: some 15 µs a line.
    """
    import yaml

    built = _Built(as_written, depth)
    try:
        for event in yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
            built.take(event)
    except yaml.MarkedYAMLError as error:
        line = 1 if error.problem_mark is None else error.problem_mark.line + 1
        raise NotYaml(str(error.problem or "it is no YAML"), line) from error
    except yaml.YAMLError as error:
        raise NotYaml("it holds a character that YAML does not allow") from error
    return built.root, built.lines


class _Built:
    """A document put together from its events."""

    def __init__(self, as_written: bool, depth: int) -> None:
        import yaml

        self.root: Any = None
        self.lines: dict[Path, int] = {}
        self._as_written = as_written
        self._depth = depth
        self._resolver, self._constructor = yaml.resolver.Resolver(), yaml.constructor.SafeConstructor()
        self._open: list[list[Any] | dict[Any, Any]] = []
        self._path: list[Any] = []
        """Of each open one the key or place that comes next; `_NO_KEY` where a key is due."""
        self._pending: Any = None
        """A key whose value is due."""
        self._n_documents = 0

    def take(self, event: Any) -> None:
        """One event more.

        Raises:
            NotYaml: it stands for what is refused.
        """
        import yaml

        line = event.start_mark.line + 1
        if isinstance(event, yaml.ScalarEvent):
            self._put(self._scalar(event, line), line)
            self._go_on()
        elif isinstance(event, yaml.CollectionStartEvent):
            self._begin([] if isinstance(event, yaml.SequenceStartEvent) else {}, event.tag, line)
        elif isinstance(event, yaml.CollectionEndEvent):
            self._open.pop()
            self._path.pop()
            self._go_on()
        elif isinstance(event, yaml.AliasEvent):
            raise NotYaml(f"the alias *{event.anchor} stands here; write it out", line)
        elif isinstance(event, yaml.DocumentStartEvent):
            self._n_documents += 1
            if self._n_documents > 1:
                raise NotYaml("a second document begins here", line)

    def _begin(self, container: list[Any] | dict[Any, Any], tag: str | None, line: int) -> None:
        if tag not in (None, "!", f"{_TAG}seq", f"{_TAG}map"):
            raise NotYaml(f"the tag {tag} means nothing here", line)
        if len(self._open) == _DEEPEST:
            raise NotYaml("it is too deep", line)
        if self._path and self._path[-1] is _NO_KEY:
            raise NotYaml("a key must be a word", line)
        self._put(container, line)
        self._open.append(container)
        self._path.append(0 if isinstance(container, list) else _NO_KEY)

    def _put(self, value: Any, line: int) -> None:
        if not self._open:
            self.root = value
            self.lines[()] = line
            return
        within, key = self._open[-1], self._path[-1]
        if key is _NO_KEY:
            if value in within:
                raise NotYaml(f"{str(value)!r} is there twice", line)
            self._pending = value
            return
        if len(self._path) <= self._depth:
            self.lines[tuple(self._path)] = line
        if isinstance(within, list):
            within.append(value)
        else:
            within[key] = value

    def _go_on(self) -> None:
        """To the next place of a list; in a mapping from a key to its value, or to the next key."""
        if not self._open:
            return
        here = self._path[-1]
        if isinstance(self._open[-1], list):
            self._path[-1] = here + 1
        else:
            self._path[-1] = self._pending if here is _NO_KEY else _NO_KEY

    def _scalar(self, event: Any, line: int) -> Any:
        import yaml

        if event.tag is None and not event.implicit[0]:
            return event.value
        if self._as_written and event.tag is None:
            return _as_written(event.value, line)
        tag = event.tag
        if tag in (None, "!"):
            tag = self._resolver.resolve(yaml.ScalarNode, event.value, event.implicit)
        try:
            return self._constructor.construct_object(yaml.ScalarNode(tag, event.value, event.start_mark))
        except ValueError as error:
            raise NotYaml("a value means nothing", line) from error


class _NoKey:
    pass


_NO_KEY = _NoKey()


def _as_written(word: str, line: int) -> Any:
    found = _PLAIN.fullmatch(word)
    if found is None:
        return word
    if found.lastgroup == "int":
        if len(word) > _LONGEST_INT:
            raise NotYaml("a number has too many digits", line)
        return int(word)
    if found.lastgroup == "float":
        if math.isinf(float(word)):
            raise NotYaml("a number is too large", line)
        return float(word)
    return {"true": True, "false": False}.get(str(found.lastgroup))
