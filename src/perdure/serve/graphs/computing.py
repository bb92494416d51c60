"""What each kind of node does, from what it is given to what it gives; tried again where it failed for now and that is safe."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import msgspec

from perdure.core.errors import BadGraph, LostLease, PerdureError, StoreError, Temporary
from perdure.core.runs import RunRecord
from perdure.engines.agents.provenance import texts_of
from perdure.engines.features.planned import KEY_SEPARATOR, key_text
from perdure.engines.graphs.compiled import CompiledNode
from perdure.engines.graphs.values import Values, holds, resolve
from perdure.engines.guards.injection import signs
from perdure.serve.boundary import contained, contained_async
from perdure.serve.graphs.drives import Drive, Gave, NodeFailed, Unwritten
from perdure.serve.graphs.prompting import ask
from perdure.serve.runs.protocols import LimitHit, Parked, ToolAsked, ToolContext
from perdure.serve.tools.offering import ToolFailure
from perdure.serve.tools.project_tools import largest_first

DEFERRED = ("tool", "agent")
"""Kinds that have tries and times of their own, and are not let go of while they work."""
_READS = ("search", "features", "agent")
"""Kinds that give what others wrote."""
_AT_ONCE = 60_000
"""Characters that are looked through on the serving loop; more on a thread."""
_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 10.0
_LONGEST = 500
Given = Any
Found = TypeVar("Found")


def given_of(node: CompiledNode, values: Values) -> Given:
    """What a node is given, as JSON.

    Raises:
        NodeFailed: a reference asks for what cannot be there.
    """

    def resolved() -> Given:
        if node.kind == "rule":
            fitting = (value for condition, value in node.rules if holds(condition, values))
            found = next(fitting, node.given.get("otherwise"))
            return None if found is None else resolve(found, values)
        return next((resolve(each, values) for each in node.given.values()), {})

    return bad_input(resolved)


def bad_input(work: Callable[[], Any]) -> Any:
    """What `work` makes of references and conditions.

    Raises:
        NodeFailed: they ask for what cannot be there.
    """
    try:
        return work()
    except BadGraph as error:
        raise NodeFailed("node.bad_input", str(error)) from error


async def compute(drive: Drive, node: CompiledNode, call: str, given: Given) -> Gave:
    """What a node gives, after its tries.

    Raises:
        NodeFailed: it gave nothing.
        Parked: it waits for a person.
        LimitHit: a limit of the run was reached.
        Unwritten: the journal cannot be written.
        LostLease: another worker drives this run now.
    """
    tries = 1 if node.kind in DEFERRED else node.tries
    for n in range(1, tries + 1):
        try:
            gave = await contained_async(partial(_KINDS[node.kind], drive, node, call, given), _failed)
            return await _looked_through(gave) if node.kind in _READS else gave
        except NodeFailed as error:
            left_s = drive.driven.limits.left_s()
            if not error.again or n == tries or left_s <= 0.0:
                raise
            pause_s = max(error.delay_s, _PAUSE_S * 2 ** (n - 1))
            await asyncio.sleep(min(pause_s, _LONGEST_PAUSE_S, left_s))
    raise AssertionError("a node has one try at least")


async def _looked_through(gave: Gave) -> Gave:
    """With how much of an attack rules see in what others wrote; tools look through what they give themselves."""
    text = "\n".join(texts_of(gave.value))
    looked = signs(text) if len(text) <= _AT_ONCE else await asyncio.to_thread(signs, text)
    score = round(looked.score, 4)
    return replace(gave, facts={**gave.facts, "injection": score}) if score else gave


async def _failed(error: Exception) -> Gave:
    """What was raised, as a failure of the node.

    Raises:
        Exception: one that is not the node's own.
    """
    if isinstance(error, NodeFailed | Unwritten | LimitHit | Parked | LostLease):
        raise error
    if isinstance(error, PerdureError):
        delay_s = error.delay_s if isinstance(error, Temporary) else 0.0
        again = isinstance(error, Temporary)
        raise NodeFailed(error.code, str(error)[:_LONGEST], again=again, delay_s=delay_s) from error
    if isinstance(error, ToolFailure):
        code = f"node.{error.code.partition('.')[2]}"
        quoted = f" {error.quoted}" if error.quoted else ""
        raise NodeFailed(code, f"{error.text}{quoted}"[:_LONGEST], again=error.again) from error
    raise NodeFailed("node.failed", f"It failed: {type(error).__name__}.") from error


async def _prompt(drive: Drive, node: CompiledNode, call: str, given: Given) -> Gave:
    return await ask(drive, node, call, given)


async def _search(drive: Drive, node: CompiledNode, call: str, given: Given) -> Gave:  # noqa: ARG001 - as the others
    if not isinstance(given, str):
        raise NodeFailed("node.bad_input", "The question of a search is no text.")
    driven, index = drive.driven, str(node.told["index"])
    k, mode = int(node.told.get("k", 5)), str(node.told.get("mode", "hybrid"))
    asked = driven.world.search(index, given, k, mode, driven.caller, driven.run)
    found = await drive.in_time(node.timeout_s, asked)
    value = {name: found.get(name) for name in ("hits", "generation", "seen_at", "version")}
    versions = {f"index:{index}": f"{found.get('version')}:{found.get('generation')}"}
    return Gave(value, versions, {"n_hits": len(value["hits"] or ()), "search": str(found.get("search", ""))})


async def _predict(drive: Drive, node: CompiledNode, call: str, given: Given) -> Gave:  # noqa: ARG001 - as the others
    if not isinstance(given, dict):
        raise NodeFailed("node.bad_input", "The row of a prediction is no object.")
    model, explains = str(node.told["model"]), bool(node.told.get("explain"))
    asked = drive.driven.world.predict(model, [given], explains, drive.driven.run)
    found = (await drive.in_time(node.timeout_s, asked))["predictions"][0]
    value = {"prediction": found["value"], "status": found.get("status") or {}}
    if explains:
        value["contributions"] = largest_first((found.get("explanation") or {}).get("contributions", {}))
    return Gave(value, {f"model:{model}": str(found["version"])}, {"prediction": str(found.get("id", ""))})


async def _features(drive: Drive, node: CompiledNode, call: str, given: Given) -> Gave:  # noqa: ARG001 - as the others
    view = str(node.told["view"])
    key = _key(given, drive.live.keys.get(view, ()))
    told = await drive.in_time(node.timeout_s, drive.driven.world.features(view, [key], drive.driven.run))
    found = told["keys"][key]
    value = {**(found["values"] or {}), "status": found["status"]}
    return Gave(value, {f"feature_view:{view}": str(told["version"])}, {"status": found["status"]})


def _key(given: Given, fields: object) -> str:
    """A key as the online store spells it."""
    names = tuple(fields) if isinstance(fields, tuple | list) else ()
    if isinstance(given, dict):
        missing = [name for name in names if given.get(name) is None]
        if missing or not names:
            raise NodeFailed("node.bad_input", f"The key lacks {', '.join(missing) or 'its fields'}.")
        return KEY_SEPARATOR.join(key_text(given[name]) for name in names)
    if given is None or isinstance(given, list | bool):
        raise NodeFailed("node.bad_input", "The key is no text and no whole number.")
    return key_text(given)


async def _agent(drive: Drive, node: CompiledNode, call: str, given: Given) -> Gave:
    agent = str(node.told["agent"])
    run = await _journaled(drive.driven.world.child("agent", agent, given, drive.driven.run, call))
    if run.status != "done":
        raise NodeFailed(
            run.why or f"agent.{run.status}", f"The agent {agent!r} ended {run.status}: {run.text}"[:_LONGEST]
        )
    return Gave(_output_of(run), {f"agent:{agent}": run.version}, {"child": run.id})


def _output_of(run: RunRecord) -> Any:
    found = msgspec.json.decode(run.output) if run.output else None
    return {"text": found} if isinstance(found, str) else as_given(found)


async def _tool(drive: Drive, node: CompiledNode, call: str, given: Given) -> Gave:
    told: Mapping[str, Any] = node.told["tool"]
    name = f"{told['name']}_{told['only'][0]}" if told["kind"] == "mcp" else str(told["name"])
    gave = await _journaled(drive.driven.doing.do(ToolAsked(name, given, call)))
    if gave.error:
        raise NodeFailed(gave.error, gave.text[:_LONGEST])
    read = contained(lambda: msgspec.json.decode(gave.value), lambda _: gave.value.decode(errors="replace"))
    return Gave(as_given(read), {**gave.versions})


async def _journaled(work: Awaitable[Found]) -> Found:
    """What is asked of those who write to the journal themselves: where that cannot be, the drive ends."""
    try:
        return await work
    except StoreError as error:
        raise Unwritten(error) from error


async def _rule(drive: Drive, node: CompiledNode, call: str, given: Given) -> Gave:  # noqa: ARG001 - as the others
    return Gave({"value": given})


async def _python(drive: Drive, node: CompiledNode, call: str, given: Given) -> Gave:
    driven = drive.driven
    context = ToolContext(driven.run, driven.caller, "", driven.world, driven.journal.steps)
    asked = ToolAsked(node.name, given, call)
    found = await drive.in_time(node.timeout_s, drive.live.code[node.name].work(asked, context))
    return Gave(as_given(found.value))


def as_given(value: Any) -> Any:
    """An object as it is, everything else as its member `value`."""
    return value if isinstance(value, dict) else {"value": value}


_KINDS: Mapping[str, Callable[[Drive, CompiledNode, str, Given], Awaitable[Gave]]] = {
    "prompt": _prompt,
    "search": _search,
    "predict": _predict,
    "features": _features,
    "agent": _agent,
    "tool": _tool,
    "rule": _rule,
    "python": _python,
}
