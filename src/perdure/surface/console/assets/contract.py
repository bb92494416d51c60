"""What an asset declares: the fields of its contract, and its whole definition as canonical data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from perdure.surface.console.asking import address
from perdure.surface.console.assets.known import Head, Known, asset_of, head_of, page_of
from perdure.surface.console.assets.texts import json_lines, said
from perdure.surface.console.records import Asked, Cell, Table, View

if TYPE_CHECKING:
    from perdure.assets.contract import Contract

_LINES = 600
_SHOWN = frozenset({"name", "type", "required", "nullable", "fast", "unit", "description"})


@dataclass(frozen=True, slots=True)
class Declared:
    """The page."""

    head: Head
    contract: Cell | None
    """The contract of its rows; None where it has none."""
    fields: Table | None
    features: Table | None
    """Of a feature view: what it computes; of a model: which views it has them from."""
    definition: tuple[str, ...]
    n_lines: int
    """Of the definition, whole."""
    place: str
    """File and line of its declaration; empty where it is not known."""


def view(asked: Asked) -> View:
    """`/assets/{kind}/{name}/contract`."""
    known = asset_of(asked)
    contract = _contract(known)
    lines = json_lines(_definition(asked, known))
    data = Declared(
        head=head_of(asked, known, "contract"),
        contract=None
        if contract is None
        else Cell(contract.__name__, href=address("/assets", "contract", contract.__name__)),
        fields=None if contract is None else _fields(contract),
        features=_features(known),
        definition=tuple(lines[:_LINES]),
        n_lines=len(lines),
        place=_place(asked, known),
    )
    words = "contract" if contract is not None else "definition"
    return page_of(known, data, words)


def _contract(known: Known) -> type[Contract] | None:
    if known.declared is None:
        return None
    return known.declared if known.kind == "contract" else getattr(known.declared, "contract", None)


def _fields(contract: type[Contract]) -> Table:
    from perdure.assets.fields import contract_definition

    fields = contract_definition(contract)["fields"]
    return Table(
        ("Field", "Type", "Required", "May be missing", "Bounds"),
        [
            (
                str(field["name"]),
                str(field["type"]),
                "yes" if field.get("required") else "no",
                "yes" if field.get("nullable") else "no",
                said({key.replace("_", " "): value for key, value in field.items() if key not in _SHOWN}),
            )
            for field in fields[:200]
        ],
        f"Fields of {contract.__name__}",
        empty="It has no fields.",
    )


def _features(known: Known) -> Table | None:
    declared = known.declared
    if declared is None or known.kind not in ("model", "feature_view"):
        return None
    views = declared.features if known.kind == "model" else [declared]
    rows = [
        (
            name,
            expr.type,
            Cell(view.name, href=address("/assets", "feature_view", view.name)),
            "stored" if view.source else "on demand",
        )
        for view in views
        for name, expr in view.features.items()
    ]
    return Table(("Feature", "Type", "View", "Kept"), rows[:200], "Features, in order", empty="It has no features.")


def _definition(asked: Asked, known: Known) -> Mapping[str, Any]:
    """As declared; of what is not, as its newest version has it, or as the ledger registered it."""
    if known.declared is not None:
        from perdure.surface.definitions import definition_of

        return definition_of(known.kind, known.declared)
    with asked.project.place.stores.ledger.read() as session:
        newest = session.registry.list_versions(known.name, limit=1)
    return newest[0].definition if newest else {}


def _place(asked: Asked, known: Known) -> str:
    places = getattr(asked.project.project, "places", {})
    return str(places.get((known.kind.replace("_", " "), known.name.removeprefix("team:")), ""))
