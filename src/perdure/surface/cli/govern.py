"""The commands of governance: why, who decided, what waits for a person, and the brakes.

`app` registers what `COMMANDS` lists. Each is a few lines over a verb of the SDK.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from perdure.core.errors import BadRequest
from perdure.surface.cli import show_govern, show_inbox, show_story
from perdure.surface.cli.options import HERE, Actor, All, At, Folder, Json, Reason, opened

Asset = Annotated[str, typer.Argument(metavar="ASSET", help="Name of the asset.")]
Question = Annotated[str, typer.Argument(metavar="ID", help="The question's id, or how it begins.")]


def plan(project: Folder = HERE, at: At = None, json: Json = False) -> None:
    """What apply would change, and what the loop would repair and why; nothing is written."""
    show_story.plan(opened(project).plan(at=at), as_json=json)


def explain(
    target: Annotated[
        str | None, typer.Argument(metavar="INCIDENT|ASSET", help="An incident's id, or how it begins; or an asset.")
    ] = None,
    project: Folder = HERE,
    replay: Annotated[bool, typer.Option("--replay", help="Make its decisions again and compare them.")] = False,
    json: Json = False,
) -> None:
    """The story of an incident: what was seen, why, what was decided, done, and what it gave."""
    found = opened(project)
    if replay:
        return show_story.replayed(found.replay(target), as_json=json)
    if target is None:
        return show_govern.incidents(found.incidents(open_only=False), as_json=json)
    return show_story.story(found.explain(target), as_json=json)


def history(asset: Asset, project: Folder = HERE, json: Json = False) -> None:
    """Who moved which pointer of an asset, when, why, on which evidence."""
    show_govern.history(opened(project).history(asset), as_json=json)


def incidents(project: Folder = HERE, everything: All = False, json: Json = False) -> None:
    """Stretches of ill health: what broke, since when, why."""
    show_govern.incidents(opened(project).incidents(open_only=not everything), as_json=json)


def maturity(project: Folder = HERE, json: Json = False) -> None:
    """How far each asset's care is automated, and what the next stage lacks."""
    show_govern.maturity(opened(project).maturity(), as_json=json)


def card(  # noqa: PLR0913 - a command takes what may be said with it
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Name of the model.")],
    project: Folder = HERE,
    at: At = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write it there instead.")] = None,
    edit: Annotated[
        Path | None,
        typer.Option("--edit", metavar="FILE", help="Keep this file's text as what people say on the card."),
    ] = None,
    base: Annotated[
        str | None, typer.Option("--base", metavar="VERSION", help="Of the card, that the text was made from.")
    ] = None,
    reason: Reason = "",
    actor: Actor = None,
    json: Json = False,
) -> None:
    """A model's card in Markdown, made from the records; or write what people say on it."""
    found = opened(project, actor)
    if edit is not None:
        text = show_govern.text_of(edit)
        return show_govern.edited(found.edit_card(model, text, reason=reason, base=base, at=at), as_json=json)
    return show_govern.card(found.card(model, at=at), out, as_json=json)


def evidence(
    incident: Annotated[
        str | None, typer.Argument(metavar="INCIDENT", help="Its id, or how it begins; or an asset.")
    ] = None,
    project: Folder = HERE,
    out: Annotated[Path | None, typer.Option("--out", metavar="FOLDER", help="New folder for the pack.")] = None,
    check: Annotated[Path | None, typer.Option("--check", metavar="FOLDER", help="Check a pack instead.")] = None,
    json: Json = False,
) -> None:
    """Write an incident's evidence into a folder that can be checked; or check one."""
    found = opened(project)
    if check is not None:
        return show_govern.pack(found.check_evidence(check), "checked", as_json=json)
    if incident is None or out is None:
        raise BadRequest(
            "An evidence pack needs an incident and a folder.", hint="Write: evidence INCIDENT --out FOLDER"
        )
    return show_govern.pack(found.evidence(incident, out), "written", as_json=json)


def inbox(
    asset: Annotated[str | None, typer.Argument(metavar="ASSET", help="Only of this asset.")] = None,
    project: Folder = HERE,
    json: Json = False,
) -> None:
    """Everything that waits for a person: releases, repairs, and what runs of agents ask."""
    show_inbox.inbox(opened(project).inbox(asset=asset), as_json=json)


def approvals(project: Folder = HERE, everything: All = False, json: Json = False) -> None:
    """Questions that wait for a person, with their evidence."""
    show_govern.approvals(opened(project).approvals(open_only=not everything), as_json=json)


def approve(  # noqa: PLR0913 - a command takes what may be said with it
    question: Question,
    project: Folder = HERE,
    at: At = None,
    reason: Reason = "",
    value: Annotated[
        str,
        typer.Option(
            "--value",
            metavar="JSON",
            help="Of a run's question: arguments to use instead, or what an effect gave.",
            show_default=False,
        ),
    ] = "",
    actor: Actor = None,
    json: Json = False,
) -> None:
    """Say yes to a question, of a run too; your role is checked."""
    given = show_inbox.value_of(value)
    show_inbox.answered(opened(project, actor).approve(question, reason=reason, value=given, at=at), as_json=json)


def reject(
    question: Question,
    project: Folder = HERE,
    at: At = None,
    reason: Reason = "",
    actor: Actor = None,
    json: Json = False,
) -> None:
    """Say no to a question, of a run too; one no is enough."""
    show_inbox.answered(opened(project, actor).reject(question, reason=reason, at=at), as_json=json)


def rollback(  # noqa: PLR0913 - a command takes what may be said with it
    asset: Asset,
    project: Folder = HERE,
    at: At = None,
    to: Annotated[str | None, typer.Option("--to", metavar="VERSION", help="Default: what answered before.")] = None,
    reason: Reason = "",
    actor: Actor = None,
    json: Json = False,
) -> None:
    """Point the champion back to a version that is proven to load first."""
    show_govern.moved(opened(project, actor).rollback(asset, to=to, reason=reason, at=at), as_json=json)


def pause(  # noqa: PLR0913 - a command takes what may be said with it
    asset: Asset,
    project: Folder = HERE,
    at: At = None,
    until: Annotated[str | None, typer.Option("--until", metavar="INSTANT", help="When it ends by itself.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="End the pause instead.")] = False,
    reason: Reason = "",
    actor: Actor = None,
    json: Json = False,
) -> None:
    """Repair and release nothing of an asset for a while; measuring goes on."""
    found = opened(project, actor)
    if resume:
        ended = found.resume(asset, reason=reason, at=at)
        return show_govern.paused(asset, "resumed" if ended else "was not paused", as_json=json)
    found.pause(asset, reason=reason, until=until, at=at)
    return show_govern.paused(asset, "paused", as_json=json)


def jobs(  # noqa: PLR0913 - a command takes what may be said with it
    asset: Annotated[str | None, typer.Argument(metavar="ASSET", help="Only jobs of this asset.")] = None,
    project: Folder = HERE,
    at: At = None,
    everything: All = False,
    cancel: Annotated[str | None, typer.Option("--cancel", metavar="ID", help="Call this job off.")] = None,
    reason: Reason = "",
    actor: Actor = None,
    json: Json = False,
) -> None:
    """Durable work: what runs, what waits and for what; or call a job off."""
    found = opened(project, actor)
    if cancel is not None:
        return show_govern.cancelled(found.cancel(cancel, reason=reason, at=at), as_json=json)
    return show_govern.jobs(found.jobs(asset=asset, open_only=not everything), as_json=json)


COMMANDS: Mapping[str, Sequence[Callable[..., Any]]] = {
    "Run": (plan,),
    "Explain": (explain, history, incidents, maturity, card, evidence),
    "Decide": (inbox, approvals, approve, reject, rollback, pause, jobs),
}
"""Panel of the help page → its commands."""
