"""What an asset rests on, however far up: told once, when the loop is made.

A round takes assets up in this order, so that what broke further up has its incident before those that
rest on it are considered.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from perdure.loop.protocols import Watched


def upstream_first(assets: Sequence[Watched]) -> list[Watched]:
    """The assets, each resting on all that it needs, directly or not, and never before any of that.

    Else the order stays. Of assets that rest on each other in a circle none comes first for sure.
    """
    direct = {asset.name: asset.rests_on for asset in assets}
    whole = [replace(asset, rests_on=_all_above(asset.name, direct)) for asset in assets]
    # What is above rests on less, at least not on itself.
    return sorted(whole, key=lambda asset: len(asset.rests_on))


def _all_above(name: str, direct: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    found: dict[str, None] = {}
    left = list(direct[name])
    while left:
        above = left.pop(0)
        if above != name and above not in found:
            found[above] = None
            left += direct.get(above, ())
    return tuple(found)
