"""What is told of a run that is over, to the capture log: its record and journal, with texts as its asset keeps them.

While a run goes on its journal in the store holds what it needs to go on, texts too. When it is over entries and questions are kept there
as they were told; the run itself stays whole until it is pruned, for its caller asks for it, and repeats himself under his key. Digests are of what was there before: a replay finds an answer by them though its text is masked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from perdure.core.canonical import bytes_hash
from perdure.core.clock import machine_us
from perdure.core.runs import RunRecord, StepRecord, Wait
from perdure.serve.runs.journaling import sound
from perdure.serve.runs.showing import value_of
from perdure.stores.capture.events import RunTold
from perdure.stores.runs.protocols import Told

Mask = Callable[[str], str]
KEPT = "kept"
"""Member of `facts` of what is told: `redacted`, or `none` where nothing but digests and lengths is; absent where all is."""
EXPECTED = "expected"
"""Tag of a graph's run that says what it should give, as JSON."""
_DIGESTS = frozenset({"digest"})
_encode = msgspec.json.encode


def run_told(run: RunRecord, steps: Sequence[StepRecord], waits: Sequence[Wait], keeps: str, mask: Mask) -> RunTold:
    """The event of a run that is over. Cost: of `redacted` one look of the mask at each text.

    Args:
        run: as it ended.
        steps: its journal.
        waits: its questions, with their answers.
        keeps: `redacted`, `full` or `none`, as its asset says.
        mask: takes personal data and secrets out of a text.
    """
    keep = _keeper(keeps, mask)
    if keep is not None:
        run = msgspec.structs.replace(
            run,
            input=keep(run.input),
            output=keep(run.output),
            text=_text(run.text, keeps, mask),
            tags=_kept_tags(run.tags, keeps, mask),
        )
        steps = [_kept_step(step, keep, keeps, mask) for step in steps]
        waits = [_kept_wait(wait, keep, keeps, mask) for wait in waits]
    return RunTold(run=run, steps=list(steps), waits=list(waits), recorded_us=machine_us())


def kept_of(told: RunTold) -> Told | None:
    """What stays of it in the store of runs, where texts were taken out; None: all as it is."""
    return Told(told.run, told.steps, told.waits) if any(KEPT in step.facts for step in told.steps) else None


def _keeper(keeps: str, mask: Mask) -> Callable[[bytes], bytes] | None:
    if keeps == "full":
        return None
    return _digested if keeps == "none" else lambda data: _masked(data, mask)


def _kept_tags(tags: Mapping[str, str], keeps: str, mask: Mask) -> Mapping[str, str]:
    """Tags are the caller's labels and stay, but for what a graph should give, which is a text like what it gave."""
    kept = {name: _text(told, keeps, mask) if name == EXPECTED else told for name, told in tags.items()}
    return {name: told for name, told in kept.items() if name != EXPECTED or told}


def _kept_step(step: StepRecord, keep: Callable[[bytes], bytes], keeps: str, mask: Mask) -> StepRecord:
    return msgspec.structs.replace(
        step,
        input=_with_digest(step.input, keep),
        output=keep(step.output),
        text=_text(step.text, keeps, mask),
        facts={**step.facts, KEPT: keeps},
    )


def _kept_wait(wait: Wait, keep: Callable[[bytes], bytes], keeps: str, mask: Mask) -> Wait:
    answer = wait.answer
    if answer is not None:
        answer = msgspec.structs.replace(answer, reason=_text(answer.reason, keeps, mask), value=keep(answer.value))
    return msgspec.structs.replace(
        wait, text=_text(wait.text, keeps, mask), arguments=keep(wait.arguments), answer=answer
    )


def _with_digest(data: bytes, keep: Callable[[bytes], bytes]) -> bytes:
    """A step's input; the digest that it says of itself stays, for replays find it by that."""
    told, kept = value_of(data), value_of(keep(data))
    if isinstance(told, dict) and isinstance(kept, dict) and isinstance(told.get("digest"), str):
        return _encode({**kept, "digest": told["digest"]})
    return keep(data)


def _digested(data: bytes) -> bytes:
    return _encode({"digest": bytes_hash(data), "n_bytes": len(data)}) if data else b""


def _masked(data: bytes, mask: Mask) -> bytes:
    if not data:
        return b""
    return _encode(_masked_value(value_of(data), mask))


def _masked_value(value: Any, mask: Mask) -> Any:
    """Every text in it masked, names of members too: a tool may give a table by address."""
    if isinstance(value, str):
        return sound(mask(value))
    if isinstance(value, list):
        return [_masked_value(each, mask) for each in value]
    if isinstance(value, Mapping):
        return {
            sound(mask(name)): each if name in _DIGESTS else _masked_value(each, mask) for name, each in value.items()
        }
    return value


def _text(text: str, keeps: str, mask: Mask) -> str:
    """Words: masked where texts are, and where nothing is kept the code of an error has to do."""
    return mask(text) if text and keeps == "redacted" else "" if keeps == "none" else text
