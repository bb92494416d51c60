"""Runs of another server: what is missing here is told in words of here."""

from __future__ import annotations

import io
from typing import Any

import pytest

from perdure.core.errors import Unauthorized
from perdure.surface import runs_by_http
from perdure.surface.runs_by_http import RunsByHttp


class Unasked:
    """A connection to a server that wants a key."""

    status = 401

    def __init__(self, *_: Any, **__: Any) -> None:
        self.body = io.BytesIO(b'{"error": {"message": "This request has no key.", "hint": "Send a header."}}')

    def request(self, *_: Any) -> None: ...

    def getresponse(self) -> Unasked:
        return self

    def read(self) -> bytes:
        return self.body.read()

    def close(self) -> None: ...


@pytest.mark.parametrize(("secret", "hint"), [("", "[agents] key_env"), ("pk-perdure-1", "Send a header.")])
def test_who_has_no_key_is_told_where_it_is_named(monkeypatch: pytest.MonkeyPatch, secret: str, hint: str) -> None:
    monkeypatch.setattr(runs_by_http, "HTTPConnection", Unasked)

    with pytest.raises(Unauthorized, match="has no key") as caught:
        RunsByHttp("http://127.0.0.1:8400", secret).waiting()

    assert hint in caught.value.hint
