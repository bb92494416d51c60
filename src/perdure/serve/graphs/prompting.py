"""Prompt nodes: a prompt's route is asked through the gateway, and what must be an object is read from its answer.

An answer that is not what the prompt's `output` says is shown to the model with what is wrong, and asked for again; each question is an
entry of the journal with what it cost, so a drive that goes on asks none twice.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from perdure.core.canonical import bytes_hash, canonical_json
from perdure.core.clock import machine_us
from perdure.core.runs import StepRecord
from perdure.engines.graphs.compiled import CompiledNode
from perdure.engines.graphs.schemas import with_defaults
from perdure.serve.graphs.drives import Drive, Gave, NodeFailed
from perdure.serve.runs.protocols import ChatSaid, Json

if TYPE_CHECKING:
    from perdure.serve.graphs.loading import Form

_FENCED = re.compile(r"\A\s*```[a-z]*\n(?P<inside>.*)\n```\s*\Z", re.DOTALL)
_TRIES = 3
"""Answers that are asked for where they must be an object."""
_LONGEST = 300


async def ask(drive: Drive, node: CompiledNode, call: str, variables: Json) -> Gave:
    """What a prompt's route answers.

    Raises:
        NodeFailed: it gave nothing in time, no text, or none of what the prompt must give.
        PerdureError: as the gateway said it.
        LimitHit: a limit of the run was reached.
    """
    prompt = str(node.told["prompt"])
    body: Json = {"model": f"prompt:{prompt}", "variables": variables}
    form, versions = drive.live.outputs.get(prompt), dict[str, str]()
    n_tries = 1 if form is None else _TRIES
    wrong = ""
    for n in range(n_tries):
        step = await _said(drive, node, call if n == 0 else f"{call}+{n}", body)
        versions |= step.versions
        facts = {"tries": n + 1} if n else {}
        text = _text(step)
        if form is None:
            return Gave({"text": text}, versions, facts)
        value, wrong = _read(text, form)
        if not wrong:
            return Gave(value, versions, facts)
        body = {**body, "messages": [*body.get("messages", ()), {"role": "assistant", "content": text or "(nothing)"},
                                     {"role": "user", "content": _again(wrong)}]}  # fmt: skip
    raise NodeFailed("node.bad_output", f"In {n_tries} answers there was none of what the prompt must give: {wrong}.")


def _again(wrong: str) -> str:
    return f"That is not what was asked for: {wrong}. Answer again with the JSON alone, as its schema says."


async def _said(drive: Drive, node: CompiledNode, call: str, body: Json) -> StepRecord:
    """The entry of an answer: of the journal, of the record of what is replayed, or new."""
    request = canonical_json(body)
    digest = bytes_hash(request)
    found = drive.chat(call, digest)
    if found is not None:
        return found
    driven = drive.driven
    recorded = None if driven.replayer is None else driven.replayer.chat(request)
    driven.limits.check()
    began_us = machine_us()
    if recorded is not None:
        facts = {**recorded.facts, "request": digest, "recorded": True}
        step = msgspec.structs.replace(recorded, call=call, began_us=began_us, facts=facts)
    else:
        asked = driven.world.chat(body, driven.caller, driven.run, {"node": node.name})
        step = _entry(node, call, body, await drive.in_time(node.timeout_s, asked), digest)
        step = msgspec.structs.replace(step, began_us=began_us)
    await drive.write(step)
    return step


def _entry(node: CompiledNode, call: str, body: Json, said: ChatSaid, digest: str) -> StepRecord:
    of = str(body["model"])
    return StepRecord(
        run="",
        n=0,
        kind="chat",
        state="done",
        node=of,
        call=call,
        version=said.versions.get(of, ""),
        versions=said.versions,
        input=msgspec.json.encode({"digest": digest, **body}),
        output=msgspec.json.encode(said.message),
        took_us=said.took_us,
        usage=said.usage,
        cost_pusd=said.cost_pusd,
        facts={
            "request": digest,
            "call_id": said.call_id,
            "finish": said.finish,
            "model": said.model,
            "of": node.name,
        },
    )


def _text(step: StepRecord) -> str:
    """The text of an answer.

    Raises:
        NodeFailed: there is none.
    """
    message: Mapping[str, Any] = msgspec.json.decode(step.output)
    content = message.get("content")
    if isinstance(content, list):
        content = "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    if isinstance(content, str) and content:
        return content
    refusal = message.get("refusal")
    if isinstance(refusal, str) and refusal:
        raise NodeFailed("node.refused", f"The model refused: {refusal[:_LONGEST]}")
    raise NodeFailed("node.bad_output", "The model gave no text.", again=False)


def _read(text: str, form: Form) -> tuple[Any, str]:
    """The value of an answer, and what is wrong with it."""
    fenced = _FENCED.match(text)
    try:
        value = msgspec.json.decode(fenced["inside"] if fenced else text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None, "it is no JSON"
    if form.accepts.is_valid(value):
        return with_defaults(form.schema, value), ""
    error = next(iter(form.accepts.iter_errors(value)))
    where = ".".join(map(str, error.instance_path))
    return None, f"{where}: {error.message}"[:_LONGEST] if where else str(error.message)[:_LONGEST]
