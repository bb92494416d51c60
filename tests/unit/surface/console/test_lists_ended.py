"""A page behind the end of a list, as an old address is after the list became shorter, says so: the list is not empty."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    "path",
    ["/assets?start=900", "/assets/model/eta/versions?start=900", "/registry?before=1", "/registry/eta/history?at=900",
     "/incidents?at=900&state=all", "/training?skip=900"],
)  # fmt: skip
def test_a_page_behind_the_end_says_that_the_list_ends_before_it(console, path):
    answer = console.get(path, as_="engineer")
    assert answer.status == 200
    assert "The list ends before this page" in answer.text
    assert " yet: " not in answer.text.partition("<main")[2].partition("<footer")[0]
