"""Commands with many options take them as one frozen record, whose fields are declared as parameters would be.

    @dataclass(frozen=True, slots=True)
    class Asked:
        label: Annotated[str, typer.Option(help="What a person calls it.")] = ""

    @taking(Asked)
    def create(asked: Asked, project: Folder = HERE) -> None: ...

Typer reads a command's signature; what it is given here has the record's fields in the record's place.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import MISSING, Field, fields
from inspect import Parameter
from typing import Any, get_type_hints


def taking(record: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Spread the first parameter of a command, a `record`, into options.

    Args:
        record: a dataclass; its fields are annotated as Typer wants parameters annotated.
    """
    hints = get_type_hints(record, include_extras=True)
    names = [field.name for field in fields(record)]

    def spread(command: Callable[..., None]) -> Callable[..., None]:
        _, *own = inspect.signature(command).parameters.values()
        own_hints = get_type_hints(command, include_extras=True)

        @functools.wraps(command)
        def run(**given: Any) -> None:
            command(record(**{name: given.pop(name) for name in names}), **given)

        options = [_option(field, hints[field.name]) for field in fields(record)]
        rest = [each.replace(kind=Parameter.KEYWORD_ONLY, annotation=own_hints[each.name]) for each in own]
        run.__signature__ = inspect.Signature([*options, *rest])  # type: ignore[attr-defined]
        run.__annotations__ = {each.name: each.annotation for each in (*options, *rest)}
        return run

    return spread


def _option(field: Field[Any], hint: Any) -> Parameter:
    default = Parameter.empty if field.default is MISSING else field.default
    return Parameter(field.name, Parameter.KEYWORD_ONLY, default=default, annotation=hint)
