"""Answers as the store of results keeps them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from perdure.core.ports import Answered
from perdure.core.usage import Usage
from perdure.stores.results.protocols import Results


class KeptAnswer(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An answer that did not fail, with the run that asked it."""

    message: dict[str, Any]
    finish: str
    usage: Usage | None
    cost_pusd: int | None
    latency_us: int
    model: str
    call_id: str
    run: str

    def answered(self) -> Answered:
        """As it was given; cost and latency are those of then."""
        return Answered(
            self.message, self.finish, self.usage, self.cost_pusd, self.latency_us, self.model, self.call_id
        )


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(KeptAnswer).decode


def kept(answered: Answered, run: str) -> bytes:
    """An answer's bytes, as those of a `KeptAnswer`. Cost: 0.6 µs."""
    message = answered.message
    return _encode(
        (
            message if type(message) is dict else dict(message),
            answered.finish,
            answered.usage,
            answered.cost_pusd,
            answered.latency_us,
            answered.model,
            answered.call_id,
            run,
        )
    )


def read_kept(body: bytes) -> KeptAnswer:
    """The answer of these bytes. Cost: 1 µs."""
    return _decode(body)


def texts_of(results: Results, keys: Iterable[str]) -> Mapping[str, str]:
    """The texts of answers by key; those that are gone are left out."""
    found = results.find_answers(list(dict.fromkeys(key for key in keys if key)))
    return {key: _decode(body).answered().text for key, body in found.items()}
