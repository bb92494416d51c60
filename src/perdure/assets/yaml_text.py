"""YAML as plain data, with the line of every part: what prompts' front matter and files of suites are read by.

An alias is refused, because a few lines of them can stand for gigabytes; so is a key that is there twice, of which YAML would
take the last. What surprised us: YAML 1.1 reads `no` as false, `12:30` as 750, `007` as 7 and `2024-01-01` as a date. Where answers
are compared with such words they must stay texts: `as_written` keeps all of them so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

Path = tuple[str | int, ...]
_TAG = "tag:yaml.org,2002:"
_AS_WRITTEN = {
    "bool": re.compile(r"true|True|TRUE|false|False|FALSE"),
    "int": re.compile(r"[-+]?(?:0|[1-9][0-9]*)"),
    "float": re.compile(r"[-+]?(?:0|[1-9][0-9]*)\.[0-9]+(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"),
}
"""What of a kind is read as that kind; everything else that YAML 1.1 takes for it is a text. Source: YAML 1.2.2, 10.3.2."""


class NotYaml(ValueError):
    """A text that is no YAML, or holds what is refused. `line` counts from 1; None: not known."""

    def __init__(self, problem: str, line: int | None = None) -> None:
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

    Cost: some 10 µs a line.
    """
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        node = yaml.compose(text, Loader=loader)
        if node is None:
            return None, {}
        _check(node, set())
        if as_written:
            _keep_words(node)
        lines = dict(_lines(node, (), depth))
        return yaml.constructor.SafeConstructor().construct_document(node), lines
    except yaml.MarkedYAMLError as error:
        line = None if error.problem_mark is None else error.problem_mark.line + 1
        raise NotYaml(str(error.problem or "it is no YAML"), line) from error
    except yaml.YAMLError as error:
        raise NotYaml("it holds a character that YAML does not allow") from error
    except RecursionError as error:
        raise NotYaml("it is too deep") from error
    except ValueError as error:
        raise error if isinstance(error, NotYaml) else NotYaml("it holds a value that means nothing") from error


def _check(node: Any, seen: set[int]) -> None:
    """Refuse an alias, and a mapping that has a key twice, at any depth."""
    import yaml

    line = node.start_mark.line + 1
    if id(node) in seen:
        raise NotYaml("an alias stands for this; write it out again", line)
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        keys = set()
        for key, value in node.value:
            name = (key.tag, str(key.value))
            if name in keys:
                raise NotYaml(f"{name[1]!r} is there twice", key.start_mark.line + 1)
            keys.add(name)
            _check(key, seen)
            _check(value, seen)
    elif isinstance(node, yaml.SequenceNode):
        for each in node.value:
            _check(each, seen)


def _keep_words(node: Any) -> None:
    """Make texts of what only YAML 1.1 takes for something else."""
    import yaml

    if isinstance(node, yaml.ScalarNode):
        kind = node.tag.removeprefix(_TAG)
        pattern = _AS_WRITTEN.get(kind)
        if kind == "timestamp" or (pattern is not None and not pattern.fullmatch(node.value)):
            node.tag = f"{_TAG}str"
        return
    for each in node.value:
        for part in each if isinstance(each, tuple) else (each,):
            _keep_words(part)


def _lines(node: Any, path: Path, depth: int) -> Iterator[tuple[Path, int]]:
    import yaml

    yield path, node.start_mark.line + 1
    if depth == 0 or isinstance(node, yaml.ScalarNode):
        return
    named = isinstance(node, yaml.MappingNode)
    for place, each in enumerate(node.value):
        key, value = (each[0].value, each[1]) if named else (place, each)
        if isinstance(key, str | int):
            yield from _lines(value, (*path, key), depth - 1)
