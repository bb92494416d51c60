"""How runs are asked for in Python, and what of it goes to whoever drives them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from perdure.serve.runs.asking import RunBody


@dataclass(frozen=True, slots=True)
class RunAsked:
    """How a run is asked for, beside its task.

    Args:
        input: variables of the agent's prompt, or the input of a graph.
        messages: earlier turns.
        expected: what it should give, for the scorers of its `success`.
        user: on whose behalf.
        tags: kept with the run.
        version: an id or how it begins, a pointer, or `declared`; by default the champion, else what is declared.
        team: whose key it acts for; by default the only one that may ask for it.
    """

    input: Mapping[str, Any] | None = None
    messages: Sequence[Mapping[str, Any]] = ()
    expected: Any = None
    user: str = ""
    tags: Mapping[str, str] | None = None
    version: str = ""
    team: str = ""


def body_of(task: str, asked: RunAsked) -> RunBody:
    """What a run is asked, as over HTTP.

    Raises:
        BadRequest: a tag or the user is too long.
    """
    from perdure.serve.runs.asking import RunBody, check_about

    tags = dict(asked.tags or {})
    check_about(asked.user, tags)
    return RunBody(
        input=None if asked.input is None else dict(asked.input),
        task=task,
        messages=[dict(each) for each in asked.messages],
        expected=asked.expected,
        user=asked.user,
        tags=tags,
    )


def told_body(body: RunBody) -> dict[str, Any]:
    """The same as it goes to a server."""
    told = {"task": body.task, "input": body.input, "messages": body.messages, "expected": body.expected}
    told |= {"user": body.user, "tags": body.tags}
    return {name: value for name, value in told.items() if value}
