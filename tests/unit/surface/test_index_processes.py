"""Indexes that are built with several processes: the same bits, nothing lost when one is killed, nobody left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from perdure.assets.embedders import Endpoint, WordLlama
from perdure.core.clock import monotonic_s
from perdure.core.errors import BadIndex, BadRequest, NotReady
from perdure.surface.embedding_workers import embedding_workers
from perdure.surface.sdk import open_project

N = 300
DECLARED = """
import hashlib
import os
from multiprocessing import parent_process
from pathlib import Path
import numpy as np
from perdure import CustomEmbedder, Folder, Index, Whole

def embed(contents):
    if Path(__file__).with_name("killing").exists() and parent_process() and any("word200 " in each for each in contents):
        os.kill(os.getpid(), 9)
    rows = [np.frombuffer(hashlib.blake2b(str(each).encode(), digest_size=8).digest(), "u1") + 1.0 for each in contents]
    return np.array([row / np.linalg.norm(row) for row in rows])

handbook = Index("handbook", Folder("docs"), chunker=Whole(), embedder=CustomEmbedder(embed, 8))
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr("perdure.stores.documents.folder._RACY_US", 0)
    (tmp_path / "perdure.toml").write_text('[project]\nname = "p"\npackage = "declared"\n')
    (tmp_path / "declared.py").write_text(DECLARED)
    (tmp_path / "docs").mkdir()
    for i in range(N):
        (tmp_path / "docs" / f"{i:03}.md").write_text(f"# Page {i}\n\nThe word{i} stands here.\n")
    return tmp_path


def vectors(project):
    with project._index_read("handbook", project._indexes.declared("handbook")) as store:
        return [(row.document, row.vector, row.checksum) for row in store.chunks()]


def test_an_index_of_two_processes_is_that_of_one_to_the_bit(cli, folder):
    told = cli("perdure index build handbook --processes 2 --json", folder).out
    assert json.loads(told)["n_embedded"] == N
    beside = vectors(open_project(folder))
    (folder / ".perdure").rename(folder / "before")
    alone = open_project(folder)
    alone.build_index("handbook")
    assert vectors(alone) == beside
    assert len(beside) == N


def test_a_process_that_is_killed_loses_nothing_that_was_made(folder):
    project = open_project(folder)
    (folder / "killing").touch()
    with pytest.raises(NotReady, match="ended before its time"):
        project.build_index("handbook", processes=2)
    assert vectors(project) == []
    (folder / "killing").unlink()
    report = project.sync_index("handbook", processes=2)[0]
    assert report.verified
    assert len(vectors(project)) == N
    # Three batches of 64 come before the one that kills, one of which the other process may have at hand.
    assert report.n_embedded <= N - 2 * 64
    assert project.repair_index("handbook", "declared", processes=2).n_embedded == 0


def test_what_other_processes_cannot_do_is_said_before_anything_is_done(folder):
    (folder / "declared.py").write_text(
        DECLARED.replace("CustomEmbedder(embed,", "CustomEmbedder(lambda all_: embed(all_),")
    )
    project = open_project(folder)
    with pytest.raises(BadIndex, match="found by a name"):
        project.build_index("handbook", processes=2)
    with pytest.raises(BadRequest, match="0 processes"):
        project.build_index("handbook", processes=0)
    assert project.build_index("handbook").verified


def test_progress_tells_texts_done_of_all_their_rate_and_the_time_left(folder):
    told = []
    open_project(folder).build_index("handbook", progress=told.append)
    assert [(each.texts.n_done, each.texts.n_all) for each in told[:2]] == [(64, N), (128, N)]
    assert told[0].texts.per_s > 0
    assert told[0].texts.left_s > 0
    assert (told[-1].n_done, told[-1].n_embedded, told[-1].texts.left_s) == (N, N, 0.0)


def test_all_texts_are_reckoned_by_the_documents_that_were_read(folder, monkeypatch):
    monkeypatch.setattr("perdure.loop.work.indexes.resyncing.SLICE", 100)
    told = []
    open_project(folder).build_index("handbook", progress=told.append)
    assert (told[0].texts.n_done, told[0].texts.n_all) == (64, N)


WAITING = """
import time
from pathlib import Path
from perdure.assets.embedders import Endpoint, WordLlama
from perdure.surface.embedding_workers import embedding_workers
import os

if __name__ == "__main__":
    with embedding_workers(WordLlama(64), 2, Path(".")) as workers:
        print(workers.executor.submit(os.getpid).result(), flush=True)
        time.sleep(60)
"""


def test_processes_end_with_a_parent_that_is_killed(tmp_path):
    (tmp_path / "waiting.py").write_text(WAITING)
    parent = subprocess.Popen([sys.executable, "waiting.py"], cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    with parent:
        pid = int(parent.stdout.readline())
        parent.send_signal(signal.SIGKILL)
    until = monotonic_s() + 20.0
    while _lives(pid) and monotonic_s() < until:
        threading.Event().wait(0.05)
    assert not _lives(pid)


def _lives(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


def test_no_process_is_started_before_there_is_much_to_embed(tmp_path):
    with embedding_workers(WordLlama(64), 2, tmp_path) as workers:
        assert not workers.executor._processes
    with embedding_workers(WordLlama(64), 1, tmp_path) as none:
        assert none is None


def test_an_endpoint_is_asked_by_threads_that_share_its_connections(tmp_path):
    with embedding_workers(Endpoint("local/nomic", 8), 3, tmp_path) as workers:
        assert isinstance(workers.executor, ThreadPoolExecutor)
        assert workers.declared is None
