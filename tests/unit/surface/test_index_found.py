"""What a search by hand finds is checked as servers check it."""

from __future__ import annotations

import sqlite3

import pytest

from perdure.assets.project import Project
from perdure.core.clock import from_us, machine_now
from perdure.core.settings import ProjectSettings, Settings
from perdure.core.units import hours
from perdure.surface.cli.show_indexes import found
from perdure.surface.sdk import Perdure
from perdure.testing.careless import careless
from perdure.testing.indexes import DocumentsWorld


@pytest.fixture
def opened(tmp_path):
    documents = DocumentsWorld(tmp_path, 12)
    documents.write_all(machine_now())

    def again(**declared):
        settings = Settings(project=ProjectSettings(name="indexed", actor="ana"))
        return Perdure(tmp_path, settings, project=Project.of("indexed", documents.index(**declared)))

    again().build_index("handbook")
    return again


def by_hand(project, statement, *values):
    """What somebody does to the file who knows nothing of generations."""
    connection = careless(sqlite3.connect(project.show_index("handbook").file))
    connection.execute(statement, values)
    connection.commit()
    connection.close()


@pytest.mark.parametrize(
    ("statement", "skew"),
    [
        ("UPDATE chunks SET packed = changed(packed, 'context', 'Lies') WHERE document = ?", "corrupt"),
        ("UPDATE chunks SET making = 7 WHERE document = ?", "corrupt"),
        ("DELETE FROM chunks WHERE document = ?", None),
    ],
)
def test_what_is_damaged_is_left_out_or_marked_as_the_index_says(opened, statement, skew, capsys):
    """The next best moves up where it is left out."""
    project = opened()
    asked = "who has refunds for district000"
    sound = project.search_index("handbook", asked, k=12)
    assert (sound[0].document, {each.skew for each in sound}) == ("000.md", {""})
    by_hand(project, statement, "000.md")
    left = project.search_index("handbook", asked, k=3)
    assert [each.document for each in left] == [each.document for each in sound[1:4]]
    marked = opened(unverified="mark").search_index("handbook", asked, k=3)
    if skew is None:
        assert marked == left
        return
    assert [(each.document, each.skew) for each in marked if each.skew] == [("000.md", skew)]
    found(marked, as_json=False)
    assert skew in capsys.readouterr().out


def test_what_was_replaced_since_is_no_skew_of_the_past(opened, tmp_path):
    """It was so then."""
    project = opened()
    then = from_us(project.index_history("handbook")[-1].at_us)
    [path] = tmp_path.rglob("000.md")
    path.write_text("Nothing is said here any more.")
    project.build_index("handbook", at=machine_now() + hours(1))
    assert "000.md" not in [
        each.document for each in project.search_index("handbook", "who has refunds for district000", k=1)
    ]
    [was] = project.search_index("handbook", "who has refunds for district000", k=1, as_of=then)
    assert (was.document, was.skew) == ("000.md", "")
