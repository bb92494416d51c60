"""Prompts, evals, judges, reviews, indexes, calls, agents and graphs."""

from __future__ import annotations

from perdure.surface.console.records import Deed, Page

PAGES: tuple[Page, ...] = ()
DEEDS: tuple[Deed, ...] = ()
