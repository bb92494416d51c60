"""The story of a repair, its history, its decisions made again, its card and its evidence."""

from __future__ import annotations

import json
import sqlite3

import pytest

from perdure.core.errors import BadRequest, Corrupt, NotFound, Refused
from perdure.surface.governance.entries import by_beginning
from perdure.surface.sdk import open_project


@pytest.fixture(scope="module")
def incident(told):
    [only] = open_project(told).incidents(open_only=False)
    return only.id


class TestExplain:
    def test_the_story_goes_from_what_was_seen_to_what_it_gave(self, cli, told, incident):
        lines = cli(f"perdure explain {incident}", told).out.splitlines()
        chapters = [line for line in lines if line and not line.startswith(" ")]
        assert chapters[0] == "eta: concept drift, since 2025-03-02 00:00:00, closed 2025-03-05 04:00:00"
        assert chapters[3:] == ["seen", "causes", "decided", "proved", "asked", "moved", "came to", "gave", "ended"]

    @pytest.mark.parametrize(
        "part",
        [
            "mae over 7d <= 9 12.00 min (11.00 to 13.00), n 900, at 2025-03-02 00:00:00",
            "80% concept drift The relation moved.",
            "error ratio 1.400",
            "repair: The relation moved. One action answers it.",
            "A reviewer must say yes.",
            "+ retrain_recent days=60: Answers concept drift.",
            "- resync: Does not answer concept drift.",
            "verify eta@new against eta@old wins",
            "passed paired: better by 2.1 min",
            "bob said yes at 2025-03-02 06:00:00: looks right",
            "challenger eta@new for 20% (canary), by loop: release canary",
            "champion eta@new (all), by loop: release all",
            "released: eta@new answers.",
            "mae over 7d <= 9 12.00 min at 2025-03-02 00:00:00, 7.000 min at 2025-03-05 03:00:00",
            "2025-03-05 04:00:00 Every objective is healthy again, after 76h.",
        ],
    )
    def test_it_tells_figures_weighed_actions_people_and_moves(self, cli, told, part):
        assert part in cli("perdure explain eta", told).out

    def test_the_beginning_of_an_id_is_enough_and_no_argument_lists_them(self, cli, told, incident):
        assert json.loads(cli(f"perdure explain {incident[:9]} --json", told).out)["incident"]["id"] == incident
        assert cli("perdure explain", told).out.splitlines()[1].startswith(f"{incident}  eta    concept drift")

    def test_an_asset_without_an_incident_says_so(self, cli, project):
        assert cli("perdure explain eta", project).out == "eta: no incident\nNothing was decided yet.\n"

    def test_what_is_not_there_is_told_with_the_nearest(self, cli, told):
        assert "Did you mean 'eta'?" in cli("perdure explain etaa", told, expect=3).err

    def test_a_beginning_that_several_have_is_refused(self):
        with pytest.raises(BadRequest, match="2 incidents begin with 'inc_1'"):
            by_beginning("incident", "inc_1", ["inc_1a", "inc_1b"])
        with pytest.raises(NotFound):
            by_beginning("incident", "", ["inc_1a"])


class TestReplay:
    def test_every_decision_comes_out_the_same(self, cli, told):
        assert cli("perdure explain eta --replay", told).out == "equal  1 decision, every one equal\n"
        assert json.loads(cli("perdure explain --replay --json", told).out) == {"n": 1, "n_equal": 1, "codes": ["c0de"]}

    @pytest.mark.parametrize(
        ("was", "now"), [('"choice":"repair"', '"choice":"wait"'), ('"weight":0.8', '"weight":0.9')]
    )
    def test_a_decision_that_was_changed_is_named(self, cli, repaired, was, now):
        """The first changes what was decided; the second what it rests on, which alone would decide the same."""
        tamper(repaired, was, now)
        told = cli("perdure explain eta --replay", repaired, expect=5).err
        assert "on eta, made at 2025-03-02T00:00:00Z, was changed after it was written" in told
        assert "perdure ledger verify" in told

    def test_a_decision_that_this_code_would_not_make_is_told_where_it_differs(self, repaired):
        tamper(repaired, '"choice":"repair"', '"choice":"wait"', rehash=True)
        with pytest.raises(Refused, match=r'comes out otherwise: then ….*"wait".*… now ….*"repair"'):
            open_project(repaired).replay()

    def test_where_nothing_was_decided_nothing_is_made_again(self, cli, project):
        assert cli("perdure explain --replay", project).out == "There is no decision to make again.\n"

    def test_a_situation_that_cannot_be_read_is_told(self, repaired):
        tamper(repaired, '"trigger":"evidence","upstream"', '"trigger":"moon","upstream"', rehash=True)
        with pytest.raises(Refused, match="rests on a situation that this version cannot read"):
            open_project(repaired).replay("eta")


def tamper(folder, was, now, *, rehash=False):
    """Change the decision's entry behind the ledger's back; `rehash`: so that it fits its own hash."""
    from perdure.stores.ledger.chain import entry_hash

    with sqlite3.connect(folder / ".perdure" / "ledger.db") as file:
        [(sequence, facts)] = file.execute("SELECT sequence, facts FROM audit WHERE action = 'loop.decide'").fetchall()
        assert was in facts
        file.execute("UPDATE audit SET facts = ? WHERE sequence = ?", (facts.replace(was, now), sequence))
    file.close()
    if rehash:
        ledger = open_project(folder)._ledger
        with ledger.read() as session:
            [entry] = session.audit.list(after=sequence - 1, limit=1)
        ledger.close()
        with sqlite3.connect(folder / ".perdure" / "ledger.db") as file:
            file.execute("UPDATE audit SET hash = ? WHERE sequence = ?", (entry_hash(entry), sequence))
        file.close()


class TestHistory:
    def test_every_move_has_who_why_and_whose_yes(self, cli, told, incident):
        header, *rows = cli("perdure history eta", told).out.splitlines()
        assert header.split() == [
            "at",
            "pointer",
            "version",
            "share",
            "by",
            "with",
            "a",
            "yes",
            "of",
            "reason",
            "incident",
        ]
        assert "champion    eta@old" in rows[0]
        assert rows[1].split()[2:] == ["challenger", "eta@new", "20%", "loop", "bob", "release", "canary", incident]
        assert any("eta@old → eta@new" in row for row in rows)
        assert any("eta@new → taken away" in row for row in rows)

    def test_it_is_data_too_with_the_evidence(self, told):
        champion = [row for row in open_project(told).history("eta") if row.pointer == "champion"][-1]
        assert (champion.before, champion.version, champion.stage) == ("eta@old", "eta@new", "all")
        assert champion.evidence["job"] == "job_1"

    def test_an_asset_that_is_not_there_is_told(self, cli, told):
        assert "There is no asset 'etta'." in cli("perdure history etta", told, expect=3).err


def test_incidents_that_are_over_are_listed_on_demand(cli, told):
    assert cli("perdure incidents", told).out == "No incident.\n"
    header, row = cli("perdure incidents --all", told).out.splitlines()
    assert header.split() == ["incident", "asset", "kind", "opened", "closed", "remedy", "what"]
    assert "concept drift  2025-03-02 00:00:00  2025-03-05 04:00:00  released: fit on the newest 60 days" in row


class TestCard:
    @pytest.mark.parametrize(
        "part",
        [
            "# eta\n\nMinutes until an order arrives.\n",
            "- **Owner**: dispatch",
            "- **Version**: `eta@new`",
            "released by a yes of reviewer",
            "- **Rows**: 500, from 2025-01-01 to 2025-02-01",
            "| valid_mae | 1.500 |",
            "| shop | mae |\n| --- | --- |\n| n\\|orth | 1.200 |",
            "| mae over 7d <= 9 | couriers | ",
            "- **params**: n 3",
            "- fairness: passed. no group is worse",
            "  - bob said yes: looks right",
            "`eta@new` by loop: release all, with a yes of bob",
            "concept drift (to 2025-03-05 04:00:00: Every objective is healthy again, after 76h.)",
        ],
    )
    def test_a_card_is_made_from_the_records(self, cli, told, part):
        assert part in cli("perdure card eta --at 2025-03-06", told).out

    def test_it_can_be_written_to_a_file(self, cli, told, tmp_path):
        cli(f"perdure card eta --out {tmp_path}/card.md", told)
        assert (tmp_path / "card.md").read_text().startswith("# eta\n")

    def test_a_model_that_is_not_there_is_told(self, cli, told):
        assert "There is no model 'etta'." in cli("perdure card etta", told, expect=3).err


class TestEvidence:
    def test_a_pack_holds_the_story_its_entries_and_the_chain_s_head_and_can_be_checked(
        self, cli, told, incident, tmp_path
    ):
        pack = tmp_path / "pack"
        written = cli(f"perdure evidence {incident} --out {pack}", told).out
        assert sorted(path.name for path in pack.iterdir()) == [
            "card.md", "entries.json", "explain.md", "manifest.json", "verdicts.json"
        ]  # fmt: skip
        head = json.loads(cli("perdure ledger verify --json", told).out)["head"]
        assert head in written
        assert {each["action"] for each in json.loads((pack / "entries.json").read_text())} == {
            "incidents.open", "loop.decide", "incidents.update", "jobs.put", "loop.verify", "approvals.ask",
            "approvals.answer", "pointers.set", "loop.outcome", "incidents.close",
        }  # fmt: skip
        assert "## Causes" in (pack / "explain.md").read_text()
        assert cli(f"perdure evidence --check {pack}", told).out.startswith("checked ")

    def test_a_file_or_an_entry_that_was_changed_is_found(self, told, incident, tmp_path):
        opened, pack = open_project(told), tmp_path / "pack"
        opened.evidence(incident, pack)
        entries = (pack / "entries.json").read_text()
        (pack / "entries.json").write_text(entries.replace("looks right", "looks wrong"))
        with pytest.raises(Corrupt, match=r"entries\.json is not the file"):
            opened.check_evidence(pack)
        manifest = json.loads((pack / "manifest.json").read_text())
        from perdure.core.canonical import bytes_hash

        manifest["files"]["entries.json"] = bytes_hash((pack / "entries.json").read_bytes())
        (pack / "manifest.json").write_text(json.dumps(manifest))
        with pytest.raises(Corrupt, match="of the pack is not the one in the ledger"):
            opened.check_evidence(pack)

    def test_a_broken_chain_gives_no_evidence(self, repaired, incident, tmp_path):
        tamper(repaired, '"choice":"repair"', '"choice":"wait"')
        with pytest.raises(Corrupt, match="No evidence from a broken chain"):
            open_project(repaired).evidence(incident, tmp_path / "pack")

    @pytest.mark.parametrize(
        ("command", "code", "told_"),
        [
            ("evidence eta", 2, "needs an incident and a folder"),
            ("evidence eta --out .", 2, "is not empty"),
            ("evidence --check .", 3, "There is no manifest.json"),
        ],
    )
    def test_what_cannot_be_packed_is_told(self, cli, told, command, code, told_):
        assert told_ in cli(f"perdure {command}", told, expect=code).err
