"""How soon a change is found by who asks the server, and whether searches go on while an index is built anew.

`perdure up` runs as it is: it follows the folder, serves, and is asked over HTTP with a team's key. A change is a file that is written,
changed or deleted; the time runs from then until an answer says so.
"""

from __future__ import annotations

import http.client
import json
import statistics
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from gateway_parts.serving import Skipped, free_port, started
from perdure.core.clock import monotonic_s, sleep_s
from retrieval_parts import project
from retrieval_parts.report import Report

_BAR_S = 1.0
_LONGEST_S = 30.0
_SETTINGS = '[project]\nname = "bench"\npackage = "bench"\n'
_DECLARED = """from perdure import ByStructure, Folder, Index, Team, WordLlama

handbook = Index("bench", Folder("docs", include=["**/*.md"]), embedder=WordLlama(), chunker=ByStructure(tokens=300, least=0))
team = Team("team", routes=("*",))
"""


@dataclass(frozen=True)
class _Server:
    """Where it answers, and to whom."""

    port: int
    secret: str

    def found(self, question: str) -> set[str]:
        """Documents that are found.

        Raises:
            RuntimeError: it does not answer 200.
        """
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        body = json.dumps({"query": question, "k": 5})
        headers = {"authorization": f"Bearer {self.secret}", "content-type": "application/json"}
        connection.request("POST", "/v1/indexes/bench/search", body, headers)
        answer = connection.getresponse()
        told = answer.read()
        connection.close()
        if answer.status != 200:
            raise RuntimeError(f"The server answers {answer.status}: {told[:300]!r}")
        return {hit["document"] for hit in json.loads(told)["hits"]}


def compare(folder: Path, report: Report, *, quick: bool) -> None:
    """Changes, one after another, then a build anew beside what is served."""
    n_files, n_changes = (100, 3) if quick else (2_000, 15)
    report.heading(f"changes of a folder of {n_files} files, as who asks the server sees them")
    (folder / "docs").mkdir()
    (folder / "docs" / "anchor.md").write_text("# Anchor\n\nThe kakapo stays where it is.\n")
    project.write_documents(folder / "docs", n_files)
    with ExitStack() as stack:
        try:
            server = _serving(stack, folder)
        except Skipped as why:
            report.agree(False, f"the server runs: {why}")
            return
        waited = [each for number in range(n_changes) for each in _changes(server, folder, number)]
        report.row("from a change of a file to an answer that says so, median, against the bar", statistics.median(waited), _BAR_S, "s")  # fmt: skip
        report.row("from a change of a file to an answer that says so, longest, against the bar", max(waited), _BAR_S, "s")  # fmt: skip
        report.agree(max(waited) < _LONGEST_S, "every change is found")
        _rebuilt(server, folder, report)


def _changes(server: _Server, folder: Path, number: int) -> list[float]:
    """Seconds until a new file, its change and its deletion are seen."""
    path, first, second = folder / "docs" / f"new{number}.md", f"zebra{number}stripes", f"giraffe{number}neck"
    text = f"# News {number}\n\nThe {{}} is what this says, and nothing else says it."
    name = path.name
    found = [_until(lambda: name in server.found(first), lambda: path.write_text(text.format(first)))]
    found.append(_until(lambda: name in server.found(second), lambda: path.write_text(text.format(second))))
    found.append(_until(lambda: name not in server.found(second), path.unlink))
    return found


def _until(holds: Callable[[], bool], change: Callable[[], object]) -> float:
    change()
    began = monotonic_s()
    while not holds() and monotonic_s() - began < _LONGEST_S:
        sleep_s(0.01)
    return monotonic_s() - began


def _rebuilt(server: _Server, folder: Path, report: Report) -> None:
    """Searches go on while the index is built anew: every one is answered, and finds what stands there."""
    over, answered = threading.Event(), [0, 0]

    def ask() -> None:
        while not over.is_set():
            answered[0] += 1
            answered[1] += "anchor.md" in server.found("kakapo")

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        said(folder, "index", "build", "bench", "--anew")
    finally:
        over.set()
        asking.join()
    report.tell(f"{answered[0]} searches while the index was built anew, {answered[1]} of them whole")
    report.agree(answered[0] > 0 and answered[0] == answered[1], "searches go on while an index is built anew")


def _serving(stack: ExitStack, folder: Path) -> _Server:
    (folder / "perdure.toml").write_text(_SETTINGS)
    (folder / "bench.py").write_text(_DECLARED)
    said(folder, "apply")
    said(folder, "index", "build", "bench")
    secret = json.loads(said(folder, "key", "create", "--team", "team", "--json"))["secret"]
    server = _Server(free_port(), secret)
    program = Path(sys.executable).with_name("perdure")
    process, told = started(stack, [program, "up", "--port", str(server.port)], cwd=folder)
    until = monotonic_s() + 60.0
    while True:
        try:
            server.found("anything")
        except (OSError, RuntimeError, ValueError) as error:
            if monotonic_s() > until or process.poll() is not None:
                raise Skipped(f"{error}; {told.read_text()[-500:]!r}") from error
            sleep_s(0.2)
        else:
            return server


def said(folder: Path, *arguments: str) -> str:
    """What a command of ours printed.

    Raises:
        RuntimeError: it failed; its last words say why.
    """
    program = Path(sys.executable).with_name("perdure")
    done = subprocess.run([str(program), *arguments], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"perdure {' '.join(arguments)} failed: {done.stderr[-2000:]}")
    return done.stdout
