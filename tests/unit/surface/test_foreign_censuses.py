"""Indexes of Chroma and Qdrant, as those tools write them: read whole, held against their source, and left as they were."""

from __future__ import annotations

import base64
import hashlib
import json
import pickle
import sqlite3
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from perdure.core.errors import BadIndex, NotFound, StoreError, UntrustedArtifact
from perdure.stores.vectors.foreign import flat, is_foreign, open_foreign
from perdure.surface.cli.indexes import group
from perdure.surface.foreign import ForeignAsked, census_foreign

# Their event loops talk to themselves over a pair of local sockets.
pytestmark = pytest.mark.enable_socket

N_FILES = 12
N_DIMENSIONS = 16


def vector(seed: int) -> list[float]:
    told = np.random.default_rng(seed).standard_normal(N_DIMENSIONS)
    return (told / np.linalg.norm(told)).astype("f4").tolist()


def section(number: int, place: int) -> str:
    return f"Section {place} of document {number} says word{number}x{place} and {' and '.join(f'w{number}y{i}' for i in range(40))}."


@dataclass
class Rows:
    """A tool's rows: each a document's section."""

    kind: str
    folder: Path

    @property
    def address(self) -> str:
        return f"{self.kind}:{self.folder}#docs"

    def put(self, rows: dict[int, tuple[str, str | None, list[float]]]) -> None:
        if self.kind == "chroma":
            with opened_chroma(self.folder) as client:
                told = client.get_or_create_collection(
                    "docs", embedding_function=None, metadata={"hnsw:space": "cosine"}
                )
                for key, (source, text, made) in rows.items():
                    metadata = {"source": source} if source else None
                    told.upsert(ids=[str(key)], embeddings=[made], documents=None if text is None else [text], metadatas=metadata)  # fmt: skip
            return
        from qdrant_client import models

        with opened_qdrant(self.folder) as client:
            if not client.collection_exists("docs"):
                params = models.VectorParams(size=N_DIMENSIONS, distance=models.Distance.COSINE)
                client.create_collection("docs", vectors_config=params)
            points = []
            for key, (source, text, made) in rows.items():
                payload = {"page_content": text} | ({"metadata": {"source": source}} if source else {})
                points.append(models.PointStruct(id=key, vector=made, payload=payload))
            client.upsert("docs", points)

    def delete(self, keys: list[int]) -> None:
        if self.kind == "chroma":
            with opened_chroma(self.folder) as client:
                client.get_collection("docs", embedding_function=None).delete(ids=list(map(str, keys)))
        else:
            with opened_qdrant(self.folder) as client:
                client.delete("docs", keys)


class opened_chroma:  # noqa: N801 - reads as what it does
    def __init__(self, folder):
        import chromadb
        from chromadb.config import Settings

        self.client = chromadb.PersistentClient(path=str(folder), settings=Settings(anonymized_telemetry=False))

    def __enter__(self):
        return self.client

    def __exit__(self, *_):
        self.client.close()


class opened_qdrant:  # noqa: N801 - reads as what it does
    def __init__(self, folder):
        from qdrant_client import QdrantClient

        self.client = QdrantClient(path=str(folder))

    def __enter__(self):
        return self.client

    def __exit__(self, *_):
        self.client.close()


def key_of(number: int, place: int) -> int:
    return 100 * number + place


@pytest.fixture
def source(tmp_path):
    """Twelve files of three sections."""
    folder = tmp_path / "docs"
    for number in range(N_FILES):
        path = folder / f"g{number % 3}" / f"{number:02}.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"# Document {number}\n\n" + "\n\n".join(section(number, place) for place in range(3)))
    return folder


@pytest.fixture(params=["chroma", "qdrant"])
def index(request, tmp_path, source):
    """An index of the same sections, each with the path that its file had on somebody's machine."""
    made = Rows(request.param, tmp_path / "index")
    made.put({
        key_of(number, place): (f"/home/ada/docs/g{number % 3}/{number:02}.md", section(number, place), vector(key_of(number, place)))
        for number in range(N_FILES)
        for place in range(3)
    })  # fmt: skip
    return made


def state(folder: Path) -> dict[str, tuple[str, int]]:
    """Every file with its bytes and its time."""
    return {
        str(path.relative_to(folder)): (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def counts(census):
    return {kind: n for kind, n in census.counts().items() if n}


def test_an_index_that_is_what_its_source_says_has_no_findings_and_is_left_as_it_was(index, source):
    before = state(index.folder)
    census = census_foreign(index.address, source)
    assert (counts(census), census.notes, census.troubles) == ({}, [], {})
    assert (census.n_source, census.n_rows, census.n_told, census.n_asked) == (N_FILES, 36, 36, 36)
    assert census.mapped_by in ("source", "metadata.source")
    assert census.metric == "cosine"
    assert state(index.folder) == before


def test_every_kind_of_skew_is_found_and_nothing_else(index, source):
    (source / "g0/00.md").write_text(f"# Document 0\n\n{section(0, 0)}\n\n{section(99, 1)}\n\n{section(0, 2)}")
    (source / "g1/01.md").unlink()
    (source / "g2/new.md").write_text("# New\n\nNever indexed.")
    index.delete([key_of(2, 1)])
    path = "/home/ada/docs/g0/03.md"
    index.put({
        9_001: (path, section(3, 0), vector(9_001)),
        9_002: ("", "Nobody knows where it is from.", vector(9_002)),
        9_003: (path, None, vector(9_003)),
    })  # fmt: skip
    before = state(index.folder)
    census = census_foreign(index.address, source)
    found = sorted((skew.kind, skew.document, skew.row) for skew in census.skews)
    assert found == [
        ("duplicate", "g0/03.md", "9001"),
        ("ghost", "g1/01.md", "100"),
        ("ghost", "g1/01.md", "101"),
        ("ghost", "g1/01.md", "102"),
        ("missing", "g2/02.md", ""),
        ("missing", "g2/new.md", ""),
        ("orphan", "", "9002"),
        ("orphan", "g0/03.md", "9003"),
        ("stale", "g0/00.md", "1"),
    ]
    assert state(index.folder) == before


def test_an_index_is_read_while_its_tool_has_it_open(index, source):
    opener = {"chroma": opened_chroma, "qdrant": opened_qdrant}[index.kind]
    with opener(index.folder):
        assert counts(census_foreign(index.address, source)) == {}


def test_the_only_collection_is_meant_where_none_is_named_and_a_wrong_name_tells_the_right_ones(index, source):
    assert counts(census_foreign(index.address.removesuffix("#docs"), source)) == {}
    with pytest.raises(NotFound, match="There is no collection 'manuals'") as told:
        census_foreign(f"{index.kind}:{index.folder}#manuals", source)
    assert "docs" in told.value.hint


def test_a_folder_that_is_not_there_is_not_made(index, source, tmp_path):
    with pytest.raises(NotFound):
        census_foreign(f"{index.kind}:{tmp_path / 'nowhere'}#docs", source)
    assert not (tmp_path / "nowhere").exists()
    (tmp_path / "empty").mkdir()
    with pytest.raises(NotFound, match="holds no"):
        census_foreign(f"{index.kind}:{tmp_path / 'empty'}", source)
    assert list((tmp_path / "empty").iterdir()) == []


def test_a_damaged_file_is_told_as_such(index, source):
    name = {"chroma": "chroma.sqlite3", "qdrant": "collection/docs/storage.sqlite"}[index.kind]
    (index.folder / name).write_bytes(b"no database" * 500)
    with pytest.raises(StoreError):
        census_foreign(index.address, source)


def test_nothing_is_left_of_the_copies(index, source, tmp_path, monkeypatch):
    room = tmp_path / "room"
    room.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(room))
    census_foreign(index.address, source)
    with pytest.raises(NotFound):
        open_foreign(f"{index.kind}:{index.folder}#manuals")
    assert list(room.iterdir()) == []


def test_a_source_that_is_not_of_this_index_is_told_with_what_its_rows_have(index, tmp_path):
    (tmp_path / "others").mkdir()
    (tmp_path / "others/other.md").write_text("Other words.")
    with pytest.raises(BadIndex, match="names a document") as told:
        census_foreign(index.address, tmp_path / "others")
    assert "source" in told.value.hint
    with pytest.raises(BadIndex, match="has no documents"):
        census_foreign(index.address, tmp_path / "others", ForeignAsked(include=("**/*.pdf",)))


def test_only_what_should_be_in_it_is_missed(index, source):
    (source / "notes.txt").write_text("Never meant for it.")
    assert counts(census_foreign(index.address, source)) == {"missing": 1}
    assert counts(census_foreign(index.address, source, ForeignAsked(include=("**/*.md",)))) == {}


class LostVector:
    """A collection of which the vector of one row is lost: whatever is asked with it fails whole."""

    def __init__(self, told, lost):
        self._told, self._lost = told, lost

    def get(self, *, limit, offset, include):
        if "embeddings" in include and offset <= self._lost < offset + limit:
            raise IndexError("list index out of range")
        return self._told.get(limit=limit, offset=offset, include=include)

    def __getattr__(self, name):
        return getattr(self._told, name)


@pytest.mark.parametrize("index", ["chroma"], indirect=True)
def test_one_lost_vector_hides_no_other_row(index):
    opened = open_foreign(index.address)
    opened._collection = LostVector(opened._collection, 17)
    rows = [row for page in opened.rows() for row in page]
    opened.close()
    assert (len(rows), len({row.id for row in rows})) == (36, 36)
    assert [bool(row.vector) for row in rows].count(False) == 1
    assert [row.trouble for row in rows if row.trouble] == ["Chroma cannot read its vector: list index out of range"]


# ---------------------------------------------------------------------------------------------------- Qdrant


@pytest.fixture
def qdrant(tmp_path, source):
    made = Rows("qdrant", tmp_path / "index")
    made.put({key_of(number, place): (f"g{number % 3}/{number:02}.md", section(number, place), vector(key_of(number, place)))
              for number in range(N_FILES) for place in range(3)})  # fmt: skip
    return made


def points(index: Rows) -> sqlite3.Connection:
    return sqlite3.connect(index.folder / "collection/docs/storage.sqlite", isolation_level=None)


class Evil:
    """Runs when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_a_point_that_runs_when_it_is_read_is_refused_and_never_run(qdrant, source, tmp_path):
    connection = points(qdrant)
    connection.execute("INSERT INTO points VALUES (?, ?)", ("x", pickle.dumps(Evil(tmp_path / "ran"))))
    connection.close()
    with pytest.raises(UntrustedArtifact, match="would run"):
        census_foreign(qdrant.address, source)
    assert not (tmp_path / "ran").exists()


def test_points_that_cannot_be_read_are_corrupt_and_the_others_are_judged(qdrant, source):
    connection = points(qdrant)
    for place, data in ((0, b"\x80\x04no pickle"), (1, pickle.dumps({"id": 1}))):
        key = base64.b64encode(pickle.dumps(key_of(5, place), protocol=4)).decode()
        assert connection.execute("UPDATE points SET point = ? WHERE id = ?", (data, key)).rowcount == 1
    connection.close()
    census = census_foreign(qdrant.address, source)
    told = sorted((skew.kind, skew.document) for skew in census.skews)
    assert told == [("corrupt", ""), ("corrupt", ""), ("missing", "g2/05.md"), ("orphan", ""), ("orphan", "")]
    assert census.n_asked == 34


def test_the_first_of_several_vectors_is_looked_at_and_the_others_are_named(tmp_path, source):
    from qdrant_client import models

    folder = tmp_path / "named"
    with opened_qdrant(folder) as client:
        cosine, euclid = (models.VectorParams(size=N_DIMENSIONS, distance=each) for each in (models.Distance.COSINE, models.Distance.EUCLID))  # fmt: skip
        client.create_collection("docs", vectors_config={"text": cosine, "title": euclid})
        both = {"text": vector(1), "title": vector(2)}
        client.upsert(
            "docs",
            [models.PointStruct(id=1, vector=both, payload={"abstract": section(0, 0), "file_path": "g0/00.md"})],
        )
    address = f"qdrant:{folder}"
    index = open_foreign(address, text="abstract")
    [[row]] = list(index.rows())
    assert (row.text, index.find([row.vector], 3)) == (section(0, 0), [["1"]])
    assert index.describe().notes == ["Of its vectors, 'text' are looked at, and title not."]
    index.close()
    assert counts(census_foreign(address, source, ForeignAsked(text="abstract")))["missing"] == N_FILES
    assert counts(census_foreign(address, source))["orphan"] == 1


def test_the_text_of_a_whole_node_is_found(tmp_path):
    from qdrant_client import models

    with opened_qdrant(tmp_path / "nodes") as client:
        client.create_collection("docs", vectors_config=models.VectorParams(size=2, distance=models.Distance.DOT))
        nodes = [json.dumps({"text": "Hello."}), "no JSON", json.dumps([1])]
        client.upsert("docs", [models.PointStruct(id=i, vector=[1.0, 0.0], payload={"_node_content": node}) for i, node in enumerate(nodes)])  # fmt: skip
    index = open_foreign(f"qdrant:{tmp_path / 'nodes'}")
    assert [row.text for page in index.rows() for row in page] == ["Hello.", None, None]
    index.close()


# ---------------------------------------------------------------------------------------- addresses, command


def test_addresses_are_told_from_names_of_indexes():
    assert [is_foreign(each) for each in ("chroma:a/b", "qdrant:a#b", "handbook", "pinecone:x", "chroma:")] == [
        True, True, False, False, False,
    ]  # fmt: skip
    with pytest.raises(BadIndex, match="no address"):
        open_foreign("pinecone:x")


def test_nested_metadata_is_flat_and_has_an_end():
    deep: dict = {"x": 1}
    for _ in range(50):
        deep = {"m": deep}
    assert flat(deep) == {}
    assert flat({"a": {"b": {"c": "d"}}, "n": None, "list": [1]}) == {"a.b.c": "d"}


def test_the_command_takes_an_address_tells_what_it_found_and_asks_for_the_source(qdrant, source):
    (source / "g1/01.md").unlink()
    told = CliRunner().invoke(group, ["census", qdrant.address, "--source", str(source)])
    assert told.exit_code == 0, told.output
    assert "ghost 3" in told.output
    told = CliRunner().invoke(group, ["census", qdrant.address, "--source", str(source), "--json", "--sample", "4"])
    answer = json.loads(told.output)
    assert (answer["counts"]["ghost"], answer["n_asked"]) == (3, 4)
    assert "--source" in CliRunner().invoke(group, ["census", qdrant.address]).exception.hint


def test_neither_tool_is_imported_with_perdure():
    code = "import sys, perdure, perdure.surface.cli.indexes, perdure.stores.vectors.foreign, perdure.surface.foreign\nprint({'chromadb', 'qdrant_client', 'numpy'} & sys.modules.keys())"  # fmt: skip
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "set()"
