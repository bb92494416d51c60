"""What goes to a model and what is read of its answers, as OpenAI's chat completions have it. Pure; `chats` asks by it.

An answer is kept as it came, but for the ids of its calls: those are ours, `call_<step>_<place>` on the wire (letters that every
provider takes), `<step>.<place>` in the journal. So the same journal gives the same requests, byte for byte.

What surprised us: providers refuse a history with arguments that are no JSON, so a model's malformed call goes back to it as `{}`
beside words of what was wrong; and they refuse an empty answer of the assistant, so that is left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from perdure.core.errors import BadRequest
from perdure.serve.runs.protocols import Json, Offered

OUTPUT_TOOL = "final_result"
"""By which a model with tools gives an output of a declared form."""
MOST_CALLS = 64
"""Of one answer; the rest is dropped, and told in the step's facts."""
MOST_CHARACTERS = 1_000_000
"""Of a text or of arguments."""
_OWN = frozenset({"task", "messages", "input", "expected", "user", "tags"})


@dataclass(frozen=True, slots=True)
class AskedFor:
    """What a run is asked, in the words of a request."""

    variables: Json
    """Of the agent's prompt."""
    messages: Sequence[Json]
    """Earlier turns, then the task."""


def asked_for(given: bytes) -> AskedFor:
    """A run's input: `task` is said as the user's last message, after `messages`; `input` holds variables of the prompt.

    Where there is no `input`, the other members are the variables.

    Raises:
        BadRequest: it is no object, or its messages are no list of objects.

    >>> asked_for(b'{"task": "Where is parcel 7?", "input": {"tone": "formal"}}')
    AskedFor(variables={'tone': 'formal'}, messages=[{'role': 'user', 'content': 'Where is parcel 7?'}])
    """
    try:
        found: Any = msgspec.json.decode(given or b"{}")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise BadRequest("The input of a run is no JSON object.", hint='Send {"task": …} or {"input": {…}}.')
    earlier = found.get("messages") or []
    if not isinstance(earlier, list) or not all(isinstance(each, dict) for each in earlier):
        raise BadRequest("The `messages` of a run are no list of objects.", hint="Send them as chat completions do.")
    task = found.get("task")
    said = [{"role": "user", "content": task}] if isinstance(task, str) and task else []
    own = found.get("input")
    variables = own if isinstance(own, dict) else {name: each for name, each in found.items() if name not in _OWN}
    return AskedFor(variables, [*earlier, *said])


def tools_told(offered: Sequence[Offered], output: Mapping[str, Any] | None) -> list[Json]:
    """The `tools` of a request; the last is that by which the output is given, where one is asked for."""
    told = [_function(each.name, each.description, each.schema) for each in offered]
    if output is not None:
        told.append(_function(OUTPUT_TOOL, "Give the final result; this ends the work.", output))
    return told


def _function(name: str, description: str, schema: Mapping[str, Any]) -> Json:
    return {"type": "function", "function": {"name": name, "description": description, "parameters": dict(schema)}}


def request_bytes(body: Json) -> bytes:
    """A request as JSON that is the same whatever the order of its members; its `bytes_hash` is the request's digest."""
    return msgspec.json.encode(body, order="sorted")


def wire_id(call: str) -> str:
    """The id of a call as a model reads it.

    >>> wire_id("3.0")
    'call_3_0'
    """
    return "call_" + call.replace(".", "_")


@dataclass(frozen=True, slots=True)
class Called:
    """One call that a model asked for."""

    call: str
    """`<step>.<place>`."""
    name: str
    arguments: Json | None
    """None: they could not be read."""
    raw: str
    """As they came."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One answer of a model, read."""

    n: int
    """Which answer of the run, from 0."""
    text: str
    calls: Sequence[Called]
    refusal: str
    finish: str
    echo: Json | None
    """The message as it goes back to the model; None: it said nothing."""


def kept_message(message: Mapping[str, Any], n: int) -> tuple[Json, Json]:
    """An answer as the journal keeps it, bounded and with our ids of calls; and facts of what was cut."""
    facts: Json = {}
    kept: Json = {"role": "assistant", "content": _cut(message.get("content"), facts)}
    if message.get("refusal"):
        kept["refusal"] = str(message["refusal"])[:MOST_CHARACTERS]
    calls = message.get("tool_calls")
    calls = [each for each in calls if isinstance(each, dict)] if isinstance(calls, list) else []
    if len(calls) > MOST_CALLS:
        facts["calls_dropped"] = len(calls) - MOST_CALLS
    if calls:
        kept["tool_calls"] = [_kept_call(each, f"{n}.{place}") for place, each in enumerate(calls[:MOST_CALLS])]
    return kept, facts


def _cut(content: Any, facts: Json) -> Any:
    text = content if isinstance(content, str) else ""
    if len(text) > MOST_CHARACTERS:
        facts["characters_cut"] = len(text) - MOST_CHARACTERS
        return text[:MOST_CHARACTERS]
    return content if isinstance(content, str | list) else None


def _kept_call(call: Mapping[str, Any], ours: str) -> Json:
    function = call.get("function")
    told: Mapping[str, Any] = function if isinstance(function, dict) else {}
    given = told.get("arguments")
    arguments = given if isinstance(given, str) else "" if given is None else msgspec.json.encode(given).decode()
    further = {name: each for name, each in call.items() if name not in ("id", "type", "function", "index")}
    # What a provider adds, such as the signature of a thought, has to come back to it.
    return {
        "id": wire_id(ours),
        "type": "function",
        "function": {"name": str(told.get("name") or "")[:200], "arguments": arguments[: MOST_CHARACTERS + 1]},
        **further,
    }


def turn_of(kept: Mapping[str, Any], n: int, finish: str) -> Turn:
    """An answer out of the journal, read."""
    calls, echoed = [], []
    for place, each in enumerate(kept.get("tool_calls", ())):
        told = each["function"]
        arguments = _object(told["arguments"])
        calls.append(Called(f"{n}.{place}", told["name"], arguments, told["arguments"]))
        # A name and arguments that no provider would take back are not sent to it.
        sent = {"name": told["name"] or "unnamed", "arguments": told["arguments"] if arguments else "{}"}
        echoed.append({**each, "function": sent})
    said = text_of(kept.get("content"))
    text = said if said.strip() else ""
    echo: Json | None = None
    if text or echoed:
        echo = {"role": "assistant", "content": kept.get("content"), **({"tool_calls": echoed} if echoed else {})}
    return Turn(n, text, tuple(calls), str(kept.get("refusal") or ""), finish, echo)


def text_of(content: Any) -> str:
    """The text of a message, of parts together; empty where it has none."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else ()
    return "".join(str(part.get("text", "")) for part in parts if isinstance(part, dict))


def _object(raw: str) -> Json | None:
    """Arguments as an object; no text at all is none of them, as some models send for a tool without parameters."""
    if not raw.strip():
        return {}
    if len(raw) > MOST_CHARACTERS:
        return None
    try:
        found: Any = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
