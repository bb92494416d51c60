"""An index of pictures behind the same Protocols as one of texts: built, searched by a picture and by words, counted, mended.

Its chunker is `Whole`, its embedder a function of a project that reads PNG files itself and maps words of colours to the same
vectors; nothing of perdure knows what a colour is.
"""

from __future__ import annotations

import io
import sqlite3
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

from perdure import CustomEmbedder, Folder, Index, Perdure, Project, Whole
from perdure.core.clock import parse_at
from perdure.core.errors import BadRequest
from perdure.testing.careless import careless

SIZE, LEVELS = 8, 3
COLOURS = {"red": (220, 20, 30), "green": (20, 200, 40), "blue": (10, 30, 210), "white": (250, 250, 250)}
AT, LATER = parse_at("2026-01-10T00:00:00Z"), parse_at("2026-01-11T00:00:00Z")


def png(colour: str, share: float = 1.0, on: str = "white") -> bytes:
    """A picture of which a share of the rows has one colour and the rest another."""
    rows = b"".join(b"\0" + bytes(COLOURS[colour if y < share * SIZE else on]) * SIZE for y in range(SIZE))
    parts = [
        (b"IHDR", struct.pack(">IIBBBBB", SIZE, SIZE, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    ]
    told = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(told)


def pixels(data: bytes) -> np.ndarray:
    """Of such a PNG, shape (n, 3); a checksum that is wrong is an error, as with any reader."""
    file, found = io.BytesIO(data[8:]), b""
    while head := file.read(8):
        n, kind = struct.unpack(">I4s", head)
        body, told = file.read(n), file.read(4)
        if struct.pack(">I", zlib.crc32(kind + body)) != told:
            raise ValueError("the picture is damaged")
        found += body if kind == b"IDAT" else b""
    rows = np.frombuffer(zlib.decompress(found), "u1").reshape(SIZE, -1)
    return rows[:, 1:].reshape(-1, 3)


def colours_of(contents):
    """Of a picture how often each colour is there; of words how the pictures look that they name."""
    return [_histogram(_named(each) if isinstance(each, str) else pixels(each)) for each in contents]


def _named(text: str) -> np.ndarray:
    return np.array([COLOURS[word] for word in text.lower().split() if word in COLOURS] or [(128, 128, 128)])


def _histogram(of: np.ndarray) -> np.ndarray:
    cells = (of.astype(int) * LEVELS // 256) @ np.array([LEVELS * LEVELS, LEVELS, 1])
    return np.bincount(cells, minlength=LEVELS**3).astype(float)


class Album:
    """A folder of pictures with its index."""

    def __init__(self, root: Path, store: str) -> None:
        self.pictures = root / "pictures"
        self.pictures.mkdir()
        for colour in ("red", "green", "blue"):
            for tenths in (5, 7, 9):
                self.put(f"{colour}-{tenths}.png", png(colour, tenths / 10))
        embedder = CustomEmbedder(colours_of, LEVELS**3, fingerprint="colours-1")
        index = Index(
            "album", Folder("pictures", include=["**/*.png"]), chunker=Whole(), embedder=embedder, store=store
        )
        self.perdure = Perdure(root, project=Project.of("album", index), actor="ana")
        self.perdure.apply(at=AT)
        self.built = self.perdure.build_index("album", at=AT)

    def put(self, name: str, data: bytes) -> None:
        (self.pictures / name).write_bytes(data)

    def skews(self) -> set[tuple[str, str]]:
        found = self.perdure.census_index("album", at=LATER)
        assert found.whole
        return {(each.kind, each.document) for each in found.skews}

    def find(self, text: str = "", picture: bytes | None = None, k: int = 3) -> list[str]:
        return [each.document for each in self.perdure.search_index("album", text, k=k, picture=picture)]


@pytest.fixture(params=["", "lancedb:vectors"], ids=["sqlite", "lancedb"])
def album(request, tmp_path, monkeypatch):
    if request.param:
        pytest.importorskip("lancedb")
    monkeypatch.setattr("perdure.stores.documents.folder._RACY_US", 0)
    return Album(tmp_path, request.param)


def test_pictures_are_found_by_a_picture_that_is_like_them_and_by_words(album):
    assert (album.built.done, album.built.n_embedded, album.built.verified) == ({"add": 9}, 9, True)
    assert album.find(picture=png("green", 0.8))[0] in ("green-7.png", "green-9.png")
    assert {each[:5] for each in album.find(picture=png("green"))} == {"green"}
    assert {each[:3] for each in album.find("something red")} == {"red"}
    with pytest.raises(BadRequest, match="Nothing is asked"):
        album.find()
    with pytest.raises(BadRequest, match="cannot be asked by a picture"):
        album.find(picture=png("red")[:-9] + b"damaged!!")


def test_a_changed_a_deleted_a_new_and_a_damaged_picture_are_found_by_the_census_and_mended(album):
    assert album.skews() == set()
    album.put("red-5.png", png("blue", 0.6))
    (album.pictures / "green-5.png").unlink()
    album.put("white.png", png("white"))
    assert album.skews() == {("stale", "red-5.png"), ("ghost", "green-5.png"), ("missing", "white.png")}
    repaired = album.perdure.repair_index("album", at=LATER)
    assert (repaired.n_embedded, repaired.verified) == (2, True)
    assert album.skews() == set()
    assert album.find(picture=png("blue", 0.6), k=1) == ["red-5.png"]
    assert album.find("white", k=1) == ["white.png"]


def test_a_picture_that_nobody_can_read_is_its_own_trouble_and_what_was_there_stays_found(album):
    damaged = bytearray(png("red", 0.9))
    damaged[50] ^= 0xFF
    album.put("red-9.png", bytes(damaged))
    album.put("new.png", b"\x89PNG\r\n\x1a\n and no picture")
    album.put("green-7.png", png("green", 0.6))
    [report] = album.perdure.sync_index("album", at=LATER)
    assert report.troubles == {"red-9.png": "not_embedded", "new.png": "not_embedded"}
    assert report.verified
    assert album.perdure.show_index("album").troubles == report.troubles
    assert "red-9.png" in album.find(picture=png("red", 0.9))
    assert album.find(picture=png("green", 0.6), k=1) == ["green-7.png"]
    assert album.perdure.sync_index("album", at=LATER)[0].done == {}
    album.put("red-9.png", png("red", 0.8))
    assert album.perdure.sync_index("album", at=LATER)[0].verified
    assert album.perdure.show_index("album").troubles == {"new.png": "not_embedded"}


def test_bytes_of_a_picture_that_somebody_changed_in_the_index_are_corrupt_and_are_made_anew(tmp_path, monkeypatch):
    monkeypatch.setattr("perdure.stores.documents.folder._RACY_US", 0)
    album = Album(tmp_path, "")
    with careless(sqlite3.connect(album.perdure.show_index("album").file)) as connection:
        connection.execute(
            "UPDATE chunks SET packed = changed(packed, 'data', ?) WHERE document = 'red-7.png'", (png("blue"),)
        )
        connection.execute(
            "UPDATE chunks SET packed = changed(packed, 'vector', x'00000000') WHERE document = 'blue-9.png'"
        )
    connection.close()
    assert album.skews() == {("corrupt", "red-7.png"), ("corrupt", "blue-9.png")}
    assert album.perdure.repair_index("album", at=LATER).verified
    assert album.perdure.census_index("album", deep=True, at=LATER).skews == []
    assert album.find(picture=png("blue", 0.9), k=1) == ["blue-9.png"]
