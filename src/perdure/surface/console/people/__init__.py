"""Who may come in and what they may do: people, roles, invites, keys, sessions."""

from __future__ import annotations

from perdure.surface.console.records import Deed, Page

PAGES: tuple[Page, ...] = ()
DEEDS: tuple[Deed, ...] = ()
