"""Colours of the console: both themes are whole, and everything that is read has the contrast that WCAG asks for."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest

STYLE = (files("perdure.surface.console") / "static" / "css" / "tokens.css").read_text()
_TOKEN = re.compile(r"--([a-z0-9-]+):\s*([^;]+);")
TONES = ("good", "bad", "warn", "info", "mute")
TEXT, GRAPHIC = 4.5, 3.0
"""WCAG 2.2, success criteria 1.4.3 and 1.4.11."""


def _block(start: str) -> dict[str, str]:
    begin = STYLE.index("{", STYLE.index(start))
    return dict(_TOKEN.findall(STYLE[begin : STYLE.index("}", begin)]))


LIGHT = _block(":root { color-scheme: light dark")
BY_SYSTEM = _block(':root:not([data-theme="light"])')
CHOSEN = _block(':root[data-theme="dark"]')
THEMES = {"light": LIGHT, "dark": {**LIGHT, **BY_SYSTEM}}


def luminance(colour: str) -> float:
    """Relative luminance of `#rrggbb` (WCAG 2.2, definitions)."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = [each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in parts]
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(first: str, second: str) -> float:
    """From 1 to 21."""
    brighter, darker = sorted((luminance(first), luminance(second)), reverse=True)
    return (brighter + 0.05) / (darker + 0.05)


def test_contrast_is_computed_as_the_guideline_has_it():
    assert contrast("#000000", "#ffffff") == pytest.approx(21.0)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)


def test_the_dark_theme_is_the_same_by_choice_and_by_the_system():
    assert CHOSEN == BY_SYSTEM


def test_the_dark_theme_changes_every_colour():
    assert {name for name, value in LIGHT.items() if value.startswith("#")} <= set(BY_SYSTEM)


@pytest.mark.parametrize("theme", THEMES)
def test_whatever_is_read_has_enough_contrast(theme):
    of = THEMES[theme]
    pairs = [(ink, back) for ink in ("ink", "soft", "link") for back in ("paper", "back", "sunk")]
    pairs += [(tone, f"{tone}-back") for tone in TONES] + [("on-accent", "accent")]
    pairs += [(tone, "paper") for tone in TONES] + [("ink", f"{tone}-back") for tone in TONES]
    assert [
        (pair, contrast(of[pair[0]], of[pair[1]])) for pair in pairs if contrast(of[pair[0]], of[pair[1]]) < TEXT
    ] == []


@pytest.mark.parametrize("theme", THEMES)
def test_borders_of_controls_the_ring_of_focus_and_series_have_enough_contrast(theme):
    of = THEMES[theme]
    pairs = [(name, back) for name in ("edge", "focus") for back in ("paper", "back")]
    pairs += [(f"s{number}", "paper") for number in range(1, 9)]
    assert [
        (pair, contrast(of[pair[0]], of[pair[1]])) for pair in pairs if contrast(of[pair[0]], of[pair[1]]) < GRAPHIC
    ] == []
