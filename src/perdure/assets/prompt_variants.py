"""Variants of a prompt for single models: other words for the same variables, part of the same version.

    variants: {local/small: _support_answer.small.md}

Which model answers is said by the route: the variant for its first target is asked, where there is one. Fallbacks get the same words.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perdure.core.errors import BadPrompt

if TYPE_CHECKING:
    from perdure.assets.prompt import Message

_MODEL = re.compile(r"[^\s/]+/\S+")


@dataclass(frozen=True, slots=True)
class Variant:
    """What one model is told instead.

    Args:
        messages: as `Prompt.messages`; the variables are the prompt's.
        params: further members of the request, over the prompt's own.
    """

    messages: Sequence[Message | tuple[str, str]]
    params: Mapping[str, Any] = field(default_factory=dict)


def read_variants(prompt: str, declared: Any, folder: Path | None) -> dict[str, Variant]:
    """The variants that a prompt declares, by `upstream/model`.

    Args:
        prompt: its name, for errors.
        declared: model → file, messages, `{"messages", "params"}`, or what this gave.
        folder: what paths are relative to; None: the module that declares, or a folder above it.

    Raises:
        BadPrompt: a key that is no `upstream/model`, or a file that cannot be read.
    """
    if not isinstance(declared, Mapping):
        raise BadPrompt(
            f"The variants of prompt {prompt!r} are no mapping.", hint="Write variants: {upstream/model: FILE}"
        )
    return {_model(prompt, model): _variant(prompt, told, folder) for model, told in declared.items()}


def _model(prompt: str, model: object) -> str:
    if not isinstance(model, str) or not _MODEL.fullmatch(model):
        raise BadPrompt(
            f"Prompt {prompt!r} has a variant for {model!r}, which is no model.", hint="Write upstream/model."
        )
    return model


def _variant(prompt: str, told: Any, folder: Path | None) -> Variant:
    from perdure.assets.prompt_file import located, read_variant

    if isinstance(told, Variant):
        return told
    if isinstance(told, str | Path):
        file = located(told) if folder is None else folder / told
        return read_variant(file, folder or file.parent)
    if isinstance(told, Mapping) and "messages" in told and told.keys() <= {"messages", "params"}:
        return Variant(told["messages"], told.get("params", {}))
    if isinstance(told, list | tuple):
        return Variant(told)
    raise BadPrompt(f"Prompt {prompt!r} has {told!r} for a variant.", hint="Name a file, or give its messages.")
