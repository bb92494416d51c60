"""One asset: its health over time, versions, drift, slices, lineage, contract, single predictions."""

from __future__ import annotations

from perdure.surface.console.assets import (
    comparing,
    contract,
    deeds,
    drift,
    explained,
    health,
    lineage,
    listing,
    overview,
    predictions,
    slices,
    versions,
)
from perdure.surface.console.records import Deed, Page

_ASSET = "/assets/{kind}/{name}"
PAGES: tuple[Page, ...] = (
    Page("assets", "/assets", "assets/listing.html", listing.view, place="assets"),
    Page("asset", _ASSET, "assets/overview.html", overview.view, place="assets"),
    Page("asset_health", f"{_ASSET}/health", "assets/health.html", health.view, place="assets"),
    Page("asset_versions", f"{_ASSET}/versions", "assets/versions.html", versions.view, place="assets"),
    Page("asset_version", f"{_ASSET}/versions/{{id}}", "assets/version.html", versions.view_one, place="assets"),
    Page("asset_compare", f"{_ASSET}/compare", "assets/compare.html", comparing.view, place="assets"),
    Page("asset_drift", f"{_ASSET}/drift", "assets/drift.html", drift.view, place="assets"),
    Page("asset_slices", f"{_ASSET}/slices", "assets/slices.html", slices.view, place="assets"),
    Page("asset_lineage", f"{_ASSET}/lineage", "assets/lineage.html", lineage.view, place="assets"),
    Page("asset_contract", f"{_ASSET}/contract", "assets/contract.html", contract.view, place="assets"),
    Page(
        "asset_predictions",
        f"{_ASSET}/predictions",
        "assets/predictions.html",
        predictions.view,
        permit="bodies",
        place="assets",
    ),
    Page(
        "prediction",
        "/predictions/{model}/{id}",
        "assets/explained.html",
        explained.view,
        permit="bodies",
        place="assets",
    ),
)
DEEDS: tuple[Deed, ...] = (
    Deed("asset_pause", f"{_ASSET}/pause", deeds.pause, permit="brake"),
    Deed("asset_resume", f"{_ASSET}/resume", deeds.resume, permit="brake"),
    Deed("asset_rollback", f"{_ASSET}/rollback", deeds.rollback, permit="brake"),
)
