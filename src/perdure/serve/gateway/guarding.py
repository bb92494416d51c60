"""Guards around one call: what was asked passes them, then what comes back, whole or streamed.

Fast checks judge at once, a long conversation or answer in a thread that is waited for. Slow ones judge in a thread while the upstream is
called already; its first byte is held until they have spoken. What was found is recorded whatever the mode; a shadow arm of a guard judges beside it and never acts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import msgspec

from perdure.core.clock import monotonic_s
from perdure.core.errors import Blocked, NotReady
from perdure.engines.guards.conversation import rewritten_answer
from perdure.engines.guards.masking import restored as put_back
from perdure.engines.guards.protocols import Compiled, Filter, Verdict
from perdure.serve.gateway.ongoing import Ongoing
from perdure.serve.routing import ServingTable
from perdure.stores.capture.events import Guarded

Json = dict[str, Any]
Done = TypeVar("Done")

NOT_IN_TIME = Verdict(found=False, failed="not done in time")
"""Of a slow check that a call waits for no longer."""
_MOST_CHARS = 32_000  # of a conversation or an answer that is judged at once; what is longer is judged in a thread, and waited for
_PART_CHARS = 100  # what is taken for the length of what is no plain text
_ACTIONS = {"block": "blocked", "redact": "redacted", "warn": "warned", "shadow": "shadowed"}


class Armed(msgspec.Struct, frozen=True):
    """A guard's version with the pointer that chose it; the arm `shadow` never acts."""

    name: str
    arm: str
    guard: Compiled

    @property
    def acts(self) -> bool:
        """Whether what it finds has effect."""
        return self.arm != "shadow" and self.guard.mode != "shadow"


def armed(names: Iterable[str], serving: ServingTable, affinity: str) -> list[Armed]:
    """The guards of a route, each at the version that its pointers give this caller, its shadow behind it.

    Raises:
        NotReady: one of them has no champion, so that nothing could be judged.
    """
    found = []
    for name in names:
        route = serving.table.routes.get(name)
        if route is None:
            # Not released, or not loadable: `/readyz` and the log say which, and to whom it is a matter.
            raise NotReady(
                "A guard of this route cannot judge now, so nothing passes it.", hint="Try again later.", guard=name
            )
        arm = route.choose(affinity)
        found.append(Armed(name, arm.name, serving.servables[arm.version]))
        if route.shadow is not None and route.shadows(affinity):
            found.append(Armed(name, "shadow", serving.servables[route.shadow.version]))
    return found


@dataclass(slots=True)
class _Waiting:
    armed: Armed
    began_s: float
    future: asyncio.Future[Verdict]


class Guarding(msgspec.Struct, eq=False):
    """The guards of one call.

    Args:
        call: what is recorded.
        guards: in order.
        threads: where slow checks run; None: the loop's own.
    """

    call: Ongoing
    guards: Sequence[Armed]
    threads: Executor | None
    restore: dict[str, str] = {}
    """Mask → what it stands for, of everything that was masked in the request."""
    warnings: list[str] = []
    """Names of guards that warn."""
    _messages: Sequence[Json] = ()
    _waiting: list[_Waiting] = []

    async def judge_request(self, request: Json, came: Json | None = None) -> Json:
        """The request as it may go on: masked where a guard redacts. Slow checks that do not mask are begun, not awaited.

        Args:
            request: neutral; the same object comes back where nothing was masked.
            came: what goes out as long as nothing is masked, where it is not this one: every string of it is looked through.

        Raises:
            Blocked: a guard found what it must not pass, or what it cannot mask.
        """
        goes = request if came is None else came
        for each in self.guards:
            guard = each.guard
            if "input" not in guard.on:
                continue
            if guard.slow and not (each.acts and guard.mode == "redact"):
                self._begin(each, request.get("messages") or [], goes)
                continue
            verdict, took_us = await self._verdict(each, request.get("messages") or [], goes)
            if verdict.found and each.acts and guard.mode == "redact":
                masked = guard.mask_request(request)
                if masked.stuck:
                    self._note_stuck(each, verdict, masked.stuck, took_us)
                request = goes = masked.value
                self.restore.update(masked.restore)
            self._note(each, "input", verdict, took_us)
        self._messages = request.get("messages") or []
        return request

    async def settle(self) -> None:
        """Wait for the slow checks of the request; call it before the first byte of an answer goes out.

        Raises:
            Blocked: one of them found what it must not pass, or fails closed and was not done in time.
        """
        waiting, self._waiting = self._waiting, []
        try:
            for each in waiting:
                left_s = each.began_s + each.armed.guard.wait_ms / 1000.0 - monotonic_s()
                done, _ = await asyncio.wait((each.future,), timeout=max(left_s, 0.0))
                verdict = each.future.result() if done else NOT_IN_TIME
                self._note(each.armed, "input", verdict, int((monotonic_s() - each.began_s) * 1e6))
        finally:
            for each in waiting:
                each.future.cancel()

    def give_up(self) -> None:
        """Ask no more what nobody waits for: of a call that is over, what no thread has begun takes none from others."""
        for each in self._waiting:
            each.future.cancel()
        self._waiting = []

    async def judge_answer(self, answer: Json) -> Json:
        """A whole neutral answer as it may go out; slow checks, and all checks of a long one, look at it in a thread.

        Raises:
            Blocked: a guard found what it must not pass, or fails closed and was not done in time.
        """
        guards = self.of_output()
        large = bool(guards) and _is_large(_messages_of(answer))
        for each in guards:
            began_s = monotonic_s()
            if large or each.guard.slow:
                work = partial(_judged_answer, each, answer, self._messages)
                verdict, passed = await self.within(each, work) or (NOT_IN_TIME, answer)
            else:
                verdict, passed = _judged_answer(each, answer, self._messages)
            self._note(each, "output", verdict, int((monotonic_s() - began_s) * 1e6))
            answer = passed
        return answer

    async def within(self, each: Armed, work: Callable[[], Done]) -> Done | None:
        """What a thread makes of some work for a slow guard; None: it was not done in the time that the guard has."""
        future = asyncio.get_running_loop().run_in_executor(self.threads, work)
        try:
            done, _ = await asyncio.wait((future,), timeout=each.guard.wait_ms / 1000.0)
            return future.result() if done else None
        finally:
            future.cancel()

    def judges_answers(self) -> bool:
        """Whether any guard looks at what comes back, or masks are to be put back into it."""
        return bool(self.restore) or any("output" in each.guard.on for each in self.guards)

    def filters(self, guards: Sequence[Armed]) -> list[tuple[Armed, Filter]]:
        """One filter a guard, for one choice of a streamed answer."""
        return [(each, each.guard.filter(self._messages)) for each in guards]

    def note_stream(self, each: Armed, filtered: Filter) -> None:
        """Record what a filter found once its stream is over, or has been stopped.

        Raises:
            Blocked: it found what it must not pass.
        """
        self._note(each, "output", filtered.verdict, 0)

    def note_answer(self, each: Armed, verdict: Verdict, took_us: int) -> None:
        """Record what a slow guard said of a stream.

        Raises:
            Blocked: it found what it must not pass, or could not look and fails closed.
        """
        self._note(each, "output", verdict, took_us)

    def of_output(self) -> list[Armed]:
        """The guards that look at what comes back."""
        return [each for each in self.guards if "output" in each.guard.on]

    async def _verdict(self, each: Armed, messages: Sequence[Json], request: Json) -> tuple[Verdict, int]:
        began_s = monotonic_s()
        if each.guard.slow or _is_large(messages):
            verdict = await self.within(each, partial(each.guard.judge, messages, request)) or NOT_IN_TIME
        else:
            verdict = each.guard.judge(messages, request)
        return verdict, int((monotonic_s() - began_s) * 1e6)

    def _begin(self, each: Armed, messages: Sequence[Json], request: Json) -> None:
        loop = asyncio.get_running_loop()
        future = loop.run_in_executor(self.threads, each.guard.judge, messages, request)
        self._waiting.append(_Waiting(each, monotonic_s(), future))

    def _note_stuck(self, each: Armed, verdict: Verdict, kind: str, took_us: int) -> None:
        """Refuse what would have to be masked where no mask can stand.

        Raises:
            Blocked: always.
        """
        self.call.guards.append(_said(each, "input", "blocked", verdict, took_us))
        raise Blocked(
            f"The guard {each.name!r} cannot mask what it found in this request ({kind}).",
            hint="It stands where a mask would break the call: in a name, an address, a type, a key or signed thinking.",
            guard=each.name,
            side="input",
            kind=kind,
        )

    def _note(self, each: Armed, side: str, verdict: Verdict, took_us: int) -> None:
        """Record a verdict, and act on it.

        Raises:
            Blocked: the guard found something and blocks, or could not look and fails closed.
        """
        action = _action(each, verdict)
        self.call.guards.append(_said(each, side, action, verdict, took_us))
        if not each.acts:
            return
        if action == "warned":
            self.warnings.append(each.name)
        elif action == "blocked" or (action == "failed" and each.guard.fails == "closed"):
            raise Blocked(
                f"The guard {each.name!r} does not let this {'request' if side == 'input' else 'answer'} pass"
                + (f" ({verdict.kind or verdict.check})." if action == "blocked" else ": it could not be checked."),
                hint="Change what is asked." if action == "blocked" else "Try again later.",
                guard=each.name,
                side=side,
                kind=verdict.kind,
            )


def _is_large(messages: Sequence[Json]) -> bool:
    """Whether even fast checks take so long on these messages that others would wait for them."""
    left = _MOST_CHARS
    for message in messages:
        content = message.get("content")
        if type(content) is str:
            left -= len(content)
        elif isinstance(content, list):
            for part in content:
                text = part.get("text") if isinstance(part, dict) else None
                left -= len(text) if isinstance(text, str) else _PART_CHARS
        if len(message) > 2:
            left -= _PART_CHARS + _chars_called(message.get("tool_calls"))
    return left < 0


def _chars_called(calls: object) -> int:
    """Characters of the arguments of tool calls."""
    n_chars = 0
    for call in calls if isinstance(calls, list) else ():
        function = call.get("function") if isinstance(call, dict) else None
        arguments = function.get("arguments") if isinstance(function, dict) else None
        n_chars += len(arguments) if isinstance(arguments, str) else 0
    return n_chars


def _messages_of(answer: Json) -> list[Json]:
    return [choice.get("message") or {} for choice in answer.get("choices") or ()]


def _judged_answer(each: Armed, answer: Json, messages: Sequence[Json]) -> tuple[Verdict, Json]:
    """What one guard says of a whole answer, and the answer as it lets it pass."""
    verdict = each.guard.judge_answer(answer, messages)
    if verdict.found and each.acts and each.guard.mode == "redact":
        answer = each.guard.mask_answer(answer, messages).value
    return verdict, answer


def _said(each: Armed, side: str, action: str, verdict: Verdict, took_us: int) -> Guarded:
    return Guarded(
        each.name, each.guard.version, each.arm, side, action, verdict.check, verdict.kind, verdict.score, took_us
    )


def _action(each: Armed, verdict: Verdict) -> str:
    if verdict.failed:
        return "failed"
    if not verdict.found:
        return "passed"
    return _ACTIONS[each.guard.mode] if each.acts else "shadowed"


def restored(answer: Json, restore: Mapping[str, str]) -> Json:
    """A neutral answer with the masks of the request put back."""
    return rewritten_answer(answer, lambda text: put_back(text, restore))
