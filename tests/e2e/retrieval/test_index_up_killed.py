"""`perdure up` in a process of its own over a folder: it follows, is killed, comes back, and loses its folder for a while."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from perdure.core.clock import monotonic_s, sleep_s

DECLARED = """
import numpy as np
from perdure import CustomEmbedder, Folder, Index, Whole

def embed(contents):
    rows = np.zeros((len(contents), 64))
    for row, content in zip(rows, contents):
        for word in content.lower().split():
            row += np.random.default_rng(sum(map(ord, word))).standard_normal(64)
    return rows

news = Index("news", Folder("docs"), chunker=Whole(), embedder=CustomEmbedder(embed, 64))
"""
PERDURE = Path(sys.executable).with_name("perdure")


class Up:
    """A project with its process."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.folder, self.docs = folder, folder / "docs"
        self.docs.mkdir()
        (folder / "perdure.toml").write_text(
            f'[project]\nname = "p"\npackage = "declared"\n[serve]\nport = {self.port}\n[loop]\nlease_ttl_s = 3\n'
        )
        (folder / "declared.py").write_text(DECLARED)
        subprocess.run([PERDURE, "apply"], cwd=folder, check=True, capture_output=True)
        self.process: subprocess.Popen | None = None

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen([PERDURE, "up"], cwd=self.folder, stdout=log, stderr=log)

    def kill(self, how: int = signal.SIGKILL) -> None:
        assert self.process is not None
        os.kill(self.process.pid, how)
        self.process.wait(30)

    def search(self, query: str, k: int = 500) -> tuple[int, list[dict]]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        body = json.dumps({"query": query, "mode": "lexical", "k": k})
        try:
            connection.request("POST", "/v1/indexes/news/search", body, {"content-type": "application/json"})
            response = connection.getresponse()
            return response.status, json.loads(response.read()).get("hits", [])
        except OSError:
            return 0, []
        finally:
            connection.close()

    def found(self, query: str) -> list[str]:
        return sorted(hit["text"] for hit in self.search(query)[1])


def wait_for(check, seconds=30.0) -> float:
    """How long it took, in seconds."""
    began = monotonic_s()
    while not check():
        assert monotonic_s() - began < seconds, "it never came"
        sleep_s(0.02)
    return monotonic_s() - began


@pytest.fixture
def up(tmp_path):
    made = Up(tmp_path)
    for i in range(20):
        (made.docs / f"{i}.md").write_text(f"zebra old {i}")
    made.start()
    yield made
    if made.process is not None and made.process.poll() is None:
        made.kill(signal.SIGTERM)


def test_a_folder_is_followed_through_kills_and_its_own_absence(up):
    """Changes are found soon, what is gone never again; neither kill -9 nor a folder that is away loses or mixes anything."""
    wait_for(lambda: len(up.found("zebra")) == 20)
    (up.docs / "0.md").write_text("zebra unicorn")
    assert wait_for(lambda: up.found("unicorn")) < 5.0
    (up.docs / "0.md").unlink()
    wait_for(lambda: not up.found("unicorn"))
    assert not any(up.found("unicorn") for _ in range(20))

    for i in range(1, 20):
        (up.docs / f"{i}.md").write_text(f"zebra new {i}")
    sleep_s(0.1)
    up.kill()
    up.start()
    wait_for(lambda: up.search("zebra")[0] == 200)
    assert len(up.found("zebra")) == 19
    wait_for(lambda: up.found("new") == sorted(f"zebra new {i}" for i in range(1, 20)))
    assert up.found("old") == []

    shutil.move(up.docs, up.folder / "away")
    sleep_s(1.0)
    assert len(up.found("zebra")) == 19
    shutil.move(up.folder / "away", up.docs)
    (up.docs / "1.md").write_text("zebra phoenix")
    wait_for(lambda: up.found("phoenix"))
    assert len(up.found("zebra")) == 19


def test_documents_replaced_under_constant_searches_are_always_found(up):
    """Each search finds each of five documents once, as it was or as it is, without an error."""
    wait_for(lambda: len(up.found("zebra")) == 20)
    stop, wrong = threading.Event(), []

    def searching():
        while not stop.is_set():
            status, hits = up.search("zebra")
            if status != 200 or sorted(hit["document"] for hit in hits) != sorted(f"{i}.md" for i in range(20)):
                wrong.append((status, [hit["text"] for hit in hits]))

    threads = [threading.Thread(target=searching) for _ in range(2)]
    for each in threads:
        each.start()
    for round_ in range(100):
        for i in range(5):
            (up.docs / ".next").write_text(f"zebra round{round_} {i}")
            (up.docs / ".next").replace(up.docs / f"{i}.md")
        stop.wait(0.02)
    wait_for(lambda: up.found("round99") == [f"zebra round99 {i}" for i in range(5)])
    stop.set()
    for each in threads:
        each.join()
    assert wrong == []
