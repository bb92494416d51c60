"""What `perdure status` says of owners: only of assets that can declare one."""

from __future__ import annotations

from perdure import Contract, Perdure, Project, Route, Source, Target, Upstream, csv


class Row(Contract):
    """A row."""

    n: int


def test_an_asset_that_declares_no_owner_is_told_apart_from_one_that_cannot(tmp_path):
    """Sources and models name one; of a route nobody is asked who owns it."""
    (tmp_path / "rows.csv").write_text("n\n1\n")
    rows = Source("rows", Row, csv("rows.csv"), event_at="n")
    route = Route("main", [Target(Upstream("up", "http://127.0.0.1:9/v1"), "m")])
    project = Perdure(tmp_path, project=Project.of("shop", rows, route))

    owners = {each.name: each.owner for each in project.status().assets}

    assert owners == {"rows": "", "main": None}
