"""An index of pictures searched by a picture over HTTP: as its bytes in the body, within bounds, and never as an address."""

from __future__ import annotations

import base64
import json
import struct
import zlib

import pytest
from retrieval_world import post, wait_for

from perdure.core.errors import BadRequest, TooLarge
from perdure.serve.retrieval.asked import AnswerBody, SearchBody, read
from perdure.serve.retrieval.pictured import picture_of
from perdure.surface.sdk import open_project

SIDE = 8
COLOURS = {"red": (220, 20, 30), "green": (20, 200, 40), "blue": (10, 30, 210), "white": (250, 250, 250)}
DECLARED = """
import struct
import zlib
import numpy as np
from perdure import CustomEmbedder, Folder, Index, Team, Whole, WordLlama

COLOURS = {"red": (220, 20, 30), "green": (20, 200, 40), "blue": (10, 30, 210), "white": (250, 250, 250)}

def pixels(data):
    n = struct.unpack(">I", data[33:37])[0]
    if struct.unpack(">I", data[41 + n : 45 + n])[0] != zlib.crc32(data[37 : 41 + n]):
        raise ValueError("the picture is damaged")
    return np.frombuffer(zlib.decompress(data[41 : 41 + n]), "u1").reshape(8, -1)[:, 1:].reshape(-1, 3)

def named(text):
    return np.array([COLOURS[word] for word in text.lower().split() if word in COLOURS] or [(128, 128, 128)])

def colours(contents):
    rows = []
    for each in contents:
        cells = ((named(each) if isinstance(each, str) else pixels(each)).astype(int) * 3 // 256) @ [9, 3, 1]
        rows.append(np.bincount(cells, minlength=27).astype(float))
    return rows

album = Index("album", Folder("pictures"), chunker=Whole(), embedder=CustomEmbedder(colours, 27, fingerprint="1"))
texts = Index("texts", Folder("texts"), embedder=WordLlama())
team = Team("team")
"""


def png(colour, tenths=10, side=SIDE):
    """A picture of which so many tenths of the rows have one colour, and the rest are white."""
    rows = b"".join(b"\0" + bytes(COLOURS[colour if 10 * y < tenths * SIDE else "white"]) * SIDE for y in range(SIDE))
    parts = [
        (b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    ]
    told = (struct.pack(">I", len(d)) + kind + d + struct.pack(">I", zlib.crc32(kind + d)) for kind, d in parts)
    return b"\x89PNG\r\n\x1a\n" + b"".join(told)


def url_of(data, kind="image/png"):
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """Asks a server of nine pictures and a text: index, members of the body → status and what was told."""
    folder = tmp_path_factory.mktemp("album")
    (folder / "perdure.toml").write_text('[project]\nname = "p"\npackage = "declared_pictures"\n')
    (folder / "declared_pictures.py").write_text(DECLARED)
    for colour in ("red", "green", "blue"):
        for tenths in (5, 7, 9):
            path = folder / "pictures" / f"{colour}-{tenths}.png"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(png(colour, tenths))
    (folder / "texts").mkdir()
    (folder / "texts" / "a.md").write_text("Parcels are shipped by train.")
    project = open_project(folder)
    project.apply()
    for name in ("album", "texts"):
        project.build_index(name)
    secret = project.create_key("team").secret
    server = project.server(port=0)
    url = server.start()

    def ask(index="album", **members):
        return post(url, f"/v1/indexes/{index}/search", members, secret)

    wait_for(lambda: ask(query="red")[0] == ask("texts", query="train")[0] == 200)
    yield ask
    server.stop()


def documents(answer):
    assert answer[0] == 200, answer[1]
    return [hit["document"] for hit in answer[1]["hits"]]


def test_what_is_like_a_picture_is_found_by_it(asked):
    """By its vector alone, in either mode that has one; each hit is checked, and nothing was found by words."""
    for mode in ("dense", "hybrid"):
        answer = asked(picture=url_of(png("green", 9)), k=3, mode=mode)
        assert documents(answer)[0] == "green-9.png"
        assert {each[:5] for each in documents(answer)} == {"green"}
        assert {(hit["checked"], hit["lexical"]) for hit in answer[1]["hits"]} == {(True, None)}
    assert {each[:3] for each in documents(asked(query="something red", k=3))} == {"red"}


def test_other_wordings_are_searched_beside_a_picture(asked):
    found = documents(asked(picture=url_of(png("blue", 5)), others=["red"], k=6))
    assert {each.split("-")[0] for each in found} == {"blue", "red"}


def test_the_kind_is_what_the_bytes_say(asked):
    assert documents(asked(picture=url_of(png("red", 9), "image/jpeg"), k=1)) == ["red-9.png"]


@pytest.mark.parametrize(
    ("members", "status", "told"),
    [
        ({"picture": "https://example.org/red.png"}, 400, "no data URL"),
        ({"picture": "data:image/png,iVBORw0KGgo="}, 400, "no data URL"),
        ({"picture": "data:image/png;base64,iVBORw0K*&"}, 400, "no base64"),
        ({"picture": "data:image/png;base64,"}, 400, "no bytes"),
        ({"picture": url_of(b"%PDF-1.7 and so on")}, 415, "no PNG, JPEG"),
        ({"picture": url_of(png("red", side=60_000))}, 413, "60,000"),
        ({"picture": url_of(png("red")[:-16] + b"damaged damaged!")}, 400, "by this picture: colours raised"),
        ({"picture": url_of(b"\xff\xd8\xff" + bytes(4_000_000))}, 413, "4000000"),
        ({"picture": url_of(png("red")), "mode": "lexical"}, 400, "no words"),
        ({"picture": url_of(png("red")), "query": "red", "mode": "dense"}, 400, "words beside a picture"),
        ({"picture": url_of(png("red")), "rerank": True}, 400, "Only words"),
        ({"picture": 7}, 400, "picture"),
        ({"picture": ""}, 400, "Nothing is asked"),
    ],
)
def test_what_is_no_picture_is_refused_and_told(asked, members, status, told):
    answer = asked(**members)
    assert answer[0] == status, answer
    assert told in answer[1]["error"]["message"]


def test_an_index_of_texts_is_asked_by_no_picture(asked):
    status, told = asked("texts", picture=url_of(png("red")))
    assert (status, "by this picture" in told["error"]["message"]) == (400, True)


def test_a_picture_of_more_than_20_megabytes_is_never_decoded():
    """Where a body may be that large."""
    body = json.dumps({"picture": "data:image/png;base64," + "A" * 28_000_000}).encode()
    with pytest.raises(TooLarge, match="20,000,000 are allowed"):
        picture_of(read(body, SearchBody).picture)


def test_a_model_is_not_asked_about_a_picture():
    body = json.dumps({"question": "What?", "route": "main", "picture": url_of(png("red"))}).encode()
    with pytest.raises(BadRequest, match="answers from words"):
        read(body, AnswerBody)
