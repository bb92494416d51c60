"""Prompts as Markdown files: front matter in YAML, then messages under the headings `# system`, `# user`, `# assistant`.

`{% include "tone.md" %}` stands for the text of another file: relative to the file that includes, inside the prompts' folder.
Messages are told apart before anything is included, so a heading in an included file is text, and so is one in a fenced block.
What surprised us: YAML reads `no` as false and `2024-01-01` as a date, and takes the last of two equal keys; the last is an
error here, the others are found by the variable's type.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from perdure.assets.prompt_variants import Variant
from perdure.assets.yaml_text import NotYaml, load_yaml
from perdure.core.errors import BadPrompt, nearest

_KEYS = ("name", "route", "variables", "params", "output", "examples", "variants")
_OF_VARIANT = ("params",)
_WANTED: Mapping[str, tuple[type | tuple[type, ...], str]] = {
    "name": (str, "text"), "route": (str, "text"), "examples": ((str, list), "text, and no list of texts"),
}  # fmt: skip
_FRONT = re.compile(r"---[ \t]*\n(?P<front>.*?\n)?---[ \t]*(?:\n|\Z)", re.DOTALL)
_HEADING = re.compile(r"# (?P<role>system|user|assistant)[ \t]*")
_FENCE = re.compile(r" {0,3}(?P<fence>`{3,}|~{3,})")
_INCLUDE = re.compile(r"""\{%[-+]?\s*include\s+(?P<quote>["'])(?P<path>[^"'\n]+)(?P=quote)\s*[-+]?%\}""")
_MOST_BYTES = 1_000_000
"""Of a file, and of a message after its includes."""
_MOST_INCLUDES = 200
"""Of one prompt, those of included files among them."""
_PROJECT = "perdure.toml"


def located(path: str | Path) -> Path:
    """A path as a declaration means it: from the calling module, or the nearest folder above it that has it.

    Looked for up to the project's folder; where there is no such module, as in a notebook, it is relative to the current one.
    """
    given = Path(path)
    frame = inspect.currentframe()
    while frame is not None and frame.f_globals.get("__name__", "").startswith("perdure.assets."):
        frame = frame.f_back
    file = frame.f_globals.get("__file__") if frame is not None else None
    if given.is_absolute() or not file:
        return given
    for folder in Path(file).resolve().parents:
        if (folder / given).exists():
            return folder / given
        if (folder / _PROJECT).is_file():
            break
    return given


def prompt_files(folder: Path) -> list[Path]:
    """The Markdown files of a folder that are prompts.

    Raises:
        BadPrompt: there is no such folder.
    """
    if not folder.is_dir():
        raise BadPrompt(f"There is no folder {str(folder)!r} of prompts.", hint="Make it, or name another.")
    found = sorted(folder.rglob("*.md"))
    return [file for file in found if not any(part[0] in "_." for part in file.relative_to(folder).parts)]


def read_prompt(file: Path, folder: Path) -> dict[str, Any]:
    """A prompt's declaration: `name`, `messages` as pairs, and what its front matter says.

    Raises:
        BadPrompt: the file cannot be read; the message begins with file and line.
    """
    text = _text(file, file.name)
    match = _FRONT.match(text)
    if match is None:
        raise BadPrompt(
            f"{file.name}:1: there is no front matter.",
            hint=f"Begin with --- and route: NAME; a file to include is called _{file.name}.",
        )
    told = {"name": file.stem, **_front(match["front"] or "", file, _KEYS)}
    if "route" not in told:
        raise BadPrompt(f"{file.name}:1: the front matter names no route.", hint="Write route: NAME")
    return {**told, "messages": _messages(text, match.end(), file, folder)}


def read_variant(file: Path, folder: Path) -> Variant:
    """Messages for one model, from a file like a prompt's; its front matter, if it has any, says `params` and nothing else.

    Raises:
        BadPrompt: the file cannot be read; the message begins with file and line.
    """
    text = _text(file, file.name)
    match = _FRONT.match(text)
    told = {} if match is None else _front(match["front"] or "", file, _OF_VARIANT)
    return Variant(_messages(text, 0 if match is None else match.end(), file, folder), told.get("params", {}))


def _messages(text: str, begin: int, file: Path, folder: Path) -> list[tuple[str, str]]:
    include = _Includes(folder.resolve())
    sections = list(_sections(text[begin:], file, text[:begin].count("\n") + 1))
    return [(role, include.expanded(body, file.resolve(), ())) for role, body in sections]


def _text(file: Path, told: str) -> str:
    try:
        data = file.read_bytes()
        if len(data) <= _MOST_BYTES:
            return data.decode("utf-8-sig").replace("\r\n", "\n")
    except OSError as error:
        raise BadPrompt(f"{told} cannot be read: {error.strerror}.", hint="Check its name.") from error
    except UnicodeDecodeError as error:
        raise BadPrompt(f"{told} is no UTF-8.", hint="Save it as UTF-8.") from error
    raise BadPrompt(f"{told} has more than {_MOST_BYTES:,} bytes.", hint="Give what is long as a variable.")


def _front(text: str, file: Path, keys: Sequence[str]) -> dict[str, Any]:
    try:
        found = load_yaml(text) or {}
    except NotYaml as error:
        raise BadPrompt(f"{file.name}:{1 + error.line}: {error.problem}.", hint="Front matter is YAML.") from error
    if not isinstance(found, Mapping):
        raise BadPrompt(f"{file.name}:2: the front matter is no mapping.", hint="Write route: NAME, a key a line.")
    for key in found:
        if key not in keys:
            near = nearest(str(key), keys)
            raise BadPrompt(
                f"{file.name}: the front matter has {key!r}, which means nothing.",
                hint=f"Did you mean {near!r}?" if near else f"Use {', '.join(keys)}.",
            )
    for key, value in found.items():
        wanted, told = _WANTED.get(key, (Mapping, "mapping"))
        if not isinstance(value, wanted):
            raise BadPrompt(f"{file.name}: `{key}` in the front matter is no {told}.", hint=f"Write {key}: …")
    return dict(found)


def _sections(body: str, file: Path, first: int) -> Iterator[tuple[str, str]]:
    """Role and text of each section; a body without a heading is the user's one message."""
    role, lines, fence = "", [], ""
    for number, line in enumerate(body.split("\n"), first):
        opened = _FENCE.match(line)
        if opened is not None and (not fence or opened["fence"].startswith(fence)):
            fence = "" if fence else opened["fence"]
        heading = None if fence else _HEADING.fullmatch(line)
        if heading is None:
            lines.append(line)
            continue
        yield from _section(role, lines, file, number)
        role, lines = heading["role"], []
    if role or any(line.strip() for line in lines):
        yield from _section(role or "user", lines, file, first)


def _section(role: str, lines: list[str], file: Path, number: int) -> Iterator[tuple[str, str]]:
    text = "\n".join(lines).strip()
    if role and text:
        yield role, text
    elif role:
        raise BadPrompt(
            f"{file.name}:{number}: the section above, # {role}, is empty.", hint="Write it, or take it out."
        )
    elif text:
        raise BadPrompt(
            f"{file.name}:{number}: there is text before the first heading.",
            hint="Put it under # system, # user or # assistant.",
        )


class _Includes:
    """Puts files in the place of their includes, as text."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._n = 0

    def expanded(self, text: str, file: Path, within: tuple[Path, ...]) -> str:
        """The text with what it includes; `within` are the files on the way here.

        Raises:
            BadPrompt: a file outside of the folder, one that is not there, or one that includes itself.
        """
        parts, end, size = [], 0, 0
        for match in _INCLUDE.finditer(text):
            included = self._included(match["path"], file, within)
            parts += [text[end : match.start()], included]
            end, size = match.end(), size + len(included)
            if size > _MOST_BYTES:
                raise BadPrompt(f"{file.name} includes more than {_MOST_BYTES:,} characters.", hint="Include less.")
        return "".join([*parts, text[end:]])

    def _included(self, path: str, file: Path, within: tuple[Path, ...]) -> str:
        self._n += 1
        if self._n > _MOST_INCLUDES:
            raise BadPrompt(f"{file.name} is of more than {_MOST_INCLUDES} includes.", hint="Include less.")
        target = (file.parent / path).resolve()
        if Path(path).is_absolute() or not target.is_relative_to(self._folder):
            raise BadPrompt(
                f"{file.name} includes {path!r}, which is outside of the prompts' folder.",
                hint="Move it inside, and name it relative to this file.",
            )
        way = (*within, file)
        if target in way:
            told = " → ".join(each.name for each in (*way[way.index(target) :], target))
            raise BadPrompt(f"{file.name} includes itself: {told}.", hint="Break the circle.")
        if not target.is_file():
            near = nearest(target.name, [each.name for each in target.parent.glob("*.md")])
            raise BadPrompt(
                f"{file.name} includes {path!r}, which is not there.",
                hint=f"Did you mean {near!r}?" if near else "Paths are relative to the file that includes.",
            )
        return self.expanded(_text(target, path).rstrip("\n"), target, way)
