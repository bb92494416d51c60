"""Runs of trainings: a list that is filtered while one types, one run whole, runs side by side."""

from __future__ import annotations

from perdure.surface.console.records import Deed, Page
from perdure.surface.console.training.comparing import compare_page
from perdure.surface.console.training.listing import runs_page
from perdure.surface.console.training.run_told import run_page

PAGES: tuple[Page, ...] = (
    Page("runs", "/training", "training/runs.html", runs_page, place="runs"),
    Page("runs compared", "/training/compare", "training/compare.html", compare_page, place="runs"),
    Page("run", "/training/{run}", "training/run.html", run_page, place="runs"),
)
DEEDS: tuple[Deed, ...] = ()
