"""The brakes: pause, resume, go back. Each by the verb of the SDK, with the person as actor and a reason."""

from __future__ import annotations

from perdure.surface.console.asking import address, instant, text
from perdure.surface.console.records import Asked, Done
from perdure.surface.words import instant as told


def pause(asked: Asked) -> Done:
    """`POST /assets/{kind}/{name}/pause`: `reason`, and `until` if it has an end."""
    name = asked.path["name"]
    until = instant(asked.form, "until", asked.now) if asked.form.get("until") else None
    asked.project.pause(name, reason=text(asked.form, "reason"), until=until, at=asked.now)
    words = f"{name} is paused" + (f" until {told(until)} UTC." if until else " until somebody resumes it.")
    return Done(words, _page(asked), {"asset": name, "until": until})


def resume(asked: Asked) -> Done:
    """`POST /assets/{kind}/{name}/resume`: `reason`."""
    name = asked.path["name"]
    was = asked.project.resume(name, reason=text(asked.form, "reason"), at=asked.now)
    words = f"{name} is looked after again." if was else f"{name} was not paused."
    return Done(words, _page(asked), {"asset": name, "was_paused": was})


def rollback(asked: Asked) -> Done:
    """`POST /assets/{kind}/{name}/rollback`: `reason`, and `to` a version; without it, the one that answered before."""
    name = asked.path["name"]
    to = text(asked.form, "to") or None
    move = asked.project.rollback(name, reason=text(asked.form, "reason"), to=to, at=asked.now)
    if move.version == move.replaced:
        # The same click again, or a page from before: there was no release to end.
        tile = asked.board.by_name.get(name)
        ended = f"The release of {name} has ended" if tile and tile.moving else "Nothing was changed"
        words = f"{ended}: {move.version} answers everything."
    else:
        words = f"{name} answers with {move.version} again; it was {move.replaced}."
    return Done(words, _page(asked), {"asset": name, "version": move.version, "replaced": move.replaced})


def _page(asked: Asked) -> str:
    return address("/assets", asked.path["kind"], asked.path["name"])
