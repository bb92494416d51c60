"""Files of folders as documents: what is chosen, what is followed, and what goes wrong one file at a time."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
from pathlib import Path

import pytest

from perdure.assets.documents import Folder
from perdure.core.documents import DocumentRef, RawDocument, Trouble
from perdure.core.errors import StoreError
from perdure.stores.documents.choosing import matches
from perdure.stores.documents.folder import FolderDocuments


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    """An empty folder."""
    folder = tmp_path / "docs"
    folder.mkdir()
    return folder


def opened(docs: Path, **members) -> FolderDocuments:
    """Its documents."""
    return FolderDocuments(Folder("docs", **members), docs.parent)


def put(docs: Path, path: str, text: str = "x") -> Path:
    """A file."""
    file = docs / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file


def told(documents: FolderDocuments) -> dict[str, str]:
    """Id → the code of its trouble, or `ok`."""
    return {each.id: each.code if isinstance(each, Trouble) else "ok" for each in documents.list()}


def test_only_what_is_chosen_is_listed(docs):
    """Hidden files and folders never."""
    for path in ("a.md", "b/c.md", "b/d.txt", "drafts/e.md", ".git/f.md", "b/.g.md", "drafts.md"):
        put(docs, path)
    assert list(told(opened(docs, include=["**/*.md"], exclude=["drafts/**"]))) == ["a.md", "b/c.md", "drafts.md"]
    assert list(told(opened(docs, include=["b/*"]))) == ["b/c.md", "b/d.txt"]
    assert told(opened(docs, include=[])) == {}


@pytest.mark.parametrize(
    ("pattern", "fits", "fits_not"),
    [
        ("*.md", ["a.md"], ["b/a.md", "a.mdx", "a_md"]),
        ("**/*.md", ["a.md", "b/c/a.md", "new\nline.md"], ["a.md/b"]),
        ("a/**/z", ["a/z", "a/b/z", "a/b/c/z"], ["az", "a/bz"]),
        ("a/**", ["a/b", "a/b/c"], ["ab", "b/a"]),
        ("v[0-9].md", ["v1.md"], ["va.md", "v10.md"]),
        ("v[!0-9].md", ["va.md"], ["v1.md", "v/.md"]),
        ("a?c", ["abc"], ["a/c", "ac"]),
        ("(a|b)+.md", ["(a|b)+.md"], ["a.md"]),
    ],
)
def test_patterns_are_those_of_paths(pattern, fits, fits_not):
    assert [matches(path, [pattern]) for path in fits] == [True] * len(fits)
    assert [matches(path, [pattern]) for path in fits_not] == [False] * len(fits_not)


def test_metadata_and_readers_come_from_the_path_and_the_declaration(docs):
    """What is declared is stronger; the first pattern counts."""
    put(docs, "internal/pay.md")
    put(docs, "open.md")
    documents = opened(
        docs, metadata={"product": "x", "suffix": "own"}, readers={"internal/**": ["staff", "hr"], "**": ["all"]}
    )
    pay, free = documents.read(list(documents.list()))
    assert isinstance(pay, RawDocument)
    assert isinstance(free, RawDocument)
    assert (pay.metadata, pay.readers) == ({"folder": "internal", "suffix": "own", "product": "x"}, ("staff", "hr"))
    assert (free.metadata["folder"], free.readers) == ("", ("all",))


def test_a_folder_that_is_not_there_does_not_answer(tmp_path):
    with pytest.raises(StoreError, match="docs cannot be listed"):
        list(FolderDocuments(Folder("docs"), tmp_path).list())


def test_a_folder_below_that_fails_makes_the_whole_listing_fail(docs, monkeypatch):
    """Else its documents would be taken for deleted. One that may not be listed is told, one that is excluded not looked at, and one
    that went is no failure."""
    for path in ("a.md", "closed/b.md", "z.md"):
        put(docs, path)
    really = os.open

    def refused(path, *how):
        if str(path).endswith("closed"):
            raise failure
        return really(path, *how)

    monkeypatch.setattr("perdure.stores.documents.walking.os.open", refused)
    failure = OSError(5, "Input/output error")
    with pytest.raises(StoreError, match="docs/closed cannot be listed: Input/output error"):
        list(opened(docs).list())
    failure = PermissionError(13, "Permission denied")
    assert told(opened(docs)) == {"a.md": "ok", "closed": "unreadable", "z.md": "ok"}
    assert list(told(opened(docs, exclude=["closed/**"]))) == ["a.md", "z.md"]
    failure = FileNotFoundError(2, "No such file")
    assert list(told(opened(docs))) == ["a.md", "z.md"]


def test_a_name_that_is_no_text_is_told_by_a_printable_id(docs):
    """The rest is listed."""
    put(docs, "b.md")
    with Path(os.fsdecode(os.fsencode(docs) + b"/caf\xe9.md")).open("w", encoding="utf-8"):
        pass
    assert told(opened(docs)) == {"b.md": "ok", "caf\\xe9.md": "encoding"}


def test_a_decomposed_name_has_the_composed_id(docs):
    """Of both the composed one counts, and the other is told."""
    put(docs, "re\u0301sume\u0301/e\u0301.md", "decomposed")
    documents = opened(docs)
    [ref] = documents.list()
    assert ref.id == "r\u00e9sum\u00e9/\u00e9.md"
    assert [raw.data for raw in documents.read([ref])] == [b"decomposed"]

    put(docs, "r\u00e9sum\u00e9/\u00e9.md", "composed")
    listed = list(documents.list())
    assert [getattr(each, "code", "ok") for each in listed] == ["ok", "twice"]
    assert {each.id for each in listed} == {ref.id}
    assert [raw.data for raw in documents.read([ref])] == [b"composed"]


def test_pipes_sockets_and_devices_are_no_documents(docs, monkeypatch):
    put(docs, "a.md")
    os.mkfifo(docs / "pipe.md")
    (docs / "null.md").symlink_to("/dev/null")
    (docs / "tube.md").symlink_to("pipe.md")
    with socket.socket(socket.AF_UNIX) as listening:
        monkeypatch.chdir(docs)
        listening.bind("s.md")
    assert told(opened(docs)) == {"a.md": "ok", "null.md": "unreadable"}


def test_a_pipe_in_the_place_of_a_file_does_not_keep_the_reader(docs):
    """Opening one waits for whoever writes to it, which may be never."""
    file = put(docs, "a.md")
    documents = opened(docs)
    listed = list(documents.list())
    file.unlink()
    os.mkfifo(file)
    assert [each.code for each in documents.read(listed)] == ["vanished"]


def test_links_are_followed_within_the_folder_only(docs):
    put(docs, "a/b.md")
    put(docs.parent, "secret.md")
    put(docs, ".data/v1/c.md")
    (docs / "file.md").symlink_to("a/b.md")
    (docs / "folder").symlink_to("a")
    (docs / "current").symlink_to(".data/v1")
    (docs / "out.md").symlink_to("../secret.md")
    (docs / "etc").symlink_to("/etc")
    (docs / "none.md").symlink_to("nowhere")
    documents = opened(docs, include=["**/*.md"])
    assert told(documents) == {
        "a/b.md": "ok", "current/c.md": "ok", "file.md": "ok", "folder/b.md": "ok", "none.md": "unreadable", "out.md": "unreadable",
    }  # fmt: skip
    (docs / "file.md").unlink()
    (docs / "file.md").symlink_to("../secret.md")
    assert [each.code for each in documents.read([DocumentRef("file.md", "t")])] == ["unreadable"]


def test_links_in_circles_are_told_and_end(docs):
    """To oneself, to each other, to a folder above; or so many that their paths cannot be counted."""
    put(docs, "a/x.md")
    (docs / "self.md").symlink_to("self.md")
    (docs / "a" / "up").symlink_to("..")
    (docs / "b").mkdir()
    (docs / "b" / "to_a").symlink_to("../a")
    (docs / "a" / "to_b").symlink_to("../b")
    found = told(opened(docs))
    assert (found["self.md"], found["a/up"], found["a/to_b/to_a"], found["a/x.md"]) == ("loop", "loop", "loop", "ok")

    for i in range(40):
        (docs / "farm" / f"{i}").mkdir(parents=True)
        for each in "lr":
            (docs / "farm" / f"{i}" / each).symlink_to(f"../{i + 1}")
    assert len(told(opened(docs))) < 1_000


def test_folders_full_of_links_to_each_other_are_listed_within_bounds(docs):
    """Sixty folders with sixty links each have 216,000 paths of two links, and each link that is not followed is told once."""
    for i in range(60):
        put(docs, f"{i}/a.md")
        for j in range(60):
            (docs / f"{i}" / f"to{j}").symlink_to(f"../{j}")
    found = told(opened(docs))
    assert all(found[f"{i}/to{j}/a.md"] == "ok" for i in range(60) for j in range(60) if i != j)
    assert len(found) < 12_000


def test_folders_deeper_than_python_recurses_are_listed(docs):
    deep = docs / ("d/" * 1_200)
    subprocess.run(["mkdir", "-p", str(deep)], check=True)
    (deep / "a.md").write_text("deep", encoding="utf-8")
    try:
        assert [raw.data for raw in opened(docs).read(list(opened(docs).list()))] == [b"deep"]
    finally:
        subprocess.run(["rm", "-rf", str(docs)], check=True)


def test_a_file_that_is_too_large_is_told_and_not_read(docs):
    put(docs, "a.md", "x" * 11)
    put(docs, "b.md", "x" * 10)
    documents = opened(docs, most_bytes=10)
    large, small = documents.read(list(documents.list()))
    assert isinstance(large, Trouble)
    assert (large.code, large.message) == ("too_large", "It has 11 bytes, and at most 10 are read.")
    assert isinstance(small, RawDocument)


def test_a_file_that_cannot_be_read_is_told(docs, monkeypatch):
    """The rest is read."""
    put(docs, "a.md")
    put(docs, "b.md")
    documents = opened(docs)
    listed = list(documents.list())
    open_ = os.open

    def refused(path, *flags):
        if str(path).endswith("a.md"):
            raise PermissionError(13, "Permission denied")
        return open_(path, *flags)

    monkeypatch.setattr("perdure.stores.documents.folder.os.open", refused)
    a, b = documents.read(listed)
    assert isinstance(a, Trouble)
    assert (a.code, a.message) == ("unreadable", "It cannot be read: Permission denied.")
    assert isinstance(b, RawDocument)


def test_a_file_that_is_replaced_again_and_again_is_never_read_in_halves(docs):
    """Each reading is one of its contents whole, or says that it could not be had."""
    put(docs, "a.md", "a" * 50_000)
    documents = opened(docs)
    [ref] = documents.list()
    stop = threading.Event()

    def rewrite():
        while not stop.is_set():
            for each in "ba":
                put(docs.parent, "new.md", each * 50_000).replace(docs / "a.md")

    writing = threading.Thread(target=rewrite)
    writing.start()
    found = [each for _ in range(60) for each in documents.read([ref])]
    stop.set()
    writing.join()
    whole = {b"a" * 50_000, b"b" * 50_000}
    assert all(each.data in whole if isinstance(each, RawDocument) else each.code == "vanished" for each in found)
    assert any(isinstance(each, RawDocument) for each in found)


def test_a_file_that_grows_while_it_is_read_is_read_anew_and_then_told(docs, monkeypatch):
    file = put(docs, "a.md", "1")
    documents = opened(docs)
    [ref] = documents.list()
    fstat, n_times = os.fstat, 0

    def growing(descriptor):
        nonlocal n_times
        found = fstat(descriptor)
        if n_times < n_growing:
            n_times += 1
            file.write_text("x" * (n_times + 1), encoding="utf-8")
        return found

    monkeypatch.setattr("perdure.stores.documents.folder.os.fstat", growing)
    n_growing = 1
    assert [raw.data for raw in documents.read([ref])] == [b"xx"]
    n_growing = 99
    assert [each.code for each in documents.read([ref])] == ["vanished"]


def test_a_time_that_lies_ahead_does_not_keep_a_file_unsettled(docs):
    """Somebody set it; when the file was written is known by another time."""
    file = put(docs, "a.md")
    os.utime(file, (4e9, 4e9))
    documents = opened(docs)
    first, again = list(documents.list()), list(documents.list())
    assert first != again
    [ref] = first
    assert isinstance(ref, DocumentRef)
    assert ref.changed_us is not None
    assert ref.changed_us < 3.9e15
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("perdure.stores.documents.folder._RACY_US", 0)
        assert list(documents.list()) == list(documents.list())


def test_a_file_with_another_content_and_its_old_time_has_another_token(docs, monkeypatch):
    """As `rsync` and `touch -r` make them."""
    monkeypatch.setattr("perdure.stores.documents.folder._RACY_US", 0)
    file = put(docs, "a.md", "one")
    documents = opened(docs)
    before, about = list(documents.list()), file.stat()
    file.write_text("two", encoding="utf-8")
    os.utime(file, ns=(about.st_atime_ns, about.st_mtime_ns))
    assert list(documents.list()) != before


def test_a_folder_that_is_a_link_is_what_it_leads_to_now(docs):
    """As releases are switched."""
    put(docs, "a.md", "one")
    put(docs.parent / "next", "b.md", "two")
    (docs.parent / "live").symlink_to("docs")
    documents = FolderDocuments(Folder("live"), docs.parent)
    assert list(told(documents)) == ["a.md"]
    (docs.parent / "new").symlink_to("next")
    (docs.parent / "new").replace(docs.parent / "live")
    assert list(told(documents)) == ["b.md"]
    assert [each.code for each in documents.read([DocumentRef("a.md", "t")])] == ["vanished"]
