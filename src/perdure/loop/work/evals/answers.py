"""Answers as the store of results keeps them, and which of them another model gave.

What surprised us: the key of an answer is all that makes it, but for the model itself, which may change behind its name. A version
that was asked before the change would then be compared by old answers with one that is asked after it. So each answer keeps the name
that the model gave itself, and a run takes answers of one name only.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from perdure.core.ports import Answered
from perdure.core.usage import Usage
from perdure.stores.results.protocols import Results, RunRow

_AT_ONCE = 10_000
"""Answers that are looked up together."""


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
    reported: str = ""
    """The model by the name that it gave itself."""

    def answered(self) -> Answered:
        """As it was given; cost and latency are those of then."""
        return Answered(
            self.message, self.finish, self.usage, self.cost_pusd, self.latency_us, self.model, self.call_id,
            reported=self.reported,
        )  # fmt: skip


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
            answered.reported,
        )
    )


def read_kept(body: bytes) -> KeptAnswer:
    """The answer of these bytes. Cost: 1 µs."""
    return _decode(body)


def texts_of(results: Results, keys: Iterable[str]) -> Mapping[str, str]:
    """The texts of answers by key; those that are gone are left out."""
    found = results.find_answers(list(dict.fromkeys(key for key in keys if key)))
    return {key: _decode(body).answered().text for key, body in found.items()}


def outdated(results: Results, rows: Sequence[RunRow]) -> set[str]:
    """Keys of a run's known answers that are not of the model that answers now, or are gone.

    The name that a target gave itself when this run asked it stands; where the run asked nothing of it, the name of most of its
    answers does, until the others were asked anew. Cost: some 5 µs an answer of a run that has known ones, else nothing.
    """
    known = {row.answer for row in rows if row.cached and row.answer}
    if not known:
        return set()
    keys = list(dict.fromkeys(row.answer for row in rows if row.answer))
    found = {
        key: read_kept(body)
        for at in range(0, len(keys), _AT_ONCE)
        for key, body in results.find_answers(keys[at : at + _AT_ONCE]).items()
    }
    names: dict[str, Counter[str]] = defaultdict(Counter)
    own: dict[str, set[str]] = defaultdict(set)
    for key, each in found.items():
        names[each.model][each.reported] += 1
        if key not in known:
            own[each.model].add(each.reported)
    stands = {model: own.get(model) or {counted.most_common(1)[0][0]} for model, counted in names.items()}
    return {key for key in known if key not in found or found[key].reported not in stands[found[key].model]}
