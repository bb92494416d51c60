"""Questions of runs to people, over HTTP: which are open, and who may answer them.

A yes lets a run do what it was stopped before, so a key that can call an agent is not enough: it takes an administrator's key, another one
than the run was asked for with, and where the project declares roles, one that has the question's role. Without teams nobody is told
apart, and nothing is answered here: an agent with an HTTP tool could say yes to itself.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from perdure.core.clock import machine_us
from perdure.core.errors import BadRequest, NotFound, Refused
from perdure.core.runs import RunRecord, Wait, WaitAnswer
from perdure.serve.retrieval.callers import Caller
from perdure.serve.runs.asking import AnswerBody, read_answer
from perdure.serve.runs.fitting import misfit
from perdure.serve.runs.going import Prepared
from perdure.serve.runs.running import Runtime
from perdure.stores.runs.protocols import Wanted

_PAGE = 200
_MOST = 1000
"""Questions that are listed."""


@dataclass(frozen=True, slots=True, eq=False)
class Answering:
    """Answers questions for callers.

    Args:
        runtime: of this process.
        check_role: refuses an actor (`key:ID`) who has not a role.
        prepare: a run's version, for what its tools take.
        of_four_eyes: agents and graphs whose policy wants two people's yes: a server keeps no first half of an answer.
    """

    runtime: Runtime
    check_role: Callable[[str, str], None]
    prepare: Callable[[RunRecord], Awaitable[Prepared]]
    of_four_eyes: Collection[str] = ()

    async def waiting(self, team: str | None) -> list[Wait]:
        """The open questions of a team's runs, the newest run first; None: of all."""
        found: list[Wait] = []
        async for _, wait in self._questions(team):
            if wait.answer is None:
                found.append(wait)
            if len(found) == _MOST:
                break
        return found

    async def answer(self, wait: str, body: bytes, caller: Caller) -> Wait:
        """Answer a question; the first answer counts, and comes back.

        Raises:
            Refused: the caller may not.
            BadRequest: the answer cannot be read, or does not fit the question.
            NotFound: there is no such open question.
        """
        _check_admin(caller)
        said = read_answer(body)
        run, found = await self._find(wait)
        assert caller.record is not None
        actor = f"key:{caller.record.id}"
        if run.key == caller.record.id:
            raise Refused(
                "This run was asked for with this key, and another one has to answer.",
                hint="Use another administrator's key, or perdure approve.",
            )
        if said.approve and run.asset in self.of_four_eyes:
            raise Refused(
                f"{run.asset!r} wants the yes of two people, and over HTTP there is one.",
                hint=f"Each says: perdure approve {wait[:80]}",
            )
        if found.role:
            self.check_role(actor, found.role)
        if said.approve and said.arguments is not None:
            await self._check_arguments(run, found.tool, said.arguments)
        return await self.runtime.answer(
            wait,
            WaitAnswer(
                actor=actor,
                approves=said.approve,
                reason=said.reason.strip(),
                at_us=machine_us(),
                value=_value(said, found),
            ),
        )

    async def _check_arguments(self, run: RunRecord, tool: str, arguments: Mapping[str, Any]) -> None:
        """A yes with arguments that the tool does not take would be spent on a call that fails."""
        toolbox = (await self.prepare(run)).toolbox
        wrong = next((misfit(each, arguments) for each in toolbox.offered if each.name == tool), "")
        if wrong:
            raise BadRequest(f"{wrong}.", hint="Send all of them; the question shows those that were asked.")

    async def _find(self, wait: str) -> tuple[RunRecord, Wait]:
        async for run, each in self._questions(None):
            if each.id == wait:
                return run, each
        raise NotFound(
            f"No run waits for an answer to {wait[:80]!r}.", hint="It was answered, or is over: GET /v1/runs/waiting."
        )

    async def _questions(self, team: str | None) -> AsyncIterator[tuple[RunRecord, Wait]]:
        """Of all runs with an open one, the answered ones too."""
        before = ""
        while True:
            page = await self.runtime.list(Wanted(team=team, waiting=True, before=before, limit=_PAGE))
            for run in page:
                for wait in (await self.runtime.get(run.id)).waits:
                    yield run, wait
            if len(page) < _PAGE:
                return
            before = page[-1].id


def _check_admin(caller: Caller) -> None:
    if caller.record is None:
        raise Refused(
            "This project declares no team, so nobody is told apart over HTTP.",
            hint="Answer by perdure approve, or declare a Team and issue a key: perdure key create --team NAME --admin.",
        )
    if not caller.record.admin:
        raise Refused(
            "This key may not answer what a run asks a person.",
            hint="Use an administrator's key (perdure key create --team NAME --admin), or perdure approve.",
        )


def _value(said: AnswerBody, wait: Wait) -> bytes:
    if wait.question == "approve":
        if said.value is not None:
            raise BadRequest("An approval takes `arguments`, not `value`.", param="value")
        return b"" if said.arguments is None else msgspec.json.encode(said.arguments)
    if said.arguments is not None:
        raise BadRequest("Whether it happened takes `value`: what it gave.", param="arguments")
    return b"" if said.value is None else msgspec.json.encode(said.value)
