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
    from perdure.engines.prompts import for_model
    from perdure.serve.gateway.prompting import PromptLoader

    if prompt.route not in project.routes:
        near = nearest(prompt.route, project.routes)
        known = f"Routes: {', '.join(sorted(project.routes)) or 'none'}."
        yield (
            "error",
            f"goes to the route {prompt.route!r}, which is not declared.",
            f"Did you mean {near!r}?" if near else known,
        )
    definition = prompt.definition()
    for model in ("", *definition.get("variants", ())):
        told = f" for {model}" if model else ""
        if model and not _is_known(model, project):
            known = ", ".join(sorted(f"{name}/…" for name in project.upstreams)) or "none"
            yield "error", f"has a variant{told}, of whose upstream nothing is declared.", f"Upstreams: {known}."
        version = Version("", prompt.name, "prompt", for_model(definition, model), {}, {}, {}, EPOCH)
        try:
            PromptLoader().load(version, trusted=True)
        except DeclarationError as error:
            yield "error", f"cannot be rendered{told}: {error.message}", error.hint


def _is_known(model: str, project: Project) -> bool:
    return model.partition("/")[0] in project.upstreams
