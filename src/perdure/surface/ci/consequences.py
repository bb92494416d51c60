"""What a change asks for once it is deployed: what must be trained again, materialised anew, released."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from perdure.core.canonical import content_hash
from perdure.surface.ci.assets import TRAINED
from perdure.surface.ci.records import AssetChange, Consequence
from perdure.surface.ci.snapshot import Snapshot


def consequences(base: Snapshot, head: Snapshot, changes: list[AssetChange]) -> list[Consequence]:
    """In the order in which they are to be done."""
    changed = {(each.kind, each.name): each for each in changes}
    return [
        *_materialised(base, head),
        *_models(base, head, changed),
        *_registry(changed),
    ]


def _materialised(base: Snapshot, head: Snapshot) -> Iterator[Consequence]:
    for (kind, name), view in sorted(head.definitions.items()):
        if kind != "feature_view" or view["kind"] != "stored":
            continue
        before = base.definitions.get((kind, name))
        if before is None or _version(before) != _version(view):
            beside = f"; {_version(before)} stays as long as a pointer's version needs it" if before else ""
            text = f"{_version(view)} is materialised anew online, from the rows of source {view['source']}{beside}."
            yield Consequence("materialise", name, text)


def _version(view: Mapping[str, Any]) -> str:
    return f"{view['name']}@{content_hash(view)[:12]}"


def _models(base: Snapshot, head: Snapshot, changed: Mapping[tuple[str, str], AssetChange]) -> Iterator[Consequence]:
    for (kind, name), model in sorted(head.definitions.items()):
        if kind != "model":
            continue
        before = base.definitions.get((kind, name))
        if before is None:
            yield Consequence("release", name, f"{name} is new: it answers once it was trained and released.")
            continue
        told = _contract(name, before, model, base, head)
        if told:
            yield Consequence("retrain", name, told)
        if before["features"] != model["features"]:
            new = [each for each in model["features"] if each not in before["features"]]
            views = f"to use {', '.join(new)}" if new else "without the views that are gone, or in another order"
            text = f"{name} is to be trained again {views}; until then its versions compute the views that they pin."
            yield Consequence("retrain", name, text)
        change = changed.get((kind, name))
        late = sorted({each.what for each in change.changes if each.means == TRAINED and each.what != "features"}
                      ) if change else []  # fmt: skip
        if late:
            yield Consequence("retrain", name, f"{name} is to be trained again for {', '.join(late)} to take effect.")


def _contract(name: str, before: Mapping[str, Any], after: Mapping[str, Any], base: Snapshot, head: Snapshot) -> str:
    """No version is served under another contract than the one that it was made under."""
    old = base.definitions.get(("contract", before["contract"]))
    new = head.definitions.get(("contract", after["contract"]))
    if old is None or new is None or old == new:
        return ""
    digest = content_hash(new)
    late = [
        f"{each.version} ({each.pointer})" for each in base.pinned if each.model == name and each.contract != digest
    ]
    which = ", ".join(late) if late else f"every version of {name}"
    return f"{which} was made under another contract {after['contract']} and is not served with this code: train again."


def _registry(changed: Mapping[tuple[str, str], AssetChange]) -> Iterator[Consequence]:
    for (kind, name), change in sorted(changed.items()):
        if kind == "model" and change.what == "removed":
            yield Consequence("registry", name, f"{name} is not served any more; its versions and records stay.")
        elif kind == "source" and change.what == "removed":
            yield Consequence("registry", name, f"Nothing is taken in from {name} any more; its rows stay.")
