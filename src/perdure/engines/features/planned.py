"""What a plan holds of each view: rebuilt from the view's stored definition alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal

from perdure.assets.expressions import Expr, from_json
from perdure.assets.fallback import Fallback, fallback_from_json
from perdure.core.canonical import content_hash
from perdure.core.errors import BadView
from perdure.core.ids import version_id

KEY_SEPARATOR = "\x1f"
"""Between the parts of a composite key (ASCII's unit separator)."""


@dataclass(frozen=True, slots=True)
class PlannedFeature:
    """One position of a model's vector."""

    name: str
    view: str
    """Version id of its view."""
    kind: Literal["number", "category"]


@dataclass(frozen=True, slots=True, eq=False)
class PlannedView:
    """A view as a model version pins it."""

    id: str
    name: str
    key: tuple[str, ...]
    source: str
    """Name of the source; empty for a view on demand."""
    ttl_us: int | None
    exprs: Mapping[str, Expr]
    definition: Mapping[str, Any]
    fallback: Fallback | None = None
    """None also where the definition is older than fallbacks are."""

    @property
    def stored(self) -> bool:
        """Whether its rows are kept online by key."""
        return bool(self.source)

    @property
    def features(self) -> tuple[str, ...]:
        """Names of its features, in the order of a stored row's values."""
        return tuple(self.exprs)

    @staticmethod
    def from_definition(definition: Mapping[str, Any], id_: str) -> PlannedView:
        """The view of a stored definition.

        Raises:
            BadView: the definition is not the one that the id was made from, or uses what this version
                does not know.
        """
        found = version_id(definition["name"], content_hash(definition))
        if found != id_:
            raise BadView(
                f"The stored definition of view {id_} has the hash of {found}.",
                hint="It was changed after it was stored: serve another version of the model.",
            )
        fallback = definition.get("fallback")
        return PlannedView(
            id=id_,
            name=definition["name"],
            key=tuple(definition["key"]),
            source=definition["source"] or "",
            ttl_us=definition["ttl_us"],
            exprs={feature["name"]: from_json(feature["expr"]) for feature in definition["features"]},
            definition=definition,
            fallback=None if fallback is None else fallback_from_json(fallback),
        )


@dataclass(frozen=True, slots=True)
class StoredRow:
    """The newest features of one key of a stored view. Instants in microseconds since 1970 UTC."""

    key: str
    values: tuple[float | bool | str | None, ...]
    """In the order of the view's features; numbers already rounded to 32 bits."""
    event_us: int
    available_us: int


def key_text(part: object) -> str:
    """One part of a key as the online store spells it: a text as it is, an enum's value, an int in decimal."""
    value = part.value if isinstance(part, Enum) else part
    return value if isinstance(value, str) else str(value)
