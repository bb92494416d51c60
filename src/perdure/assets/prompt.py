"""Prompts: what a model is told, declared like any asset, with versions, pointers and health.

    answer = Prompt(
        "support_answer",
        [("system", "You answer in a {{ tone }} tone."), ("user", "{{ question }}")],
        variables={"question": str, "tone": {"type": "str", "default": "formal"}},
        route="support",
    )

or as a file of the project, `prompts/support_answer.md`, read by `Prompt.from_file` or `prompts("prompts/")`:

    ---
    route: support
    variables:
      question: str
      tone: {type: str, default: formal}
    ---
    # system
    You answer in a {{ tone }} tone.
    # user
    {{ question }}

A version is the definition: templates after their includes, variables, route, params, output, examples and variants. `engines.prompts` says what a
template may hold, and renders it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel

from perdure.assets.objective import Objective
from perdure.assets.policy import Policy
from perdure.assets.prompt_examples import Example, read_examples, written_turns
from perdure.assets.prompt_variables import model_schema, variables_schema
from perdure.assets.prompt_variants import Variant, read_variants
from perdure.assets.suite import Case
from perdure.core.canonical import plain
from perdure.core.errors import BadPrompt, nearest

ROLES = ("system", "user", "assistant")
OWN_MEMBERS = ("model", "messages", "stream", "stream_options", "variables", "response_format", "n", "user", "metadata")
"""Members of a request that are the caller's or the prompt's own: no `params`."""
_NAME = re.compile(r"[a-z][a-z0-9_.-]*")


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a prompt.

    Args:
        role: `system`, `user` or `assistant`.
        content: a template: text with `{{ variable }}`, `{% if … %}` and `{% for … %}`.
    """

    role: str
    content: str


@dataclass(frozen=True, slots=True, eq=False)
class Prompt:
    """Messages with variables, and who answers them.

    Args:
        name: what clients send as `model`, behind `prompt:`.
        messages: in order, those of `system` first; `(role, template)` for short.
        route: name of the route that answers.
        variables: a Pydantic class, or names with their types; see `prompt_variables`.
        params: members set in each request that does not set them, in OpenAI's words, such as `{"temperature": 0}`.
        output: what the answer must be: a Pydantic class or a JSON schema; None: text.
        healthy: objectives.
        policy: how far the loop may go alone.
        file: where it was read from.
        examples: what it shows before it asks: cases with their answers, or where they stand, such as `shots.jsonl#late,broken`.
        variants: other messages for single models, by `upstream/model`.
    """

    name: str
    messages: Sequence[Message | tuple[str, str]]
    route: str
    variables: type[BaseModel] | Mapping[str, Any] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)
    output: type[BaseModel] | Mapping[str, Any] | None = None
    healthy: Sequence[Objective] = ()
    policy: Policy = field(default_factory=Policy.observe)
    file: Path | None = None
    examples: str | Sequence[Case | str | Example] = ()
    variants: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise BadPrompt(f"The prompt name {self.name!r} is not legal.", hint="Use a-z, 0-9, _, - and . in it.")
        object.__setattr__(self, "messages", tuple(_message(self.name, each) for each in self.messages))
        object.__setattr__(self, "healthy", tuple(self.healthy))
        if not self.route:
            raise BadPrompt(f"Prompt {self.name!r} names no route.", hint="Say who answers it: route: support")
        _check_messages(f"prompt {self.name!r}", self.turns)
        _check_params(f"prompt {self.name!r}", self.params)
        folder = self.file.parent if self.file is not None else None
        object.__setattr__(self, "examples", read_examples(self.name, self.examples, folder))
        object.__setattr__(self, "variants", self._read_variants(folder))
        self.definition()

    def _read_variants(self, folder: Path | None) -> dict[str, Variant]:
        found = {}
        for model, each in read_variants(self.name, self.variants, folder).items():
            told = f"the variant of prompt {self.name!r} for {model}"
            messages = tuple(_message(self.name, message) for message in each.messages)
            _check_messages(told, messages)
            _check_params(told, each.params)
            found[model] = Variant(messages, each.params)
        return found

    @property
    def shown(self) -> Sequence[Example]:
        """Its examples, as they are after it was made, and turns of an assistant's that are written into its messages."""
        own: Sequence[Example] = self.examples  # type: ignore[assignment]
        name = self.file.name if self.file is not None else f"prompt {self.name!r}"
        turns = written_turns([{"role": each.role, "content": each.content} for each in self.turns])
        return [*own, *(replace(each, place=f"{name}, {each.place}") for each in turns)]

    @property
    def turns(self) -> Sequence[Message]:
        """Its messages, as they are after it was made."""
        return self.messages  # type: ignore[return-value]

    def definition(self) -> dict[str, Any]:
        """What a version of it is: JSON-compatible, enough to render it; `output` is a JSON schema as text."""
        found: dict[str, Any] = plain(
            {
                "messages": [{"role": each.role, "content": each.content} for each in self.turns],
                "variables": variables_schema(self.name, self.variables),
                "route": self.route,
                "params": self.params,
                "output": self._output(),
            }
        )
        # What a prompt does not have is no member, so that versions from before these were known stay what they are.
        examples: Sequence[Example] = self.examples  # type: ignore[assignment]
        if examples:
            found["examples"] = [each.definition() for each in examples]
        if self.variants:
            found["variants"] = {model: plain({"messages": each.messages, "params": each.params})
                                 for model, each in sorted(self.variants.items())}  # fmt: skip
        return found

    def _output(self) -> str | None:
        """As JSON text: models write members in the order of the schema, which records of the ledger do not keep."""
        if self.output is None:
            return None
        schema = self.output if isinstance(self.output, Mapping) else model_schema(self.name, self.output, "output")
        return json.dumps(plain(schema), ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def from_file(
        cls,
        path: str | Path,
        *,
        folder: str | Path | None = None,
        healthy: Iterable[Objective] = (),
        policy: Policy | None = None,
    ) -> Self:
        """The prompt of a Markdown file with front matter; its name is the file's unless it says another.

        Args:
            path: absolute, or relative to the module that calls or to a folder above it, up to the project's.
            folder: what includes may be taken from; by default the file's own folder.
            healthy: objectives.
            policy: how far the loop may go alone.

        Raises:
            BadPrompt: it cannot be read; the message begins with file and line.
        """
        from perdure.assets.prompt_file import located, read_prompt

        file = located(path)
        told = read_prompt(file, file.parent if folder is None else located(folder))
        try:
            return cls(**told, healthy=tuple(healthy), policy=policy or Policy.observe(), file=file)
        except BadPrompt as error:
            raise BadPrompt(f"{file.name}: {error.message}", hint=error.hint, **error.facts) from error


def _check_messages(what: str, messages: Sequence[Message]) -> None:
    if not messages:
        raise BadPrompt(f"{_begun(what)} has no message.", hint="Give it one, such as ('user', '…').")
    begun = False
    for place, message in enumerate(messages, 1):
        if message.role not in ROLES:
            near = nearest(str(message.role), ROLES)
            raise BadPrompt(
                f"Message {place} of {what} has the role {message.role!r}.",
                hint=f"Did you mean {near!r}?" if near else f"Use {', '.join(ROLES)}.",
            )
        if not message.content.strip():
            raise BadPrompt(f"Message {place} of {what} is empty.", hint="Write it, or leave it out.")
        if message.role == "system" and begun:
            raise BadPrompt(
                f"{_begun(what)} has a system message behind another one.", hint="Put those of system first."
            )
        begun = begun or message.role != "system"


def _check_params(what: str, params: Any) -> None:
    if not isinstance(params, Mapping):
        raise BadPrompt(f"The params of {what} are no mapping.", hint="Write params: {temperature: 0}")
    for name in params:
        if name in OWN_MEMBERS:
            raise BadPrompt(
                f"The params of {what} set {name!r}, which is not theirs to set.",
                hint="Use `output` for the form of the answer; the others are said by who calls.",
            )


def _begun(what: str) -> str:
    return what[0].upper() + what[1:]


def _message(prompt: str, given: object) -> Message:
    if isinstance(given, Message):
        return given
    if isinstance(given, tuple | list) and len(given) == 2 and all(isinstance(part, str) for part in given):
        return Message(*given)
    raise BadPrompt(
        f"Prompt {prompt!r} has {given!r} for a message.", hint="Write each as (role, template): ('user', '…')."
    )


class Prompts(dict[str, Prompt]):
    """The prompts of a folder, by name; a project collects each of them."""


def prompts(folder: str | Path, *, healthy: Iterable[Objective] = (), policy: Policy | None = None) -> Prompts:
    """Every prompt of a folder and the folders in it, in order of their names.

    Each `*.md` is one, but for those whose name, or whose folder's, begins with `_` or `.`: they are there to be included.

    Args:
        folder: absolute, or relative to the module that calls or to a folder above it, up to the project's.
        healthy: objectives of each.
        policy: of each.

    Raises:
        BadPrompt: there is no such folder, one of its files cannot be read, or two prompts share a name.
    """
    from perdure.assets.prompt_file import located, prompt_files

    home, found = located(folder), Prompts()
    objectives = tuple(healthy)
    for file in prompt_files(home):
        prompt = Prompt.from_file(file, folder=home, healthy=objectives, policy=policy)
        if prompt.name in found:
            raise BadPrompt(
                f"{file.name}: the prompt {prompt.name!r} is in {found[prompt.name].file} too.",
                hint="Give one of them another name.",
            )
        found[prompt.name] = prompt
    return found
