"""What is held of a long stream that guards look at."""

from __future__ import annotations

import tracemalloc
from types import SimpleNamespace

from perdure.serve.gateway.filtering import Filtering
from perdure.serve.gateway.guarding import Guarding


def test_of_a_long_stream_its_texts_are_held_not_its_chunks() -> None:
    """Two hundred slow streams at once must fit into little memory."""
    filtering = Filtering(Guarding(SimpleNamespace(guards=[]), (), None))  # type: ignore[arg-type]
    n_chunks = 2_000
    tracemalloc.start()
    try:
        for place in range(n_chunks):
            choice = {"index": 0, "delta": {"content": f"{place} "}, "finish_reason": None}
            filtering.feed([{"id": "x", "object": "chat.completion.chunk", "model": "m", "choices": [choice]}])
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held / n_chunks < 250
    said = filtering.answer()["choices"][0]["message"]["content"]
    assert said == "".join(f"{place} " for place in range(n_chunks))
