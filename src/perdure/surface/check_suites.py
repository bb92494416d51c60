"""What `perdure check` says of suites: prompts, routes and judges that are not there, cases that cannot be read.

Called by `checks`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from perdure.assets.suite import judges_of
from perdure.core.errors import nearest

if TYPE_CHECKING:
    from perdure.assets.project import Project
    from perdure.assets.suite import Suite
    from perdure.surface.check_policies import Said


def suite_notes(suite: Suite, project: Project) -> Said:
    """A suite against what it tests and who judges for it."""
    if suite.prompt and suite.prompt not in project.prompts:
        yield (
            "error",
            f"tests the prompt {suite.prompt!r}, which is not declared.",
            _hint(suite.prompt, project.prompts, "Prompts"),
        )
    if suite.route and suite.route not in project.routes:
        yield (
            "error",
            f"asks the route {suite.route!r}, which is not declared.",
            _hint(suite.route, project.routes, "Routes"),
        )
    for judge in judges_of(suite):
        if judge not in project.judges:
            yield (
                "error",
                f"asks the judge {judge!r}, which is not declared.",
                _hint(judge, project.judges, "Judges"),
            )


def _hint(name: str, there: Iterable[str], what: str) -> str:
    near = nearest(name, there)
    return f"Did you mean {near!r}?" if near else f"{what}: {', '.join(sorted(there)) or 'none'}."
