"""Versions of a prompt that could answer in place of the champion."""

from __future__ import annotations

from perdure.assets.version import Version
from perdure.loop.protocols import Watched, Workplace
from perdure.loop.work.candidates import champions, other_versions
from perdure.loop.work.prompts.gates_answers import why_unable
from perdure.loop.work.versions import find_champion

MOST = 40
"""The newest versions that are looked at, beside every champion of before."""


def past_versions(place: Workplace, asset: Watched) -> list[Version]:
    """Versions that could answer in place of the champion, those that did last first."""
    champion = find_champion(place.stores.ledger, asset.name)
    if champion is None:
        return []
    answered = [version.id for version in champions(place, asset.name)]
    known = [version for version in other_versions(place, asset.name, MOST) if _fits(place, version, champion)]
    place_of = {name: at for at, name in enumerate(answered)}
    return sorted(known, key=lambda each: (place_of.get(each.id, -1), each.created_at), reverse=True)


def _fits(place: Workplace, version: Version, champion: Version) -> bool:
    """Whether it takes what callers send now, and can answer."""
    same = version.definition["variables"] == champion.definition["variables"]
    return bool(same) and not why_unable(place, version)
