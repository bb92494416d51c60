"""Asks a version of a judge about many cases at once: some questions at a time, patient where a route asks to wait.

Called by calibrations, checks and remedies: from durable steps and by people, never from a signal or a gate.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from perdure.core.errors import NotReady
from perdure.core.ports import Answered, Answerer, Asked
from perdure.core.settings import EvalSettings
from perdure.engines.judges.anchors import Judgeable
from perdure.engines.judges.asking import questions
from perdure.engines.judges.deciding import Judgement, judgement_of
from perdure.loop.protocols import Workplace

_TRIES = 3
_LONGEST_WAIT_S = 20.0


def judge_cases(
    place: Workplace, definition: Mapping[str, Any], cases: Sequence[Judgeable], tags: Mapping[str, str]
) -> dict[str, Judgement]:
    """What a version says of each case, by the case's id. Cost: all questions of it, `evals.concurrency` at a time.

    Raises:
        NotReady: no route is declared, so that nobody could answer.
    """
    unique = {case.id: case for case in cases}
    asked = [questions(definition, case, tags=tags) for case in unique.values()]
    answers = iter(ask_all(place, [question.asked for each in asked for question in each]))
    found = [judgement_of(definition, each, [next(answers) for _ in each]) for each in asked]
    return {judgement.case: judgement for judgement in found}


def ask_all(place: Workplace, asked: Sequence[Asked]) -> list[Answered]:
    """One answer a question, in order; those that failed are among them.

    Raises:
        NotReady: no route is declared.
    """
    if place.open_answerer is None:
        raise NotReady("A judge needs a route to ask.", hint="Declare its route, and the upstream behind it.")
    return asyncio.run(_ask_all(place.open_answerer(), asked, place.settings.evals))


async def _ask_all(answerer: Answerer, asked: Sequence[Asked], settings: EvalSettings) -> list[Answered]:
    free = asyncio.Semaphore(settings.concurrency)
    try:
        return list(await asyncio.gather(*(_ask(answerer, each, free, settings.answer_seconds) for each in asked)))
    finally:
        await answerer.close()


async def _ask(answerer: Answerer, asked: Asked, free: asyncio.Semaphore, within_s: float) -> Answered:
    """The answer; asked again where it was told when."""
    async with free:
        answered = await _once(answerer, asked, within_s)
        for _ in range(_TRIES - 1):
            if not answered.error or answered.retry_after_s <= 0.0:
                break
            await asyncio.sleep(min(answered.retry_after_s, _LONGEST_WAIT_S))
            answered = await _once(answerer, asked, within_s)
    return answered


async def _once(answerer: Answerer, asked: Asked, within_s: float) -> Answered:
    try:
        return await asyncio.wait_for(answerer.ask(asked), within_s)
    except TimeoutError:
        return Answered({}, error="upstream.timed_out")
