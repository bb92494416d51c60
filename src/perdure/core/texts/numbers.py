"""Numbers in a text as values, however they are written: "1,250.50", "1.250,5", "1 250", "−3", "2e-6", "50 %", "٤٢".

"1.250" is twelve hundred in Berlin and one and a quarter in Boston: such a number has both readings, and a comparison takes
whichever is near. Versions and dates ("1.2.3") are no numbers.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from perdure.core.texts.folding import unveiled

_FOUND = re.compile(
    r"(?P<sign>(?<![\w.,)\]%])[-+])?"
    r"(?P<core>(?<![A-Za-z_\d.])(?:\d{1,3}(?:[ '\u2019]\d{3}){1,9}(?!\d)(?:[.,]\d{1,30})?|\d[\d.,]{0,60})|(?<![\w.])\.\d{1,60})"
    r"(?P<power>[eE][-+]?\d{1,3}(?!\w))?"
    r"(?P<percent>\s?%)?"
)
_GROUPS = {mark: re.compile(rf"\d{{1,3}}(?:\{mark}\d{{3}})+") for mark in ",."}
_ARABIC = {0x066B: ".", 0x066C: ",", 0x066A: "%"}


class Found(NamedTuple):
    """One number of a text."""

    readings: tuple[float, ...]
    """The likelier first."""
    percent: bool = False


def find_numbers(text: str) -> list[Found]:
    """The numbers of a text, in order. Linear.

    >>> [each.readings for each in find_numbers("From -1,250.50 to 3.142 in 2024, v1.2.3, A4, item-7")]
    [(-1250.5,), (3.142, 3142.0), (2024.0,), (7.0,)]
    >>> find_numbers("٤٢٪")
    [Found(readings=(42.0,), percent=True)]
    """
    if not text.isascii():
        text = unveiled(text).text.translate(_ARABIC)
    found: list[Found] = []
    for match in _FOUND.finditer(text):
        sign, core, power, percent = match.group("sign", "core", "power", "percent")
        if core.isdigit() and not (sign or power):
            found.append(Found((float(core),), percent is not None))
            continue
        found += [
            Found(tuple([_signed(each, sign, power) for each in readings]), percent is not None)
            for readings in _values(core.rstrip(".,"))
        ]
    return found


def _signed(value: str, sign: str | None, power: str | None) -> float:
    return float(f"{'-' if sign == '-' else ''}{value}{power or ''}")


def _values(core: str) -> list[tuple[str, ...]]:
    """What stands there as Python writes it: a number with its readings, several where commas list them, or none."""
    if core.isdigit():
        return [(core,)]
    for space in " '\u2019":
        core = core.replace(space, "")
    n_commas, n_points = core.count(","), core.count(".")
    if n_commas and n_points:
        return _mixed(core)
    mark = "," if n_commas else "."
    if n_commas + n_points == 1:
        whole, _, rest = core.partition(mark)
        decimal, grouped = f"{whole or '0'}.{rest}", whole + rest
        if len(rest) != 3 or not 1 <= len(whole) <= 3 or whole[0] == "0":
            return [(decimal,)]
        return [(decimal, grouped)] if mark == "." else [(grouped, decimal)]
    if n_commas + n_points and not _GROUPS[mark].fullmatch(core):
        return [] if n_points else [(each,) for each in core.split(",") if each]
    return [(core.replace(mark, ""),)]


def _mixed(core: str) -> list[tuple[str, ...]]:
    point = "," if core.rfind(",") > core.rfind(".") else "."
    group = "." if point == "," else ","
    whole, _, rest = core.rpartition(point)
    if core.count(point) == 1 and _GROUPS[group].fullmatch(whole):
        return [(f"{whole.replace(group, '')}.{rest}",)]
    pieces = [each.strip(".") for each in core.split(",")]
    return [(each,) for each in pieces if each and each.count(".") < 2]
