"""How everything that waits for a person looks, and how a question stands after an answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from perdure.core.errors import DeclarationError
from perdure.surface.cli import show_govern, show_runs
from perdure.surface.cli.printing import print_json, put

if TYPE_CHECKING:
    from perdure.stores.ledger.protocols import Approval
    from perdure.surface.inbox import Inbox


def inbox(found: Inbox, *, as_json: bool) -> None:
    """Questions of releases and repairs first, then what runs ask."""
    if as_json:
        return print_json({"approvals": found.approvals, "runs": [_run_question(each) for each in found.runs]})
    if found.approvals:
        show_govern.approvals(found.approvals, as_json=False)
    if found.approvals and found.runs:
        put("")
    for n, each in enumerate(found.runs):
        if n:
            put("")
        show_runs.question(each.run, each.wait, each.said, each.n_needed)
    if not found.approvals and not found.runs:
        put("[green]Nothing waits for a person.[/]")
    return None


def answered(found: Approval, *, as_json: bool) -> None:
    """How a question stands after an answer; of a run's also who goes on with it."""
    if "run" in found.facts:
        return show_runs.answered(found, as_json=as_json)
    return show_govern.answered(found, as_json=as_json)


def value_of(text: str) -> Any:
    """What `--value` gives; None where it is empty.

    Raises:
        DeclarationError: it is no JSON.
    """
    try:
        return msgspec.json.decode(text) if text else None
    except msgspec.DecodeError as error:
        raise DeclarationError(f"--value is no JSON: {error}.", hint='Write --value \'{"text": "…"}\'.') from error


def _run_question(each: Any) -> Mapping[str, Any]:
    from perdure.serve.runs.showing import shown_wait

    return {**shown_wait(each.wait), "n_needed": each.n_needed, "said": each.said}
