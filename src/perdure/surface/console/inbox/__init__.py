"""What waits for whom: by duty, with what waits for the one who looks first; questions of runs are answered here."""

from __future__ import annotations

from perdure.surface.console.inbox import deeds
from perdure.surface.console.inbox.page import show_inbox
from perdure.surface.console.records import Deed, Page

PAGES: tuple[Page, ...] = (Page("inbox", "/inbox", "inbox/inbox.html", show_inbox, place="inbox"),)
DEEDS: tuple[Deed, ...] = (
    Deed("wait-approve", "/waits/{id}/approve", deeds.approve_wait, "decide"),
    Deed("wait-reject", "/waits/{id}/reject", deeds.reject_wait, "decide"),
    Deed("hand-off", "/hand-offs", deeds.hand_off, "note"),
    Deed("hand-off-take", "/hand-offs/{id}/take", deeds.take_hand_off, "note"),
)
