"""Files of git repositories as documents: by ref, without a checkout, and without running what the repository says."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from perdure.assets.documents import GitFiles
from perdure.core.documents import DocumentRef, RawDocument, Trouble
from perdure.core.errors import StoreError
from perdure.stores.documents.git import GitDocuments

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


class Repository:
    """One with a work tree, whose clock is set by hand."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.at_s = 1_700_000_000
        subprocess.run(["git", "init", "-q", "-b", "main", str(folder)], check=True)

    def git(self, *arguments: str) -> str:
        """Run git."""
        when = f"{self.at_s} +0000"
        names = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a"}
        ours = {
            **os.environ,
            **names,
            "GIT_AUTHOR_DATE": when,
            "GIT_COMMITTER_DATE": when,
            "GIT_CONFIG_GLOBAL": os.devnull,
        }
        done = subprocess.run(
            ["git", "-C", str(self.folder), *arguments], env=ours, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def commit(self, **files: str) -> str:
        """Write `a_md=` to `a.md`, and commit all that is there."""
        for name, text in files.items():
            (self.folder / name.replace("_", ".")).write_text(text, encoding="utf-8")
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", "change")
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """An empty one."""
    return Repository(tmp_path / "repo")


def opened(repository: Repository, **members) -> GitDocuments:
    """Its documents."""
    return GitDocuments(GitFiles("repo", **members), repository.folder.parent)


def told(documents: GitDocuments) -> dict[str, str]:
    """Id → the code of its trouble, or `ok`."""
    return {each.id: each.code if isinstance(each, Trouble) else "ok" for each in documents.list()}


def test_a_token_is_the_blobs_id_whatever_history_says(repository):
    """A rewritten history of equal files changes nothing; what is not committed is no document."""
    repository.commit(a_md="one")
    (repository.folder / "b.md").write_text("not committed", encoding="utf-8")
    documents = opened(repository)
    [ref] = documents.list()
    assert ref.token == repository.git("rev-parse", "HEAD:a.md")
    repository.git("commit", "-q", "--amend", "--reset-author", "-m", "another")
    assert [each.token for each in documents.list()] == [ref.token]


@pytest.mark.parametrize("ref", ["main", "HEAD", "refs/heads/main", "v1", "v2", "side", "main~1", "@"])
def test_a_ref_is_any_name_of_a_commit(repository, ref):
    """A branch, loose or packed; a tag, annotated or not; a remote's branch would do too."""
    repository.commit(a_md="one")
    repository.git("tag", "v1")
    repository.git("tag", "-a", "v2", "-m", "annotated")
    repository.git("branch", "side")
    repository.git("pack-refs", "--all")
    repository.commit(b_md="two")
    expected = {"a.md", "b.md"} if ref in ("main", "HEAD", "refs/heads/main", "@") else {"a.md"}
    assert set(told(opened(repository, ref=ref))) == expected


@pytest.mark.parametrize("ref", ["none", "--help", "-h", "main:a.md", ""])
def test_what_names_no_commit_does_not_answer(repository, ref):
    """An option of git neither."""
    repository.commit(a_md="one")
    with pytest.raises(StoreError, match="has no commit"):
        list(opened(repository, ref=ref).list())


def test_what_is_no_repository_does_not_answer(tmp_path):
    (tmp_path / "repo").mkdir()
    with pytest.raises(StoreError, match="not a git repository"):
        list(GitDocuments(GitFiles("repo"), tmp_path).list())
    with pytest.raises(StoreError, match="has no commit 'HEAD'"):
        list(opened(Repository(tmp_path / "repo")).list())


def test_files_changed_when_they_came_to_the_branch(repository):
    """What a merge brought changed when it was merged, however old it is."""
    repository.commit(a_md="one", b_md="one")
    repository.git("checkout", "-q", "-b", "side")
    repository.at_s += 10
    repository.commit(b_md="two")
    repository.git("checkout", "-q", "main")
    repository.at_s += 10
    repository.commit(c_md="one")
    repository.at_s += 10
    repository.git("merge", "-q", "--no-edit", "side")
    seconds = {each.id: (each.changed_us or 0) // 1_000_000 - 1_700_000_000 for each in opened(repository).list()}
    assert seconds == {"a.md": 0, "b.md": 30, "c.md": 20}


def test_links_and_submodules_are_no_documents(repository):
    (repository.folder / "link.md").symlink_to("/etc/passwd")
    commit = repository.commit(a_md="one")
    repository.git("update-index", "--add", "--cacheinfo", f"160000,{commit},module")
    repository.git("commit", "-q", "-m", "module")
    assert told(opened(repository)) == {"a.md": "ok"}


def test_patterns_metadata_readers_and_names_are_as_of_a_folder(repository):
    """Hidden files are none; names in two forms of Unicode are one id; one that is no text is told."""
    for folder in ("docs", ".github"):
        (repository.folder / folder).mkdir()
        (repository.folder / folder / "x.md").write_text("x", encoding="utf-8")
    (repository.folder / "e\u0301 \x01123\n.md").write_text("y", encoding="utf-8")
    Path(os.fsdecode(os.fsencode(repository.folder) + b"/\xff.md")).write_text("z", encoding="utf-8")
    repository.commit(b_txt="no")
    documents = opened(repository, include=["**/*.md"], metadata={"n": 1}, readers={"docs/**": ["staff"]})
    assert told(documents) == {"\\xff.md": "encoding", "docs/x.md": "ok", "\u00e9 \x01123\n.md": "ok"}
    docs, y = documents.read([each for each in documents.list() if isinstance(each, DocumentRef)])
    assert isinstance(docs, RawDocument)
    assert isinstance(y, RawDocument)
    assert (docs.metadata, docs.readers) == ({"folder": "docs", "suffix": ".md", "n": 1}, ("staff",))
    assert (y.data, y.ref.changed_us) == (b"y", 1_700_000_000_000_000)


def test_a_large_file_and_a_lost_one_are_told_and_the_rest_is_read(repository):
    repository.commit(a_md="a" * 20, b_md="lost", c_md="c")
    documents = opened(repository, most_bytes=10)
    listed = list(documents.list())
    lost = repository.git("rev-parse", "HEAD:b.md")
    (repository.folder / ".git" / "objects" / lost[:2] / lost[2:]).unlink()
    found = list(documents.read(listed))
    assert [each.code if isinstance(each, Trouble) else each.data for each in found] == [
        "too_large",
        "unreadable",
        b"c",
    ]


def test_a_repository_of_somebody_else_is_read_and_nothing_of_it_is_run(repository, tmp_path, monkeypatch):
    """Its settings name programs, its replaced objects other bytes, and our environment another repository."""
    repository.commit(a_md="one")
    ran = tmp_path / "ran"
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {ran}\n", encoding="utf-8")
    program.chmod(0o755)
    for key in (
        "core.fsmonitor",
        "diff.external",
        "core.pager",
        "gpg.program",
        "core.sshCommand",
        "remote.o.uploadpack",
    ):
        repository.git("config", key, str(program))
    for key, value in (("log.showSignature", "true"), ("remote.o.url", str(tmp_path)), ("remote.o.promisor", "true")):
        repository.git("config", key, value)
    repository.git("config", "extensions.partialClone", "o")
    one = repository.git("rev-parse", "HEAD:a.md")
    (tmp_path / "two").write_text("two", encoding="utf-8")
    repository.git("replace", one, repository.git("hash-object", "-w", str(tmp_path / "two")))
    ran.unlink(missing_ok=True)
    if os.geteuid() == 0:
        for path in (repository.folder, *repository.folder.rglob("*")):
            os.chown(path, 12_345, 12_345)
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    documents = opened(repository)
    listed = list(documents.list())
    assert [raw.data for raw in documents.read(listed)] == [b"one"]
    (repository.folder / ".git" / "objects" / one[:2] / one[2:]).unlink()
    assert [each.code for each in documents.read(listed)] == ["unreadable"]
    assert not ran.exists()


def test_a_moved_ref_ends_a_wait_whoever_moved_it(repository):
    """By a commit, by packing, by a push, by switching HEAD."""
    repository.commit(a_md="one")
    repository.git("branch", "side")
    branch, head, before = (opened(repository, ref=ref) for ref in ("main", "HEAD", "main~0"))
    changes = [
        lambda: repository.commit(a_md="two"),
        lambda: (repository.git("pack-refs", "--all"), repository.commit(a_md="three")),
        lambda: repository.git("update-ref", "refs/heads/main", "side"),
    ]
    for documents in (branch, head, before):
        assert documents.wait(0.0)
        assert not documents.wait(0.0)
    for change in changes:
        change()
        assert [documents.wait(3.0) for documents in (branch, head, before)] == [True] * 3
    repository.git("checkout", "-q", "-f", "side")
    assert head.wait(1.0)
    for documents in (branch, head, before):
        documents.close()


def test_a_linked_work_tree_has_its_own_head(repository, tmp_path):
    repository.commit(a_md="one")
    repository.git("worktree", "add", "-q", "-b", "side", str(tmp_path / "tree"))
    documents = GitDocuments(GitFiles("tree"), tmp_path)
    assert documents.wait(0.0)
    repository.commit(b_md="two")
    assert list(told(documents)) == ["a.md"]
    subprocess.run(["git", "-C", str(tmp_path / "tree"), "checkout", "-q", "--detach", "main"], check=True)
    assert documents.wait(1.0)
    assert list(told(documents)) == ["a.md", "b.md"]


def test_git_that_ends_half_way_is_a_failure_of_the_source(repository, monkeypatch):
    """What was read until then is no whole answer."""
    repository.commit(a_md="one", b_md="two")
    documents = opened(repository)
    listed = list(documents.list())
    start = documents._git._start

    def dying(*arguments):
        process = start(*arguments)
        process.kill()
        process.wait()
        return process

    monkeypatch.setattr(documents._git, "_start", dying)
    with pytest.raises(StoreError, match="Git ended"):
        list(documents.read(listed))


def test_without_git_it_is_told(repository, monkeypatch):
    monkeypatch.setattr("shutil.which", lambda _: None)
    with pytest.raises(StoreError, match="no git on this machine"):
        list(opened(repository).list())
