"""Versions of prompts made ready: each message compiled once, its variables held against what is declared.

The gateway and the verbs call it. How many messages there are and whose they are is said by the version alone: a value ends up
inside one message's text, whatever it holds, and is never read as a template.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import msgspec
from jinja2 import Template, TemplateError, meta, nodes
from jinja2.exceptions import UndefinedError
from jinja2.runtime import Context

from perdure.core.canonical import plain
from perdure.core.errors import BadPrompt, nearest
from perdure.engines.prompts.language import (
    ENVIRONMENT,
    LEFT,
    MOST_CHARS,
    MOST_ROUNDS,
    Unrenderable,
    bounded,
    code_of,
    parse,
)
from perdure.engines.prompts.variables import Variables

Message = dict[str, str]
_Root = Callable[[Context], Iterator[str]]


@dataclass(frozen=True, slots=True)
class _Compiled:
    role: str
    text: str
    """Where nothing of it varies."""
    root: _Root | None


@dataclass(frozen=True, slots=True, eq=False)
class CompiledPrompt:
    """A version of a prompt, ready to be rendered; safe to share between threads."""

    name: str
    variables: Variables
    _messages: Sequence[_Compiled]

    def render(self, variables: Mapping[str, Any]) -> list[Message]:
        """The messages, `{"role", "content"}` each.

        Cost: 3 µs for a small prompt.

        Raises:
            BadPrompt: a variable is missing, is none of the prompt's or of another type; or the messages grow too long. No
                value is in the message.
        """
        values = self.variables.checked(variables)
        values[LEFT] = [MOST_ROUNDS]
        context = Context(ENVIRONMENT, values, None, {})
        size, rendered = 0, []
        for place, message in enumerate(self._messages, 1):
            text = message.text if message.root is None else self._text(message, place, context)
            size += len(text)
            if size > MOST_CHARS:
                raise BadPrompt(
                    f"Prompt {self.name!r} comes to more than {MOST_CHARS:,} characters.",
                    hint="Give shorter variables.",
                )
            rendered.append({"role": message.role, "content": text})
        return rendered

    def _text(self, message: _Compiled, place: int, context: Context) -> str:
        assert message.root is not None
        parts, size = [], 0
        try:
            for part in message.root(context):
                size += len(part)
                bounded(size)
                parts.append(part)
        except (Unrenderable, UndefinedError) as error:
            raise self._unrendered(place, message.role, str(error.message).rstrip(".")) from error
        except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError) as error:
            raise self._unrendered(place, message.role, type(error).__name__) from error
        text = "".join(parts)
        if not text.isascii():
            try:
                text.encode()
            except UnicodeEncodeError as error:
                raise self._unrendered(place, message.role, "it is no text that UTF-8 can hold") from error
        return text

    def _unrendered(self, place: int, role: str, why: str) -> BadPrompt:
        return BadPrompt(
            f"Message {place} ({role}) of prompt {self.name!r} cannot be rendered with these variables: {why}.",
            hint="Compare them with what the template does with them.",
        )


def compile_prompt(name: str, definition: Mapping[str, Any]) -> CompiledPrompt:
    """The prompt of a definition, as `Prompt.definition` gives it.

    Cost: some 1 ms a message.

    Raises:
        BadPrompt: a template that cannot be read or holds what a prompt may not; a variable that no message uses, or one
            that is used and not declared; variables that are no JSON schema.
    """
    variables = Variables(name, definition["variables"])
    messages, used = [], set()
    for place, message in enumerate(definition["messages"], 1):
        where = f"Message {place} ({message['role']}) of prompt {name!r}"
        tree = parse(message["content"], where)
        named = meta.find_undeclared_variables(tree)
        _check_declared(named, variables.names, where)
        used |= named
        messages.append(_compiled(message["role"], tree, where))
    unused = sorted(variables.names - used)
    if unused:
        raise BadPrompt(
            f"Prompt {name!r} declares {', '.join(map(repr, unused))}, which no message uses.",
            hint="Use it or drop it.",
        )
    return CompiledPrompt(name, variables, [*_with_examples(name, definition, messages)])


def _with_examples(name: str, definition: Mapping[str, Any], messages: Sequence[_Compiled]) -> Iterator[_Compiled]:
    """The messages with the examples' turns between those of system and the others; nothing of an example varies."""
    n_system = sum(message.role == "system" for message in messages)
    yield from messages[:n_system]
    for example in definition.get("examples", ()):
        for message in _asked(name, definition, example):
            yield _Compiled(message["role"], message["content"], None)
        yield _Compiled("assistant", example["answer"], None)
    yield from messages[n_system:]


def _asked(name: str, definition: Mapping[str, Any], example: Mapping[str, Any]) -> Sequence[Message]:
    """What the user says in an example: its messages, or the prompt's one user message with the example's variables.

    Raises:
        BadPrompt: the prompt has not one user message, or the variables are not those of it.
    """
    inputs: Mapping[str, Any] = example["inputs"]
    told = f"{name} (example {example['id']})"
    if inputs.keys() == {"messages"}:
        return [{"role": each["role"], "content": _plain_text(each["content"], told)} for each in inputs["messages"]]
    asking = [each for each in definition["messages"] if each["role"] == "user"]
    if len(asking) != 1:
        raise BadPrompt(
            f"The example {example['id']!r} of prompt {name!r} gives variables, but the prompt has {len(asking)} user messages.",
            hint="Write it as inputs: {messages: [{role: user, content: …}]}.",
        )
    used = meta.find_undeclared_variables(parse(asking[0]["content"], told))
    schema = definition["variables"]
    narrowed = {
        **schema,
        "properties": {each: told for each, told in schema.get("properties", {}).items() if each in used},
        "required": [each for each in schema.get("required", ()) if each in used],
    }
    return compile_prompt(told, {"messages": asking, "variables": narrowed}).render(inputs)


def _plain_text(content: Any, told: str) -> str:
    if not isinstance(content, str):
        raise BadPrompt(f"Prompt {told} has content that is no text.", hint="Write it as a text.")
    return content


def render(definition: Mapping[str, Any], variables: Mapping[str, Any], name: str = "prompt") -> list[Message]:
    """The messages of a definition; the newest 256 stay compiled. `name` is what errors call it.

    Cost: 1 µs beyond `CompiledPrompt.render`.

    Raises:
        BadPrompt: see `compile_prompt` and `CompiledPrompt.render`.

    >>> render({"messages": [{"role": "user", "content": "Hello {{ name }}"}],
    ...         "variables": {"type": "object", "properties": {"name": {"type": "string"}}}}, {"name": "{{ 7 * 7 }}"})
    [{'role': 'user', 'content': 'Hello {{ 7 * 7 }}'}]
    """
    return compiled_prompt(name, definition).render(variables)


def compiled_prompt(name: str, definition: Mapping[str, Any]) -> CompiledPrompt:
    """As `compile_prompt`, for who asks for the same ones again: the newest 256 stay compiled, at 1 µs each time.

    Raises:
        BadPrompt: see `compile_prompt`.
    """
    return _kept(_encode(dict(definition)), name)


_encode = msgspec.json.Encoder(enc_hook=plain).encode


@lru_cache(maxsize=256)
def _kept(definition: bytes, name: str) -> CompiledPrompt:
    return compile_prompt(name, msgspec.json.decode(definition))


def _check_declared(named: set[str], declared: frozenset[str], where: str) -> None:
    for name in sorted(named - declared):
        near = nearest(name, declared)
        raise BadPrompt(
            f"{where} uses {name!r}, which is no variable of it.",
            hint=f"Did you mean {near!r}?" if near else f"Declare it: variables: {{{name}: str}}",
        )


def _compiled(role: str, tree: nodes.Template, where: str) -> _Compiled:
    outputs = [each for node in tree.body for each in (node.nodes if isinstance(node, nodes.Output) else [node])]
    data = [each.data for each in outputs if isinstance(each, nodes.TemplateData)]
    if len(data) == len(outputs):
        return _Compiled(role, "".join(data), None)
    return _Compiled(role, "", Template.from_code(ENVIRONMENT, code_of(tree, where), {}).root_render_func)
