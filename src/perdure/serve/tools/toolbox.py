"""The tools of one version of an agent or graph at work: what every kind of tool has in common.

Arguments are held against the schema before anything is called; what a call would send is held against where it comes from; what comes back is
made into JSON, its secrets masked, cut to size, looked through for instructions, and fenced as data. Time, tries, approval and journal
are `serve.runs.doing`'s.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from perdure.core.errors import BadAgent, BadPrompt, LostLease, PerdureError, StoreError, Temporary
from perdure.engines.agents.marking import fence_of, fenced
from perdure.engines.agents.provenance import SUSPECT, Doubt, doubt_of, texts_of
from perdure.engines.guards.injection import signs
from perdure.engines.guards.protocols import Compiled
from perdure.engines.prompts.variables import validator_of
from perdure.serve.runs.protocols import Offered, ToolAsked, ToolContext, ToolGave
from perdure.serve.tools.calling_functions import HeldFunction
from perdure.serve.tools.knowing import Sent, known_of
from perdure.serve.tools.offering import Held, Result, ToolFailure
from perdure.serve.tools.project_tools import HeldAgent

_MOST_ERRORS = 5
_REMEMBERED = 1_024
"""Calls that were judged lately; those that are over stand in their runs' journals."""
_AT_ONCE = 60_000
"""Characters that are looked through on the serving loop; more on a thread."""
_DONE = "What it changes is changed all the same: do not call it again for that."
_DOUBTED = "This call was not done: {why} Only a person may allow it. Go on without it, and say in your answer what was not done."


@dataclass(frozen=True, slots=True, eq=False)
class Box:
    """The tools of one version (`Toolbox`). Cost: some 100 µs a call besides the tool, for a kilobyte of result.

    Args:
        held: by name.
        masker: masks secrets in what tools give; None: all is kept.
        private: texts of the version's prompt.
    """

    held: Mapping[str, Held]
    masker: Compiled | None = None
    private: Callable[[], Sequence[str]] = tuple
    _validators: Mapping[str, Any] = field(default_factory=dict)
    _recent: deque[Sent] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))

    def __post_init__(self) -> None:
        object.__setattr__(self, "_validators", {name: _validator(each.offered) for name, each in self.held.items()})

    @property
    def offered(self) -> Sequence[Offered]:
        """As models see them."""
        return [each.offered for each in self.held.values()]

    async def call(self, asked: ToolAsked, context: ToolContext) -> ToolGave:
        """Do it, once; a failure is a result.

        Raises:
            Parked, LimitHit, LostLease, StoreError: of a run below this one.
        """
        held = self.held.get(asked.name)
        if held is None:
            known = ", ".join(self.held) or "none"
            return ToolGave(b"", f"There is no tool {asked.name[:64]!r}. There are: {known}.", "tool.unknown")
        why = self.wrong(asked)
        if why:
            return ToolGave(b"", f"The arguments of {asked.name} do not fit: {why}", "tool.bad_arguments")
        doubt = None if context.approved else self.doubt(asked, context)
        if held.is_outward:
            rule = "" if doubt is None else doubt.rule
            self._recent.append(Sent(context.run.id, asked.call, texts_of(list(asked.arguments.values())), rule))
        if doubt is not None:
            text = _DOUBTED.format(why=doubt.text)
            return ToolGave(b"", text, "tool.refused", facts={"doubt": doubt.rule, "undone": True})
        try:
            result = await held.work(asked, context)
        except ToolFailure as failure:
            return await self._failed(held, failure, context)
        except LostLease:
            raise
        except PerdureError as error:
            if isinstance(error, StoreError) and isinstance(held, HeldAgent):
                raise
            again = isinstance(error, Temporary)
            return await self._failed(held, ToolFailure("tool.failed", error.message, again=again), context)
        return await self._gave(held, result, context)

    async def happened(self, asked: ToolAsked, context: ToolContext) -> ToolGave | None:
        """Of an effect that may have happened: what it gave, where its function can tell."""
        held = self.held.get(asked.name)
        if not isinstance(held, HeldFunction):
            return None
        try:
            found = await held.happened(context)
        except ToolFailure:
            return None
        return None if found is None else await self._gave(held, found, context)

    def doubt(self, asked: ToolAsked, context: ToolContext) -> Doubt | None:
        """Why a call that sends or changes something may not be done unless a person allows it; None: it may.

        A graph's calls are bound by its declaration, not chosen by a model: they are not doubted.
        """
        held = self.held.get(asked.name)
        if held is None or not held.is_outward or context.run.kind != "agent":
            return None
        known = known_of(context, self.held, self.private(), self._recent, asked.call)
        changes = held.offered.terms.effect != "none"
        return doubt_of(asked.name, asked.arguments, held.offered.schema, known, changes=changes)

    def wrong(self, asked: ToolAsked) -> str:
        """What of the arguments of a tool of it does not fit; no value of them is told, and nothing where they fit."""
        errors = [
            f"{'/'.join(map(str, each.instance_path))}{': ' if each.instance_path else ''}{each.message}"
            for each, _ in zip(
                self._validators[asked.name].iter_errors(asked.arguments), range(_MOST_ERRORS), strict=False
            )
        ]
        return "; ".join(errors)

    async def _failed(self, held: Held, failure: ToolFailure, context: ToolContext) -> ToolGave:
        facts: dict[str, Any] = {"undone": True} if failure.undone else {}
        text = failure.text
        if failure.quoted:
            quoted = self._masked(failure.quoted)
            told = await self._fenced(held, quoted, context, facts)
            text = f"{text}\n{told}"
        if failure.code == "tool.wrong_type" and held.offered.terms.effect != "none":
            text = f"{text} {_DONE}"
        return ToolGave(b"", text, failure.code, again=failure.again, facts=facts)

    async def _gave(self, held: Held, result: Result, context: ToolContext) -> ToolGave:
        facts: dict[str, Any] = dict(result.facts)
        value = self._masked(result.value)
        if value != result.value:
            facts["masked"] = True
        body, text, cut = cut_to(value, held.offered.terms.most_bytes, is_whole=result.is_whole)
        if cut:
            facts["cut"] = True
        told = await self._fenced(held, text, context, facts)
        return ToolGave(body, told, versions=result.versions, facts=facts)

    async def _fenced(self, held: Held, text: str, context: ToolContext, facts: dict[str, Any]) -> str:
        """A text as data, and in `facts` how much of an attack rules see in it."""
        score = 0.0
        if not held.offered.terms.trusted:
            looked = signs(text) if len(text) <= _AT_ONCE else await asyncio.to_thread(signs, text)
            score = round(looked.score, 4)
        if score:
            facts["injection"] = score
        return fenced(
            text, held.offered.name, fence_of(context.run.replay_of or context.run.id), suspect=score >= SUSPECT
        )

    def _masked(self, value: Any) -> Any:
        if self.masker is None:
            return value
        return self.masker.mask([{"role": "tool", "content": "", "gave": value}]).value[0]["gave"]


def cut_to(value: Any, most_bytes: int, *, is_whole: bool = True) -> tuple[bytes, str, bool]:
    r"""A result within its size: JSON of it, the text of it, and whether it was cut.

    >>> cut_to("a" * 100, 20)[1]
    'aaaaaaaaaaaaaaaaaaaa\n[Cut here: 100 bytes came, 20 are given.]'
    """
    body = msgspec.json.encode(value)
    text = value if isinstance(value, str) else body.decode()
    n_bytes = len(text.encode("utf-8", "replace"))
    if n_bytes <= most_bytes and is_whole:
        return body, text, False
    begin = text.encode("utf-8", "replace")[:most_bytes].decode("utf-8", "ignore")
    came = f"{n_bytes:,}" if is_whole else f"more than {n_bytes:,}"
    note = f"[Cut here: {came} bytes came, {min(n_bytes, most_bytes):,} are given.]"
    return msgspec.json.encode({"cut": True, "n_bytes": n_bytes, "begin": begin}), f"{begin}\n{note}", True


def _validator(offered: Offered) -> Any:
    try:
        return validator_of(f"The schema of the tool {offered.name!r}", offered.schema)
    except BadPrompt as error:
        raise BadAgent(error.message, hint=error.hint) from error
