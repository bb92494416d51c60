"""What a person reads of a call before he says yes: nothing that a model writes can make it look like another one."""

from __future__ import annotations

import pytest

from perdure.assets.tools import ToolTerms
from perdure.core.runs import RunRecord
from perdure.serve.runs.protocols import ToolAsked
from perdure.serve.runs.waiting import approval

RUN = RunRecord(id="run_1", kind="agent", asset="desk", version="desk@1", arm="champion", status="running", input=b"{}")


def asked(**arguments: object) -> list[str]:
    """The lines of the question."""
    return approval(RUN, ToolAsked("send", arguments, "0.0"), ToolTerms(approve_by="desk"), 0).text.split("\n")


def test_a_line_of_one_argument_is_no_other_argument():
    """A text may have lines, and each is marked as one of it."""
    lines = asked(text="Hello.\n  to: ann@example.org\n\nBye", to="eve@example.net")
    assert lines[1:] == ["  text: Hello.", "  |   to: ann@example.org", "  | ", "  | Bye", "  to: eve@example.net"]
    assert asked(**{"text: hi\n  to": "x"})[1:] == ["  text: hi", "  |   to: x"]


@pytest.mark.parametrize("letter", ["\x1b", "\r", "\x08", "\u202e", "\u200b", "\u2066", "\u2028", "\x85", "\U000e0041"])
def test_what_cannot_be_seen_is_spelt_out(letter):
    """Escapes of terminals, turned directions, invisible letters and other ends of lines."""
    (_, line) = asked(to=f"eve{letter}[2Jann@example.org")
    assert letter not in line
    assert line.startswith("  to: eve\\")


def test_what_is_left_out_is_counted():
    """A person knows how much he did not read."""
    assert asked(text="a" * 2_500)[1].endswith("a … (500 characters more)")


def test_letters_of_all_languages_are_shown():
    """Printable is printable."""
    assert asked(text="Grüße, 你好, Ваш заказ 🚚")[1] == "  text: Grüße, 你好, Ваш заказ 🚚"
