"""Every version with its pointers, who moved what and why, what a release rests on, and cards that people edit."""

from __future__ import annotations

from perdure.surface.console.records import Deed, Page
from perdure.surface.console.registry import deeds
from perdure.surface.console.registry.approval import show_approval
from perdure.surface.console.registry.cards import show_card, show_card_edit, show_card_version, show_card_versions
from perdure.surface.console.registry.moves import show_history
from perdure.surface.console.registry.versions import show_registry

PAGES: tuple[Page, ...] = (
    Page("registry", "/registry", "registry/versions.html", show_registry, place="registry"),
    Page("history", "/registry/{name}/history", "registry/history.html", show_history, place="registry"),
    Page("approval", "/approvals/{id}", "registry/approval.html", show_approval, place="registry"),
    Page("card", "/cards/{name}", "registry/card.html", show_card, place="registry"),
    Page("card-edit", "/cards/{name}/edit", "registry/card_edit.html", show_card_edit, "note", place="registry"),
    Page(
        "card-versions", "/cards/{name}/versions", "registry/card_versions.html", show_card_versions, place="registry"
    ),
    Page(
        "card-version", "/cards/{name}/versions/{id}", "registry/card_version.html", show_card_version, place="registry"
    ),
)
DEEDS: tuple[Deed, ...] = (
    Deed("approve", "/approvals/{id}/approve", deeds.approve, "decide"),
    Deed("reject", "/approvals/{id}/reject", deeds.reject, "decide"),
    Deed("edit-card", "/cards/{name}", deeds.edit_card, "note"),
)
