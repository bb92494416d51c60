"""Python functions as tools: a schema from the signature, arguments made into its types, results made into JSON.

A function that waits runs on the serving loop; any other on a thread of its own, for it may block. A thread cannot be ended: one that hangs
past its time is left behind and counted, and a tool with too many of those is not called until one comes back.

What surprised us: pydantic takes parameters named like members of its own models (`schema`, `copy`) for mistakes; so fields go by numbers
and the names are aliases.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import re
import threading
import typing
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pydantic
import pydantic_core

from perdure.assets.tools import FunctionTool, ToolCall
from perdure.core.clock import from_us
from perdure.core.errors import BadAgent, PerdureError, Temporary
from perdure.serve.boundary import contained, contained_async
from perdure.serve.runs.protocols import Json, Offered, ToolAsked, ToolContext
from perdure.serve.tools.offering import Result, ToolFailure

MOST_HUNG = 8
"""Threads of one tool that may be at work at a time, those that nobody waits for any more among them."""
_LONGEST = 300
_ENDS = (SystemExit, KeyboardInterrupt, GeneratorExit, asyncio.CancelledError)
"""What would end more than the tool that raises it."""
_MOST_ERRORS = 5
_ARGUMENT = re.compile(r"^\s+(\w+)(?:\s*\([^)]*\))?:\s*(.+)$")


@dataclass(frozen=True, slots=True)
class _Raised:
    error: BaseException


@dataclass(frozen=True, slots=True, eq=False)
class HeldFunction:
    """A function, ready to be called by a model. Made by `hold_function`."""

    tool: FunctionTool
    offered: Offered
    takes_call: bool
    names: tuple[str, ...]
    arguments: type[pydantic.BaseModel]
    returns: pydantic.TypeAdapter[Any] | None
    _slots: threading.BoundedSemaphore = field(default_factory=lambda: threading.BoundedSemaphore(MOST_HUNG))

    @property
    def is_outward(self) -> bool:
        """Whether it changes something."""
        return self.tool.terms.effect != "none"

    async def work(self, asked: ToolAsked, context: ToolContext) -> Result:
        """Call it."""
        call = _call_of(self.tool, context)
        given = self._given(asked.arguments)
        first = (call,) if self.takes_call else ()
        function = self.tool.function
        if inspect.iscoroutinefunction(function):
            found = await _awaited(lambda: function(*first, **given))
        else:
            found = await self._threaded(lambda: function(*first, **given))
        if isinstance(found, _Raised):
            raise _failure(found.error)
        return Result(self._jsonable(found))

    async def happened(self, context: ToolContext) -> Result | None:
        """Of an effect: what its call gave, where the function beside it can tell."""
        ask = self.tool.happened
        if ask is None:
            return None
        call = _call_of(self.tool, context)
        if inspect.iscoroutinefunction(ask):
            found = await _awaited(lambda: ask(call))
        else:
            found = await self._threaded(lambda: ask(call))
        if found is None or isinstance(found, _Raised):
            return None
        return Result(self._jsonable(found))

    def _given(self, arguments: Json) -> dict[str, Any]:
        try:
            model = self.arguments.model_validate(arguments)
        except pydantic.ValidationError as error:
            raise ToolFailure("tool.bad_arguments", _told(error)) from error
        return {name: getattr(model, f"p{at}") for at, name in enumerate(self.names)}

    def _jsonable(self, found: Any) -> Any:
        """The result as JSON has it.

        Raises:
            ToolFailure: it is not of the declared type, or of one that JSON has not.
        """
        if self.returns is not None:
            checked = contained(lambda: self.returns.validate_python(found), _Raised)  # type: ignore[union-attr] # it stays
            if isinstance(checked, _Raised):
                kind = type(found).__name__
                raise ToolFailure("tool.wrong_type", f"{self.tool.name} gave a {kind}, which is not what it declares.")
        told = contained(
            lambda: pydantic_core.from_json(pydantic_core.to_json(found, inf_nan_mode="null", bytes_mode="base64")),
            _Raised,
        )
        if isinstance(told, _Raised):
            kind = type(found).__name__
            raise ToolFailure("tool.wrong_type", f"{self.tool.name} gave a {kind}, which cannot be made into JSON.")
        return told

    async def _threaded(self, work: Callable[[], Any]) -> Any:
        """What a thread of its own makes of it; letting go leaves the thread behind."""
        if not self._slots.acquire(blocking=False):
            text = f"{self.tool.name} has {MOST_HUNG} calls at work, some of which may hang."
            raise ToolFailure("tool.busy", text, again=True, undone=True)
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Any] = loop.create_future()
        context = contextvars.copy_context()

        def run() -> None:
            found: Any = None
            try:
                found = context.run(contained, work, _Raised)
            except _ENDS as error:
                found = _Raised(error)
            finally:
                self._slots.release()
                contained(
                    lambda: loop.call_soon_threadsafe(_settle, done, found), lambda _: None
                )  # the loop may be closed

        threading.Thread(target=run, name=f"perdure-tool-{self.tool.name}", daemon=True).start()
        found = await done
        if inspect.isawaitable(found):  # a wrapper around a function that waits
            return await _awaited(lambda: found)
        return found


def hold_function(tool: FunctionTool) -> HeldFunction:
    """A function tool, its signature read once.

    Raises:
        BadAgent: a type of its signature is not known, or has no JSON schema.
    """
    function = tool.function
    hints = contained(lambda: typing.get_type_hints(function, include_extras=True), _Raised)
    if isinstance(hints, _Raised):
        raise _unusable(tool, hints.error)
    parameters = list(inspect.signature(function).parameters.values())
    takes_call = bool(parameters) and hints.get(parameters[0].name) is ToolCall
    own = parameters[1:] if takes_call else parameters
    told = _described(tool.description)
    fields: dict[str, Any] = {
        f"p{at}": (hints[each.name], _field(each, told.get(each.name))) for at, each in enumerate(own)
    }
    config = pydantic.ConfigDict(extra="forbid", arbitrary_types_allowed=False)
    model = contained(lambda: pydantic.create_model(tool.name, __config__=config, **fields), _Raised)
    if isinstance(model, _Raised):
        raise _unusable(tool, model.error)
    schema = contained(lambda: model.model_json_schema(by_alias=True), _Raised)
    if isinstance(schema, _Raised):
        raise _unusable(tool, schema.error)
    returns = contained(lambda: _returned(hints.get("return")), _Raised)
    if isinstance(returns, _Raised):
        raise _unusable(tool, returns.error)
    offered = Offered(tool.name, _summary(tool.description), schema, tool.terms, f"tool:{tool.name}")
    return HeldFunction(tool, offered, takes_call, tuple(each.name for each in own), model, returns)


def _returned(hint: Any) -> pydantic.TypeAdapter[Any] | None:
    return None if hint in (None, type(None), Any) else pydantic.TypeAdapter(hint)


def _field(parameter: inspect.Parameter, description: str | None) -> Any:
    default = ... if parameter.default is parameter.empty else parameter.default
    return pydantic.Field(default, alias=parameter.name, title=parameter.name, description=description)


def _described(doc: str) -> dict[str, str]:
    """Descriptions of parameters in the section `Args:` of a docstring."""
    _, _, rest = doc.partition("Args:\n")
    told: dict[str, str] = {}
    for line in rest.splitlines():
        match = _ARGUMENT.match(line)
        if match is None and line and not line.startswith(" "):
            break
        if match is not None:
            told[match[1]] = match[2].strip()
    return told


def _summary(doc: str) -> str:
    return doc.partition("Args:\n")[0].strip()


def _call_of(tool: FunctionTool, context: ToolContext) -> ToolCall:
    run = context.run
    return ToolCall(run.id, run.asset, tool.name, context.key, from_us(run.served_us), run.team, run.user)


async def _awaited(work: Callable[[], Any]) -> Any:
    """What a function that waits gives. A cancellation of ours passes; one that it made itself is a failure of it."""

    async def failed(error: Exception) -> Any:
        return _Raised(error)

    task = asyncio.current_task()
    try:
        return await contained_async(work, failed)
    except (asyncio.CancelledError, SystemExit) as error:
        if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
            raise
        return _Raised(error)


def _settle(done: asyncio.Future[Any], found: Any) -> None:
    if not done.done():
        done.set_result(found)


def _failure(error: BaseException) -> ToolFailure:
    """An exception in words: its type and message, no stack."""
    again = isinstance(error, Temporary | TimeoutError | ConnectionError)
    kind = error.code if isinstance(error, PerdureError) else type(error).__name__
    return ToolFailure("tool.failed", f"It failed: {kind}.", quoted=str(error)[:_LONGEST], again=again)


def _told(error: pydantic.ValidationError) -> str:
    errors = error.errors(include_url=False, include_input=False, include_context=False)
    return "; ".join(
        f"{'.'.join(map(str, each['loc'])) or 'arguments'}: {each['msg']}" for each in errors[:_MOST_ERRORS]
    )


def _unusable(tool: FunctionTool, error: BaseException) -> BadAgent:
    return BadAgent(
        f"The signature of the tool {tool.name!r} cannot be told to a model: {type(error).__name__}: {error}"[
            :_LONGEST
        ],
        hint="Use types that JSON has, or Pydantic models; import them where the function is.",
    )
