"""The peers, each in a process and an environment of its own that is installed once; both sides talk lines of JSON."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from gateway_parts.serving import Skipped, python_with

_HERE = Path(__file__).parent


class Peer:
    """A process of a peer's tool.

    Args:
        stack: ends it.
        name: as it is printed.
        python: interpreter of its environment.
        script: of this folder.
        arguments: of the script.
    """

    def __init__(self, stack: ExitStack, name: str, python: Path, script: str, *arguments: Path) -> None:
        self.name = name
        command = [str(python), str(_HERE / script), *map(str, arguments)]
        self._errors = arguments[-1].with_suffix(".err")
        errors = stack.enter_context(self._errors.open("wb"))
        environment = {**os.environ, "PYTHONPATH": str(_HERE)}
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, env=environment, text=True
        )
        stack.callback(self._end)

    def ask(self, verb: str, **facts: Any) -> Any:
        """What it answers.

        Raises:
            Skipped: it ended, or says something else.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps({"do": verb, **facts}) + "\n")
            self._process.stdin.flush()
            return json.loads(self._process.stdout.readline())
        except (OSError, ValueError) as error:
            told = self._errors.read_text()[-400:]
            raise Skipped(f"it does not answer: {error}; {told!r}") from error

    def update(self) -> Mapping[str, float]:
        """Bring its index up to date: `cpu_s`, `n_embedded`."""
        told: Mapping[str, float] = self.ask("update")
        return told

    def _end(self) -> None:
        self._process.terminate()
        self._process.wait()


def cocoindex(stack: ExitStack, root: Path) -> Peer:
    """CocoIndex over `root/docs`; its rows are the table `chunks` of `root/cocoindex.db`."""
    python = python_with("cocoindex", "cocoindex>=1.0.26,<2", "numpy", "sqlite-vec")
    return Peer(stack, "CocoIndex", python, "cocoindex_peer.py", root / "docs", root / "cocoindex", root / "cocoindex.db")  # fmt: skip


def langchain(stack: ExitStack, root: Path) -> Peer:
    """LangChain's indexer over `root/docs`, with its store and its record in memory."""
    python = python_with("langchain-index", "langchain-core>=1.7,<2", "numpy")
    return Peer(stack, "LangChain's indexer", python, "langchain_peer.py", root / "docs", root / "langchain")


PEERS: Mapping[str, Callable[[ExitStack, Path], Peer]] = {"cocoindex": cocoindex, "langchain": langchain}


def started(stack: ExitStack, root: Path, names: list[str]) -> list[Peer]:
    """Those of the peers that run here; of the others the reason is printed."""
    found = []
    for name in names:
        try:
            found.append(PEERS[name](stack, root))
        except Skipped as why:
            print(f"{name} is skipped: {why}", file=sys.stderr)
    return found
