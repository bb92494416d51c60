"""Tags that a caller sends beside the body: kept like `metadata`, held to the same bounds."""

from __future__ import annotations

import pytest

from perdure.core.errors import BadRequest
from perdure.serve.gateway.endpoints import ENDPOINTS
from perdure.serve.gateway.ongoing import Ongoing


@pytest.fixture
def call():
    """A call that has just begun."""
    return Ongoing("c1", next(iter(ENDPOINTS.values())), 0)


def test_short_texts_are_kept_and_names_that_are_ours_are_not(call):
    call.tag_by(b'{"case": "c1", "traceparent": "forged", "probe": "p"}')
    call.tag_by(b'{"long": "' + b"x" * 600 + b'"}')
    assert call.tags == {"case": "c1", "long": "x" * 512}


@pytest.mark.parametrize(
    "header", [b"", b"case=c1", b"[]", b'{"n": 1}', b'{"n": "\xff"}', b'{"n": "' + b"x" * 20_000 + b'"}']
)
def test_what_is_no_object_of_texts_is_refused_in_words(call, header):
    with pytest.raises(BadRequest, match="perdure-tags"):
        call.tag_by(header)
    assert call.tags == {}
