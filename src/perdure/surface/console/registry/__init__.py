"""Versions, who moved which pointer when and why, model cards, and questions that wait for an answer."""

from __future__ import annotations

from perdure.surface.console.records import Deed, Page

PAGES: tuple[Page, ...] = ()
DEEDS: tuple[Deed, ...] = ()
