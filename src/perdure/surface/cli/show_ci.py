"""How `check --ci` looks: Markdown, or JSON; with --out the verdict alone."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from perdure.surface.ci.markdown import review_markdown, verdict
from perdure.surface.cli.printing import hanging, print_json, put

if TYPE_CHECKING:
    from perdure.surface.ci.records import Review

_STYLE = {"fine": "green", "wrong": "bold red", "refused": "yellow"}


def review(found: Review, out: Path | None, *, as_json: bool) -> None:
    """What a pull request does, printed or written."""
    if out is not None:
        out.write_text(review_markdown(found), "utf-8")
    if as_json:
        return print_json({**asdict(found), "verdict": found.verdict, "refused": found.refused})
    if out is None:
        sys.stdout.write(review_markdown(found))  # as it is: a line that wraps is another table
        sys.stdout.flush()
        return None
    told = verdict(found).replace("`", "").replace("**", "")
    put(hanging(Text(f"{found.verdict:7}", _STYLE[found.verdict]), Text(told)))
    put(*(hanging(Text(f"  {each.risk}", "dim" if each.allowed else "yellow"), Text(f"{each.asset} {each.text}"))
          for each in found.risks))  # fmt: skip
    return None
