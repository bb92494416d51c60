"""`perdure check --ci`: a project against another checkout, against a ledger, against nothing."""

from __future__ import annotations

import json
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from perdure.assets.fields import contract_hash
from perdure.assets.version import CHAMPION, Pointer, Version
from perdure.core.errors import BadRequest, NotFound
from perdure.surface.ci.markdown import review_markdown
from perdure.surface.deployments import close_stores
from perdure.surface.sdk import open_project

AT = datetime(2025, 2, 15, tzinfo=UTC)
BREAKING = {"contracts.py": ("    shop: str\n", ""), "features.py": ('        "shop": r.shop,\n', "")}
TIMED = ("r.ordered_at.hour()", "r.ordered_at.hour() + 1")


@pytest.fixture(scope="module")
def made(tmp_path_factory, cli):
    """A project as `init` makes it. Look at it only."""
    folder = tmp_path_factory.mktemp("made")
    cli("perdure init orders", folder)
    return folder / "orders"


@pytest.fixture(scope="module")
def deployed(tmp_path_factory, made):
    """The ledger's folder of a deployment of it, with a champion. Look at it only."""
    folder = shutil.copytree(made, tmp_path_factory.mktemp("deployed") / "orders")
    opened = open_project(folder)
    opened.apply(at="2025-02-15")
    contract = contract_hash(opened.project.models["orders"].contract)
    version = Version("orders@0123456789ab", "orders", "model", {"contract": {"hash": contract}}, {}, {}, {}, AT)
    with opened.place.stores.ledger.transaction(actor="ann", at=AT, reason="by hand") as session:
        session.registry.put_version(version)
        session.pointers.set([Pointer("orders", CHAMPION, version.id)])
    close_stores(opened)
    return folder / ".perdure"


@pytest.fixture
def base(made, tmp_path):
    return Path(shutil.copytree(made, tmp_path / "base"))


@pytest.fixture
def head(made, tmp_path):
    return Path(shutil.copytree(made, tmp_path / "head"))


def change(project: Path, changes: dict[str, tuple[str, str]]) -> None:
    """Replace texts in modules of its package."""
    for module, (before, after) in changes.items():
        path = project / "orders" / module
        text = path.read_text()
        assert before in text
        path.write_text(text.replace(before, after))


def reviewed(head: Path, base: Path | None, **given):
    return open_project(head).review(base, **given)


def test_the_same_project_in_another_folder_is_the_same_and_nothing_is_made(head, base, cli):
    told = cli(f"perdure check --ci --base {base}", head)

    assert told.out == "## perdure check: fine\n\n`orders` against another checkout: nothing changed.\n"
    assert not (head / ".perdure").exists()
    assert not (base / ".perdure").exists()


def test_what_was_added_removed_and_changed_is_told_with_its_place(head, base):
    change(head, {"model.py": ('"num_leaves": 31', '"num_leaves": 15')})
    more = "\n\nclass Note(Contract):\n    text: str\n"
    (head / "orders" / "contracts.py").write_text((head / "orders" / "contracts.py").read_text() + more)
    (base / "orders" / "more.py").write_text(f"from perdure import Contract\n{more.replace('Note', 'Old')}")

    review = reviewed(head, base)
    assert [(each.kind, each.name, each.what) for each in review.changes] == [
        ("contract", "Note", "added"),
        ("contract", "Old", "removed"),
        ("model", "orders", "changed"),
    ]
    assert review.changes[0].where.startswith("orders/contracts.py:")
    [leaves] = review.changes[2].changes
    assert (leaves.what, leaves.before, leaves.after) == ("params.num_leaves", "31", "15")
    assert [(each.kind, each.asset) for each in review.consequences] == [("retrain", "orders")]
    assert review.verdict == "fine"


def test_a_change_that_breaks_callers_is_refused_until_it_is_allowed_by_name(head, base, cli):
    change(head, BREAKING)

    refused = cli(f"perdure check --ci --base {base} --json", head, expect=5)
    found = json.loads(refused.out)
    assert (found["verdict"], found["refused"]) == ("refused", ["breaking"])
    assert [(each["risk"], each["asset"]) for each in found["risks"]] == [("breaking", "Request")]
    assert "`--allow breaking`" in cli(f"perdure check --ci --base {base}", head, expect=5).out
    assert cli(f"perdure check --ci --base {base} --allow loosened", head, expect=5).code == 5
    assert "**breaking** (allowed)" in cli(f"perdure check --ci --base {base} --allow breaking,", head).out


def test_a_model_under_another_contract_is_compared_by_its_fields(head, base):
    text = (head / "orders" / "contracts.py").read_text().replace("class Request", "class Asked")
    (head / "orders" / "contracts.py").write_text(text.replace("    shop: str\n", "    shop: str | None\n", 1))
    for module in ("features.py", "sources.py", "model.py"):
        path = head / "orders" / module
        path.write_text(path.read_text().replace("Request", "Asked"))

    review = reviewed(head, base)
    model = next(each for each in review.changes if each.kind == "model")
    assert "request field shop: null" in [each.what for each in model.changes]
    assert review.verdict == "fine"


def test_a_model_that_is_gone_breaks_callers_and_its_objectives_with_it(head, base):
    (base / "orders" / "second.py").write_text(
        "from orders.model import OrdersModel\n\n\nclass Second(OrdersModel):\n    name = 'second'\n"
    )

    review = reviewed(head, base)
    assert set(review.refused) == {"breaking", "loosened"}
    assert [(each.kind, each.asset) for each in review.consequences] == [("registry", "second")]


def test_gates_that_ask_for_less_and_answers_that_mean_something_else_are_refused(head, base):
    change(
        base,
        {"model.py": ('    owner = "me"\n', '    owner = "me"\n    slices = ("shop",)\n    gate_confidence = 0.95\n')},
    )
    change(head, {"model.py": ('    owner = "me"\n', '    owner = "me"\n    task = "classification"\n')})

    review = reviewed(head, base)
    assert [(each.risk, each.text.partition(":")[0]) for each in review.risks] == [
        ("breaking", "task"),
        ("gates", "gate_confidence"),
        ("gates", "slices"),
    ]


def test_against_a_ledger_the_versions_that_pointers_name_are_told(head, deployed):
    assert reviewed(head, deployed).changes == ()
    change(head, {**BREAKING, "model.py": ("Policy.observe()", "Policy.propose()")})

    review = reviewed(head, deployed / "ledger.db")
    assert review.base.startswith("the ledger at entry ")
    assert review.refused == ("breaking", "autonomy")
    [contract, views] = [each.text for each in review.consequences if each.kind == "retrain"]
    assert contract.startswith("orders@0123456789ab ")
    assert "(champion) was made under another contract Request" in contract
    assert "trained again to use inputs@" in views


def test_without_a_base_the_project_s_own_ledger_is_taken_and_left_as_it_is(head, deployed):
    shutil.copytree(deployed, head / ".perdure")
    change(head, {"features.py": TIMED})
    before = (head / ".perdure" / "ledger.db").read_bytes()

    review = reviewed(head, None)
    assert [each.what for each in review.changes[0].changes] == ["feature hour"]
    assert (review.changes[0].changes[0].before, review.changes[0].changes[0].after) == (
        "ordered_at.hour()",
        "ordered_at.hour() + 1.0",
    )
    assert (head / ".perdure" / "ledger.db").read_bytes() == before


def test_without_any_base_the_notes_of_check_are_told(head, cli):
    told = cli("perdure check --ci", head).out

    assert "`orders` was compared with nothing." in told
    assert not (head / ".perdure").exists()


def test_what_was_recorded_by_an_earlier_perdure_is_no_risk(head, deployed, tmp_path):
    from perdure.surface.ci.assets import compare
    from perdure.surface.ci.snapshot import Snapshot, find_base, snapshot_of

    opened = open_project(head)
    base = find_base(deployed, deployed / "none", opened.settings)
    model = dict(base.definitions["model", "orders"])
    model["policy"] = {key: model["policy"][key] for key in ("autonomy", "watch")}
    model["healthy"] = [{"objective": each["objective"]} for each in model["healthy"]]
    del model["code"], model["slices"]
    older = Snapshot("a ledger", {**base.definitions, ("model", "orders"): model})

    [changed] = compare(older, snapshot_of(opened.project, opened.settings), {})
    assert [(each.what, each.risk) for each in changed.changes] == [("definition", "")]


def test_a_wrong_declaration_ends_with_2_and_stands_in_the_markdown_without_a_folder(head, base, cli):
    change(head, {"features.py": ("r.shop", "r.shopp")})

    told = cli(f"perdure check --ci --base {base} --out summary.md", head, expect=2)
    text = (head / "summary.md").read_text()
    assert text.startswith("## perdure check: wrong declarations\n")
    assert "**error** `orders/features.py:" in text
    assert str(head) not in text + told.out


def test_a_base_that_does_not_load_is_told_and_can_be_mended(head, base):
    change(base, {"features.py": ("r.shop", "r.shopp")})

    review = reviewed(head, base)
    assert (review.verdict, review.base, [note.level for note in review.notes]) == ("fine", "", ["warning"])


def test_a_base_that_is_not_there_is_an_error_not_a_pass(head, tmp_path):
    (head / "below").mkdir()
    for missing in (tmp_path / "nowhere", head / "below"):
        with pytest.raises(NotFound, match="in the base"):
            reviewed(head, missing)


def test_a_risk_that_there_is_not_cannot_be_allowed(head, base):
    with pytest.raises(BadRequest) as refused:
        reviewed(head, base, allow=["loosend"])
    assert refused.value.hint == "Did you mean 'loosened'?"


def test_options_of_a_review_go_with_it_only(head, cli):
    assert "go with --ci" in cli("perdure check --base ..", head, expect=2).err


def test_two_reviews_are_equal_and_hold_no_folder_and_no_secret(head, base, tmp_path):
    params = '"learning_rate": 0.1'
    secrets = f'{params}, "api_key": "k1", "at": "sql://ann:pw@db/x", "file": "/var/lib/cache.bin"'
    change(base, {"model.py": (params, secrets)})
    change(head, {"model.py": (params, secrets.replace("k1", "k2").replace("pw", "pw2").replace("/var", "/srv"))})

    first, second = (review_markdown(reviewed(head, base)) for _ in range(2))
    assert first == second
    assert "params.api\\_key" in first
    assert not any(part in first for part in (str(tmp_path), "k1", "k2", "pw", "/var", "/srv"))


def test_the_head_s_own_modules_are_there_after_the_base_was_loaded(head, base):
    opened = open_project(head)
    declared = opened.project.models["orders"]
    path = list(sys.path)

    opened.review(base)
    assert sys.modules[declared.__module__].OrdersModel is declared
    assert Path(sys.modules["orders"].__file__).is_relative_to(head)
    assert sys.path == path


def test_settings_of_the_project_are_compared_too(head, base):
    (base / "perdure.toml").write_text((base / "perdure.toml").read_text() + '\n[loop]\nautonomy = "propose"\n')

    review = reviewed(head, base)
    assert [(each.kind, each.asset, each.risk) for each in review.risks] == [("settings", "perdure.toml", "autonomy")]
