"""Runs are paged by the id of the last one that was seen: from the store, and from the lake once they left it."""

from __future__ import annotations

import pytest

from perdure.assets.project import Project
from perdure.core.clock import parse_at
from perdure.core.settings import CaptureSettings
from perdure.loop.drain import Drain
from perdure.stores.capture.segments import SegmentWriter
from perdure.surface.compose import stores_root
from perdure.surface.runs_kept import Chosen, list_runs
from perdure.surface.sdk import Perdure
from perdure.testing.conformance.capture import run_told

NOW = parse_at("2026-03-20T12:00:00Z")


@pytest.fixture
def project(tmp_path):
    found = Perdure(tmp_path, project=Project.of("p"))
    writer = SegmentWriter(stores_root(found.folder, found.settings) / "capture", CaptureSettings(min_free_bytes=0))
    assert all(writer.append(run_told(n)) for n in range(1, 6))
    writer.close()
    stores = found.place.stores
    with found.hold_lease() as held:
        Drain(stores.capture, stores.lake, stores.ledger).run(now=NOW, actor="ann", lease=held.lease)
    return found


def test_pages_of_runs_in_the_lake_follow_each_other_without_a_gap(project):
    pages, before = [], ""
    while page := [run.id for run in list_runs(project, Chosen(limit=2, before=before))]:
        pages.append(page)
        before = page[-1]
    assert pages == [["run_000005", "run_000004"], ["run_000003", "run_000002"], ["run_000001"]]
