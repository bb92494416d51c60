"""The commands as a person or a program uses them: text, JSON, mistakes, exit codes."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path

import pytest

AT = "--at 2025-02-15"
BAD_ROW = "o99999,2025-02-14T08:00:00Z,north,far,0.0,21.0\n"


@pytest.fixture(scope="module")
def trained(tmp_path_factory, cli):
    """A project made by `init` with one bad row, trained, released, ticked once. Look at it only."""
    folder = tmp_path_factory.mktemp("trained")
    cli("perdure init shop", folder)
    with (folder / "shop" / "data.csv").open("a") as data:
        data.write(BAD_ROW)
    cli(f"perdure train shop {AT}", folder / "shop")
    cli(f"perdure apply {AT}", folder / "shop")
    cli(f"perdure tick {AT}", folder / "shop")
    return folder / "shop"


@pytest.fixture
def project(trained, tmp_path):
    """A copy of it, to change."""
    return Path(shutil.copytree(trained, tmp_path / "shop"))


@pytest.fixture(scope="module")
def fresh(tmp_path_factory, cli):
    """A project as `init` makes it, without any store. Look at it only."""
    folder = tmp_path_factory.mktemp("fresh")
    cli("perdure init shop", folder)
    return folder / "shop"


class TestText:
    def test_init_lists_its_files_and_what_to_do_next(self, cli, tmp_path):
        told = cli("perdure init orders", tmp_path).out
        assert "  orders/model.py\n" in told
        assert "  cd orders\n  perdure check\n  perdure train orders\n" in told

    def test_check_counts_what_is_declared_and_finds_nothing_wrong_in_a_new_project(self, cli, fresh):
        assert cli("perdure check", fresh).out.splitlines() == [
            "shop  2 contracts, 2 sources, 1 feature view, 1 model",
            "ok      every declaration loads",
        ]

    def test_check_tells_what_is_doubtful_where_it_stands_with_what_to_write(self, cli, project):
        sources = project / "shop" / "sources.py"
        sources.write_text(sources.read_text().replace('    owner="me",\n', "", 1))
        told = cli("perdure check", project).out.splitlines()
        assert told[1] == "note    shop/sources.py:14  Source 'rows' has no owner."
        assert told[2] == '        Write: owner="data-platform"'

    def test_check_ends_with_the_declarations_exit_code_when_one_is_wrong(self, cli, project):
        model = project / "shop" / "model.py"
        model.write_text(model.read_text().replace("hours, latency_ms, mae", "freshness_h as mae, hours, latency_ms"))
        told = cli("perdure check", project, expect=2).out
        assert "'freshness_h', which nothing measures" in told
        assert "every declaration loads" not in told

    def test_train_says_what_it_rests_on_and_that_nothing_is_released(self, cli, project):
        told = cli(f"perdure train shop {AT} --tune 2", project).out
        assert "tuned    2 trials, best mae" in told
        assert "rows to fit" in told
        assert "rests on distance_km" in told
        assert "perdure apply points the champion of shop at it" in told

    def test_runs_stand_side_by_side_with_the_parameters_that_differ(self, cli, project):
        assert "learning_rate" not in cli("perdure runs", project).out
        cli(f"perdure train shop {AT} --tune 1", project)
        header, *rows = cli("perdure runs", project).out.splitlines()
        assert header.split()[:5] == ["run", "what", "version", "started", "took"]
        assert "learning_rate" in header
        assert [row.split()[1] for row in rows] == ["train", "tune", "train"]

    def test_runs_of_a_new_project_say_how_to_make_one(self, cli, fresh, tmp_path):
        told = cli("perdure runs", fresh, PERDURE_STORES_ROOT=str(tmp_path)).out
        assert told == "No runs yet: perdure train MODEL makes one.\n"

    def test_apply_tells_what_it_would_do_and_then_does_it(self, cli, fresh, tmp_path):
        stores = {"PERDURE_STORES_ROOT": str(tmp_path)}
        dry = cli("perdure apply --dry-run", fresh, **stores).out
        assert "declared  model shop\n" in dry
        assert "dry run: nothing was written\n" in dry
        done = cli("perdure apply", fresh, **stores).out
        assert done == dry.replace("dry run: nothing was written\n", "")
        assert cli("perdure apply", fresh, **stores).out == "6 declarations unchanged\n"

    def test_apply_shows_where_a_release_comes_from_and_goes_to(self, cli, project):
        old = json.loads(cli("perdure runs --json", project).out)[0]["version"]
        cli(f"perdure train shop {AT} --tune 1", project)
        new = json.loads(cli("perdure runs --json", project).out)[0]["version"]
        assert f"released  model shop  {old} → {new}\n" in cli("perdure apply", project).out
        assert f"{new} → {old}" in cli(f"perdure apply --release shop={old} --reason slower", project).out

    def test_apply_leaves_a_release_alone_that_is_newer_than_what_was_trained(self, cli, project):
        """By the order of the ledger: the version is trained as of an instant before the release."""
        old = json.loads(cli("perdure runs --json", project).out)[0]["version"]
        cli(f"perdure train shop {AT} --tune 1", project)
        cli("perdure apply", project)
        cli(f"perdure apply --release shop={old} --reason slower", project)
        assert cli("perdure apply", project).out == "6 declarations unchanged\n"

    def test_a_way_back_is_proven_and_stands_in_the_history(self, cli, project):
        old = json.loads(cli("perdure runs --json", project).out)[0]["version"]
        cli(f"perdure train shop {AT} --tune 1", project)
        cli("perdure apply", project)
        assert f"→ {old}" in cli('perdure rollback shop --reason "it is slower" --as ann', project).out
        last = cli("perdure history shop", project).out.splitlines()[-1]
        assert last.split()[-4:] == ["ann", "it", "is", "slower"]

    def test_tick_tells_what_came_in_and_what_it_measured(self, cli, project):
        told = cli("perdure tick --at 2025-02-16", project).out
        assert told.startswith("round at 2025-02-16 00:00:00 UTC")
        assert [row.split() for row in told.splitlines()[1:4]] == [
            ["source", "rows", "quarantined", "late"],
            ["outcomes", "84", "0", "0"],
            ["rows", "84", "0", "0"],
        ]
        assert "  rows      unsure   violations_ratio over 7d <= 0.01  0.002079  0.0003671 to 0.01168  481\n" in told
        assert "No objective was due" in cli("perdure tick --at 2025-02-16", project).out

    def test_status_lists_assets_with_their_health_and_the_quarantine_by_origin(self, cli, trained):
        told = cli("perdure status", trained).out
        assert "source rows  owner me\n" in told
        assert "model shop  owner me, champion shop@" in told
        assert "  not yet  mae over 7d <= " in told
        assert "whoever acts on it" in told
        assert "quarantine 1 row of source rows\n" in told

    def test_the_ledger_is_verified_and_listed(self, cli, trained):
        assert cli("perdure ledger verify", trained).out.startswith("intact ")
        lines = cli("perdure ledger list --after 2 --limit 3", trained).out.splitlines()
        assert [line.split()[0] for line in lines] == ["#", "3", "4", "5"]

    def test_a_broken_chain_is_told_with_exit_code_6(self, cli, project):
        with sqlite3.connect(project / ".perdure" / "ledger.db") as tampered:
            tampered.execute("UPDATE audit SET actor = 'nobody' WHERE sequence = 1")
        tampered.close()
        assert cli("perdure ledger verify", project, expect=6).out.startswith("broken ")

    @pytest.mark.parametrize("command", ["status", "runs", "ledger list", "check", "--help", "train --help"])
    def test_what_is_piped_is_plain_text_without_trailing_spaces(self, cli, trained, command):
        lines = cli(f"perdure {command}", trained).out.splitlines()
        assert lines
        assert [line for line in lines if "\x1b" in line or line != line.rstrip()] == []

    def test_columns_that_do_not_fit_are_named_rather_than_squeezed(self, cli, trained):
        told = cli("perdure runs", trained, COLUMNS="80").out
        assert max(map(len, told.splitlines())) <= 80
        assert "not shown at this width: run, " in told
        assert "…" not in told


class TestJson:
    @pytest.mark.parametrize(
        "command",
        [
            *("check", "runs", "apply --dry-run", "status", "ledger verify", "ledger list", "tick --at 2025-02-15"),
            *("plan --at 2025-02-15", "explain", "explain --replay", "history shop", "incidents --all", "maturity"),
            *("card shop", "approvals --all", "jobs --all", "pause shop --reason x", "pause shop --resume --reason x"),
        ],
    )
    def test_every_command_prints_one_json_value_on_one_line(self, cli, project, command):
        [line] = cli(f"perdure {command} --json", project).out.splitlines()
        assert json.loads(line) is not None

    def test_init_and_train_do_too(self, cli, tmp_path):
        [made] = cli("perdure init shop --json", tmp_path).out.splitlines()
        assert json.loads(made)["model"] == "shop"
        [trained] = cli(f"perdure train shop {AT} --tune 1 --json", tmp_path / "shop").out.splitlines()
        assert json.loads(trained)["metrics"]["valid_mae"] < 3.0
        assert len(json.loads(trained)["tuned"]["trials"]) == 1

    def test_status_counts_the_quarantine(self, cli, trained):
        assert json.loads(cli("perdure status --json", trained).out)["quarantined"] == {"source:rows": 1}

    def test_an_error_is_json_on_standard_error(self, cli, fresh):
        told = cli("perdure train shp --json", fresh, expect=3)
        assert told.out == ""
        assert json.loads(told.err)["error"]["code"] == "not_found"
        used = cli("perdure train --json", fresh, expect=2)
        assert json.loads(used.err)["error"]["code"] == "request.unreadable"


class TestMistakes:
    @pytest.mark.parametrize(
        ("command", "code", "message", "hint"),
        [
            ("train shp", 3, "There is no model 'shp'.", "Did you mean 'shop'?"),
            (f"train shop {AT}x", 2, "'2025-02-15x' is not an instant.", "ISO 8601"),
            ("train shop --at 2024-01-01", 4, "has no rows yet", ""),
            (f"train shop {AT} --tune -1", 2, "A search of -1 trials", "at least one"),
            ("train", 2, "Missing argument 'MODEL'.", "perdure train --help"),
            ("train shop --tune x", 2, "Invalid value for '--tune'", "perdure train --help"),
            ("trian shop", 2, "No such command 'trian'.", "Did you mean 'train'?"),
            ("runs --limt 3", 2, "No such option: --limt", "perdure runs --help"),
            ("ledger verfy", 2, "No such command 'verfy'.", "Did you mean 'verify'?"),
            ("apply --release shop", 2, "--release 'shop' names no version.", "MODEL=VERSION"),
            ("apply --release shop=shop@123 --reason x", 3, "There is no version 'shop@123'.", ""),
            ("apply --release shp=shop@123", 3, "There is no model 'shp'.", "Did you mean 'shop'?"),
            ("demo flight", 3, "There is no example 'flight'.", "Did you mean 'flights'?"),
            ("status --project shpo", 3, "There is no folder ", "perdure.toml"),
            ("status --project /", 3, "There is no perdure.toml in / or above it.", "perdure init"),
        ],
    )
    def test_is_told_in_a_sentence_with_what_to_do_and_its_exit_code(
        self, cli, fresh, tmp_path, command, code, message, hint
    ):
        told = cli(f"perdure {command}", fresh, expect=code, PERDURE_STORES_ROOT=str(tmp_path))
        first, *rest = told.err.splitlines()
        assert told.out == ""
        assert first.startswith("error[")
        assert message in first
        assert hint in " ".join(rest)

    def test_an_unknown_setting_of_the_environment_names_the_nearest(self, cli, fresh):
        told = cli("perdure status", fresh, expect=2, PERDURE_SERVE_PROT="1")
        assert "PERDURE_SERVE_PORT" in told.err

    def test_init_refuses_a_folder_that_holds_something(self, cli, tmp_path):
        (tmp_path / "full").mkdir()
        (tmp_path / "full" / "mine.txt").write_text("precious")
        assert "not empty" in cli("perdure init full", tmp_path, expect=2).err
        assert [path.name for path in (tmp_path / "full").iterdir()] == ["mine.txt"]

    def test_a_search_where_no_space_is_declared_says_what_to_write(self, cli, project):
        model = project / "shop" / "model.py"
        model.write_text(model.read_text().partition("    def search")[0])
        assert "def search(self, trial)" in cli(f"perdure train shop {AT} --tune 2", project, expect=2).err


class TestHelp:
    def test_no_command_prints_the_help_page_and_ends_with_2(self, cli, tmp_path):
        told = cli("perdure", tmp_path, expect=2)
        assert told.out == cli("perdure --help", tmp_path).out
        assert told.err == ""

    def test_commands_stand_under_what_they_are_for(self, cli, tmp_path):
        sections = cli("perdure --help", tmp_path).out.split("\n\n")
        found = {part.splitlines()[0]: [line.split()[0] for line in part.splitlines()[1:]] for part in sections[2:]}
        assert found == {
            "Declare": ["init", "check"],
            "Train": ["train", "runs", "backtest"],
            "Run": ["apply", "up", "serve", "tick", "plan", "key", "people", "cache", "eval", "agent"],
            "Look": [
                "status",
                "spend",
                "budgets",
                "calls",
                "call",
                "console",
                "look",
                "demo",
                "ledger",
                "prompt",
                "judge",
                "index",
                "graph",
                "review",
            ],
            "Explain": ["explain", "history", "incidents", "maturity", "card", "evidence", "alerts"],
            "Decide": [
                "inbox",
                "approvals",
                "approve",
                "reject",
                "rollback",
                "pause",
                "jobs",
                "take",
                "hand-off",
                "snooze",
            ],
            "Options": ["--help"],
        }

    def test_a_command_names_its_arguments_and_options(self, cli, tmp_path):
        told = cli("perdure train --help", tmp_path).out
        assert told.startswith("Usage: perdure train [OPTIONS] MODEL\n")
        assert "  -p, --project FOLDER  Folder of perdure.toml" in told
