"""Documents that are pushed over HTTP: kept where who follows the index reads them."""

from __future__ import annotations

import json

import pytest

from perdure import Folder, Index, Team
from perdure.core.documents import RawDocument
from perdure.stores.documents.pushed import PushedDocuments


def put(gateway, id_, body, **headers):
    return gateway.ask(f"/v1/indexes/handbook/documents/{id_}", body, method="PUT", **headers)


@pytest.fixture
def inbox(world):
    opened = PushedDocuments(world.root / "indexes" / "handbook" / "pushed.db")
    yield opened
    opened.close()


def read(inbox):
    return [document for document in inbox.read(list(inbox.list())) if isinstance(document, RawDocument)]


def test_a_document_is_put_read_and_deleted(gateway, inbox):
    """As JSON with metadata and readers, or as the bytes of any media type; an id may hold slashes."""
    told = {"text": "Rules", "metadata": {"year": 2020}, "readers": ["staff"]}
    first = put(gateway, "a/b%20c.md", json.dumps(told).encode())
    assert (first.status, first.json["id"]) == (202, "a/b c.md")
    assert put(gateway, "page.html", b"<p>Rules</p>", content_type="text/html; charset=utf-8").status == 202
    one, two = read(inbox)
    assert (one.ref.id, one.data, one.media_type, one.metadata, one.readers) == (
        "a/b c.md",
        b"Rules",
        "text/markdown",
        {"year": 2020},
        ("staff",),
    )
    assert (two.data, two.media_type, two.readers, one.ref.token) == (
        b"<p>Rules</p>",
        "text/html",
        None,
        first.json["token"],
    )

    assert gateway.ask("/v1/indexes/handbook/documents/page.html", None, method="DELETE").status == 202
    assert gateway.ask("/v1/indexes/handbook/documents/page.html", None, method="DELETE").status == 404
    assert [each.ref.id for each in read(inbox)] == ["a/b c.md"]


@pytest.mark.parametrize(
    ("id_", "body"),
    [("a.md", b"{}"), ("a.md", b'{"text": 1}'), ("a.md", b'{"text": "x", "who": 1}'), ("x" * 2000, b'{"text": "x"}'),
     ("a%00b", b'{"text": "x"}'), ("a.md", b'{"text": "x", "metadata": {"a": [1]}}')],
)  # fmt: skip
def test_what_is_no_document_is_told(gateway, inbox, id_, body):
    assert put(gateway, id_, body).status == 400
    assert read(inbox) == []


def test_a_team_writes_where_it_may(world, store):
    """To search an index is not to write it."""
    world.teams = {"team": Team("team"), "press": Team("press", writes=["handbook"])}
    press = {"authorization": f"Bearer {world.key('press')}"}
    with world.serving() as gateway:
        assert put(gateway, "a.md", b'{"text": "x"}', authorization="").status == 401
        assert put(gateway, "a.md", b'{"text": "x"}').status == 403
        assert put(gateway, "a.md", b'{"text": "x"}', **press).status == 202


def test_an_index_of_files_takes_no_documents(world, store):
    world.indexes["handbook"] = Index("handbook", Folder("docs"))
    with world.serving() as gateway:
        answer = put(gateway, "a.md", b'{"text": "x"}')
        assert (answer.status, "Folder" in answer.error["message"]) == (403, True)
