"""What `perdure check` says of prompts: templates that cannot be rendered, and routes that are not there.

Called by `checks`. A version is made ready as a server does it, so that what would hold it back there is told here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from perdure.assets.version import Version
from perdure.core.clock import EPOCH
from perdure.core.errors import DeclarationError, nearest

if TYPE_CHECKING:
    from perdure.assets.project import Project
    from perdure.assets.prompt import Prompt
    from perdure.surface.check_policies import Said


def prompt_notes(prompt: Prompt, project: Project) -> Said:
    """A prompt's templates against its variables, its params in every dialect, and its route."""
    from perdure.serve.gateway.prompting import PromptLoader

    if prompt.route not in project.routes:
        near = nearest(prompt.route, project.routes)
        known = f"Routes: {', '.join(sorted(project.routes)) or 'none'}."
        yield (
            "error",
            f"goes to the route {prompt.route!r}, which is not declared.",
            f"Did you mean {near!r}?" if near else known,
        )
    try:
        PromptLoader().load(Version("", prompt.name, "prompt", prompt.definition(), {}, {}, {}, EPOCH), trusted=True)
    except DeclarationError as error:
        yield "error", f"cannot be rendered: {error.message}", error.hint
