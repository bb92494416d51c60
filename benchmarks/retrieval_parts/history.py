"""A real documentation through its releases: what a refresh embeds, and whether what it leaves is what a rebuild makes.

The texts are Django's documentation, out of its source distributions, which pip fetches once into `build/`. Ours knows a vector by what
was embedded; a refresh by document embeds each document that changed whole, as tools do that keep a hash a document.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
from contextlib import closing
from pathlib import Path, PurePosixPath

from perdure.assets.chunkers import ByStructure
from perdure.assets.embedders import WordLlama
from perdure.stores.vectors.manifest import manifest_digest
from perdure.stores.vectors.protocols import DocumentRow
from perdure.stores.vectors.sqlite import SqliteIndex
from perdure.surface.sdk import Perdure
from retrieval_parts import project
from retrieval_parts.report import Report

VERSIONS = ("3.2", "4.0", "4.1", "4.2", "5.0", "5.1", "5.2")
_CACHE = Path(__file__).parents[2] / "build" / "bench" / "django"


def compare(folder: Path, report: Report, *, quick: bool) -> None:
    """Each release after the other, and at the end a rebuild."""
    versions = VERSIONS[:3] if quick else VERSIONS
    report.heading(f"Django's documentation, {versions[0]} to {versions[-1]}")
    try:
        distributions = {version: _distribution(version) for version in versions}
    except (OSError, subprocess.SubprocessError) as why:
        report.tell(f"not measured: the source distributions cannot be fetched: {why}")
        return
    ours = _opened(folder / "ours")
    known: dict[str, DocumentRow] = {}
    n_ours, n_by_document = 0, 0
    for place, version in enumerate(distributions):
        _check_out(distributions[version], folder / "ours" / "docs")
        done = ours.sync_index(project.NAME, allow_deletion=True) if place else [ours.build_index(project.NAME)]
        rows = _documents(ours)
        changed = [row for id_, row in rows.items() if id_ not in known or known[id_].digest != row.digest]
        told = sum(row.n_chunks for row in changed)
        report.tell(
            f"{version}: {len(rows)} documents, {sum(row.n_chunks for row in rows.values())} chunks; {len(changed)} changed; "
            f"{done[0].n_embedded} texts embedded, by document {told}"
        )
        if place:
            n_ours, n_by_document = n_ours + done[0].n_embedded, n_by_document + told
        known = rows
    report.row("texts embedded over the releases after the first, against a refresh by document", n_ours, n_by_document, "texts")  # fmt: skip
    report.agree(same_as_rebuilt(folder, ours, _opened), "the index that followed is what a rebuild makes")


def same_as_rebuilt(folder: Path, ours: Perdure, opened: object) -> bool:
    """Whether an index is, row by row and vector by vector, the one that is built from the same files elsewhere."""
    shutil.copytree(folder / "ours" / "docs", folder / "anew" / "docs")
    anew: Perdure = opened(folder / "anew")  # type: ignore[operator]
    anew.build_index(project.NAME)
    return digest(ours) == digest(anew)


def digest(of: Perdure) -> str:
    """Of all that an index holds."""
    with closing(SqliteIndex(Path(of.show_index(project.NAME).file), read_only=True)) as store:
        return manifest_digest(store)


def _opened(root: Path) -> Perdure:
    return project.opened(root, embedder=WordLlama(), chunker=ByStructure(), suffix="txt")


def _documents(of: Perdure) -> dict[str, DocumentRow]:
    with closing(SqliteIndex(Path(of.show_index(project.NAME).file), read_only=True)) as store:
        return {row.id: row for row in store.documents()}


def _distribution(version: str) -> Path:
    """The source distribution of a release; fetched where it is not there yet."""
    _CACHE.mkdir(parents=True, exist_ok=True)
    found = [path for path in _CACHE.iterdir() if path.name.lower() == f"django-{version}.tar.gz"]
    if not found:
        command = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "-q",
            "--no-deps",
            "--no-binary",
            ":all:",
            "-d",
            str(_CACHE),
        ]
        subprocess.run([*command, f"Django=={version}"], check=True, timeout=600)
        found = [path for path in _CACHE.iterdir() if path.name.lower() == f"django-{version}.tar.gz"]
    return found[0]


def _check_out(distribution: Path, folder: Path) -> None:
    """Make a folder the documentation of a release, as a checkout does: what is the same is not written."""
    kept = set()
    with tarfile.open(distribution) as archive:
        for member in archive:
            parts = PurePosixPath(member.name).parts[1:]
            if not member.isfile() or parts[:1] != ("docs",) or not member.name.endswith(".txt") or ".." in parts:
                continue
            file = archive.extractfile(member)
            assert file is not None
            write(folder / Path(*parts[1:]), file.read())
            kept.add(folder / Path(*parts[1:]))
    remove_others(folder, kept)


def write(path: Path, data: bytes) -> None:
    """A file that says this; one that says it already is left."""
    if not path.exists() or path.read_bytes() != data:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def remove_others(folder: Path, kept: set[Path]) -> None:
    """Delete the files that are not among these."""
    for path in list(folder.rglob("*")):
        if path.is_file() and path not in kept:
            path.unlink()
