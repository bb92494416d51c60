"""Reads a corpus that cases are made from: the text and Markdown files of a folder, or files by name, cut into passages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from perdure.core.errors import BadRequest, NotFound
from perdure.engines.evals.passages import passages_of

MARKDOWN = (".md", ".markdown", ".mdx")
TEXT = (".txt", ".text")


@dataclass(frozen=True, slots=True)
class Passage:
    """A passage of a corpus, with where it stands."""

    file: str
    """Below the folder that was named, with that folder's name: `handbook/returns.md`; never a path of this machine."""
    start: int
    """In characters."""
    end: int
    text: str

    @property
    def place(self) -> str:
        """`handbook/returns.md:120-940`."""
        return f"{self.file}:{self.start}-{self.end}"


def read_corpus(paths: Sequence[str | Path]) -> list[Passage]:
    """The passages of all files, each text once, in order of the files' names.

    Args:
        paths: folders, of which `.md`, `.markdown`, `.mdx`, `.txt` and `.text` are read but for what is hidden; or files.

    Raises:
        NotFound: there is no such file or folder, or a folder holds none of text.
        BadRequest: a file is no UTF-8.
    """
    found: dict[str, Passage] = {}
    for path in map(Path, paths):
        for file, name in _files(path):
            for span in passages_of(_text(file, name), markdown=file.suffix.lower() in MARKDOWN):
                found.setdefault(span.text, Passage(name, span.start, span.end, span.text))
    return list(found.values())


def _files(path: Path) -> Iterable[tuple[Path, str]]:
    if path.is_file():
        return [(path, path.name)]
    if not path.is_dir():
        raise NotFound(f"There is no corpus {path.name!r}.", hint="Name a folder, or files of text or Markdown.")
    inside = sorted(each for each in path.rglob("*") if each.suffix.lower() in MARKDOWN + TEXT and each.is_file())
    told = [(each, each.relative_to(path)) for each in inside]
    shown = [(each, name) for each, name in told if not any(part.startswith(".") for part in name.parts)]
    if not shown:
        raise NotFound(
            f"The folder {path.name!r} holds no text.", hint=f"Files that are read: {', '.join(MARKDOWN + TEXT)}."
        )
    top = path.resolve().name
    return [(each, f"{top}/{name.as_posix()}") for each, name in shown]


def _text(file: Path, name: str) -> str:
    try:
        return file.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
    except (OSError, UnicodeDecodeError) as error:
        raise BadRequest(f"{name} cannot be read as UTF-8 text.", hint="Save it as UTF-8, or leave it out.") from error
