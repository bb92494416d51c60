"""`review`: a project held against its base, with everything that `perdure check --ci` tells of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from perdure.core.errors import BadRequest, DeclarationError, nearest
from perdure.surface.checks import CheckNote, check_project
from perdure.surface.ci.assets import compare
from perdure.surface.ci.consequences import consequences
from perdure.surface.ci.records import RISKS, AssetChange, Review, RiskFound
from perdure.surface.ci.snapshot import LEDGER_FILE, Snapshot, find_base, snapshot_of
from perdure.surface.ci.wording import shortened, trimmed
from perdure.surface.opened import Opened


class Reviewing(Opened):
    """`review` of a project."""

    def review(self, base: str | Path | None = None, *, allow: Iterable[str] = ()) -> Review:
        """What changed against a base, what that means, whether it is refused; reads no data and changes nothing.

        Args:
            base: the project's folder in another checkout, or a deployment's ledger; by default the project's
                own ledger, if it has one. Without any, nothing is compared.
            allow: risks that are accepted, of `RISKS`.

        Raises:
            BadRequest: a risk that there is not; the message names the nearest.
            NotFound: the base is neither a project nor a ledger.
        """
        from perdure.surface.compose import SIGNALS, stores_root

        granted = _granted(allow)
        ledger = stores_root(self.folder, self.settings) / LEDGER_FILE
        before = find_base(Path(base) if base is not None else None, ledger, self.settings)
        name = self.settings.project.name
        try:
            project = self.project
        except DeclarationError as error:
            return Review(name, "", notes=(_wrong(error),))
        notes = tuple(_without_folders(note) for note in check_project(project, SIGNALS, self.settings))
        if before is None or before.broken:
            return Review(name, "", notes=(*_uncompared(before), *notes))
        head = snapshot_of(project, self.settings)
        changes = compare(before, head, {key: trimmed(place) for key, place in getattr(project, "places", {}).items()})
        found = tuple(consequences(before, head, changes))
        return Review(name, before.origin, tuple(changes), found, tuple(_risks(changes, granted)), notes)


def _granted(allow: Iterable[str]) -> set[str]:
    granted = {each.strip() for each in allow} - {""}
    for each in sorted(granted):
        if each not in RISKS:
            near = nearest(each, RISKS)
            hint = f"Did you mean {near!r}?" if near else f"Known: {', '.join(RISKS)}."
            raise BadRequest(f"There is no risk {each!r} to allow.", hint=hint)
    return granted


def _wrong(error: DeclarationError) -> CheckNote:
    place, colon, text = error.message.partition(": ")
    where, told = (place, text) if colon and ".py:" in place else ("", error.message)
    return CheckNote("error", trimmed(where) or error.code, shortened(trimmed(told)), shortened(trimmed(error.hint)))


def _uncompared(before: Snapshot | None) -> Iterable[CheckNote]:
    if before is None:
        yield CheckNote(
            "note", "base", "There is nothing to compare with.", "Give --base: another checkout, or a ledger."
        )
    else:
        yield CheckNote(
            "warning",
            "base",
            f"The base does not load ({before.broken}): nothing was compared.",
            "Mend the base first.",
        )


def _without_folders(note: CheckNote) -> CheckNote:
    return replace(note, where=trimmed(note.where), text=trimmed(note.text), hint=trimmed(note.hint))


def _risks(changes: Iterable[AssetChange], granted: set[str]) -> Iterable[RiskFound]:
    found = [(asset, change) for asset in changes for change in asset.changes if change.risk]
    for asset, change in sorted(found, key=lambda each: list(RISKS).index(each[1].risk)):
        how = " → ".join(part for part in (change.before, change.after) if part)
        text = f"{change.what}: {how}{f' ({change.means})' if change.means else ''}"
        yield RiskFound(change.risk, asset.kind, asset.name, text, change.risk in granted)
