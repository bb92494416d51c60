"""Runs a view's function once, on a row whose fields are expressions. Called by `feature_view`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

from perdure.assets.contract import Contract
from perdure.assets.expressions import Expr, ExprType
from perdure.assets.fields import FieldType, contract_fields
from perdure.assets.mistakes import refuse
from perdure.core.errors import BadView, nearest

_TYPES: Mapping[FieldType, ExprType] = {
    "bool": "bool",
    "int": "number",
    "float": "number",
    "str": "text",
    "literal": "text",
    "enum": "text",
    "datetime": "instant",
}


class Row:
    """The row a view's function gets while it is traced: each field of the contract is an expression.

    A field that the contract does not have, or whose type expressions cannot hold, raises `BadView`.
    """

    __slots__ = ("_contract", "_types", "_view")

    def __init__(self, contract: type[Contract], view: str) -> None:
        self._contract = contract.__name__
        self._types = {spec.name: spec.type for spec in contract_fields(contract)}
        self._view = view

    def __getattr__(self, name: str) -> Expr:
        if name.startswith("__"):
            raise AttributeError(name)
        if name not in self._types:
            near = nearest(name, self._types)
            refuse(
                f"Feature view {self._view!r} uses the field {name!r}, which {self._contract} does not have.",
                f"Did you mean {near!r}?" if near else f"It has {', '.join(self._types)}.",
            )
        found = _TYPES.get(self._types[name])
        if found is None:
            refuse(
                f"The field {name!r} of {self._contract} is a {self._types[name]}, which expressions cannot hold.",
                "Use fields of float, int, bool, str, Literal, StrEnum or datetime.",
            )
        return Expr("field", found, param=name)


def trace(function: Callable[[Row], Mapping[str, Any]], contract: type[Contract], view_name: str) -> dict[str, Expr]:
    """The features that `function` computes from one row: name → expression, in its order.

    The function runs once, on a `Row`.

    Raises:
        BadView: with file and line: an unknown field, something that cannot be traced, a result
            that is no mapping of names to expressions, an instant as a feature.
    """
    code = function.__code__
    place = f"{code.co_filename}:{code.co_firstlineno}: Feature view {view_name!r}"
    try:
        found = cast("Any", function(Row(contract, view_name)))
    except (TypeError, AttributeError) as error:
        hint = "Use operators and the methods of expressions only."
        raise BadView(f"{place} cannot be traced: {error}.", hint=hint) from error
    if not isinstance(found, Mapping) or not found:
        raise BadView(f"{place} returned {found!r}.", hint='Return the features by name: {"gust": w.wind_gust}.')
    return {name: _checked_feature(name, expr, place) for name, expr in found.items()}


def _checked_feature(name: Any, expr: Any, place: str) -> Expr:
    if not isinstance(name, str) or not name.isidentifier():
        raise BadView(f"{place} has a feature named {name!r}.", hint="Use letters, digits and underscores.")
    if not isinstance(expr, Expr):
        raise BadView(f"{place} gives {name!r} as {expr!r}, which uses no field.", hint="Compute it from the row.")
    if expr.type == "instant":
        raise BadView(
            f"{place} gives the instant {expr!r} as {name!r}.",
            hint="Take a number of it: .hour(), .weekday(), .timestamp_s().",
        )
    return expr
