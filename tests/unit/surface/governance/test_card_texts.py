"""What people write on a model's card: in versions, with reasons, and never over another's words unseen."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from perdure.core.errors import BadRequest, Conflict, DeclarationError, NotFound
from perdure.surface.governance.card_text import LONGEST, list_texts, parts_of
from perdure.surface.governance.cards import card_markdown
from perdure.surface.sdk import open_project

NOW = datetime(2025, 3, 3, 8, tzinfo=UTC)


def test_an_edit_is_a_version_that_holds_and_stands_on_the_card(project):
    ann = open_project(project, actor="ann")
    first = ann.edit_card("eta", "For couriers.\n", reason="first words", at=NOW)
    second = ann.edit_card("eta", "For couriers.\r\n\r\n## Limits\r\nNot for cargo.", reason="limits", at=NOW)
    assert (second.previous, second.champion, second.actor) == (first.version, "eta@old", "ann")
    assert "Minutes until an order arrives." in second.records
    assert "For couriers." not in second.records
    page = card_markdown(ann.card("eta", at=NOW))
    assert "## Limits\nNot for cargo." in page
    assert "*Written by ann" in page
    assert [row.version for row in ann.history("card:eta")] == [first.version, second.version]
    with ann._ledger.read() as session:
        assert [each.reason for each in list_texts(session, "eta")] == ["limits", "first words"]
    assert ann.card_text("eta", version=first.version).text == "For couriers."


def test_the_text_that_holds_already_makes_no_version(project):
    ann = open_project(project, actor="ann")
    first = ann.edit_card("eta", "For couriers.", reason="words", at=NOW)
    before = ann._ledger.sequence()
    assert ann.edit_card("eta", "  For couriers.  ", reason="again", at=NOW).version == first.version
    assert ann._ledger.sequence() == before


def test_who_goes_back_to_an_older_text_makes_a_newer_version(project):
    ann = open_project(project, actor="ann")
    for text in ("A", "B", "A"):
        ann.edit_card("eta", text, reason="words", at=NOW)
    with ann._ledger.read() as session:
        assert len({each.version for each in list_texts(session, "eta")}) == 3


def test_an_edit_of_an_older_version_is_refused(project):
    ann, bob = open_project(project, actor="ann"), open_project(project, actor="bob")
    ann.edit_card("eta", "For couriers.", reason="words", base="", at=NOW)
    with pytest.raises(Conflict, match="ann changed the card of eta meanwhile"):
        bob.edit_card("eta", "For pilots.", reason="words", base="", at=NOW)
    assert bob.card_text("eta").text == "For couriers."


@pytest.mark.parametrize(
    ("text", "error"), [("  \n", DeclarationError), ("x" * (LONGEST + 1), BadRequest)], ids=["empty", "too long"]
)
def test_a_text_that_says_nothing_or_too_much_is_refused(project, text, error):
    with pytest.raises(error):
        open_project(project).edit_card("eta", text, reason="words", at=NOW)


def test_of_a_model_that_is_not_there_no_card_is_edited(project):
    with pytest.raises(NotFound):
        open_project(project).edit_card("etta", "words", reason="words", at=NOW)


def test_a_version_of_something_else_is_no_text_of_the_card(project):
    with pytest.raises(BadRequest, match="no version of the card"):
        open_project(project).card_text("eta", version="eta@old")


def test_the_loop_and_apply_take_no_notice_of_a_card(project):
    ann = open_project(project, actor="ann")
    ann.edit_card("eta", "For couriers.", reason="words", at=NOW)
    assert {each.name for each in ann.status(at=NOW).assets} == {"orders", "eta"}
    assert not [each for each in ann.plan(at=NOW).changes if "card" in (each.kind, each.asset.partition(":")[0])]


def test_headings_and_paragraphs_are_told_apart():
    assert parts_of("## A\n\nb\nc\n\n\n\n## D") == [("heading", "A"), ("paragraph", "b\nc"), ("heading", "D")]


def test_the_command_keeps_a_files_text(cli, project):
    (project / "card.txt").write_text("For couriers.")
    told = cli("perdure card eta --edit card.txt --reason words --as ann --at 2025-03-03", project).out
    assert told.startswith("holds  card:eta@")
    assert "For couriers." in cli("perdure card eta --at 2025-03-03", project).out
    assert "There is no file" in cli("perdure card eta --edit nothing.txt --reason x", project, expect=3).err
