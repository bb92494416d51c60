"""What `perdure check` says of judges: routes that are not there, anchors that cannot be read or hold few labels, no objectives.

Called by `checks`, and before a judge is released.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from perdure.core.errors import BadJudge, nearest

if TYPE_CHECKING:
    from perdure.assets.judge import Judge
    from perdure.assets.project import Project
    from perdure.surface.check_policies import Said

_FEW_LABELS = 50
"""Below so many labels the interval of a corrected figure is hardly narrower than none."""
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
    if judge.anchor is not None:
        yield from _anchor(judge, Path(judge.anchor))
    else:
        yield (
            "warning",
            "has no anchor: nobody knows how far it can be trusted, and its scores are not used.",
            'Let people label some 100 answers: anchor="anchors/helpfulness.jsonl"',
        )
    if not judge.healthy:
        yield "warning", "has no objectives: it can drift unseen.", f"Write: healthy=[{_ENOUGH}]"


def _anchor(judge: Judge, file: Path) -> Said:
    from perdure.engines.judges.anchors import read_anchor

    try:
        labelled = read_anchor(file.read_text("utf-8-sig"), judge.definition(), where=file.name)
    except OSError as error:
        yield "error", f"cannot read its anchor {file}: {error.strerror}.", "Paths are meant from the module."
    except UnicodeDecodeError:
        yield "error", f"cannot read its anchor {file.name}: it is no UTF-8.", "Save it as UTF-8."
    except BadJudge as error:
        yield "error", f"cannot read its anchor: {error.message}", error.hint
    else:
        if len(labelled) < _FEW_LABELS:
            yield (
                "warning",
                f"is calibrated on {len(labelled)} labelled cases, which is few.",
                f"Let people label at least {_FEW_LABELS}.",
            )
