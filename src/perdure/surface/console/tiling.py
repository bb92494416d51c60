"""The assets of the board: their newest readings, what is said of them, and the tile of each.

Called by `boards`, in its one thread. An asset is judged again where it has new readings or its word has run out, and its tile is made
again where anything of it changed: so a look at 10,000 assets of which three changed costs three.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from perdure.assets.version import CHAMPION
from perdure.surface.console.board import Judged, Newest, Tile
from perdure.surface.console.judging import FOREVER_US, NO_OBJECTIVE, Word, judge, newest_of

if TYPE_CHECKING:
    from perdure.assets.project import Project
    from perdure.loop.protocols import Watched
    from perdure.stores.telemetry.protocols import Readings
    from perdure.surface.console.folding import Folded

_SHOWN = frozenset(("model", "source", "feature_view", "route", "guard", "prompt", "judge", "index", "agent", "graph"))
"""Kinds that have a tile where the ledger alone knows them."""
_VIEW = "feature_view"
_PAGE = 10_000


class Tiles:
    """Tiles of one project.

    Args:
        project: what it declares; read once.
        watched: its assets with objectives, sources first.
    """

    def __init__(self, project: Project, watched: Sequence[Watched]) -> None:
        self._declared = {(each.kind, each.name): each for each in watched}
        # Sources come first: of a source and a model of one name, the model is meant.
        self._meant = {each.name: (each.kind, each.name) for each in watched}
        self._views = {name: view.source.name if view.source else "" for name, view in project.views.items()}
        self._mark: int | None = None
        self._words: dict[tuple[str, str], Word] = {}
        self._holds = (0, 0)
        self._tiles: dict[tuple[str, str], Tile] = {}
        self._keys: list[tuple[str, str]] = []
        self._of_name: dict[str, list[tuple[str, str]]] = {}
        self._registered: Mapping[tuple[str, str], str] | None = None
        self._oldest: dict[str, str] = {}
        self._unjudged: set[str] = set()
        self.newest: dict[str, Sequence[Newest]] = {}
        self.judged: dict[str, Sequence[Judged]] = {}
        """Objectives by asset."""

    @property
    def tiles(self) -> list[Tile]:
        """By kind and name."""
        return [self._tiles[key] for key in self._keys]

    @property
    def by_name(self) -> dict[str, Tile]:
        """Of several of one name, the one that has versions, else the one that is measured."""
        return {name: self._tiles[keys[0]] for name, keys in self._of_name.items()}

    def read(self, readings: Readings) -> bool:
        """Read what was measured since the last time; True where anything was.

        Raises:
            NotFound: the readings are another file: `forget`, and read again.
        """
        if self._mark is None:
            self._mark, found = readings.newest()
            self.newest = {asset: _ordered(of) for asset, of in _by_asset(found).items()}
            self._unjudged |= self._meant.keys()
            return True
        # Where a read breaks off, the next one begins where this one did: nothing is passed over.
        changed: list[Newest] = []
        mark = self._mark
        while True:
            mark, page = readings.changed(mark, limit=_PAGE)
            changed += page
            if len(page) < _PAGE:
                break
        for asset, of in _by_asset(changed).items():
            laid = _laid_on(self.newest.get(asset, ()), of)
            self.newest[asset] = _ordered(newest_of(readings.latest(asset)) if laid is None else laid)
            self._unjudged.add(asset)
        self._mark = mark
        return bool(changed)

    def forget(self) -> None:
        """Begin anew with the readings."""
        self._mark, self.newest = None, {}

    def judge(self, now_us: int) -> set[str]:
        """Judge where there is something new, or time has changed the word; the assets whose word is another."""
        changed: set[str] = set()
        since_us, until_us = self._holds
        if not self._unjudged and since_us <= now_us < until_us:
            return changed
        for key, asset in self._declared.items():
            word, name = self._words.get(key), asset.name
            if word is not None and name not in self._unjudged and word.since_us <= now_us < word.until_us:
                continue
            said = judge(asset, self.newest.get(name, ()), now_us)
            self._words[key] = said
            if self._meant[name] == key:
                self.judged[name] = said.judged
            if word is None or (word.state, word.worst, word.judged) != (said.state, said.worst, said.judged):
                changed.add(name)
        self._unjudged = set()
        self._holds = (
            max((word.since_us for word in self._words.values()), default=-FOREVER_US),
            min((word.until_us for word in self._words.values()), default=FOREVER_US),
        )
        return changed

    def lay(self, folded: Folded, changed: Collection[str]) -> None:
        """Make the tiles of what changed again, and of what the ledger has come to know; `folded.changed` is empty after it."""
        oldest: dict[str, str] = {}
        for incident in folded.incidents:
            oldest.setdefault(incident.asset, incident.id)
        again = {*changed, *folded.changed, *(name for name, _ in oldest.items() ^ self._oldest.items())}
        self._oldest = oldest
        if folded.registered is not self._registered:
            self._name_all(folded.registered)
        names = self._of_name if folded.anew else again & self._of_name.keys()
        for key in [*(key for name in names for key in self._of_name[name]), *self._missing()]:
            self._tiles[key] = self._tile(key, folded)
        for name in self._views:
            self._tiles[_VIEW, name] = self._view(name, folded)
        folded.changed, folded.anew = set(), False

    def _missing(self) -> list[tuple[str, str]]:
        return [key for key in self._keys if key not in self._tiles]

    def _name_all(self, registered: Mapping[tuple[str, str], str]) -> None:
        """What has a tile: what is declared, and what only the ledger knows."""
        shown = {key for key in registered if key[0] in _SHOWN}
        keys = {*self._declared, *((_VIEW, name) for name in self._views), *shown}
        self._registered, self._keys, self._of_name = registered, sorted(keys), {}
        for key in sorted(keys, key=lambda each: (each[0] == _VIEW, each[0] in ("source", "team"), each)):
            self._of_name.setdefault(key[1], []).append(key)
        self._tiles = {key: tile for key, tile in self._tiles.items() if key in keys}

    def _tile(self, key: tuple[str, str], folded: Folded) -> Tile:
        kind, name = key
        asset = self._declared.get(key)
        word = self._words.get(key, NO_OBJECTIVE)
        pointers = folded.pointers.get(name, ())
        owner = getattr(asset.declaration, "owner", "") if asset is not None else folded.registered.get(key, "")
        return Tile(
            kind,
            name,
            str(owner or ""),
            word.state,
            word.worst,
            next((each.version for each in pointers if each.name == CHAMPION), ""),
            any(each.name != CHAMPION and each.share > 0 for each in pointers),
            self._oldest.get(name, ""),
            folded.paused.get(name, ""),
            asset is not None,
        )

    def _view(self, name: str, folded: Folded) -> Tile:
        """A view of features is as healthy as what it is made from."""
        source = self._views.get(name, "")
        word = self._words.get(("source", source), NO_OBJECTIVE)
        worst = f"its source {source}: {word.worst}" if word.worst else ""
        owner = folded.registered.get((_VIEW, name), "")
        return Tile(_VIEW, name, owner, word.state, worst, "", False, "", "", name in self._views)


def _by_asset(found: Iterable[Newest]) -> Mapping[str, list[Newest]]:
    by_asset: dict[str, list[Newest]] = {}
    for each in found:
        by_asset.setdefault(each.asset, []).append(each)
    return by_asset


def _ordered(found: Iterable[Newest]) -> list[Newest]:
    return sorted(found, key=lambda each: (each.signal, each.slice, each.width_us, each.version, each.at_us))


def _laid_on(kept: Sequence[Newest], new: Sequence[Newest]) -> list[Newest] | None:
    """The newest with what was put since; None where that cannot be told without the others, as after an older one was replaced."""
    by_part: dict[tuple[str, str, int], list[Newest]] = {}
    for each in kept:
        by_part.setdefault((each.signal, each.slice, each.width_us), []).append(each)
    for each in new:
        of_part = by_part.setdefault((each.signal, each.slice, each.width_us), [])
        if not of_part or each.at_us > of_part[0].at_us:
            of_part[:] = [each]
        elif each.at_us == of_part[0].at_us and all(other.version != each.version for other in of_part):
            of_part.append(each)
        else:
            return None
    return [each for of_part in by_part.values() for each in of_part]
