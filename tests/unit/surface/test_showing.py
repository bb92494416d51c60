"""How results are laid out: tables that fit, numbers, states, what is broken or lost."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta

import pytest

from perdure.assets.health import Finding, Reading, State
from perdure.assets.version import Pointer
from perdure.core.errors import NotFound, NotReady
from perdure.loop.drain import DrainReport
from perdure.loop.intake import Ingested
from perdure.loop.round import RoundReport
from perdure.stores.ledger.protocols import Incident
from perdure.surface.cli import printing, show_health
from perdure.surface.cli.printing import Column, Fitted, put
from perdure.surface.records import AssetStatus, Health, Status
from perdure.surface.words import number

NOW = datetime(2025, 3, 1, 8, tzinfo=UTC)
LOST = Incident("inc_1", "shop", "capture_loss", "3 events were lost [disk full]", NOW)


@pytest.fixture(autouse=True)
def no_width(monkeypatch):
    """As wide as it needs, unless a test says otherwise."""
    monkeypatch.delenv("COLUMNS", raising=False)


def reading(value, part="", **facts):
    low, high = (None, None) if value is None else (value - 1, value + 1)
    return Reading(
        "shop", "mae", NOW, NOW - timedelta(days=7), NOW, value, low, high, 1200, "min", part, "shop@1", facts
    )


def finding(state, value=9.5, part=""):
    return Finding("shop", "mae over 7d by origin <= 9", state, reading(value, part))


class TestTables:
    COLUMNS = (
        Column("name", ("a", "bb")),
        Column("n", ("1", "22"), right=True),
        Column("wide", ("x" * 30, "y"), spare=1),
        Column("wider", ("x" * 40, "y"), spare=2),
        Column("nothing", ("", "")),
    )

    def test_all_columns_that_hold_anything_are_shown_where_no_width_is_set(self, capsys):
        put(Fitted(self.COLUMNS))
        header, first, second = capsys.readouterr().out.splitlines()
        assert header.split() == ["name", "n", "wide", "wider"]
        assert first.startswith("a      1  xxx")
        assert second.startswith("bb    22  y")

    @pytest.mark.parametrize(("width", "shown"), [(90, 4), (80, 3), (40, 3), (39, 2), (10, 2)])
    def test_the_most_spare_columns_go_first_and_are_named(self, capsys, monkeypatch, width, shown):
        monkeypatch.setenv("COLUMNS", str(width))
        put(Fitted(self.COLUMNS))
        told, names = capsys.readouterr().out, ["name", "n", "wide", "wider"]
        assert told.splitlines()[0].split() == names[:shown]
        assert ("not shown" in told) == (shown < 4)

    def test_an_indent_counts(self, capsys, monkeypatch):
        monkeypatch.setenv("COLUMNS", "82")
        put(Fitted(self.COLUMNS))
        put(Fitted(self.COLUMNS, indent=4))
        lines = capsys.readouterr().out.splitlines()
        assert "wider" in lines[0]
        assert lines[3].split() == ["name", "n", "wide"]
        assert lines[3].startswith("    name")

    def test_colours_are_for_terminals_only(self, capsys):
        file = io.StringIO()
        put("[green]ok[/]", screen=printing._Screen(file=file, force_terminal=True, color_system="standard", width=60))
        put("[green]ok[/]")
        assert (file.getvalue(), capsys.readouterr().out) == ("\x1b[32mok\x1b[0m\n", "ok\n")

    def test_values_that_look_like_markup_stay_as_they_are(self, capsys):
        show_health.round_line(RoundReport(NOW, [], DrainReport(n_lost=3), 0, [], [LOST]), as_json=False)
        assert capsys.readouterr().out == "2025-03-01 08:00:00 3 events lost, opened 3 events were lost [disk full]\n"


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (0.5, "0.5000"), (9.672, "9.672"), (-0.00001, "-1.0e-05"), (999.94, "999.9"), (1234.5, "1,234"),
     (1e7, "10,000,000"), (None, "–")],
)  # fmt: skip
def test_numbers_have_four_significant_digits(value, text):
    assert number(value) == text


class TestErrors:
    def test_say_what_happened_and_what_to_do(self, capsys):
        printing.error(NotFound("There is no [b]model.", hint="Write [it]."), as_json=False)
        assert capsys.readouterr().err == "error[not_found]: There is no [b]model.\n  hint: Write [it].\n"

    def test_a_long_hint_hangs_under_its_first_line(self, capsys, monkeypatch):
        monkeypatch.setenv("COLUMNS", "40")
        printing.error(NotReady("No.", hint="word " * 15), as_json=False)
        _, first, *rest = capsys.readouterr().err.splitlines()
        assert first.startswith("  hint: word")
        assert all(line.startswith("        word") for line in rest)


class TestRound:
    REPORT = RoundReport(
        NOW,
        [Ingested("rows", 1200, 3, 1), Ingested("quiet", 0, 0, 0)],
        DrainReport(n_rows=5, n_labels=1, n_rejected=2, n_lost=3),
        7,
        [finding(State.BROKEN, 12.0, "origin=EWR"), finding(State.UNSURE, None, "origin=JFK")],
        [LOST],
    )

    def test_tells_what_came_in_what_is_lost_and_what_is_broken(self, capsys):
        show_health.round_report(self.REPORT, 0.25, as_json=False)
        assert [line.rstrip() for line in capsys.readouterr().out.splitlines()] == [
            "round at 2025-03-01 08:00:00 UTC  0.2 s",
            "  source   rows  quarantined  late",
            "  rows    1,200            3     1",
            "  captured  5 rows, 1 label, 2 refused",
            "  online    7 rows written",
            "  lost      3 events that could not be captured",
            "  opened shop, since 2025-03-01 08:00:00: 3 events were lost [disk full]  (inc_1)",
            "  asset  state   objective                               reading  interval            n",
            "  shop   broken  mae over 7d by origin <= 9  origin=EWR    12.00  11.00 to 13.00  1,200",
            "  shop   unsure  mae over 7d by origin <= 9  origin=JFK        –                  1,200",
        ]

    def test_is_a_line_in_up(self, capsys):
        show_health.round_line(self.REPORT, as_json=False)
        assert capsys.readouterr().out == (
            "2025-03-01 08:00:00 1,200 rows taken in, 5 rows captured, 1 label, 2 refused, 3 events lost, "
            "2 objectives measured, broken shop: mae over 7d by origin <= 9, opened 3 events were lost [disk full]\n"
        )

    def test_a_round_that_did_nothing_is_silent_in_up(self, capsys):
        show_health.round_line(RoundReport(NOW, [Ingested("rows", 0, 0, 0)], DrainReport(), 0), as_json=False)
        assert capsys.readouterr().out == ""


def test_status_shows_arms_states_incidents_and_the_quarantine(capsys):
    health = [
        Health("mae over 7d by origin <= 9", "crew planning", "broken", reading(12.0, "origin=EWR")),
        Health("drift over 7d unharmful", "", "not measured", None),
    ]
    pointers = [Pointer("shop", "champion", "shop@1"), Pointer("shop", "challenger", "shop@2", 0.1)]
    assets = [AssetStatus("model", "shop", "me", pointers, health), AssetStatus("model", "new", "", [], [])]
    assets.append(AssetStatus("prompt", "answer", None, [], []))
    quarantined = {"request:shop": 2, "source:rows": 1000}
    show_health.status(Status("orders", NOW, assets, [LOST], {}, "host:7", quarantined), as_json=False)
    assert capsys.readouterr().out == (
        "orders  2025-03-01 08:00:00 UTC, loop run by host:7\n"
        "\n"
        "model shop  owner me, champion shop@1, challenger shop@2 10%\n"
        "  state    objective                               reading  interval            n  owed to\n"
        "  broken   mae over 7d by origin <= 9  origin=EWR    12.00  11.00 to 13.00  1,200  crew planning\n"
        "  not yet  drift over 7d unharmful\n"
        "\n"
        "model new  no owner, nothing released\n"
        "  no objectives\n"
        "\n"
        "prompt answer\n"
        "  no objectives\n"
        "\n"
        "quarantine 1,002 rows: 2 rows of request shop, 1,000 rows of source rows\n"
        "\n"
        "open shop, since 2025-03-01 08:00:00: 3 events were lost [disk full]  (inc_1)\n"
    )
