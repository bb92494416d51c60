"""Asks git about a repository on this machine: its trees, blobs and when they changed. Nothing is checked out or fetched.

What surprised us: a repository's own settings can name programs that git runs (a fetch of what a partial clone lacks, signatures, diffs),
and replaced objects give other bytes than the id they are asked by. So every call forbids what it does not need.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from perdure.core.errors import StoreError

_OPTIONS = (
    "--no-optional-locks", "--no-replace-objects", "--literal-pathspecs", "-c", "safe.directory=*", "-c", "core.fsmonitor=false",
    "-c", "core.hooksPath=/dev/null", "-c", "log.showSignature=false", "-c", "core.quotePath=false",
)  # fmt: skip
_ENVIRONMENT = {
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_ALLOW_PROTOCOL": "",
    "LC_ALL": "C.UTF-8",
}
_ANSWERS_S = 60.0
_FILES = frozenset({b"100644", b"100755", b"100664"})


@dataclass(frozen=True, slots=True)
class Blob:
    """A file of a commit."""

    id: str
    n_bytes: int


class GitCommands:
    """Git over one repository. Safe to use from several threads: each call is processes of its own.

    Args:
        path: of the repository, bare or not, or of a folder in one.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def commit(self, ref: str) -> str:
        """Id of the commit that a ref is now. Cost: a process, some 3 ms CPU.

        Raises:
            StoreError: no repository, or no such ref.
        """
        return self._run("rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}").decode().strip()

    def folders(self) -> tuple[Path, Path]:
        """Where the repository keeps its HEAD, and its other refs: two places of a linked work tree.

        Raises: StoreError, as `commit`.
        """
        own, common = self._run("rev-parse", "--git-dir", "--git-common-dir").splitlines()
        return (self._path / os.fsdecode(own)).resolve(), (self._path / os.fsdecode(common)).resolve()

    def files(self, commit: str) -> list[tuple[str, Blob]]:
        """Path and blob of each file; links and submodules are none. Cost: some 5 ms CPU and 2 µs a file.

        Raises: StoreError, as `commit`.
        """
        told = self._run("ls-tree", "-r", "-z", "--full-tree", "--long", "--end-of-options", commit)
        found = []
        for line in told.split(b"\0")[:-1]:
            about, _, path = line.partition(b"\t")
            mode, _, blob, n_bytes = about.split()
            if mode in _FILES:
                found.append((os.fsdecode(path), Blob(blob.decode(), int(n_bytes) if n_bytes.isdigit() else 0)))
        return found

    def read(self, blobs: Sequence[str]) -> Iterator[bytes | None]:
        """Bytes of blobs, in order, one at a time in memory; None: the repository lacks it, as a partial clone may.

        Raises: StoreError, as `commit`; git ended before it was through.
        """
        process = self._start("cat-file", "--batch")
        asking, answering = process.stdin, process.stdout
        assert asking is not None
        assert answering is not None
        try:
            for blob in blobs:
                asking.write(blob.encode() + b"\n")
                asking.flush()
                yield self._answer(answering)
        except BrokenPipeError:
            raise self._broken() from None
        finally:
            process.kill()
            with suppress(BrokenPipeError):
                asking.close()
            answering.close()
            process.wait()

    def _answer(self, answering: IO[bytes]) -> bytes | None:
        header = answering.readline().split()
        if header[-1:] == [b"missing"]:
            return None
        n_bytes = int(header[2]) if len(header) == 3 else -1
        data = answering.read(n_bytes + 1)
        if len(data) != n_bytes + 1 or n_bytes < 0:
            raise self._broken()
        return data[:-1]

    def changes(self, commit: str, most: int) -> list[tuple[int, list[str]]]:
        """When commits came to a branch, in seconds since 1970, and the files that each changed there; newest first.

        What a merge brought changed when it was merged.

        Args:
            commit: to begin with.
            most: commits.

        Raises: StoreError, as `commit`.
        """
        told = self._run(
            "log", "-z", "--first-parent", "--diff-merges=first-parent", "--name-only", "--no-renames", "--no-ext-diff",
            "--no-textconv", "--no-color", "--no-show-signature", "--format=%x01%ct", f"--max-count={most}", "--end-of-options", commit,
        )  # fmt: skip
        found: list[tuple[int, list[str]]] = []
        for each in told.split(b"\0"):
            name = each.removeprefix(b"\n")
            if each[:1] == b"\x01" and each[1:].isdigit():
                found.append((int(each[1:]), []))
            elif name and found:
                found[-1][1].append(os.fsdecode(name))
        return found

    def _run(self, *arguments: str) -> bytes:
        try:
            done = subprocess.run(
                self._command(arguments), env=_environment(os.environ), stdin=subprocess.DEVNULL, capture_output=True,
                timeout=_ANSWERS_S, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise StoreError(
                f"Git did not answer about {self._path} within {_ANSWERS_S:g} s.", path=str(self._path)
            ) from None
        if done.returncode:
            raise self._failed(arguments, done.stderr)
        return done.stdout

    def _start(self, *arguments: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self._command(arguments), env=_environment(os.environ), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def _command(self, arguments: Sequence[str]) -> list[str]:
        program = shutil.which("git")
        if program is None:
            raise StoreError("There is no git on this machine.", hint="Install git: it is asked about repositories.")
        if not self._path.is_dir():
            raise StoreError(f"The repository {self._path} is not there.", path=str(self._path))
        return [program, "-C", str(self._path), *_OPTIONS, *arguments]

    def _failed(self, arguments: Sequence[str], told: bytes) -> StoreError:
        why = told.decode(errors="replace").strip().splitlines()
        if arguments[0] == "rev-parse" and not why:
            ref = arguments[-1].removesuffix("^{commit}")
            return StoreError(
                f"The repository {self._path} has no commit {ref!r}.", hint="Name a branch, tag or commit."
            )
        return StoreError(
            f"Git cannot read the repository {self._path}: {why[-1] if why else 'it says nothing'}.",
            path=str(self._path),
        )

    def _broken(self) -> StoreError:
        return StoreError(f"Git ended while it read the repository {self._path}.", hint="Try `git fsck` there.")


def _environment(given: Mapping[str, str]) -> dict[str, str]:
    """Without what would lead git to another repository, or have it trace or page."""
    return {name: value for name, value in given.items() if not name.startswith("GIT_")} | _ENVIRONMENT
