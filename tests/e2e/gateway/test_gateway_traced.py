"""The span that a caller is in is kept with its call, and nobody else can say what it is."""

from __future__ import annotations

import pytest

from perdure import Route

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.mark.parametrize(
    ("headers", "kept"),
    [({"traceparent": PARENT}, {"traceparent": PARENT}), ({}, {}), ({"traceparent": "x" * 513}, {})],
    ids=["kept", "none", "too-long"],
)
def test_the_caller_s_span_is_kept_as_it_came(world, headers, kept):
    world.declare(Route("main", [world.target()]))
    with world.serving() as gateway:
        answer = gateway.chat(metadata={"ticket": "T-1", "traceparent": "forged"}, headers=headers)
        assert answer.status == 200
        assert gateway.recorded(1)[0].tags == {"ticket": "T-1", **kept}
