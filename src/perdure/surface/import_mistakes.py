"""Tells what went wrong while a project's package was imported: file, line, what to write instead.

Called by `surface.project` with whatever the import raised. The place is the innermost line inside
the project's folder: deeper frames are perdure's or a library's, and not what the user wrote.
An error of perdure keeps its type and gets its place; any other becomes a `BadProject`.
"""

from __future__ import annotations

import inspect
import re
import sys
import traceback
from pathlib import Path

import perdure
from perdure.core.errors import BadProject, PerdureError, nearest

_PLACED = re.compile(r"[^\s:]+\.py:\d+: ")
_CANNOT_IMPORT = re.compile(
    r"cannot import name '(?P<name>\w+)' from (?P<partial>partially initialized module )?'(?P<module>[\w.]+)'"
)
_UNKNOWN_SETTING = re.compile(r"(?P<owner>\w+)(?:\.__init__)?\(\) got an unexpected keyword argument '(?P<name>\w+)'.*")
_WHERE_FROM = re.compile(r" \([^)]*\)")


def belongs_to(folder: Path, file: str | None) -> bool:
    """Whether a source file is part of the project in `folder`, and not of libraries kept inside it."""
    if file is None:
        return False
    path = Path(file)
    return path.is_relative_to(folder) and "site-packages" not in path.relative_to(folder).parts


def locate(error: PerdureError, folder: Path) -> None:
    """Lead the message of an error of perdure by its place, unless it names one of its own."""
    file, line = _place(error, folder)
    error.message = error.message.replace(f"{folder}/", "")
    if not file:
        return
    error.facts = {"file": file, "line": line, **error.facts}
    if not _PLACED.match(error.message):
        error.message = f"{file}:{line}: {error.message}"


def tell(error: BaseException, folder: Path, package: str) -> BadProject:
    """The error to raise for one that is not perdure's, with the place in the project and a hint."""
    file, line = _place(error, folder)
    message, hint = _message(error, folder, package)
    if not file:
        return BadProject(message, hint=hint)
    return BadProject(f"{file}:{line}: {message}", hint=hint, file=file, line=line)


def _place(error: BaseException, folder: Path) -> tuple[str, int]:
    if isinstance(error, SyntaxError) and belongs_to(folder, error.filename):
        return _relative(str(error.filename), folder), error.lineno or 1
    found = ("", 0)
    for frame in traceback.extract_tb(error.__traceback__):
        if belongs_to(folder, frame.filename):
            found = (_relative(frame.filename, folder), frame.lineno or 1)
    return found


def _relative(file: str, folder: Path) -> str:
    return str(Path(file).relative_to(folder))


def _message(error: BaseException, folder: Path, package: str) -> tuple[str, str]:
    if isinstance(error, SyntaxError):
        code = (error.text or "").strip()
        return f"{error.msg}: {code}" if code else f"{error.msg}.", "Correct the line."
    if isinstance(error, ModuleNotFoundError) and error.name:
        return _missing_module(error.name, folder, package)
    if isinstance(error, ImportError):
        return f"{_WHERE_FROM.sub('', str(error))}.", _import_hint(str(error))
    if isinstance(error, NameError) and error.name:
        return f"The name {error.name!r} is not defined.", _name_hint(error.name)
    if isinstance(error, AttributeError) and error.name:
        near = nearest(error.name, dir(error.obj))
        return f"{error}.", f"Did you mean {near!r}?" if near else ""
    unknown = _UNKNOWN_SETTING.fullmatch(str(error)) if isinstance(error, TypeError) else None
    if unknown is not None and unknown["owner"] in perdure.__all__:
        return _unknown_setting(unknown["owner"], unknown["name"])
    if isinstance(error, SystemExit):
        return "The program ends itself when it is imported.", 'Put what runs under `if __name__ == "__main__":`.'
    first_line = str(error).partition("\n")[0]
    return (
        f"{type(error).__name__}: {first_line}",
        f"It fails whenever it is imported; try: python -c 'import {package}'",
    )


def _unknown_setting(owner: str, name: str) -> tuple[str, str]:
    """What a declaration was given and does not take."""
    takes = [each for each in inspect.signature(getattr(perdure, owner)).parameters if not each.startswith("_")]
    near = nearest(name, takes)
    return f"{owner} takes no {name!r}.", f"Did you mean {near!r}?" if near else f"It takes {', '.join(takes)}."


def _missing_module(name: str, folder: Path, package: str) -> tuple[str, str]:
    message = f"There is no module {name!r}."
    parent, _, leaf = name.rpartition(".")
    near = nearest(leaf, _modules_in(folder / Path(*parent.split(".")) if parent else folder))
    if near is not None:
        return message, f"Did you mean {f'{parent}.{near}' if parent else near!r}?"
    if name.split(".", maxsplit=1)[0] == package.split(".", maxsplit=1)[0]:
        return message, f"Add the file {name.replace('.', '/')}.py, or remove the import."
    return message, f"Install it where perdure is installed: pip install {name.split('.', maxsplit=1)[0]}"


def _modules_in(folder: Path) -> list[str]:
    if not folder.is_dir():
        return []
    return [each.stem for each in folder.iterdir() if each.suffix == ".py" or (each / "__init__.py").is_file()]


def _import_hint(text: str) -> str:
    match = _CANNOT_IMPORT.search(text)
    if match is None:
        return ""
    if match["partial"]:
        return "Two modules import each other: move what both need into a third."
    near = nearest(match["name"], dir(sys.modules.get(match["module"])))
    return f"Did you mean {near!r}?" if near else ""


def _name_hint(name: str) -> str:
    if name in perdure.__all__:
        return f"Write: from perdure import {name}"
    near = nearest(name, perdure.__all__)
    return f"Define it, or did you mean {near!r} of perdure?" if near else "Define or import it above this line."
