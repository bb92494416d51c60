"""A review as Markdown: for the summary of a CI job, or a comment on a pull request. Equal reviews, equal bytes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from perdure.surface.ci.records import RISKS, AssetChange, Consequence, Review
from perdure.surface.words import counted, words

_TITLES = {"fine": "fine", "wrong": "wrong declarations", "refused": "refused"}
_KINDS = {"materialise": "Materialise", "retrain": "Train", "release": "Release", "registry": "Gone"}


def review_markdown(review: Review) -> str:
    """The review as one page of Markdown."""
    parts = [
        f"## perdure check: {_TITLES[review.verdict]}",
        verdict(review),
        *_risks(review),
        *_changes(review.changes),
        *_meaning(review.consequences),
        *_notes(review),
    ]
    return "\n\n".join(parts) + "\n"


def verdict(review: Review) -> str:
    """What comes of it, in a sentence or two."""
    if not review.base:
        compared = f"{code(review.project)} was compared with nothing."
    else:
        n = {what: sum(each.what == what for each in review.changes) for what in ("added", "changed", "removed")}
        counts = ", ".join(f"{count} {what}" for what, count in n.items() if count) or "nothing changed"
        compared = f"{code(review.project)} against {review.base}: {counts}."
    n_wrong = sum(note.level == "error" for note in review.notes)
    if n_wrong:
        return f"{compared} **{counted(n_wrong, 'error')} of declaration.**"
    if review.refused:
        return f"{compared} **Refused** unless allowed: `--allow {','.join(review.refused)}`."
    return compared


def _risks(review: Review) -> Iterator[str]:
    if review.risks:
        rows = [
            (f"**{each.risk}**{' (allowed)' if each.allowed else ''}", _asset(each.kind, each.asset), cell(each.text))
            for each in review.risks
        ]
        meant = [
            f"- **{risk}**: {text}" for risk, text in RISKS.items() if risk in {each.risk for each in review.risks}
        ]
        yield "### Risks"
        yield table(("risk", "asset", "what"), rows)
        yield "\n".join(meant)


def _changes(changes: Sequence[AssetChange]) -> Iterator[str]:
    for what in ("added", "removed", "changed"):
        found = [each for each in changes if each.what == what]
        if not found:
            continue
        yield f"### {what.capitalize()}"
        if what == "changed":
            for each in found:
                yield f"**{_asset(each.kind, each.name)}**{_place(each)}"
                yield _fields(each)
        else:
            yield "\n".join(f"- {_asset(each.kind, each.name)}{_place(each)}" for each in found)


def _place(change: AssetChange) -> str:
    return f" in {code(change.where)}" if change.where else ""


def _fields(change: AssetChange) -> str:
    rows = [
        (
            cell(each.what),
            code(each.before) if each.before else "",
            code(each.after) if each.after else "",
            f"**{each.risk}**: {cell(each.means)}" if each.risk else cell(each.means),
        )
        for each in change.changes
    ]
    return table(("what", "before", "after", "means"), rows)


def _meaning(found: Sequence[Consequence]) -> Iterator[str]:
    if found:
        yield "### What it means"
        yield "\n".join(f"- **{_KINDS[each.kind]}** {cell(each.text)}" for each in found)


def _notes(review: Review) -> Iterator[str]:
    if review.notes:
        yield "### Notes"
        yield "\n".join(
            f"- **{note.level}** {code(note.where)} {cell(note.text)}{f' {cell(note.hint)}' if note.hint else ''}"
            for note in review.notes
        )


def _asset(kind: str, name: str) -> str:
    return f"{words(kind)} {code(name)}"


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; cells are Markdown already: see `cell` and `code`."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def cell(text: str) -> str:
    """Text that means itself within Markdown, also in a table."""
    return re.sub(r"([\\|*_<>`\[\]])", r"\\\1", " ".join(text.split()))


def code(text: str) -> str:
    """Text as code; a backtick in it takes a longer fence, and a bar is escaped as tables want it."""
    line = " ".join(text.split()).replace("|", "\\|")
    fence = "`" * (max((len(run) for run in re.findall(r"`+", line)), default=0) + 1)
    pad = " " if "`" in line else ""
    return f"{fence}{pad}{line}{pad}{fence}"
