"""What `perdure check` says of judges: routes that are not there, anchors that cannot be read, no objectives.

Called by `checks`, and before a judge is released.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from perdure.core.errors import nearest

if TYPE_CHECKING:
    from perdure.assets.judge import Judge
    from perdure.assets.project import Project
    from perdure.surface.check_policies import Said

_ENOUGH = "judge_agreement(over=days(30)) >= 0.8"


def judge_notes(judge: Judge, project: Project) -> Said:
    """A judge against the routes that there are, the people's labels it is calibrated on, its objectives."""
    for route in dict.fromkeys((judge.route, *judge.panel)):
        if route not in project.routes:
            near = nearest(route, project.routes)
            known = f"Routes: {', '.join(sorted(project.routes)) or 'none'}."
            yield (
                "error",
                f"is answered by the route {route!r}, which is not declared.",
                f"Did you mean {near!r}?" if near else known,
            )
    if judge.anchor is None:
        yield (
            "warning",
            "has no anchor: nobody knows how far it can be trusted, and its scores are not used.",
            'Let people label some 100 answers: anchor="anchors/helpfulness.jsonl"',
        )
    if not judge.healthy:
        yield "warning", "has no objectives: it can drift unseen.", f"Write: healthy=[{_ENOUGH}]"
